/**
 * Matching: how an order trades with the book, in price-time priority, and what happens to the rest.
 *
 * The checks on entry have passed; nothing is rejected here. Invariants: everything of an order trades, rests, or is
 * reported as cancelled or expired; while open the book is not crossed.
 */

import { assert } from '../../base/assert';
import { reaches, uncross } from './auction';
import type { VenueCounters } from './canonical';
import { NONE, type Ladder } from './ladder';
import type { VenueListener } from './listener';
import { limitKey } from './order-checks';
import type { OrderBook } from './order-book';
import { isCrossed } from './snapshot';
import {
  BUY,
  CANCEL_NEWEST,
  CANCEL_OLDEST,
  FOK,
  GTC,
  NOT_FILLABLE,
  NO_SIDE,
  OPEN,
  SELF_TRADE,
  SELL,
  TOO_MANY_FILLS,
  UNFILLED_REST,
  opposite,
  type Side,
} from './constants';

const GOES_ON = -1;

export class Matching {
  readonly book: OrderBook;
  readonly counters: VenueCounters;
  private readonly listener: VenueListener;
  private readonly selfTrade: number;
  /** Why the current order must stop: SELF_TRADE or TOO_MANY_FILLS; −1: it need not. */
  private stopped = GOES_ON;
  /** Resting orders that the current command may still meet. */
  private meetings = 0;
  /** Quantity that the current order has traded so far. */
  private traded = 0;

  constructor(
    book: OrderBook,
    counters: VenueCounters,
    listener: VenueListener,
    selfTrade: number,
  ) {
    this.book = book;
    this.counters = counters;
    this.listener = listener;
    this.selfTrade = selfTrade;
  }

  /**
   * Lets an order trade; the rest then rests or is removed.
   * @param price 0: market
   * @param fillsMax resting orders that it may meet; what is still open then is cancelled
   */
  enter(
    id: number,
    owner: number,
    side: Side,
    timeInForce: number,
    postOnly: boolean,
    price: number,
    quantity: number,
    fillsMax: number,
  ): void {
    let open = quantity;
    this.meetings = fillsMax;
    if (this.counters.state === OPEN) {
      const limit = limitKey(side, price);
      if (timeInForce === FOK && !this.isFillable(owner, side, limit, quantity)) {
        this.listener.expired(id, owner, side, quantity, NOT_FILLABLE);
        return;
      }
      if (this.book.ladder(opposite(side)).bestKey >= limit) {
        open = this.match(id, owner, side, limit, quantity);
        if (open === 0) return;
        if (this.stopped !== GOES_ON) {
          const reason = this.stopped;
          this.stopped = GOES_ON;
          this.listener.cancelled(id, owner, side, open, reason);
          return;
        }
      }
    }
    if (timeInForce === GTC) {
      const total = this.book.add(id, owner, side, price, open, postOnly);
      this.listener.levelChanged(side, price, total);
      assert(this.counters.state !== OPEN || !isCrossed(this.book), 'an open book is not crossed');
    } else {
      this.listener.expired(id, owner, side, open, UNFILLED_REST);
    }
  }

  /** Trades an order against the other side, level by level. @returns its open quantity */
  private match(id: number, owner: number, side: Side, limit: number, quantity: number): number {
    const otherSide = opposite(side);
    const other = this.book.ladder(otherSide);
    this.traded = 0;
    let open = quantity;
    while (open > 0 && this.stopped === GOES_ON && other.bestKey >= limit) {
      const level = other.levels[other.count - 1]!;
      const before = other.total[level]!;
      open = this.sweep(id, owner, side, other, level, open);
      const after = other.total[level]!;
      if (after !== before) this.listener.levelChanged(otherSide, other.price[level]!, after);
    }
    assert(this.traded === quantity - open, 'what left an order was traded');
    return open;
  }

