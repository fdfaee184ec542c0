/**
 * Sorted levels: brings a list of levels into the order of a ladder. Lists of sources are nearly always sorted, one way
 * or the other. Any other list takes some passes over flat numbers, without an object for each level.
 */

/**
 * @param levels flat: price, quantity …, in any order
 * @param sign the key of a level is price × sign
 * @returns key, quantity …, keys strictly ascending; of a repeated price the last one
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

/** Eleven bits in each pass. */
const DIGIT_VALUES = 2_048;
const DIGITS: readonly ((key: number) => number)[] = [
  (key) => key & 0x7ff,
  (key) => (key >>> 11) & 0x7ff,
  (key) => key >>> 22,
  (key) => highBits(key) & 0x7ff,
  (key) => highBits(key) >>> 11,
];

/** The upper part of the 54 bits of a safe integer, not negative. */
function highBits(key: number): number {
  return Math.floor(key / 0x1_0000_0000) + 0x20_0000;
}

/**
 * A radix sort from the lowest digit: at most five passes, whatever the order. Stable, so repeated keys keep their
 * order.
 */
function radixSorted(pairs: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  let from = pairs;
  let to = new Float64Array(pairs.length);
  const offsets = new Uint32Array(DIGIT_VALUES);
  for (const digitOf of DIGITS) {
    if (!countDigits(from, offsets, digitOf)) continue;
    for (let i = 0; i < from.length; i += 2) {
      const at = offsets[digitOf(from[i]!)]!++ * 2;
      to[at] = from[i]!;
      to[at + 1] = from[i + 1]!;
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Computes where the levels of each digit begin. @returns whether they differ in this digit */
function countDigits(
  pairs: Float64Array,
  offsets: Uint32Array,
  digitOf: (key: number) => number,
): boolean {
  offsets.fill(0);
  for (let i = 0; i < pairs.length; i += 2) offsets[digitOf(pairs[i]!)]! += 1;
  const differs = offsets[digitOf(pairs[0]!)] !== pairs.length >> 1;
  let before = 0;
  for (let digit = 0; digit < DIGIT_VALUES; digit++) {
    const count = offsets[digit]!;
    offsets[digit] = before;
    before += count;
  }
  return differs;
}

/** Keeps the last level of each key. */
function newest(pairs: Float64Array): Float64Array {
  let length = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    if (i + 2 < pairs.length && pairs[i + 2] === pairs[i]) continue;
    pairs[length++] = pairs[i]!;
    pairs[length++] = pairs[i + 1]!;
  }
  return pairs.subarray(0, length);
}
