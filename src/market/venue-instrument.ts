/**
 * Venue instrument: a matching engine with the market data and executions that it produces.
 *
 * A command is recorded first, with its own sequence number; its results follow in the same batch. Recovery executes the
 * recorded commands again and reaches the same state, ids and sequence numbers (`replay`). Invariant: from the same
 * state, a recorded command gives the same events.
 */

import type { Execution, Instrument, MarketEvent, Status, Tick } from '../../protocol/messages';
import type { BookView, Command } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { assert } from '../base/assert';
import type { VenueCheckpoint, VenueHead } from './checkpoint';
import { withFill } from './fills';
import { tickBeforeTrades, type MarketInstrument } from './instrument';
import type { ClientOrders, TrackedOrder } from './client-orders';
import type { MarketOutput } from './output';
import type { TimeLimits } from './trade-clock';
import type { VenueDefinition } from './venue/definition';
import type { VenueListener } from './venue/listener';
import { VenueMarketData } from './venue/market-data';
import { REJECTIONS } from './venue/rejections';
import { Venue, type RestingOrder } from './venue/venue';
import {
  BUY,
  KIND_NAMES,
  OPEN,
  SELL,
  SIDE_NAMES,
  STATE_NAMES,
  TIME_IN_FORCE_NAMES,
  type Side,
  type VenueState,
} from './venue/constants';
import type { StatusHead } from './feed-status';

/** An order id includes its venue: id within the venue × this + number of the venue. */
export const VENUES_MAX = 65_536;

export class VenueInstrument implements MarketInstrument, VenueListener {
  readonly definition: Instrument;
  /** Number of the venue, in the order of definitions. */
  readonly number: number;
  private readonly venue: Venue;
  private readonly data: VenueMarketData;
  private readonly clientOrders: ClientOrders;
  private out: MarketOutput | undefined;
  /** The tracked order that the current command enters. */
  private entering: TrackedOrder | undefined;
  /** Sequence number of the current command or its trade; executions carry it. */
  private seq = 0;

  constructor(
    definition: Instrument,
    number: number,
    clientOrders: ClientOrders,
    statusHead: StatusHead,
    limits: TimeLimits,
  ) {
    assert(number < VENUES_MAX, 'there are fewer venues than VENUES_MAX');
    this.definition = definition;
    this.number = number;
    this.clientOrders = clientOrders;
    this.venue = new Venue(venueDefinition(definition), this);
    this.data = new VenueMarketData(definition.symbol, this.venue, statusHead, limits);
  }

  get state(): Status['state'] {
    return this.venue.state === OPEN ? 'live' : STATE_NAMES[this.venue.state];
  }

  /** A venue has no source, so its data are never out of date. */
  readonly owner = 0;
  readonly bookMark = null;

  set limits(limits: TimeLimits) {
    this.data.clock.limits = limits;
  }

  get tickHead(): number {
    return this.data.heads.tick;
  }

  get tradeHead(): number {
    return this.data.heads.trade;
  }

  get bookHead(): number {
    return this.data.book.head;
  }

  /** Sixteen hexadecimal digits over resting orders, queues, ids, state and counters. */
  stateHash(): string {
    return this.venue.stateHash();
  }

  currentTick(): Tick | null {
    return this.data.lastTick ?? tickBeforeTrades(this.definition, this.data.lastBbo);
  }

  bookView(): BookView | null {
    return this.data.book.view();
  }

  levels(depth: number): { bids: number[]; asks: number[] } {
    return { bids: this.venue.top(BUY, depth), asks: this.venue.top(SELL, depth) };
  }

  *newest(): Iterable<MarketEvent> {
    const { lastTick, lastBbo, book } = this.data;
    yield this.definition;
    if (lastTick !== null) yield lastTick;
    if (lastBbo !== null) yield lastBbo;
    const snapshot = book.snapshot();
    if (snapshot !== null) yield snapshot;
  }

  seal(): void {
    this.data.seal();
  }

  /** Pushes the state as a status event. */
  announce(reason: string, out: MarketOutput): void {
    this.data.stateChanged(this.venue.state, reason, out);
  }

  /** The owner of an order that rests here, if it does. */
  resting(orderId: number): { readonly owner: number } | undefined {
    return this.venue.order(this.own(orderId));
  }

  /** All resting orders by priority, bids first. */
  restingOrders(): { readonly owner: number; readonly orderId: number }[] {
    return this.venue.orders().map(({ owner, orderId }) => ({
      owner,
      orderId: this.published(orderId),
    }));
  }

  /** Side, price and open quantity of a resting order. */
  restingOrder(orderId: number): Pick<RestingOrder, 'side' | 'price' | 'open'> | undefined {
    return this.venue.order(this.own(orderId));
  }

  /** Open quantity of an owner on a side. */
  openQuantity(owner: number, side: Side): number {
    return this.venue.openQuantity(owner, side);
  }

  /** Whether an auction is unfinished: only the command to open is accepted. */
  get isInAuction(): boolean {
    return this.venue.isInAuction;
  }

  /**
   * Executes a command that is already recorded.
   * @param tracked the order that it enters, if it has a client order id
   * @returns the order's id, or minus the integer of a rejection
   */
  carryOut(
    c: Command,
    owner: number,
    tracked: TrackedOrder | undefined,
    out: MarketOutput,
  ): number {
    this.out = out;
    this.entering = tracked;
    this.seq = c.seq;
    const result = this.command(c, owner);
    this.data.afterCommand(out);
    this.out = undefined;
    this.entering = undefined;
    if (c.action !== 'submit' || result <= 0) return result;
    return this.published(result);
  }

