/**
 * Price ladder: one side of an aggregated book, price → quantity, at full depth.
 *
 * Two flat arrays, sorted so that the best level is the last: markets change near the top, so most
 * insertions move a handful of numbers. Asks are kept by their negated price, and so both sides are
 * the same code. Bounded by `levelsMax`; must hold: keys strictly ascending, quantities above zero.
 */

const CAPACITY_START = 256;

export class PriceLadder {
  private readonly sign: 1 | -1;
  private readonly levelsMax: number;
  private keys = new Float64Array(CAPACITY_START);
  private quantities = new Float64Array(CAPACITY_START);
  private count = 0;

  constructor(side: 'bid' | 'ask', levelsMax: number) {
    this.sign = side === 'bid' ? 1 : -1;
    this.levelsMax = levelsMax;
  }

  get length(): number {
    return this.count;
  }

  /** Best price, scaled; null when the side is empty. */
  get best(): number | null {
    return this.count === 0 ? null : this.keys[this.count - 1]! * this.sign;
  }

  /** Quantity at the best price, scaled; 0 when the side is empty. */
  get bestQuantity(): number {
    return this.count === 0 ? 0 : this.quantities[this.count - 1]!;
  }

  /**
   * Sets a level; quantity 0 deletes it.
   * @returns `full` when a new level would pass the bound (nothing is changed), else `ok`
   */
  set(price: number, quantity: number): 'ok' | 'full' {
    const key = price * this.sign;
    const at = this.search(key);
    const found = at < this.count && this.keys[at] === key;
    if (found) {
      if (quantity === 0) this.remove(at);
      else this.quantities[at] = quantity;
      return 'ok';
    }
    if (quantity === 0) return 'ok';
    if (this.count === this.levelsMax) return 'full';
    this.insert(at, key, quantity);
    return 'ok';
  }

  /**
   * Replaces all levels by these (flat: price, quantity …, in any order; of a doubled price the
   * last counts, quantity 0 is no level).
   * @returns `full` when there are more than the bound; the ladder is then empty
   */
  load(levels: ArrayLike<number>): 'ok' | 'full' {
    this.count = 0;
    if (levels.length / 2 <= this.levelsMax && this.loadSorted(levels)) return 'ok';
    if (this.loadUnsorted(levels)) return 'ok';
    this.count = 0;
    return 'full';
  }

  clear(): void {
    this.count = 0;
  }

  /** The best `depth` levels, flat: price, quantity, price, quantity …, best first. */
  top(depth: number): number[] {
    const levels = Math.min(depth, this.count);
    const flat = new Array<number>(levels * 2);
    for (let i = 0; i < levels; i++) {
      const at = this.count - 1 - i;
      flat[i * 2] = this.keys[at]! * this.sign;
      flat[i * 2 + 1] = this.quantities[at]!;
    }
    return flat;
  }

  /** Loads levels that stand best first, as sources send them, without a single move. */
  private loadSorted(levels: ArrayLike<number>): boolean {
    const count = levels.length >> 1;
    while (this.keys.length < count) this.grow();
    for (let i = 0; i < count; i++) {
      const key = levels[i * 2]! * this.sign;
      const quantity = levels[i * 2 + 1]!;
      if (quantity === 0 || (i > 0 && key >= this.keys[count - i]!)) return false;
      this.keys[count - 1 - i] = key;
      this.quantities[count - 1 - i] = quantity;
    }
    this.count = count;
    return true;
  }

  /** Sorts first, worst level in front: setting them as they stand could move all for each. */
  private loadUnsorted(levels: ArrayLike<number>): boolean {
    const order = Array.from({ length: levels.length >> 1 }, (_, i) => i * 2);
    order.sort((a, b) => (levels[a]! - levels[b]!) * this.sign); // stable: a doubled price in its order
    for (let i = 0; i < order.length; i++) {
      const price = levels[order[i]!]!;
      if (i + 1 < order.length && levels[order[i + 1]!] === price) continue;
      if (this.set(price, levels[order[i]! + 1]!) === 'full') return false;
    }
    return true;
  }

  /** The first place whose key is not below the one given. */
  private search(key: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private insert(at: number, key: number, quantity: number): void {
    if (this.count === this.keys.length) this.grow();
    this.keys.copyWithin(at + 1, at, this.count);
    this.quantities.copyWithin(at + 1, at, this.count);
    this.keys[at] = key;
    this.quantities[at] = quantity;
    this.count += 1;
  }

  private remove(at: number): void {
    this.keys.copyWithin(at, at + 1, this.count);
    this.quantities.copyWithin(at, at + 1, this.count);
    this.count -= 1;
  }

  private grow(): void {
    const keys = new Float64Array(this.keys.length * 2);
    const quantities = new Float64Array(keys.length);
    keys.set(this.keys);
    quantities.set(this.quantities);
    this.keys = keys;
    this.quantities = quantities;
  }
}
