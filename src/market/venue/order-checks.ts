/**
 * Order checks: whether a command is valid. Each returns an integer of `REJECT`, or 0. The order of the checks is part
 * of the rules (README.md): of several faults the first is reported.
 */

import type { VenueDefinition } from './definition';
import type { OrderBook } from './order-book';
import { REJECT } from './rejections';
import { CLOSED, GTC, HALTED, MARKET, OPEN, PRE_OPEN, opposite, type Side } from './constants';

const MAX = Number.MAX_SAFE_INTEGER;

/** [V10] The state of the instrument must accept orders and amendments. */
export function checkState(state: number): number {
  if (state === OPEN || state === PRE_OPEN) return 0;
  return state === HALTED ? REJECT.marketHalted : state === CLOSED ? REJECT.marketClosed : 0;
}

/** [V11] Valid combinations of order type and time in force, and which of them before the opening. */
export function checkType(
  state: number,
  kind: number,
  timeInForce: number,
  postOnly: boolean,
): number {
  if (kind === MARKET ? timeInForce === GTC || postOnly : postOnly && timeInForce !== GTC) {
    return REJECT.invalidCombination;
  }
  if (state === PRE_OPEN && (kind === MARKET || timeInForce !== GTC || postOnly)) {
    return REJECT.notInPreOpen;
  }
  return 0;
}

/** [V12] */
export function checkQuantity(d: VenueDefinition, quantity: number): number {
  if (!isPositiveSafe(quantity)) return REJECT.invalidQuantity;
  if (!isMultiple(quantity, d.quantityIncrement)) return REJECT.quantityOffIncrement;
  if (quantity < d.quantityMin) return REJECT.quantityBelowMinimum;
  return quantity > d.quantityMax ? REJECT.quantityAboveMaximum : 0;
}

/** [V13] */
export function checkPrice(d: VenueDefinition, kind: number, price: number): number {
  if (kind === MARKET) return price === 0 ? 0 : REJECT.invalidPrice;
  if (!isPositiveSafe(price)) return REJECT.invalidPrice;
  if (!isMultiple(price, d.priceIncrement)) return REJECT.priceOffIncrement;
  return price < d.priceMin || price > d.priceMax ? REJECT.priceOutsideBand : 0;
}

/** [V14] Whether the book has room for an order, assuming that none of it trades. */
export function checkRoom(
  d: VenueDefinition,
  book: OrderBook,
  owner: number,
  side: Side,
  quantity: number,
): number {
  if (book.ordersOf(owner) >= d.ordersPerOwnerMax) return REJECT.tooManyOrders;
  if (book.count >= d.ordersMax) return REJECT.bookFull;
  return book.ladder(side).sum > MAX - quantity ? REJECT.restingOverflow : 0;
}

/** [V15] A post-only order must not trade at once. @param price 0: market */
export function checkCrossing(
  book: OrderBook,
  side: Side,
  price: number,
  postOnly: boolean,
): number {
  if (!postOnly) return 0;
  const other = book.ladder(opposite(side));
  return other.bestKey < limitKey(side, price) ? 0 : REJECT.wouldCross;
}

/** The lowest key of the other side's ladder with which an order trades. @param price 0: market */
export function limitKey(side: Side, price: number): number {
  if (price === 0) return -Number.MAX_VALUE;
  return side === 0 ? -price : price;
}

function isPositiveSafe(value: number): boolean {
  return value > 0 && value <= MAX && Math.floor(value) === value;
}

/**
 * For integers up to 2^53 − 1; `%` on doubles costs ten times as much. Exact: a quotient that is
 * not whole is at least 1/increment from the next whole one, and rounding moves it by less.
 */
function isMultiple(value: number, increment: number): boolean {
  if (increment === 1) return true;
  const quotient = value / increment;
  return Math.floor(quotient) === quotient;
}
