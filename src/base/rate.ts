/**
 * Rate: a token bucket that refills evenly and holds one second's worth. Taking from it may leave it in debt once, so
 * a large item passes and the next ones wait.
 */

/** Tolerance for rounding of sums. */
const ROUNDING = 1e-9;

export class Rate {
  private debt = 0;
  private atMs = -Infinity;

  /**
   * Takes `amount` if there is room.
   * @returns whether there was
   * @param perSecond the present rate; it may change between calls
   */
  take(amount: number, perSecond: number, nowMs: number): boolean {
    const sinceMs = nowMs - this.atMs;
    this.atMs = nowMs;
    this.debt = Math.max(0, this.debt - (sinceMs * perSecond) / 1000);
    // An amount above one second's worth needs a full bucket.
    if (this.debt + Math.min(amount, perSecond) > perSecond * (1 + ROUNDING)) return false;
    this.debt += amount;
    return true;
  }

  /** Takes the amount, whether there is room or not; what follows waits for it. */
  spend(amount: number, perSecond: number, nowMs: number): void {
    const sinceMs = nowMs - this.atMs;
    this.atMs = nowMs;
    this.debt = Math.max(0, this.debt - (sinceMs * perSecond) / 1000) + amount;
  }

  /** Gives back what was taken and not used. */
  give(amount: number): void {
    this.debt = Math.max(0, this.debt - amount);
  }

  /** Whether the bucket is full again, so it can be forgotten. */
  isIdle(perSecond: number, nowMs: number): boolean {
    return this.debt <= ((nowMs - this.atMs) * perSecond) / 1000;
  }
}

/** From this many buckets on, full ones are searched for and forgotten. */
const NAMES_MANY = 1_024;

/** A bucket for each name. Bound: names that took something within about a second. */
export class Rates {
  private readonly ofName = new Map<string, Rate>();
  private many = NAMES_MANY;

  get size(): number {
    return this.ofName.size;
  }

  /** Like the method of a single rate. */
  take(name: string, amount: number, perSecond: number, nowMs: number): boolean {
    let rate = this.ofName.get(name);
    if (rate === undefined) {
      if (this.ofName.size >= this.many) this.forget(perSecond, nowMs);
      rate = new Rate();
      this.ofName.set(name, rate);
    }
    return rate.take(amount, perSecond, nowMs);
  }

  /** Like the method of a single rate. */
  give(name: string, amount: number): void {
    this.ofName.get(name)?.give(amount);
  }

  private forget(perSecond: number, nowMs: number): void {
    for (const [name, rate] of this.ofName) {
      if (rate.isIdle(perSecond, nowMs)) this.ofName.delete(name);
    }
    // If few could be forgotten, the next search is far off; otherwise each new name would cause one.
    this.many = Math.max(NAMES_MANY, this.ofName.size * 2);
  }
}
