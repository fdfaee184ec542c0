/**
 * Canonical state: a venue as one sequence of integers, the source of its snapshot and its state hash. It does not
 * depend on the internal form of the book.
 *
 * The sequence:
 *
 *     version (2; 3 in an auction), state, next order id, next trade id, last price (0: none),
 *     in an unfinished auction: its price,
 *     number of bids, then each bid: id, owner, price, open quantity, post-only (0 or 1),
 *     number of asks, then each ask likewise.
 *
 * Orders are in priority: best price first, and at one price in the order in which they would trade. A number is
 * eight bytes, little-endian, from 0 to 2^53 − 1.
 */

import { NONE } from './ladder';
import type { OrderBook } from './order-book';
import { BUY, SELL, type Side } from './constants';

export const CANONICAL_VERSION = 2;
export const VERSION_IN_AUCTION = 3;

/** The numbers of a venue that are not its book. */
export interface VenueCounters {
  state: number;
  nextOrderId: number;
  nextTradeId: number;
  /** Price of the newest trade; 0 before the first. */
  lastPrice: number;
  /** Price of an unfinished auction; 0 if there is none. */
  auctionPrice: number;
}

/** Receives the sequence, number by number. */
export interface CanonicalSink {
  number(value: number): void;
}

export function writeCanonical(
  counters: Readonly<VenueCounters>,
  book: OrderBook,
  sink: CanonicalSink,
): void {
  const isInAuction = counters.auctionPrice !== 0;
  sink.number(isInAuction ? VERSION_IN_AUCTION : CANONICAL_VERSION);
  sink.number(counters.state);
  sink.number(counters.nextOrderId);
  sink.number(counters.nextTradeId);
  sink.number(counters.lastPrice);
  if (isInAuction) sink.number(counters.auctionPrice);
  writeSide(book, BUY, sink);
  writeSide(book, SELL, sink);
}

function writeSide(book: OrderBook, side: Side, sink: CanonicalSink): void {
  const ladder = book.ladder(side);
  let orders = 0;
  forEachOrder(book, side, () => (orders += 1));
  sink.number(orders);
  forEachOrder(book, side, (slot) => {
    sink.number(book.id[slot]!);
    sink.number(book.owner[slot]!);
    sink.number(ladder.price[book.level[slot]!]!);
    sink.number(book.quantity[slot]!);
    sink.number(book.isPostOnly(slot) ? 1 : 0);
  });
}

/** Visits the orders of a side in priority. */
export function forEachOrder(book: OrderBook, side: Side, visit: (slot: number) => void): void {
  const ladder = book.ladder(side);
  for (let at = ladder.count - 1; at >= 0; at--) {
    let slot = ladder.head[ladder.levels[at]!]!;
    while (slot !== NONE) {
      const next = book.next[slot]!;
      visit(slot);
      slot = next;
    }
  }
}
