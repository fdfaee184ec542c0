/**
 * Ended orders: orders that are kept after their end, so that a repeated submission gets the answer of the first.
 *
 * Bounded in all. When one too many has ended, the oldest of the owner with most kept orders is dropped (of several
 * such owners the first by name). So, whatever others do, an owner keeps its newest capacity ÷ (number of owners) orders:
 * an owner with fewer than another loses none.
 */

import { BoundedQueue } from '../base/bounded-queue';

/** The part of an order that is needed here. */
interface Ended {
  readonly owner: string;
  /** Number of orders that ended before it; absent while it is open. */
  endedAs?: number;
}

interface Share<T> {
  readonly owner: string;
  /** By their ends, oldest first. */
  readonly orders: BoundedQueue<T>;
  /** Its index in the heap. */
  index: number;
}

export class EndedOrders<T extends Ended> {
  private readonly capacity: number;
  private readonly shares = new Map<string, Share<T>>();
  /** Binary heap with the owner of most orders at the top. */
  private readonly heap: Share<T>[] = [];
  private count = 0;
  /** Number of orders that have ended. */
  total = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Number of kept orders. */
  get length(): number {
    return this.count;
  }

  /** Keeps an order that has ended, now or before a restart. @returns the order that is dropped for it, if any */
  push(order: T): T | undefined {
    order.endedAs ??= this.total;
    this.total = Math.max(this.total, order.endedAs + 1);
    const share = this.shareOf(order.owner);
    share.orders.push(order);
    this.count += 1;
    this.rise(share.index);
    return this.count > this.capacity ? this.shift() : undefined;
  }

  /**
   * At most `limit` kept orders of an owner, newest end first.
   * @param before only those with a lower `endedAs`; null: all
   */
  of(owner: string, before: number | null, limit: number): T[] {
    const found: T[] = [];
    const orders = this.shares.get(owner)?.orders;
    if (orders === undefined) return found;
    let at = before === null ? orders.length : indexOf(orders, before);
    while (at > 0 && found.length < limit) found.push(orders.at(--at)!);
    return found;
  }

  /** All kept orders, owner by owner, oldest end first. */
  *[Symbol.iterator](): Generator<T> {
    for (const owner of [...this.shares.keys()].sort()) yield* this.shares.get(owner)!.orders;
  }

  private shareOf(owner: string): Share<T> {
    let share = this.shares.get(owner);
    if (share === undefined) {
      share = { owner, orders: new BoundedQueue(this.capacity + 1), index: this.heap.length };
      this.shares.set(owner, share);
      this.heap.push(share);
    }
    return share;
  }

  private shift(): T {
    const share = this.heap[0]!;
    const oldest = share.orders.shift()!;
    share.orders.fit();
    this.count -= 1;
    if (share.orders.length > 0) {
      this.sink(0);
    } else {
      this.shares.delete(share.owner);
      const last = this.heap.pop()!;
      if (last !== share) {
        this.put(last, 0);
        this.sink(0);
      }
    }
    return oldest;
  }

  private rise(index: number): void {
    const share = this.heap[index]!;
    let at = index;
    while (at > 0) {
      const above = this.heap[(at - 1) >> 1]!;
      if (!isBefore(share, above)) break;
      this.put(above, at);
      at = (at - 1) >> 1;
    }
    this.put(share, at);
  }

  private sink(index: number): void {
    const { heap } = this;
    const share = heap[index]!;
    let at = index;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below += 1;
      if (!isBefore(heap[below]!, share)) break;
      this.put(heap[below]!, at);
      at = below;
    }
    this.put(share, at);
  }

  private put(share: Share<T>, index: number): void {
    this.heap[index] = share;
    share.index = index;
  }
}

function isBefore<T>(a: Share<T>, b: Share<T>): boolean {
  const more = a.orders.length - b.orders.length;
  return more === 0 ? a.owner < b.owner : more > 0;
}

/** Index of the first order with `endedAs` at or above `before`. */
function indexOf(orders: BoundedQueue<Ended>, before: number): number {
  let low = 0;
  let high = orders.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (orders.at(middle)!.endedAs! < before) low = middle + 1;
    else high = middle;
  }
  return low;
}
