/**
 * Ended orders: those that are kept after their end, so that a repetition is answered as the first was.
 *
 * Bounded in all. Where one more has ended than are kept, the oldest of that owner goes who has most of
 * them (of several the first by name). So whatever others do, an owner keeps its newest
 * capacity ÷ (number of owners who have any): who has fewer than somebody else loses none.
 */

import { BoundedQueue } from '../base/bounded-queue';

/** What is needed of an order. */
interface Ended {
  readonly owner: string;
  /** How many had ended before it; absent while it is open. */
  endedAs?: number;
}

interface Share<T> {
  readonly owner: string;
  /** The oldest end first. */
  readonly orders: BoundedQueue<T>;
  /** Its place in the heap. */
  place: number;
}

export class EndedOrders<T extends Ended> {
  private readonly capacity: number;
  private readonly shares = new Map<string, Share<T>>();
  /** Binary heap: at its top who has most. */
  private readonly heap: Share<T>[] = [];
  private count = 0;
  /** How many have ended. */
  total = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** How many are kept. */
  get length(): number {
    return this.count;
  }

  /** Keeps an order that has ended, now or before a restart. @returns the one that goes for it, if any */
  push(order: T): T | undefined {
    order.endedAs ??= this.total;
    this.total = Math.max(this.total, order.endedAs + 1);
    const share = this.shareOf(order.owner);
    share.orders.push(order);
    this.count += 1;
    this.rise(share.place);
    return this.count > this.capacity ? this.shift() : undefined;
  }

  /**
   * Those of an owner, the newest end first: that ended before the one that was the `before`th to end, or
   * all; `limit` at the most.
   */
  of(owner: string, before: number | null, limit: number): T[] {
    const found: T[] = [];
    const orders = this.shares.get(owner)?.orders;
    if (orders === undefined) return found;
    let at = before === null ? orders.length : placeOf(orders, before);
    while (at > 0 && found.length < limit) found.push(orders.at(--at)!);
    return found;
  }

  /** All of them, owner by owner, the oldest end first. */
  *[Symbol.iterator](): Generator<T> {
    for (const owner of [...this.shares.keys()].sort()) yield* this.shares.get(owner)!.orders;
  }

  private shareOf(owner: string): Share<T> {
    let share = this.shares.get(owner);
    if (share === undefined) {
      share = { owner, orders: new BoundedQueue(this.capacity + 1), place: this.heap.length };
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

  private rise(place: number): void {
    const share = this.heap[place]!;
    let at = place;
    while (at > 0) {
      const above = this.heap[(at - 1) >> 1]!;
      if (!isBefore(share, above)) break;
      this.put(above, at);
      at = (at - 1) >> 1;
    }
    this.put(share, at);
  }

  private sink(place: number): void {
    const { heap } = this;
    const share = heap[place]!;
    let at = place;
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

  private put(share: Share<T>, place: number): void {
    this.heap[place] = share;
    share.place = place;
  }
}

function isBefore<T>(a: Share<T>, b: Share<T>): boolean {
  const more = a.orders.length - b.orders.length;
  return more === 0 ? a.owner < b.owner : more > 0;
}

/** Where the first stands that was not before the `before`th to end. */
function placeOf(orders: BoundedQueue<Ended>, before: number): number {
  let low = 0;
  let high = orders.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (orders.at(middle)!.endedAs! < before) low = middle + 1;
    else high = middle;
  }
  return low;
}
