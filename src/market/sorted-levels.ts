/**
 * Sorted levels: a list of levels in the order of a ladder. Lists of sources are nearly always sorted, one
 * way or the other; any other costs some passes over flat numbers, with no object for a level.
 */

/**
 * @param levels flat: price, quantity …, in any order
 * @param sign of the keys: price × sign
 * @returns key, quantity …, keys strictly ascending; of a doubled price the last given
 */
export function sortedLevels(levels: ArrayLike<number>, sign: 1 | -1): Float64Array {
  const length = levels.length & ~1;
  const pairs = new Float64Array(length);
  let ascends = true;
  let descends = true;
  for (let i = 0; i < length; i += 2) {
    const key = levels[i]! * sign;
    pairs[i] = key;
    pairs[i + 1] = levels[i + 1]!;
    if (i === 0) continue;
    if (key <= pairs[i - 2]!) ascends = false;
    if (key >= pairs[i - 2]!) descends = false;
  }
  if (ascends) return pairs;
  return descends ? reversed(pairs) : newest(radixSorted(pairs));
}

function reversed(pairs: Float64Array): Float64Array {
  const result = new Float64Array(pairs.length);
  for (let i = 0, to = pairs.length - 2; i < pairs.length; i += 2, to -= 2) {
    result[to] = pairs[i]!;
    result[to + 1] = pairs[i + 1]!;
  }
  return result;
}

/** Eleven bits a pass. */
const DIGIT_VALUES = 2_048;
const DIGITS: readonly ((key: number) => number)[] = [
  (key) => key & 0x7ff,
  (key) => (key >>> 11) & 0x7ff,
  (key) => key >>> 22,
  (key) => highBits(key) & 0x7ff,
  (key) => highBits(key) >>> 11,
];

/** The upper of the 54 bits of a safe integer, not negative. */
function highBits(key: number): number {
  return Math.floor(key / 0x1_0000_0000) + 0x20_0000;
}

/**
 * A radix sort from the lowest digit up, which compares nothing: at most five passes, whatever the order.
 * Stable, so that a doubled key stays in its order.
 */
function radixSorted(pairs: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  let from = pairs;
  let to = new Float64Array(pairs.length);
  const places = new Uint32Array(DIGIT_VALUES);
  for (const digitOf of DIGITS) {
    if (!countDigits(from, places, digitOf)) continue;
    for (let i = 0; i < from.length; i += 2) {
      const at = places[digitOf(from[i]!)]!++ * 2;
      to[at] = from[i]!;
      to[at + 1] = from[i + 1]!;
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Where the levels of each digit begin. @returns whether they differ in it */
function countDigits(
  pairs: Float64Array,
  places: Uint32Array,
  digitOf: (key: number) => number,
): boolean {
  places.fill(0);
  for (let i = 0; i < pairs.length; i += 2) places[digitOf(pairs[i]!)]! += 1;
  const differs = places[digitOf(pairs[0]!)] !== pairs.length >> 1;
  let before = 0;
  for (let digit = 0; digit < DIGIT_VALUES; digit++) {
    const count = places[digit]!;
    places[digit] = before;
    before += count;
  }
  return differs;
}

/** Keeps the last of each key. */
function newest(pairs: Float64Array): Float64Array {
  let length = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    if (i + 2 < pairs.length && pairs[i + 2] === pairs[i]) continue;
    pairs[length++] = pairs[i]!;
    pairs[length++] = pairs[i + 1]!;
  }
  return pairs.subarray(0, length);
}
