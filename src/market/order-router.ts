/**
 * Order router: the gate for every order, of clients and of the simulator.
 *
 * It finds the instrument, answers repetitions, records the command and executes it. An order that is refused here has
 * changed nothing and is not recorded. One that the engine rejects has changed nothing either, but is recorded, since
 * its name is used and its answer must stay the same.
 */

import { fault, fieldFault, type ErrorCode, type Fault } from '../../protocol/codes';
import type { Instrument, MessageOf } from '../../protocol/messages';
import type { Command } from '../../protocol/records';
import { formatDecimal } from '../../protocol/units';
import type { MarketInstrument } from './instrument';
import type { ClientOrders, TrackedOrder } from './client-orders';
import type { MarketOutput } from './output';
import { VenueInstrument, VENUES_MAX } from './venue-instrument';
import { REJECTIONS } from './venue/rejections';
import { BUY, SELL, type Side } from './venue/constants';

export type OrderRequest = Omit<MessageOf<'order'>, 'type' | 'id'>;
/** An order by either id; a given symbol must be that of the order. */
export interface CancelRequest {
  readonly symbol: string | null;
  readonly orderId: number | null;
  readonly clientOrderId: string | null;
}
export interface AmendRequest extends CancelRequest {
  readonly price: number | null;
  readonly quantity: number | null;
}

/** Sequence number of the command; the order if it is tracked. */
export interface OrderDone {
  readonly seq: number;
  readonly orderId: number;
  readonly order: TrackedOrder | undefined;
}

/**
 * Limits of an owner and of a command. Recorded commands are executed again with their own limits: `fillsMax` is
 * recorded with each command, and the others are checked before recording. So limits can change at a restart.
 */
export interface OrderLimits {
  /** Open tracked orders of an owner, over all venues. */
  readonly openOrdersPerOwnerMax?: number;
  /** Open quantity of an owner on one side of a book, scaled. */
  readonly openQuantityPerOwnerMax?: number;
  /** Resting orders that one command can trade with; for an auction, trades that it can make. */
  readonly fillsMax?: number;
}

export class OrderRouter {
  private readonly find: (symbol: string) => MarketInstrument | undefined;
  private readonly venues: readonly VenueInstrument[];
  private readonly touch: (instrument: VenueInstrument) => void;
  readonly clientOrders: ClientOrders;
  private readonly limits: OrderLimits;

  /** @param venues by number; the list grows @param touch called for each venue that a command changes */
  constructor(
    find: (symbol: string) => MarketInstrument | undefined,
    venues: readonly VenueInstrument[],
    clientOrders: ClientOrders,
    touch: (instrument: VenueInstrument) => void,
    limits: OrderLimits = {},
  ) {
    this.find = find;
    this.venues = venues;
    this.clientOrders = clientOrders;
    this.touch = touch;
    this.limits = limits;
  }

  /** Enters an order. Without a client order id it is not tracked beyond the book. */
  submit(owner: string, r: OrderRequest, out: MarketOutput): OrderDone | Fault {
    const venue = this.venue(r.symbol);
    if ('code' in venue) return venue;
    const known =
      r.clientOrderId === '' ? undefined : this.clientOrders.named(owner, r.clientOrderId);
    if (known !== undefined) return repetition(known, r, venue.definition);
    if (r.kind === 'limit' && r.price === null) {
      return fieldFault('price', r.price, 'a limit above 0', 'invalid-price');
    }
    const over = r.timeInForce === 'gtc' ? this.overQuota(venue, owner, r) : undefined;
    if (over !== undefined) return over;
    const command = this.record(venue, owner, out, {
      action: 'submit',
      clientOrderId: r.clientOrderId,
      side: r.side,
      kind: r.kind,
      timeInForce: r.timeInForce,
      postOnly: r.postOnly,
      price: r.price ?? 0,
      quantity: r.quantity,
    });
    return 'code' in command ? command : this.carryOut(venue, command, out);
  }

