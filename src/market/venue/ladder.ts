/**
 * Ladder: the price levels of one side, each with the queue of its orders.
 *
 * Levels are in a slab; two sorted arrays map prices to levels, with the best level last. Bids are keyed by
 * price and asks by negated price, so both sides use the same code. A search gallops from the best level
 * outwards, since markets change near the top. The number of orders bounds the number of levels. Invariants:
 * keys strictly ascending, no level without an order.
 */

import { BUY, type Side } from './constants';

/** No order, no level: the end of a queue. */
export const NONE = -1;
const LEVELS_START = 256;
/** Shorter moves are done in a loop; a call of `copyWithin` costs as much. */
const SHORT_MOVE = 48;

export class Ladder {
  readonly side: Side;
  readonly sign: 1 | -1;
  /** Number of levels. */
  count = 0;
  /** Sum of all quantities of the side; within 2^53 − 1 by the engine's check on entry. */
  sum = 0;
  /** Ascending by key (price × sign): the best is at `count − 1`. */
  keys = new Float64Array(LEVELS_START);
  levels = new Int32Array(LEVELS_START);
  /** By level. */
  price = new Float64Array(LEVELS_START);
  total = new Float64Array(LEVELS_START);
  head = new Int32Array(LEVELS_START);
  tail = new Int32Array(LEVELS_START);
  private free = NONE;
  private used = 0;

  constructor(side: Side) {
    this.side = side;
    this.sign = side === BUY ? 1 : -1;
  }

  /** The best price; 0 if the side is empty. */
  get bestPrice(): number {
    return this.count === 0 ? 0 : this.price[this.levels[this.count - 1]!]!;
  }

  /** Quantity at the best price; 0 if the side is empty. */
  get bestTotal(): number {
    return this.count === 0 ? 0 : this.total[this.levels[this.count - 1]!]!;
  }

  /** The key of the best level; below every key if the side is empty. */
  get bestKey(): number {
    return this.count === 0 ? -Infinity : this.keys[this.count - 1]!;
  }

  /** Quantity at a price; 0 if there is no level. */
  totalAt(price: number): number {
    const key = price * this.sign;
    const at = this.search(key);
    return at < this.count && this.keys[at] === key ? this.total[this.levels[at]!]! : 0;
  }

  /** Sum of the quantities at this price and all better ones. Visits the levels. */
  sumDownTo(price: number): number {
    let sum = 0;
    const key = price * this.sign;
    for (let at = this.count - 1; at >= 0 && this.keys[at]! >= key; at--) {
      sum += this.total[this.levels[at]!]!;
    }
    return sum;
  }

  /** Index of the first level that is not worse than this price; `count` if all are worse. */
  indexOf(price: number): number {
    return this.search(price * this.sign);
  }

  /** Price of the level at an index: 0 is the worst, `count − 1` the best. */
  priceAt(place: number): number {
    return this.price[this.levels[place]!]!;
  }

  /** Quantity of the level at an index. */
  totalOf(place: number): number {
    return this.total[this.levels[place]!]!;
  }

  /** The level of a price, created if needed; a new level is empty and must get an order. */
  levelAt(price: number): number {
    const key = price * this.sign;
    const at = this.search(key);
    if (at < this.count && this.keys[at] === key) return this.levels[at]!;
    const level = this.allocate();
    this.price[level] = price;
    this.total[level] = 0;
    this.head[level] = NONE;
    this.tail[level] = NONE;
    this.insert(at, key, level);
    return level;
  }

  /** Removes an empty level. Its price and total (0) can be read until the next level is created. */
  remove(level: number): void {
    const at = this.search(this.price[level]! * this.sign);
    const { keys, levels } = this;
    const last = this.count - 1;
    if (last - at < SHORT_MOVE) {
      for (let i = at; i < last; i++) {
        keys[i] = keys[i + 1]!;
        levels[i] = levels[i + 1]!;
      }
    } else {
      keys.copyWithin(at, at + 1, this.count);
      levels.copyWithin(at, at + 1, this.count);
    }
    this.count = last;
    this.head[level] = this.free;
    this.free = level;
  }

  /** Whether a price, with or without a level, is among the `depth` best. */
  isNearTop(price: number, depth: number): boolean {
    return this.count <= depth || price * this.sign >= this.keys[this.count - depth]!;
  }

  /** Index of the first key not below `key`. */
  private search(key: number): number {
    const keys = this.keys;
    let high = this.count;
    let low = high - 1;
    let step = 1;
    while (low >= 0 && keys[low]! >= key) {
      high = low;
      low -= step;
      step *= 2;
    }
    low = low < 0 ? 0 : low + 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insert(at: number, key: number, level: number): void {
    const { keys, levels, count } = this;
    if (count - at < SHORT_MOVE) {
      for (let i = count; i > at; i--) {
        keys[i] = keys[i - 1]!;
        levels[i] = levels[i - 1]!;
      }
    } else {
      keys.copyWithin(at + 1, at, count);
      levels.copyWithin(at + 1, at, count);
    }
    keys[at] = key;
    levels[at] = level;
    this.count = count + 1;
  }

  private allocate(): number {
    const level = this.free;
    if (level !== NONE) {
      this.free = this.head[level]!;
      return level;
    }
    if (this.used === this.price.length) this.grow();
    this.used += 1;
    return this.used - 1;
  }

  private grow(): void {
    const capacity = this.price.length * 2;
    this.keys = largerFloats(this.keys, capacity);
    this.price = largerFloats(this.price, capacity);
    this.total = largerFloats(this.total, capacity);
    this.levels = largerInts(this.levels, capacity);
    this.head = largerInts(this.head, capacity);
    this.tail = largerInts(this.tail, capacity);
  }
}

export function largerFloats(from: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const to = new Float64Array(capacity);
  to.set(from);
  return to;
}

export function largerInts(from: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(capacity);
  to.set(from);
  return to;
}
