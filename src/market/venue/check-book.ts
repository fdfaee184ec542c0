/**
 * Check book: verifies every invariant of a book. It visits everything, so it is for tests and for a restored book;
 * the engine asserts itself what is cheap to assert.
 */

import { assert } from '../../base/assert';
import { forEachOrder } from './canonical';
import type { VenueDefinition } from './definition';
import type { Ladder } from './ladder';
import type { OrderBook } from './order-book';
import { BUY, SELL, type Side } from './constants';

/** @throws InvariantError on the first broken invariant */
export function checkBook(book: OrderBook, definition: VenueDefinition): void {
  const owners = new Map<number, OfOwner>();
  const orders =
    checkSide(book, BUY, definition, owners) + checkSide(book, SELL, definition, owners);
  assert(orders === book.count, `${orders} orders rest, ${book.count} are counted`);
  for (const [owner, { count, quantities }] of owners) {
    assert(book.ordersOf(owner) === count, `owner ${owner} has ${count} orders`);
    for (const side of [BUY, SELL] as const) {
      const quantity = quantities[side];
      assert(book.quantityOf(owner, side) === quantity, `owner ${owner} has ${quantity} open`);
    }
  }
}

interface OfOwner {
  count: number;
  /** By side. */
  readonly quantities: [number, number];
}

function checkSide(
  book: OrderBook,
  side: Side,
  definition: VenueDefinition,
  owners: Map<number, OfOwner>,
): number {
  const ladder = book.ladder(side);
  checkLevels(ladder);
  const totals = new Map<number, number>();
  let orders = 0;
  let sum = 0;
  forEachOrder(book, side, (slot) => {
    const level = book.level[slot]!;
    const quantity = book.quantity[slot]!;
    assert(book.find(book.id[slot]!) === slot, `order ${book.id[slot]} is in the index`);
    assert(book.sideOf(slot) === side, `order ${book.id[slot]} stands on its side`);
    assert(quantity > 0, `order ${book.id[slot]} has quantity`);
    assert(quantity % definition.quantityIncrement === 0, 'quantities lie on the increment');
    totals.set(level, (totals.get(level) ?? 0) + quantity);
    const own = owners.get(book.owner[slot]!) ?? { count: 0, quantities: [0, 0] };
    owners.set(book.owner[slot]!, own);
    own.count += 1;
    own.quantities[side] += quantity;
    orders += 1;
    sum += quantity;
  });
  assert(totals.size === ladder.count, 'no level is without an order');
  for (const [level, total] of totals) {
    assert(ladder.total[level] === total, `the level at ${ladder.price[level]} sums to ${total}`);
    assert(ladder.price[level]! % definition.priceIncrement === 0, 'prices lie on the increment');
  }
  assert(sum === ladder.sum && Number.isSafeInteger(sum), `a side sums to ${sum}`);
  return orders;
}

function checkLevels(ladder: Ladder): void {
  for (let at = 0; at < ladder.count; at++) {
    const level = ladder.levels[at]!;
    assert(ladder.keys[at] === ladder.price[level]! * ladder.sign, 'a level stands at its price');
    assert(at === 0 || ladder.keys[at - 1]! < ladder.keys[at]!, 'levels ascend');
  }
}
