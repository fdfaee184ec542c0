/**
 * Listener: the events of the venue, as scalars only, so that an event allocates nothing. Enumerations are the integers
 * of `constants.ts`, prices and quantities scaled integers of the instrument, `side` BUY or SELL.
 *
 * The book is updated before each call, so a listener may read it. It must not call a command of the venue before the
 * present one has returned. README.md numbers the order of events.
 */
export interface VenueListener {
  /** An order was accepted and has its id; nothing of it has traded yet. @param price 0: market */
  accepted(orderId: number, owner: number, side: number, price: number, quantity: number): void;

  /** A command was rejected. @param orderId 0: a new order; @param owner NO_OWNER: a state change */
  rejected(code: number, owner: number, orderId: number): void;

  /**
   * A trade. The resting order is the one on the side that is not the aggressor's.
   * @param aggressor BUY, SELL, or NO_SIDE in an auction
   * @param buyOpen open quantity of the buying order after this trade
   */
  trade(
    tradeId: number,
    price: number,
    quantity: number,
    aggressor: number,
    buyOrderId: number,
    sellOrderId: number,
    buyOwner: number,
    sellOwner: number,
    buyOpen: number,
    sellOpen: number,
  ): void;

  /** An amendment was accepted; if the order lost its priority (0), trades may follow. */
  amended(
    orderId: number,
    owner: number,
    side: number,
    price: number,
    open: number,
    keptPriority: 0 | 1,
  ): void;

  /** An order was cancelled with this quantity open. @param reason REQUESTED, SELF_TRADE or TOO_MANY_FILLS */
  cancelled(orderId: number, owner: number, side: number, open: number, reason: number): void;

  /** The untraded rest of an order that must not rest expired. @param reason UNFILLED_REST or NOT_FILLABLE */
  expired(orderId: number, owner: number, side: number, open: number, reason: number): void;

  /** A price level has a new total; 0: removed. Once for each level and command. */
  levelChanged(side: number, price: number, total: number): void;

  stateChanged(state: number): void;
}
