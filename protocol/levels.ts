/** Flat levels (price, quantity, price, quantity …, best first): computing changes, and applying them. */

import { BOOK_DEPTH } from './units';

/**
 * The changes from one list of best levels to the next, best first; quantity 0 deletes. A level that
 * leaves the list counts as deleted, one that enters it as set, so a reader that applies the changes
 * has exactly the new list.
 */
export function diffLevels(
  before: readonly number[],
  after: readonly number[],
  side: 'bid' | 'ask',
): number[] {
  const sign = side === 'bid' ? 1 : -1;
  const changes: number[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const old = i < before.length ? before[i]! * sign : -Infinity;
    const now = j < after.length ? after[j]! * sign : -Infinity;
    if (old === now) {
      if (before[i + 1] !== after[j + 1]) changes.push(after[j]!, after[j + 1]!);
      i += 2;
      j += 2;
    } else if (now > old) {
      changes.push(after[j]!, after[j + 1]!);
      j += 2;
    } else {
      changes.push(before[i]!, 0);
      i += 2;
    }
  }
  return changes;
}

/** Ten best levels a side as a reader keeps them, from snapshots and deltas of a book topic. */
export class TenLevels {
  bids: number[] = [];
  asks: number[] = [];

  /** Sets the levels; the arrays must not change afterwards. */
  replace(bids: number[], asks: number[]): void {
    this.bids = bids;
    this.asks = asks;
  }

  apply(bidChanges: readonly number[], askChanges: readonly number[]): void {
    if (bidChanges.length > 0) this.bids = merge(this.bids, bidChanges, 1);
    if (askChanges.length > 0) this.asks = merge(this.asks, askChanges, -1);
  }
}

function merge(levels: readonly number[], changes: readonly number[], sign: 1 | -1): number[] {
  const result: number[] = levels.slice();
  for (let c = 0; c < changes.length; c += 2) {
    const price = changes[c]!;
    const quantity = changes[c + 1]!;
    let at = 0;
    while (at < result.length && result[at]! * sign > price * sign) at += 2;
    const found = at < result.length && result[at] === price;
    if (quantity === 0) {
      if (found) result.splice(at, 2);
    } else if (found) {
      result[at + 1] = quantity;
    } else {
      result.splice(at, 0, price, quantity);
    }
  }
  return result.length > BOOK_DEPTH * 2 ? result.slice(0, BOOK_DEPTH * 2) : result;
}
