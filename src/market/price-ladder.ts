/**
 * Price ladder: one side of an aggregated book at full depth, price → quantity.
 *
 * Levels are kept in sorted chunks of bounded size, the best level last in the last chunk. So a change moves at most one
 * chunk, wherever it is, and a long list of changes is sorted and merged chunk by chunk. Asks are stored by negated
 * price, so both sides use the same code. Bound: `levelsMax`. Invariants: keys strictly ascending, quantities above zero,
 * no empty chunk.
 */

import { sortedLevels } from './sorted-levels';

/** Most levels of a chunk: what one change can move. */
export const CHUNK_LEVELS = 512;
/** Levels of a newly built chunk: room for insertions remains. */
const CHUNK_FILL = 384;
const CAPACITY_START = 16;
/** A list of changes is sorted and merged if it is longer than this … */
const MERGED_MIN = 256;
/** … and longer than this fraction of the ladder; fewer changes are faster one by one. */
const MERGED_PART = 32;

export class PriceLadder {
  private readonly sign: 1 | -1;
  private readonly levelsMax: number;
  private chunks: Chunk[] = [];
  private count = 0;

  constructor(side: 'bid' | 'ask', levelsMax: number) {
    this.sign = side === 'bid' ? 1 : -1;
    this.levelsMax = levelsMax;
  }

  get length(): number {
    return this.count;
  }

  /** Best price, scaled; null if the side is empty. */
  get best(): number | null {
    return this.count === 0 ? null : this.chunks.at(-1)!.last * this.sign;
  }

  /** Quantity at the best price, scaled; 0 if the side is empty. */
  get bestQuantity(): number {
    return this.count === 0 ? 0 : this.chunks.at(-1)!.lastQuantity;
  }

  /** Whether there is a level at this price. */
  has(price: number): boolean {
    const key = price * this.sign;
    const chunk = this.chunks[this.chunkOf(key)];
    return chunk?.holds(chunk.search(key), key) ?? false;
  }

  /**
   * Sets a level; quantity 0 deletes it.
   * @returns `full` if a new level would exceed the bound (nothing is changed), else `ok`
   */
  set(price: number, quantity: number): 'ok' | 'full' {
    const key = price * this.sign;
    const index = this.chunkOf(key);
    const chunk = this.chunks[index];
    const at = chunk?.search(key) ?? 0;
    if (chunk?.holds(at, key) === true) {
      if (quantity === 0) this.remove(index, at);
      else chunk.pairs[at * 2 + 1] = quantity;
      return 'ok';
    }
    if (quantity === 0) return 'ok';
    if (this.count === this.levelsMax) return 'full';
    this.insert(index, at, key, quantity);
    return 'ok';
  }

  /**
   * Sets levels (flat: price, quantity …, in any order; of a repeated price the last counts, quantity 0 deletes).
   * @returns `full` if more than the bound would remain; the ladder is then empty
   */
  apply(levels: ArrayLike<number>): 'ok' | 'full' {
    const changes = levels.length >> 1;
    if (changes > Math.max(MERGED_MIN, this.count / MERGED_PART)) return this.merge(levels);
    for (let i = 0; i < levels.length; i += 2) {
      // Later changes may delete levels: only what remains counts.
      if (this.set(levels[i]!, levels[i + 1]!) === 'full') return this.merge(levels);
    }
    return 'ok';
  }

  /**
   * Replaces all levels (flat: price, quantity …, in any order; of a repeated price the last counts, quantity 0 is no
   * level).
   * @returns `full` if there are more than the bound; the ladder is then empty
   */
  load(levels: ArrayLike<number>): 'ok' | 'full' {
    this.clear();
    return this.merge(levels);
  }

  clear(): void {
    this.chunks = [];
    this.count = 0;
  }

  /** The best `depth` levels, flat: price, quantity, price, quantity …, best first. */
  top(depth: number): number[] {
    const levels = Math.min(depth, this.count);
    const flat = new Array<number>(levels * 2);
    let i = 0;
    for (let c = this.chunks.length - 1; i < levels; c--) {
      const { pairs, count } = this.chunks[c]!;
      for (let at = count - 1; at >= 0 && i < levels; at--, i++) {
        flat[i * 2] = pairs[at * 2]! * this.sign;
        flat[i * 2 + 1] = pairs[at * 2 + 1]!;
      }
    }
    return flat;
  }

  /** Merges sorted changes into the chunks that they fall into. */
  private merge(levels: ArrayLike<number>): 'ok' | 'full' {
    const changes = sortedLevels(levels, this.sign);
    const before = this.chunks;
    const merged: Chunk[] = [];
    let from = 0;
    for (const [i, chunk] of before.entries()) {
      const to = i === before.length - 1 ? changes.length : endOf(changes, from, chunk.last);
      if (to === from) merged.push(chunk);
      else pushChunks(merged, mergedPairs(chunk, changes.subarray(from, to)));
      from = to;
    }
    if (before.length === 0) pushChunks(merged, withoutZeros(changes));
    this.chunks = merged;
    this.count = 0;
    for (const { count } of merged) this.count += count;
    if (this.count <= this.levelsMax) return 'ok';
    this.clear();
    return 'full';
  }

