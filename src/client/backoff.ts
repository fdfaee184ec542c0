/**
 * Back-off: the wait before the next attempt to connect. Exponential with full jitter (Brooker, "Exponential Backoff and
 * Jitter", 2015), so clients that lost a server together do not return together. Bound: `maxMs`, on top of what the
 * server asks for.
 */

export interface BackoffOptions {
  /** Longest wait before the first attempt, in ms; it doubles with each failure. Default 250. */
  readonly baseMs?: number;
  /** The longest wait, in ms. Default 30,000. */
  readonly maxMs?: number;
  /** Failures in a row after which the client gives up. Default: never. */
  readonly attemptsMax?: number;
}

export class Backoff {
  /** Attempts since the last stable connection. */
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
   * The wait before the next attempt, in ms; undefined to give up.
   * @param retryMs the minimum that the server asked for
   */
  next(retryMs: number): number | undefined {
    if (this.attempts >= this.attemptsMax) return undefined;
    const most = Math.min(this.maxMs, this.baseMs * 2 ** Math.min(this.attempts, 30));
    this.attempts += 1;
    return retryMs + this.random() * most;
  }

  /** The connection is stable. One that is accepted and cut at once must not reset the back-off. */
  succeeded(): void {
    this.attempts = 0;
  }
}