  /** Cancels a resting order. */
  cancel(owner: string, r: CancelRequest, out: MarketOutput): OrderDone | Fault {
    const target = this.target(owner, r);
    if ('code' in target) return target;
    const { venue, orderId } = target;
    const command = this.record(venue, owner, out, { action: 'cancel', orderId });
    return 'code' in command ? command : this.carryOut(venue, command, out);
  }

  /** Changes the price or open quantity of a resting order; null leaves a value unchanged. */
  amend(owner: string, r: AmendRequest, out: MarketOutput): OrderDone | Fault {
    const target = this.target(owner, r);
    if ('code' in target) return target;
    const { venue, orderId } = target;
    const resting = venue.restingOrder(orderId)!;
    const quantity = r.quantity ?? resting.open;
    const over = this.overQuantity(venue, owner, resting.side, quantity, resting.open);
    if (over !== undefined) return over;
    const traded = this.clientOrders.get(orderId)?.traded ?? 0;
    if (r.quantity !== null && r.quantity > Number.MAX_SAFE_INTEGER - traded) {
      const { quantityScale } = venue.definition;
      const [asked, before, most] = [r.quantity, traded, Number.MAX_SAFE_INTEGER].map((q) =>
        formatDecimal(q, quantityScale),
      );
      const message = `quantity is ${asked}; with the ${before} that the order has traded it would pass ${most}`;
      return fault('invalid-quantity', message, 'quantity');
    }
    const command = this.record(venue, owner, out, {
      action: 'amend',
      orderId,
      price: r.price ?? resting.price,
      quantity,
    });
    return 'code' in command ? command : this.carryOut(venue, command, out);
  }

  /**
   * Opens, halts or closes an instrument. If an opening auction needs more trades than one command may make, it is not
   * finished: see `isInAuction`.
   */
  setState(
    owner: string,
    symbol: string,
    state: NonNullable<Command['state']>,
    out: MarketOutput,
  ): OrderDone | Fault {
    const venue = this.venue(symbol);
    if ('code' in venue) return venue;
    const command = this.record(venue, owner, out, { action: 'state', state });
    return 'code' in command ? command : this.carryOut(venue, command, out);
  }

  /** Whether a venue's auction is unfinished: repeat the command to open it. */
  isInAuction(symbol: string): boolean {
    const venue = this.find(symbol);
    return venue instanceof VenueInstrument && venue.isInAuction;
  }

  /** All resting orders of a venue, with the names of their owners. */
  restingOrders(symbol: string): { readonly owner: string; readonly orderId: number }[] {
    const venue = this.venue(symbol);
    if ('code' in venue) return [];
    return venue.restingOrders().map(({ owner, orderId }) => ({
      owner: this.clientOrders.ownerName(owner),
      orderId,
    }));
  }

  /**
   * Executes a recorded command again.
   * @throws Error if its venue is missing, or if its order gets another id than recorded
   */
  replay(command: Command, out: MarketOutput): void {
    const venue = this.venue(command.symbol);
    if ('code' in venue) throw new Error(venue.message);
    const again = { ...command, orderId: targetOf(command) };
    this.carryOut(venue, again, out);
    if (again.orderId !== command.orderId) {
      throw new Error(`record ${command.seq} is not of the order that it names`);
    }
  }

  private carryOut(venue: VenueInstrument, command: Command, out: MarketOutput): OrderDone | Fault {
    const owner = this.clientOrders.ownerNumber(command.owner)!;
    const order = command.action === 'submit' ? this.track(command) : undefined;
    this.touch(venue);
    const result = venue.carryOut(command, owner, order, out);
    if (order !== undefined) {
      const { status, open, traded, fills, price } = order;
      order.answer = { status, open, traded, fills, price };
    }
    if (result < 0) return refusal(REJECTIONS[-result]!.code, command, venue.definition);
    if (command.action === 'submit') command.orderId = result;
    const { seq, orderId } = command;
    return { seq, orderId, order: order ?? this.clientOrders.get(orderId) };
  }