  /** The first chunk whose last key is not below `key`; else the last chunk. */
  private chunkOf(key: number): number {
    const { chunks } = this;
    let high = chunks.length - 1;
    // Most changes are near the top.
    if (high <= 0 || key > chunks[high - 1]!.last) return Math.max(0, high);
    let low = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (chunks[middle]!.last < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insert(index: number, at: number, key: number, quantity: number): void {
    this.count += 1;
    const chunk = this.chunks[index];
    if (chunk === undefined) {
      this.chunks.push(Chunk.of(Float64Array.of(key, quantity)));
      return;
    }
    if (chunk.count < CHUNK_LEVELS) return chunk.insert(at, key, quantity);
    const upper = chunk.split();
    this.chunks.splice(index + 1, 0, upper);
    if (at <= chunk.count) chunk.insert(at, key, quantity);
    else upper.insert(at - chunk.count, key, quantity);
  }

  private remove(index: number, at: number): void {
    const { chunks } = this;
    const chunk = chunks[index]!;
    this.count -= 1;
    chunk.remove(at);
    if (chunk.count > CHUNK_LEVELS / 8) return;
    // Many small chunks would be as slow as one that is too long.
    const lower = chunks[index - 1];
    if (lower !== undefined && lower.count + chunk.count <= CHUNK_LEVELS / 2) {
      lower.append(chunk);
      chunks.splice(index, 1);
    } else if (chunk.count === 0) {
      chunks.splice(index, 1);
    }
  }
}

/** A run of levels: key, quantity, key, quantity …, keys ascending. */
class Chunk {
  pairs: Float64Array;
  count: number;

  private constructor(pairs: Float64Array, count: number) {
    this.pairs = pairs;
    this.count = count;
  }

  static of(pairs: Float64Array): Chunk {
    const count = pairs.length >> 1;
    const room = new Float64Array(capacityFor(count) * 2);
    room.set(pairs);
    return new Chunk(room, count);
  }

  get last(): number {
    return this.pairs[this.count * 2 - 2]!;
  }

  get lastQuantity(): number {
    return this.pairs[this.count * 2 - 1]!;
  }

  /** Index of the first key not below `key`. */
  search(key: number): number {
    const { pairs } = this;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (pairs[middle * 2]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  holds(at: number, key: number): boolean {
    return at < this.count && this.pairs[at * 2] === key;
  }

  insert(at: number, key: number, quantity: number): void {
    this.reserve(this.count + 1);
    this.pairs.copyWithin(at * 2 + 2, at * 2, this.count * 2);
    this.pairs[at * 2] = key;
    this.pairs[at * 2 + 1] = quantity;
    this.count += 1;
  }

  remove(at: number): void {
    this.pairs.copyWithin(at * 2, at * 2 + 2, this.count * 2);
    this.count -= 1;
  }

  append(other: Chunk): void {
    this.reserve(this.count + other.count);
    this.pairs.set(other.pairs.subarray(0, other.count * 2), this.count * 2);
    this.count += other.count;
  }

  /** Keeps the lower half. @returns the upper half */
  split(): Chunk {
    const lower = this.count >> 1;
    const upper = Chunk.of(this.pairs.subarray(lower * 2, this.count * 2));
    this.count = lower;
    return upper;
  }

  private reserve(count: number): void {
    if (count * 2 <= this.pairs.length) return;
    const larger = new Float64Array(capacityFor(count) * 2);
    larger.set(this.pairs);
    this.pairs = larger;
  }
}

function capacityFor(count: number): number {
  let capacity = CAPACITY_START;
  while (capacity < count) capacity *= 2;
  return capacity;
}

/** Index of the first key above `key`, from `from` on. */
function endOf(pairs: Float64Array, from: number, key: number): number {
  let at = from;
  while (at < pairs.length && pairs[at]! <= key) at += 2;
  return at;
}

function mergedPairs({ pairs, count }: Chunk, changes: Float64Array): Float64Array {
  const result = new Float64Array(count * 2 + changes.length);
  const end = count * 2;
  let length = 0;
  let i = 0;
  for (let c = 0; c < changes.length; c += 2) {
    const key = changes[c]!;
    while (i < end && pairs[i]! < key) {
      result[length++] = pairs[i++]!;
      result[length++] = pairs[i++]!;
    }
    if (i < end && pairs[i] === key) i += 2;
    if (changes[c + 1] === 0) continue;
    result[length++] = key;
    result[length++] = changes[c + 1]!;
  }
  result.set(pairs.subarray(i, end), length);
  return result.subarray(0, length + end - i);
}

function withoutZeros(pairs: Float64Array): Float64Array {
  let length = 0;
  for (let i = 0; i < pairs.length; i += 2) {
    if (pairs[i + 1] === 0) continue;
    pairs[length++] = pairs[i]!;
    pairs[length++] = pairs[i + 1]!;
  }
  return pairs.subarray(0, length);
}

function pushChunks(chunks: Chunk[], pairs: Float64Array): void {
  for (let at = 0; at < pairs.length; at += CHUNK_FILL * 2) {
    chunks.push(Chunk.of(pairs.subarray(at, at + CHUNK_FILL * 2)));
  }
}
