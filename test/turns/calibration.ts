/**
 * Calibration: a fixed piece of work, by which a limit in ms is converted for a machine that is slower or shared.
 * It allocates nothing, so the collector has no influence.
 */

/** The time of a unit, when idle, on the machine for which the limit of 5 ms is stated. */
export const UNIT_MS = 0.066;

const NUMBERS = 4_096;
const ROUNDS = 24;
const TRIES = 20;

const numbers = new Float64Array(NUMBERS);
const buckets = new Map<number, number>();

/** Makes numbers, sorts them, and counts them in a map. */
function unit(): void {
  for (let i = 0, at = 1; i < NUMBERS; i++) {
    at = (Math.imul(at, 1_103_515_245) + 12_345) >>> 0;
    numbers[i] = at / 65_536;
  }
  numbers.subarray(0, NUMBERS / 2).sort();
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = round; i < NUMBERS; i += 16) {
      const bucket = numbers[i]! & 255;
      buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
    }
  }
}

/** @returns the time of a unit now: the shortest of some tries */
export function unitMs(nowMs: () => number): number {
  let least = Infinity;
  for (let i = 0; i < TRIES; i++) {
    const beganMs = nowMs();
    unit();
    least = Math.min(least, nowMs() - beganMs);
  }
  return least;
}
