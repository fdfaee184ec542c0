/**
 * Venue: the matching engine of one instrument. It takes commands as scalars, one after the other, keeps the order book,
 * and reports results to a listener; the rules are numbered in README.md.
 *
 * It has no clock and no randomness: equal commands give equal events and an equal state hash. Bound: `ordersMax`. A
 * rejected command changes nothing. Invariants: while open the book is not crossed; everything of an order trades, rests,
 * or is reported as cancelled or expired.
 */

import { assert } from '../../base/assert';
import { auctionPrice } from './auction';
import { forEachOrder, writeCanonical, type VenueCounters } from './canonical';
import { checkBook } from './check-book';
import { OWNER_MAX, venueDefinitionFault, type VenueDefinition } from './definition';
import { NONE } from './ladder';
import type { VenueListener } from './listener';
import {
  checkCrossing,
  checkPrice,
  checkQuantity,
  checkRoom,
  checkState,
  checkType,
} from './order-checks';
import { Matching } from './matching';
import { OrderBook } from './order-book';
import { REJECT } from './rejections';
import { decodeSnapshot, encodeSnapshot, isCrossed } from './snapshot';
import { StateHasher } from './state-hash';
import {
  BUY,
  GTC,
  LIMIT,
  NO_OWNER,
  OPEN,
  REQUESTED,
  SELF_TRADE_NAMES,
  SELL,
  STATE_NAMES,
  indexOfName,
  type Side,
  type VenueState,
} from './constants';

const MAX = Number.MAX_SAFE_INTEGER;

/** A resting order. */
export interface RestingOrder {
  readonly orderId: number;
  readonly owner: number;
  readonly side: Side;
  readonly price: number;
  readonly open: number;
  readonly postOnly: boolean;
}

export class Venue {
  readonly definition: VenueDefinition;
  private readonly listener: VenueListener;
  private readonly selfTrade: number;
  private book = new OrderBook();
  private counters: VenueCounters;
  private matching: Matching;

  /** The definition must be valid (`venueDefinitionFault`). */
  constructor(definition: VenueDefinition, listener: VenueListener) {
    const wrong = venueDefinitionFault(definition);
    assert(wrong === undefined, wrong ?? '');
    this.definition = definition;
    this.listener = listener;
    this.selfTrade = indexOfName(SELF_TRADE_NAMES, definition.selfTrade);
    this.counters = {
      state: indexOfName(STATE_NAMES, definition.initialState),
      nextOrderId: 1,
      nextTradeId: 1,
      lastPrice: 0,
      auctionPrice: 0,
    };
    this.matching = this.makeMatching();
  }

  // ── commands ────────────────────────────────────────────────────────────────────────────────

  /**
   * Enters an order.
   * @param owner 0 … OWNER_MAX
   * @param price scaled; 0 for a market order
   * @param fillsMax resting orders that it may meet; what is still open then is cancelled
   * @returns the order's id, or minus the integer of a rejection
   */
  submit(
    owner: number,
    side: Side,
    kind: number,
    timeInForce: number,
    postOnly: boolean,
    price: number,
    quantity: number,
    fillsMax = Infinity,
  ): number {
    assert(owner >= 0 && owner <= OWNER_MAX, 'an owner is within 0 and OWNER_MAX');
    const { state } = this.counters;
    const rejected =
      this.checkAuction() ||
      checkState(state) ||
      checkType(state, kind, timeInForce, postOnly) ||
      checkQuantity(this.definition, quantity) ||
      checkPrice(this.definition, kind, price) ||
      (timeInForce === GTC ? checkRoom(this.definition, this.book, owner, side, quantity) : 0) ||
      (state === OPEN ? checkCrossing(this.book, side, price, postOnly) : 0);
    if (rejected !== 0) return this.reject(rejected, owner, 0);
    const id = this.counters.nextOrderId;
    this.counters.nextOrderId = id + 1;
    this.listener.accepted(id, owner, side, price, quantity);
    this.matching.enter(id, owner, side, timeInForce, postOnly, price, quantity, fillsMax);
    return id;
  }

