/**
 * Order book: every resting order of one instrument, in price-time priority.
 *
 * Orders are in a slab of typed arrays; the slot of a removed order is reused. The orders of a level are a doubly linked
 * queue through the slab, oldest first, so entry, cancel and fill change a few numbers and allocate nothing. The book
 * knows no rules; the engine decides what may enter. Invariants: see `check-book.ts`.
 */

import { assert } from '../../base/assert';
import { BOOK_DEPTH } from '../../../protocol/units';
import { Ladder, NONE, largerFloats, largerInts } from './ladder';
import { OrderIndex } from './order-index';
import { BUY, SELL, type Side } from './constants';

const ORDERS_START = 1024;
const OWNERS_START = 64;
const SIDE_FLAG = 1;
const POST_ONLY_FLAG = 2;

export class OrderBook {
  readonly bids = new Ladder(BUY);
  readonly asks = new Ladder(SELL);
  /** Number of resting orders. */
  count = 0;
  /** By slot. */
  id = new Float64Array(ORDERS_START);
  quantity = new Float64Array(ORDERS_START);
  owner = new Int32Array(ORDERS_START);
  level = new Int32Array(ORDERS_START);
  next = new Int32Array(ORDERS_START);
  private prev = new Int32Array(ORDERS_START);
  private flags = new Uint8Array(ORDERS_START);
  private free = NONE;
  private used = 0;
  private readonly index = new OrderIndex();
  private ordersByOwner = new Int32Array(OWNERS_START);
  /** Open quantity by owner: of the bids, then of the asks. */
  private quantityByOwner = new Float64Array(OWNERS_START * 2);
  /** Bit 1: bids, bit 2: asks; set if something within the ten best levels changed. */
  private topChanges = 0;

  ladder(side: Side): Ladder {
    return side === BUY ? this.bids : this.asks;
  }

  /** The slot of a resting order, or NONE. */
  find(id: number): number {
    return this.index.get(id);
  }

  sideOf(slot: number): Side {
    return (this.flags[slot]! & SIDE_FLAG) === 0 ? BUY : SELL;
  }

  isPostOnly(slot: number): boolean {
    return (this.flags[slot]! & POST_ONLY_FLAG) !== 0;
  }

  priceOf(slot: number): number {
    return this.ladder(this.sideOf(slot)).price[this.level[slot]!]!;
  }

  /** Number of resting orders of an owner. */
  ordersOf(owner: number): number {
    return owner < this.ordersByOwner.length ? this.ordersByOwner[owner]! : 0;
  }

  /** Open quantity of an owner on a side. */
  quantityOf(owner: number, side: Side): number {
    const at = owner * 2 + side;
    return at < this.quantityByOwner.length ? this.quantityByOwner[at]! : 0;
  }

  /** Puts an order at the end of its level's queue. @returns the level's new total */
  add(
    id: number,
    owner: number,
    side: Side,
    price: number,
    quantity: number,
    postOnly: boolean,
  ): number {
    const ladder = side === BUY ? this.bids : this.asks;
    const level = ladder.levelAt(price);
    const slot = this.allocate();
    this.id[slot] = id;
    this.quantity[slot] = quantity;
    this.owner[slot] = owner;
    this.level[slot] = level;
    this.flags[slot] = side | (postOnly ? POST_ONLY_FLAG : 0);
    this.append(ladder, level, slot);
    this.index.set(id, slot);
    if (owner >= this.ordersByOwner.length) this.growOwners(owner);
    this.ordersByOwner[owner]!++;
    this.quantityByOwner[owner * 2 + side]! += quantity;
    this.count += 1;
    const total = ladder.total[level]! + quantity;
    ladder.total[level] = total;
    ladder.sum += quantity;
    if (ladder.isNearTop(price, BOOK_DEPTH)) this.topChanges |= 1 << side;
    return total;
  }

  /** Reduces an order's quantity. An order without quantity is removed, and an empty level too. */
  take(slot: number, quantity: number): void {
    const side = this.sideOf(slot);
    const ladder = side === BUY ? this.bids : this.asks;
    const level = this.level[slot]!;
    const left = this.quantity[slot]! - quantity;
    assert(left >= 0, 'no more is taken of an order than it has');
    if (ladder.isNearTop(ladder.price[level]!, BOOK_DEPTH)) this.topChanges |= 1 << side;
    this.quantityByOwner[this.owner[slot]! * 2 + side]! -= quantity;
    ladder.total[level]! -= quantity;
    ladder.sum -= quantity;
    if (left === 0) this.release(ladder, level, slot);
    else this.quantity[slot] = left;
  }

  /** Bit 1: bids, bit 2: asks: whether the ten best levels changed since the last call. */
  takeTopChanges(): number {
    const changes = this.topChanges;
    this.topChanges = 0;
    return changes;
  }

  /**
   * Writes the best levels flat (price, quantity, …), best first.
   * @param out is set to exactly these numbers
   * @returns the number of levels
   */
  copyTop(side: Side, depth: number, out: number[]): number {
    const ladder = this.ladder(side);
    const count = Math.min(depth, ladder.count);
    if (out.length > count * 2) out.length = count * 2;
    for (let i = 0; i < count; i++) {
      const level = ladder.levels[ladder.count - 1 - i]!;
      out[i * 2] = ladder.price[level]!;
      out[i * 2 + 1] = ladder.total[level]!;
    }
    return count;
  }

  /** The best levels flat (price, quantity, …), best first, as a new array. */
  top(side: Side, depth: number): number[] {
    const ladder = this.ladder(side);
    const out = new Array<number>(Math.min(depth, ladder.count) * 2);
    this.copyTop(side, depth, out);
    return out;
  }

  private append(ladder: Ladder, level: number, slot: number): void {
    const last = ladder.tail[level]!;
    this.prev[slot] = last;
    this.next[slot] = NONE;
    if (last === NONE) ladder.head[level] = slot;
    else this.next[last] = slot;
    ladder.tail[level] = slot;
  }

  private release(ladder: Ladder, level: number, slot: number): void {
    const before = this.prev[slot]!;
    const after = this.next[slot]!;
    if (before === NONE) ladder.head[level] = after;
    else this.next[before] = after;
    if (after === NONE) ladder.tail[level] = before;
    else this.prev[after] = before;
    if (before === NONE && after === NONE) {
      assert(ladder.total[level] === 0, "a level's total is the sum of its orders");
      ladder.remove(level);
    }
    this.index.delete(this.id[slot]!);
    this.ordersByOwner[this.owner[slot]!]!--;
    this.count -= 1;
    this.next[slot] = this.free;
    this.free = slot;
  }

  private allocate(): number {
    const slot = this.free;
    if (slot !== NONE) {
      this.free = this.next[slot]!;
      return slot;
    }
    if (this.used === this.id.length) this.grow();
    this.used += 1;
    return this.used - 1;
  }

  private grow(): void {
    const capacity = this.id.length * 2;
    this.id = largerFloats(this.id, capacity);
    this.quantity = largerFloats(this.quantity, capacity);
    this.owner = largerInts(this.owner, capacity);
    this.level = largerInts(this.level, capacity);
    this.next = largerInts(this.next, capacity);
    this.prev = largerInts(this.prev, capacity);
    const flags = new Uint8Array(capacity);
    flags.set(this.flags);
    this.flags = flags;
  }

  private growOwners(owner: number): void {
    let capacity = this.ordersByOwner.length;
    while (capacity <= owner) capacity *= 2;
    this.ordersByOwner = largerInts(this.ordersByOwner, capacity);
    this.quantityByOwner = largerFloats(this.quantityByOwner, capacity * 2);
  }
}
