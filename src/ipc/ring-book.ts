/**
 * Ring book: one side of the ten best levels, as the writer of the ring keeps it. It updates the
 * levels in place, so a change allocates nothing. Bounded: `ROOM` levels during a change, ten after.
 */

import { BOOK_DEPTH } from '../../protocol/units';

/** A change may add ten new levels before it deletes the ten old ones. */
const ROOM = 3 * BOOK_DEPTH;

export class RingSide {
  /** Price, quantity, price, quantity …, best first; valid up to `count` levels. */
  readonly fields = new Float64Array(ROOM * 2);
  count = 0;
  /** The fields that changed since the last `take` lie in [`first`, `end`). */
  private first = ROOM * 2;
  private end = 0;
  private readonly sign: 1 | -1;

  constructor(side: 'bid' | 'ask') {
    this.sign = side === 'bid' ? 1 : -1;
  }

  replace(levels: readonly number[]): void {
    this.count = Math.min(BOOK_DEPTH, levels.length >> 1);
    for (let i = 0; i < this.count * 2; i++) this.fields[i] = levels[i]!;
    this.first = 0;
    this.end = BOOK_DEPTH * 2;
  }

  /**
   * Quantity 0 deletes a level. The list is cut to ten only after all changes, as in
   * protocol/levels.ts. Changes come best first, so each search starts at the previous change.
   */
  apply(changes: readonly number[]): void {
    const { fields, sign } = this;
    let at = 0;
    for (let c = 0; c < changes.length; c += 2) {
      const price = changes[c]!;
      const rank = price * sign;
      if (at > 0 && fields[at - 2]! * sign <= rank) at = 0;
      const end = this.count * 2;
      while (at < end && fields[at]! * sign > rank) at += 2;
      this.set(at, price, changes[c + 1]!);
    }
    if (this.count > BOOK_DEPTH) this.count = BOOK_DEPTH;
  }

  /** Copies the fields that changed since the last call to `to`, whose copy begins at `start`. */
  take(to: Float64Array, start: number): void {
    const { fields } = this;
    const end = Math.min(this.end, this.count * 2);
    for (let i = this.first; i < end; i++) to[start + i] = fields[i]!;
    this.first = ROOM * 2;
    this.end = 0;
  }

  /** @param at index of the price in `fields`, or the index at which to insert it */
  private set(at: number, price: number, quantity: number): void {
    const { fields } = this;
    const end = this.count * 2;
    const found = at < end && fields[at] === price;
    if (at < this.first) this.first = at;
    if (found && quantity !== 0) {
      fields[at + 1] = quantity;
      if (this.end < at + 2) this.end = at + 2;
      return;
    }
    this.end = ROOM * 2;
    if (quantity !== 0) {
      if (at === ROOM * 2) return;
      if (this.count === ROOM) this.count -= 1; // drops the worst level
      for (let i = this.count * 2 - 1; i >= at; i--) fields[i + 2] = fields[i]!;
      fields[at] = price;
      fields[at + 1] = quantity;
      this.count += 1;
    } else if (found) {
      for (let i = at; i < end - 2; i++) fields[i] = fields[i + 2]!;
      this.count -= 1;
    }
  }
}
