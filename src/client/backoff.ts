/**
 * Back-off: how long to wait before the next attempt to connect. Exponential with full jitter
 * (Brooker, "Exponential Backoff and Jitter", 2015), so clients that lost a server together do not
 * come back together. Bounded by `maxMs`, on top of what the server itself asked for.
 */

export interface BackoffOptions {
  /** Longest wait before the first attempt, in ms; it doubles with each failure. 250 unless told. */
  readonly baseMs?: number;
  /** The longest wait of all, in ms; 30,000 unless told. */
  readonly maxMs?: number;
  /** Failures in a row after which the client gives up; never, unless told. */
  readonly attemptsMax?: number;
}

export class Backoff {
  /** Attempts since the last connection that lasted. */
  attempts = 0;
  private readonly baseMs: number;
  private readonly maxMs: number;
  private readonly attemptsMax: number;
  private readonly random: () => number;

  constructor(options: BackoffOptions, random: () => number) {
    this.baseMs = options.baseMs ?? 250;
    this.maxMs = options.maxMs ?? 30_000;
    this.attemptsMax = options.attemptsMax ?? Number.POSITIVE_INFINITY;
    this.random = random;
  }

  /**
   * The wait before the next attempt, in ms; undefined when it is time to give up.
   * @param retryMs the least that the server asked for
   */
  next(retryMs: number): number | undefined {
    if (this.attempts >= this.attemptsMax) return undefined;
    const most = Math.min(this.maxMs, this.baseMs * 2 ** Math.min(this.attempts, 30));
    this.attempts += 1;
    return retryMs + this.random() * most;
  }

  /** The connection lasts. One that is taken and cut at once must not begin anew. */
  succeeded(): void {
    this.attempts = 0;
  }
}