  /** Cancels a resting order, in any state. @returns its id, or minus a rejection */
  cancel(owner: number, orderId: number): number {
    const { book } = this;
    const inAuction = this.checkAuction();
    if (inAuction !== 0) return this.reject(inAuction, owner, orderId);
    const slot = book.find(orderId);
    if (!this.isOf(owner, slot)) return this.reject(REJECT.unknownOrder, owner, orderId);
    const side = book.sideOf(slot);
    const ladder = book.ladder(side);
    const level = book.level[slot]!;
    const open = book.quantity[slot]!;
    book.take(slot, open);
    this.listener.cancelled(orderId, owner, side, open, REQUESTED);
    this.listener.levelChanged(side, ladder.price[level]!, ladder.total[level]!);
    return orderId;
  }

  /**
   * Changes the price or open quantity of a resting order; pass the present value of what stays.
   * @param quantity the new open quantity
   * @param fillsMax as in `submit`
   * @returns the order's id, or minus a rejection
   */
  amend(
    owner: number,
    orderId: number,
    price: number,
    quantity: number,
    fillsMax = Infinity,
  ): number {
    const { book, definition } = this;
    const inState = this.checkAuction() || checkState(this.counters.state);
    if (inState !== 0) return this.reject(inState, owner, orderId);
    const slot = book.find(orderId);
    if (!this.isOf(owner, slot)) return this.reject(REJECT.unknownOrder, owner, orderId);
    const side = book.sideOf(slot);
    const postOnly = book.isPostOnly(slot);
    const others = book.ladder(side).sum - book.quantity[slot]!;
    const rejected =
      checkQuantity(definition, quantity) ||
      checkPrice(definition, LIMIT, price) ||
      (others > MAX - quantity ? REJECT.restingOverflow : 0) ||
      (this.counters.state === OPEN ? checkCrossing(book, side, price, postOnly) : 0);
    if (rejected !== 0) return this.reject(rejected, owner, orderId);
    if (price === book.priceOf(slot) && quantity <= book.quantity[slot]!) {
      this.shrink(slot, quantity);
    } else {
      this.listener.amended(orderId, owner, side, price, quantity, 0);
      this.leave(slot, price);
      this.matching.enter(orderId, owner, side, GTC, postOnly, price, quantity, fillsMax);
    }
    return orderId;
  }

  /**
   * Changes the state of the instrument; to `open` through an auction.
   * @param fillsMax trades that the auction may make now. If there are more, the state stays unchanged,
   *   `isInAuction` is true, and repeating the command continues the auction
   * @returns 0 or −rejection
   */
  setState(state: VenueState, fillsMax = Infinity): number {
    const inAuction = state === OPEN ? 0 : this.checkAuction();
    if (inAuction !== 0) return this.reject(inAuction, NO_OWNER, 0);
    if (state === this.counters.state) return this.reject(REJECT.sameState, NO_OWNER, 0);
    if (state === OPEN && !this.runAuction(fillsMax)) return 0;
    this.counters.state = state;
    this.listener.stateChanged(state);
    return 0;
  }

  // ── queries ───────────────────────────────────────────────────────────────────────────────

  get state(): VenueState {
    return this.counters.state as VenueState;
  }

  /** Whether an auction is unfinished: until it ends no other command is accepted [V56]. */
  get isInAuction(): boolean {
    return this.counters.auctionPrice !== 0;
  }

  /** Price of the newest trade; null before the first. */
  get lastPrice(): number | null {
    return this.counters.lastPrice === 0 ? null : this.counters.lastPrice;
  }

  /** Number of resting orders. */
  get orderCount(): number {
    return this.book.count;
  }

  /** Open quantity of an owner on a side. */
  openQuantity(owner: number, side: Side): number {
    return this.book.quantityOf(owner, side);
  }

  /** Number of price levels of a side. */
  levelCount(side: Side): number {
    return this.book.ladder(side).count;
  }

  /** The best price of a side; null if it is empty. */
  bestPrice(side: Side): number | null {
    return this.book.ladder(side).bestPrice || null;
  }

  /** Quantity at the best price; 0 if the side is empty. */
  bestQuantity(side: Side): number {
    return this.book.ladder(side).bestTotal;
  }

  /** Writes the best levels of a side flat, best first; `out` is set to exactly these. */
  copyTop(side: Side, depth: number, out: number[]): number {
    return this.book.copyTop(side, depth, out);
  }

  /** The best levels of a side flat, best first, as a new array. */
  top(side: Side, depth: number): number[] {
    return this.book.top(side, depth);
  }

