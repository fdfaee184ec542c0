/**
 * Durations: how long something took, counted by buckets, for the histograms of `/metrics`.
 *
 * Counting takes some nanoseconds and allocates nothing, so it may stand where each batch passes; the
 * library that renders it takes forty times as long for one value. Bounded: the buckets.
 */

/** Upper bounds of the buckets, inclusive, in seconds; what is longer falls into one behind them. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5, 10,
];

const BOUNDS_MS = Float64Array.from(DURATION_BOUNDS_SECONDS, (seconds) => seconds * 1_000);

export class Durations {
  /** Of each bucket, not summed up; the last is of what is longer than all bounds. */
  readonly counts = new Float64Array(BOUNDS_MS.length + 1);
  private totalMs = 0;

  /** One more. @param ms below zero counts as zero */
  observe(ms: number): void {
    const taken = ms > 0 ? ms : 0;
    let bucket = 0;
    while (bucket < BOUNDS_MS.length && taken > BOUNDS_MS[bucket]!) bucket += 1;
    this.counts[bucket]! += 1;
    this.totalMs += taken;
  }

  get sumSeconds(): number {
    return this.totalMs / 1_000;
  }

  get count(): number {
    return this.counts.reduce((sum, n) => sum + n, 0);
  }
}