  private track(c: Command): TrackedOrder | undefined {
    if (c.clientOrderId === '') return undefined;
    const order: TrackedOrder = {
      orderId: 0,
      owner: c.owner,
      clientOrderId: c.clientOrderId,
      symbol: c.symbol,
      side: c.side,
      kind: c.kind,
      timeInForce: c.timeInForce,
      postOnly: c.postOnly,
      price: c.price,
      quantity: c.quantity,
      open: c.quantity,
      traded: 0,
      fills: null,
      status: 'open',
      code: null,
      seq: c.seq,
      time: c.receiveTime,
      answer: { status: 'open', open: c.quantity, traded: 0, fills: null, price: c.price },
    };
    this.clientOrders.track(order);
    return order;
  }

  private record(
    venue: VenueInstrument,
    owner: string,
    out: MarketOutput,
    own: Pick<Command, 'action'> & Partial<Command>,
  ): Command | Fault {
    // Not recorded, so the same name can be used later.
    if (venue.isInAuction && own.state !== 'open') {
      return refusal('auction-under-way', { price: null, quantity: 0 }, venue.definition);
    }
    if (this.clientOrders.ownerNumber(owner) === undefined) {
      return fault('overloaded', 'the limit of owners of orders is reached');
    }
    const { fillsMax } = this.limits;
    const command: Command = {
      type: 'command',
      symbol: venue.definition.symbol,
      seq: out.nextSeq(),
      eventTime: out.receiveTime,
      receiveTime: out.receiveTime,
      owner,
      clientOrderId: '',
      orderId: 0,
      side: 'buy',
      kind: 'limit',
      timeInForce: 'gtc',
      postOnly: false,
      price: 0,
      quantity: 0,
      state: null,
      ...own,
      ...(fillsMax !== undefined && own.action !== 'cancel' && { fillsMax }),
    };
    out.push(command);
    return command;
  }

  /** Why an owner cannot have this order resting besides its others, assuming that none of it trades. */
  private overQuota(venue: VenueInstrument, owner: string, r: OrderRequest): Fault | undefined {
    const { openOrdersPerOwnerMax = Infinity } = this.limits;
    if (r.clientOrderId !== '' && this.clientOrders.openCount(owner) >= openOrdersPerOwnerMax) {
      const message = `${owner} has ${openOrdersPerOwnerMax} open orders already, as many as one owner may have`;
      return fault('too-many-orders', message);
    }
    return this.overQuantity(venue, owner, r.side === 'buy' ? BUY : SELL, r.quantity, 0);
  }

  /** Why an owner cannot have this quantity resting in place of the order's present one. */
  private overQuantity(
    venue: VenueInstrument,
    owner: string,
    side: Side,
    quantity: number,
    now: number,
  ): Fault | undefined {
    const { openQuantityPerOwnerMax: most = Infinity } = this.limits;
    const { quantityScale, rules } = venue.definition;
    if (quantity <= now || quantity > rules!.quantityMax) return undefined; // the venue reports the latter
    const number = this.clientOrders.knownOwner(owner);
    const others = number === undefined ? 0 : venue.openQuantity(number, side) - now;
    if (quantity <= most - others) return undefined;
    const [asked, open, all] = [quantity, others, most].map((q) => formatDecimal(q, quantityScale));
    const message = `quantity is ${asked}; with the ${open} that ${owner} has open on this side it would pass ${all}, the most of one owner`;
    return fault('resting-overflow', message, 'quantity');
  }

  private venue(symbol: string): VenueInstrument | Fault {
    const instrument = this.find(symbol);
    if (instrument === undefined) {
      return fieldFault('symbol', symbol, 'the symbol of a defined instrument', 'unknown-symbol');
    }
    if (instrument instanceof VenueInstrument) return instrument;
    return fieldFault('symbol', symbol, 'a venue instrument, which takes orders', 'wrong-market');
  }

