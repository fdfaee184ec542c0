/**
 * Rate: how much of something is taken in a second. A bucket that fills evenly and holds one second's
 * worth; what is taken may leave it in debt once, so that a large piece passes and the next ones wait.
 */

/** What the sums of fractions may be off by. */
const ROUNDING = 1e-9;

export class Rate {
  private debt = 0;
  private atMs = -Infinity;

  /**
   * Whether there is room now; if so, so much is taken.
   * @param perSecond what fits into a second now; it may change
   */
  take(amount: number, perSecond: number, nowMs: number): boolean {
    const sinceMs = nowMs - this.atMs;
    this.atMs = nowMs;
    this.debt = Math.max(0, this.debt - (sinceMs * perSecond) / 1000);
    // What is larger than a second's worth needs all of one.
    if (this.debt + Math.min(amount, perSecond) > perSecond * (1 + ROUNDING)) return false;
    this.debt += amount;
    return true;
  }

  /** Takes it, whether there is room or not; what comes next waits for it. */
  spend(amount: number, perSecond: number, nowMs: number): void {
    const sinceMs = nowMs - this.atMs;
    this.atMs = nowMs;
    this.debt = Math.max(0, this.debt - (sinceMs * perSecond) / 1000) + amount;
  }

  /** What was taken was not used. */
  give(amount: number): void {
    this.debt = Math.max(0, this.debt - amount);
  }

  /** Whether so much time has gone by that nothing of it counts any more. */
  isIdle(perSecond: number, nowMs: number): boolean {
    return this.debt <= ((nowMs - this.atMs) * perSecond) / 1000;
  }
}

/** So many are looked through for those that may be forgotten. */
const NAMES_MANY = 1_024;

/** One for each name. Bounded: by the names that take something within a second or so. */
export class Rates {
  private readonly ofName = new Map<string, Rate>();
  private many = NAMES_MANY;

  get size(): number {
    return this.ofName.size;
  }

  /** As of one rate. */
  take(name: string, amount: number, perSecond: number, nowMs: number): boolean {
    let rate = this.ofName.get(name);
    if (rate === undefined) {
      if (this.ofName.size >= this.many) this.forget(perSecond, nowMs);
      rate = new Rate();
      this.ofName.set(name, rate);
    }
    return rate.take(amount, perSecond, nowMs);
  }

  /** As of one rate. */
  give(name: string, amount: number): void {
    this.ofName.get(name)?.give(amount);
  }

  private forget(perSecond: number, nowMs: number): void {
    for (const [name, rate] of this.ofName) {
      if (rate.isIdle(perSecond, nowMs)) this.ofName.delete(name);
    }
    // Where few could be forgotten the next look is far off, or each new name would cost one.
    this.many = Math.max(NAMES_MANY, this.ofName.size * 2);
  }
}