  /** Bit 1: bids, bit 2: asks: sides whose ten best levels changed since the last call. */
  takeTopChanges(): number {
    return this.book.takeTopChanges();
  }

  /** A resting order, if it rests. */
  order(orderId: number): RestingOrder | undefined {
    const { book } = this;
    const slot = book.find(orderId);
    if (slot === NONE) return undefined;
    return {
      orderId,
      owner: book.owner[slot]!,
      side: book.sideOf(slot),
      price: book.priceOf(slot),
      open: book.quantity[slot]!,
      postOnly: book.isPostOnly(slot),
    };
  }

  /** All resting orders by priority, bids first. */
  orders(): { readonly owner: number; readonly orderId: number }[] {
    const { book } = this;
    const found: { owner: number; orderId: number }[] = [];
    const visit = (slot: number): void => {
      found.push({ owner: book.owner[slot]!, orderId: book.id[slot]! });
    };
    forEachOrder(book, BUY, visit);
    forEachOrder(book, SELL, visit);
    return found;
  }

  /** Sixteen hexadecimal digits over the canonical state (`canonical.ts`, `state-hash.ts`). */
  stateHash(): string {
    const hasher = new StateHasher();
    writeCanonical(this.counters, this.book, hasher);
    return hasher.digest();
  }

  /** The whole state as bytes. */
  snapshot(): Uint8Array<ArrayBuffer> {
    return encodeSnapshot(this.counters, this.book);
  }

  /** Restores a snapshot. @returns a text that says why it is invalid; then nothing is changed */
  restore(bytes: Uint8Array): string | undefined {
    const decoded = decodeSnapshot(bytes, this.definition);
    if (typeof decoded === 'string') return decoded;
    this.book = decoded.book;
    this.counters = decoded.counters;
    this.matching = this.makeMatching();
    return undefined;
  }

  /** Verifies everything. @throws InvariantError on the first broken invariant */
  check(): void {
    checkBook(this.book, this.definition);
    assert(this.state !== OPEN || !isCrossed(this.book), 'an open book is not crossed');
  }

  // ── parts of commands ───────────────────────────────────────────────────────────────

  private makeMatching(): Matching {
    return new Matching(this.book, this.counters, this.listener, this.selfTrade);
  }

  private checkAuction(): number {
    return this.isInAuction ? REJECT.auctionUnderWay : 0;
  }

  /** Begins or continues the auction. @returns whether it is complete */
  private runAuction(fillsMax: number): boolean {
    const { book, counters, definition } = this;
    const reference = this.lastPrice ?? definition.referencePrice ?? 0;
    // The price is fixed from the first trade on.
    counters.auctionPrice ||= auctionPrice(book, reference, definition.priceIncrement) ?? 0;
    if (counters.auctionPrice === 0) return true;
    if (!this.matching.runAuction(counters.auctionPrice, fillsMax)) return false;
    counters.auctionPrice = 0;
    assert(!isCrossed(book), 'an auction leaves no book crossed');
    return true;
  }

  /** Another owner's order is treated like a missing one. @param slot NONE if no such order rests */
  private isOf(owner: number, slot: number): boolean {
    return slot !== NONE && this.book.owner[slot] === owner;
  }

  private reject(code: number, owner: number, orderId: number): number {
    this.listener.rejected(code, owner, orderId);
    return -code;
  }

  /** [V31] A smaller quantity at the same price keeps its priority. */
  private shrink(slot: number, quantity: number): void {
    const { book } = this;
    const side = book.sideOf(slot);
    const ladder = book.ladder(side);
    const level = book.level[slot]!;
    const price = ladder.price[level]!;
    const less = book.quantity[slot]! - quantity;
    if (less > 0) book.take(slot, less);
    this.listener.amended(book.id[slot]!, book.owner[slot]!, side, price, quantity, 1);
    if (less > 0) this.listener.levelChanged(side, price, ladder.total[level]!);
  }

  /** [V32] Removes an order that is about to enter again; a level changes at most once in the events. */
  private leave(slot: number, nextPrice: number): void {
    const { book } = this;
    const side = book.sideOf(slot);
    const ladder = book.ladder(side);
    const level = book.level[slot]!;
    const price = ladder.price[level]!;
    book.take(slot, book.quantity[slot]!);
    if (price !== nextPrice) this.listener.levelChanged(side, price, ladder.total[level]!);
  }
}
