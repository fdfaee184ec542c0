/**
 * Rejections: every way in which the venue says no. A rejected command has changed nothing, has used
 * no id, and has made exactly one event, `rejected`.
 */

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
  volumeOverflow: 15,
  wouldCross: 16,
  unknownOrder: 17,
  foreignOrder: 18,
  sameState: 19,
} as const;

export interface Rejection {
  /** For programs. */
  readonly code: string;
  /** The field of the command that is at fault, if one is. */
  readonly field: 'price' | 'quantity' | 'orderId' | 'state' | null;
  /** For people. */
  readonly reason: string;
  /** The HTTP status that fits. */
  readonly status: 400 | 403 | 404 | 409 | 429 | 503;
}

/** By integer code; the first place is no rejection. */
export const REJECTIONS: readonly Rejection[] = [
  row('accepted', null, 409, 'it was not rejected'),
  row('market-closed', null, 409, 'the market is closed: only cancels are taken'),
  row('market-halted', null, 409, 'the instrument is halted: only cancels are taken'),
  row('not-in-pre-open', null, 409, 'before the opening only plain gtc limit orders are taken'),
  row('invalid-combination', null, 400, 'market goes with ioc or fok, post-only with gtc limit'),
  row('invalid-quantity', 'quantity', 400, 'a quantity is a whole number from 1 to 2^53 - 1'),
  row('quantity-off-increment', 'quantity', 400, 'not a whole multiple of the quantity increment'),
  row('quantity-below-minimum', 'quantity', 400, 'less than the smallest order'),
  row('quantity-above-maximum', 'quantity', 400, 'more than the largest order'),
  row('invalid-price', 'price', 400, 'a limit is a whole number from 1 to 2^53 - 1, else 0'),
  row('price-off-increment', 'price', 400, 'not a whole multiple of the price increment'),
  row('price-outside-band', 'price', 400, 'outside the price band'),
  row('too-many-orders', null, 429, 'the owner has as many resting orders as one may have'),
  row('book-full', null, 503, 'the book holds as many orders as it may'),
  row('resting-overflow', 'quantity', 409, 'the quantities of the side would pass 2^53 - 1'),
  row('volume-overflow', 'quantity', 409, 'the volume of the session could pass 2^53 - 1'),
  row('would-cross', 'price', 409, 'a post-only order may not trade at once'),
  row('unknown-order', 'orderId', 404, 'no such order rests in the book'),
  row('foreign-order', 'orderId', 403, 'the order belongs to another owner'),
  row('same-state', 'state', 409, 'the instrument is in this state already'),
];

function row(
  code: string,
  field: Rejection['field'],
  status: Rejection['status'],
  reason: string,
): Rejection {
  return { code, field, reason, status };
}