  private command(c: Command, owner: number): number {
    const { venue } = this;
    switch (c.action) {
      case 'submit':
        return venue.submit(
          owner,
          SIDE_NAMES.indexOf(c.side) as Side,
          KIND_NAMES.indexOf(c.kind),
          TIME_IN_FORCE_NAMES.indexOf(c.timeInForce),
          c.postOnly,
          c.price,
          c.quantity,
          c.fillsMax,
        );
      case 'cancel':
        return venue.cancel(owner, this.own(c.orderId));
      case 'amend':
        return venue.amend(owner, this.own(c.orderId), c.price, c.quantity, c.fillsMax);
      case 'state':
        return venue.setState(STATE_NAMES.indexOf(c.state!) as VenueState, c.fillsMax);
    }
  }

  // ── events of the engine ───────────────────────────────────────────────────────────────────

  accepted(id: number): void {
    const order = this.entering;
    if (order === undefined) return;
    this.clientOrders.took(order, this.published(id));
    this.tell(order, 'accepted');
  }

  rejected(code: number): void {
    const order = this.entering;
    if (order === undefined) return;
    order.code = REJECTIONS[code]!.code;
    order.open = 0;
    this.clientOrders.end(order, 'rejected');
    this.tell(order, 'rejected');
  }

  trade(
    tradeId: number,
    price: number,
    quantity: number,
    aggressor: number,
    buyId: number,
    sellId: number,
    _buyOwner: number,
    _sellOwner: number,
    buyOpen: number,
    sellOpen: number,
  ): void {
    this.data.trade(tradeId, price, quantity, aggressor, this.out!);
    this.seq = this.data.heads.trade;
    this.traded(buyId, price, quantity, buyOpen);
    this.traded(sellId, price, quantity, sellOpen);
  }

  private traded(id: number, price: number, quantity: number, open: number): void {
    const order = this.clientOrders.get(this.published(id));
    if (order === undefined) return;
    order.open = open;
    order.traded += quantity;
    order.fills = withFill(order.fills, price, quantity, this.out!.receiveTime);
    if (open === 0) this.clientOrders.end(order, 'filled');
    this.tell(order, 'traded', price, quantity);
  }

  amended(id: number, _owner: number, _side: number, price: number, open: number): void {
    const order = this.clientOrders.get(this.published(id));
    if (order === undefined) return;
    order.price = price;
    order.open = open;
    this.tell(order, 'amended');
  }

  cancelled(id: number): void {
    this.left(id, 'cancelled');
  }

  expired(id: number): void {
    this.left(id, 'expired');
  }

  private left(id: number, how: 'cancelled' | 'expired'): void {
    const order = this.clientOrders.get(this.published(id));
    if (order === undefined) return;
    order.open = 0;
    this.clientOrders.end(order, how);
    this.tell(order, how);
  }

  levelChanged(): void {
    // Changes of the ten best levels are read once for each command (`afterCommand`).
  }

  stateChanged(state: number): void {
    this.data.stateChanged(state, 'state-changed', this.out!);
  }

  private tell(
    order: TrackedOrder,
    event: Execution['event'],
    tradePrice: number | null = null,
    tradeQuantity: number | null = null,
  ): void {
    const out = this.out!;
    out.execution?.(order.owner, {
      type: 'execution',
      symbol: order.symbol,
      seq: this.seq,
      prevSeq: 0,
      eventTime: out.receiveTime,
      receiveTime: out.receiveTime,
      id: null,
      orderId: order.orderId,
      clientOrderId: order.clientOrderId,
      event,
      side: order.side,
      price: order.kind === 'market' ? null : order.price,
      open: order.open,
      tradePrice,
      tradeQuantity,
      code: order.code,
    });
  }

  /** The published id of an order. */
  private published(id: number): number {
    return id * VENUES_MAX + this.number;
  }

  private own(orderId: number): number {
    return Math.floor(orderId / VENUES_MAX);
  }

  // ── restart ─────────────────────────────────────────────────────────────────────────────────

  checkpoint(): VenueCheckpoint {
    return { ...this.head(), snapshot: Buffer.from(this.snapshot()).toString('base64') };
  }

  /** The state of the engine (`venue/snapshot.ts`). */
  snapshot(): Uint8Array<ArrayBuffer> {
    return this.venue.snapshot();
  }

  /** The state without the engine. */
  head(): VenueHead {
    const { data } = this;
    const view = data.book.view();
    return {
      market: 'venue',
      definition: this.definition,
      heads: { ...data.heads, book: data.book.head },
      bookTimes: {
        eventTime: view?.eventTime ?? Nanos.ZERO,
        receiveTime: view?.receiveTime ?? Nanos.ZERO,
      },
      tick: data.lastTick,
      bbo: data.lastBbo,
      presentTime: data.clock.present,
    };
  }

  /** @throws Error if the snapshot is damaged */
  restore(head: VenueHead, snapshot: Uint8Array): void {
    const wrong = this.venue.restore(snapshot);
    if (wrong !== undefined)
      throw new Error(`the checkpoint of ${head.definition.symbol}: ${wrong}`);
    this.data.restore(head);
  }

  /** @throws Error if the volume of a recorded tick does not follow from those before it */
  recoverVolume(tick: Tick): void {
    if (this.data.recoverVolume(tick)) return;
    throw new Error(
      `record ${tick.seq} has a volume that does not follow from the trades before it`,
    );
  }
}

/** The engine's rules from a definition of market `venue`. */
export function venueDefinition(d: Instrument): VenueDefinition {
  const { rules } = d;
  assert(rules !== null, 'a venue has rules');
  return {
    ...rules,
    priceIncrement: d.priceIncrement,
    quantityIncrement: d.quantityIncrement,
    referencePrice: rules.referencePrice ?? d.previousClose,
  };
}
