/**
 * Rejections: every reason for which the venue rejects a command. A rejected command has changed nothing, has used no
 * id, and has produced exactly one event, `rejected`.
 */

import type { ErrorCode } from '../../../protocol/codes';

export const REJECT = {
  marketClosed: 1,
  marketHalted: 2,
  notInPreOpen: 3,
  invalidCombination: 4,
  invalidQuantity: 5,
  quantityOffIncrement: 6,
  quantityBelowMinimum: 7,
  quantityAboveMaximum: 8,
  invalidPrice: 9,
  priceOffIncrement: 10,
  priceOutsideBand: 11,
  tooManyOrders: 12,
  bookFull: 13,
  restingOverflow: 14,
  wouldCross: 15,
  unknownOrder: 16,
  sameState: 17,
  auctionUnderWay: 18,
} as const;

export interface Rejection {
  /** The code, for programs. */
  readonly code: ErrorCode;
  /** The field of the command at fault, if there is one. */
  readonly field: 'price' | 'quantity' | 'orderId' | 'state' | null;
  /** The text for people. */
  readonly reason: string;
}

/** By integer code; index 0 is no rejection. */
export const REJECTIONS: readonly Rejection[] = [
  row('internal', null, 'it was not rejected'),
  row('market-closed', null, 'the market is closed: only cancels are accepted'),
  row('market-halted', null, 'the instrument is halted: only cancels are accepted'),
  row('not-in-pre-open', null, 'before the opening only plain gtc limit orders are accepted'),
  row('invalid-combination', null, 'market goes with ioc or fok, post-only with gtc limit'),
  row('invalid-quantity', 'quantity', 'a quantity is above 0'),
  row('quantity-off-increment', 'quantity', 'not a whole multiple of the quantity increment'),
  row('quantity-below-minimum', 'quantity', 'less than the smallest order'),
  row('quantity-above-maximum', 'quantity', 'more than the largest order'),
  row('invalid-price', 'price', 'a limit order has a price above 0, a market order none'),
  row('price-off-increment', 'price', 'not a whole multiple of the price increment'),
  row('price-outside-band', 'price', 'outside the price band'),
  row('too-many-orders', null, 'the owner has as many resting orders as one may have'),
  row('book-full', null, 'the book holds as many orders as it may'),
  row('resting-overflow', 'quantity', 'this side of the book would hold more than one may'),
  row('would-cross', 'price', 'a post-only order may not trade at once'),
  row('unknown-order', 'orderId', 'no such order of this owner rests in the book'),
  row('same-state', 'state', 'the instrument is in this state already'),
  row(
    'auction-under-way',
    null,
    'its auction is being carried out; orders are taken when that is done',
  ),
];

function row(code: ErrorCode, field: Rejection['field'], reason: string): Rejection {
  return { code, field, reason };
}
