/**
 * Durations: a histogram of durations for `/metrics`.
 *
 * Observing a value takes some nanoseconds and allocates nothing, so it can stand on the path of each batch; the
 * library that renders it takes forty times as long. Bound: the buckets.
 */

/** Upper bounds of the buckets, inclusive, in seconds. One more bucket has all that is longer. */
export const DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
  0.25, 0.5, 1, 2.5, 5, 10,
];

const BOUNDS_MS = Float64Array.from(DURATION_BOUNDS_SECONDS, (seconds) => seconds * 1_000);

export class Durations {
  /** Count of each bucket, not cumulative; the last has what exceeds all bounds. */
  readonly counts = new Float64Array(BOUNDS_MS.length + 1);
  private totalMs = 0;

  /** Adds a value. @param ms values below zero count as zero */
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