  /** Trades an order against one level, oldest first. @returns its open quantity */
  private sweep(
    id: number,
    owner: number,
    side: Side,
    other: Ladder,
    level: number,
    quantity: number,
  ): number {
    const { book } = this;
    const price = other.price[level]!;
    let open = quantity;
    let maker = other.head[level]!;
    while (open > 0 && maker !== NONE) {
      if (this.meetings === 0) {
        this.stopped = TOO_MANY_FILLS;
        return open;
      }
      this.meetings -= 1;
      const next = book.next[maker]!;
      if (owner === book.owner[maker]) {
        this.preventSelfTrade(maker);
        if (this.stopped !== GOES_ON) return open;
        maker = next;
        continue;
      }
      open = this.trade(id, owner, side, price, maker, open);
      maker = next;
    }
    return open;
  }

  /** Trades an order against one resting order. @returns its open quantity */
  private trade(
    id: number,
    owner: number,
    side: Side,
    price: number,
    maker: number,
    quantity: number,
  ): number {
    const { book, counters, listener } = this;
    const makerId = book.id[maker]!;
    const makerOwner = book.owner[maker]!;
    const makerQuantity = book.quantity[maker]!;
    const traded = Math.min(quantity, makerQuantity);
    const open = quantity - traded;
    const makerOpen = makerQuantity - traded;
    book.take(maker, traded);
    const tradeId = counters.nextTradeId;
    counters.nextTradeId = tradeId + 1;
    this.traded += traded;
    counters.lastPrice = price;
    const isBuy = side === BUY;
    listener.trade(
      tradeId,
      price,
      traded,
      side,
      isBuy ? id : makerId,
      isBuy ? makerId : id,
      isBuy ? owner : makerOwner,
      isBuy ? makerOwner : owner,
      isBuy ? open : makerOpen,
      isBuy ? makerOpen : open,
    );
    return open;
  }

  /** [V40] The order met one of the same owner. */
  private preventSelfTrade(maker: number): void {
    const { book } = this;
    if (this.selfTrade !== CANCEL_NEWEST) {
      const id = book.id[maker]!;
      const open = book.quantity[maker]!;
      const side = book.sideOf(maker);
      book.take(maker, open);
      this.listener.cancelled(id, book.owner[maker]!, side, open, SELF_TRADE);
    }
    if (this.selfTrade !== CANCEL_OLDEST) this.stopped = SELF_TRADE;
  }

  /** [V24] Whether the whole of an order would trade at once. Visits no more orders than it may meet. */
  private isFillable(owner: number, side: Side, limit: number, quantity: number): boolean {
    const { book } = this;
    const other = book.ladder(opposite(side));
    let found = 0;
    let met = 0;
    for (let at = other.count - 1; at >= 0 && other.keys[at]! >= limit; at--) {
      for (let slot = other.head[other.levels[at]!]!; slot !== NONE; slot = book.next[slot]!) {
        if (met === this.meetings) return false;
        met += 1;
        if (book.owner[slot]! !== owner) found += book.quantity[slot]!;
        else if (this.selfTrade !== CANCEL_OLDEST) return false;
        if (found >= quantity) return true;
      }
    }
    return false;
  }

  /**
   * [V55] Trades at the auction's price. Events follow when the book is final.
   * @returns whether the auction is complete
   */
  runAuction(price: number, tradesMax: number): boolean {
    const { book, counters, listener } = this;
    const { trades, bidPrices, askPrices } = uncross(book, price, tradesMax);
    counters.lastPrice = price;
    for (const t of trades) {
      const tradeId = counters.nextTradeId;
      counters.nextTradeId = tradeId + 1;
      listener.trade(
        tradeId,
        price,
        t.quantity,
        NO_SIDE,
        t.buyOrderId,
        t.sellOrderId,
        t.buyOwner,
        t.sellOwner,
        t.buyOpen,
        t.sellOpen,
      );
    }
    for (const p of bidPrices) listener.levelChanged(BUY, p, book.bids.totalAt(p));
    for (const p of askPrices) listener.levelChanged(SELL, p, book.asks.totalAt(p));
    return !reaches(book, price);
  }
}