  private target(
    owner: string,
    r: CancelRequest,
  ): { venue: VenueInstrument; orderId: number } | Fault {
    const expected = r.symbol === null ? undefined : this.venue(r.symbol);
    if (expected !== undefined && 'code' in expected) return expected;
    const named =
      r.orderId === null && r.clientOrderId !== null
        ? this.clientOrders.named(owner, r.clientOrderId)
        : undefined;
    const orderId = r.orderId ?? named?.orderId;
    const field = r.orderId === null ? 'clientOrderId' : 'orderId';
    const givenId = r.orderId ?? r.clientOrderId;
    if (givenId === null) return fieldFault('orderId', null, 'an orderId or a clientOrderId');
    const venue = orderId === undefined ? undefined : this.venues[orderId % VENUES_MAX];
    const resting = venue?.resting(orderId!);
    const elsewhere = expected !== undefined && expected !== venue;
    // Another owner's order is reported like a missing one: ids reveal nothing about others.
    const isOwn = resting !== undefined && resting.owner === this.clientOrders.knownOwner(owner);
    if (venue === undefined || !isOwn || elsewhere) {
      const book = r.symbol === null ? 'a book' : `the book of ${r.symbol}`;
      return fieldFault(field, givenId, `an order of yours that rests in ${book}`, 'unknown-order');
    }
    return { venue, orderId: orderId! };
  }
}

/** For a submit the id is the outcome, for other commands the target. */
function targetOf(c: Command): number {
  return c.action === 'submit' ? 0 : c.orderId;
}

/** The first answer, if this is the same order. */
function repetition(
  known: TrackedOrder,
  r: OrderRequest,
  definition: Instrument,
): OrderDone | Fault {
  const same =
    known.symbol === r.symbol &&
    known.side === r.side &&
    known.kind === r.kind &&
    known.timeInForce === r.timeInForce &&
    known.postOnly === r.postOnly &&
    known.answer.price === (r.price ?? 0) &&
    known.quantity === r.quantity;
  if (!same) {
    return fieldFault(
      'clientOrderId',
      r.clientOrderId,
      'a name that no other order of this owner has',
      'duplicate-client-order-id',
    );
  }
  if (known.code !== null) return refusal(known.code, r, definition);
  return { seq: known.seq, orderId: known.orderId, order: known };
}

function refusal(
  code: ErrorCode,
  { price, quantity }: { readonly price: number | null; readonly quantity: number },
  definition: Instrument,
): Fault {
  const { field, reason } = REJECTIONS.find((r) => r.code === code)!;
  const { priceScale, quantityScale } = definition;
  if (field === 'price') {
    const given = price === null ? 'missing' : formatDecimal(price, priceScale);
    return fault(code, `price is ${given}: ${reason}${boundOf(code, definition)}`, field);
  }
  if (field === 'quantity') {
    const given = formatDecimal(quantity, quantityScale);
    return fault(code, `quantity is ${given}: ${reason}${boundOf(code, definition)}`, field);
  }
  return field === null ? fault(code, reason) : fault(code, reason, field);
}

/** The violated limit, in decimals; empty if it is no number. */
function boundOf(code: ErrorCode, { rules, ...d }: Instrument): string {
  if (rules === null) return '';
  const price = (value: number): string => formatDecimal(value, d.priceScale);
  const quantity = (value: number): string => formatDecimal(value, d.quantityScale);
  switch (code) {
    case 'price-off-increment':
      return ` of ${price(d.priceIncrement)}`;
    case 'price-outside-band':
      return ` of ${price(rules.priceMin)} to ${price(rules.priceMax)}`;
    case 'quantity-off-increment':
      return ` of ${quantity(d.quantityIncrement)}`;
    case 'quantity-below-minimum':
      return ` of ${quantity(rules.quantityMin)}`;
    case 'quantity-above-maximum':
      return ` of ${quantity(rules.quantityMax)}`;
    default:
      return '';
  }
}
