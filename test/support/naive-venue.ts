/**
 * Naive venue: the rules of src/market/venue/README.md implemented as plainly as possible, as the oracle of the
 * fast one. Orders are objects in one array, in the order in which they began to rest; every question is answered
 * by filtering and sorting. It shares nothing with the fast venue but the numeric codes.
 */

import type { VenueDefinition } from '../../src/market/venue/definition';
import type { VenueCommand } from '../../src/market/venue/commands';

/** An event as the tables and the tests compare it: its name and its arguments in order. */
export type NaiveEvent = [name: string, ...values: number[]];

interface Order {
  id: number;
  owner: number;
  side: number;
  price: number;
  open: number;
  postOnly: boolean;
}

const MAX = Number.MAX_SAFE_INTEGER;
const [BUY, SELL, NONE] = [0, 1, 2];
const MARKET = 1;
const [GTC, IOC, FOK] = [0, 1, 2];
const [PRE_OPEN, OPEN, HALTED, CLOSED] = [0, 1, 2, 3];
const STATES = ['pre-open', 'open', 'halted', 'closed'];
const CODES = [
  '',
  'market-closed',
  'market-halted',
  'not-in-pre-open',
  'invalid-combination',
  'invalid-quantity',
  'quantity-off-increment',
  'quantity-below-minimum',
  'quantity-above-maximum',
  'invalid-price',
  'price-off-increment',
  'price-outside-band',
  'too-many-orders',
  'book-full',
  'resting-overflow',
  'would-cross',
  'unknown-order',
  'same-state',
  'auction-under-way',
];

type Submit = Extract<VenueCommand, { type: 'submit' }>;
type Amend = Extract<VenueCommand, { type: 'amend' }>;

export class NaiveVenue {
  events: NaiveEvent[] = [];
  state: number;
  lastPrice = 0;
  /** The number of an auction in progress; 0: there is none. */
  auction = 0;
  private meetings = Infinity;
  private orders: Order[] = [];
  private nextOrderId = 1;
  private nextTradeId = 1;
  private readonly d: VenueDefinition;

  constructor(definition: VenueDefinition) {
    this.d = definition;
    this.state = STATES.indexOf(definition.initialState);
  }

  /** Executes a command; its events are then in `events`. */
  apply(c: VenueCommand): void {
    this.events = [];
    this.meetings = ('fillsMax' in c ? c.fillsMax : undefined) ?? Infinity;
    if (this.auction !== 0 && !(c.type === 'state' && c.state === OPEN)) {
      const owner = c.type === 'state' ? -1 : c.owner;
      return this.reject('auction-under-way', owner, 'orderId' in c ? c.orderId : 0);
    }
    if (c.type === 'submit') this.submit(c);
    else if (c.type === 'cancel') this.cancel(c.owner, c.orderId);
    else if (c.type === 'amend') this.amend(c);
    else this.changeState(c.state);
  }

  // ── the book, computed on each call ─────────────────────────────────────────────────────────

  /** The orders of a side by priority; sorting is stable, so time decides at the same price. */
  queue(side: number): Order[] {
    const ofSide = this.orders.filter((o) => o.side === side);
    return ofSide.sort((a, b) => (side === BUY ? b.price - a.price : a.price - b.price));
  }

  levelTotal(side: number, price: number): number {
    return sum(this.orders.filter((o) => o.side === side && o.price === price).map((o) => o.open));
  }

  restingIds(): number[] {
    return this.orders.map((o) => o.id);
  }

  /** Flat: price, total, …, best first. */
  levels(side: number): number[] {
    const prices = [...new Set(this.queue(side).map((o) => o.price))];
    return prices.flatMap((price) => [price, this.levelTotal(side, price)]);
  }

  // ── commands ────────────────────────────────────────────────────────────────────────────────

  private submit(c: Submit): void {
    const code = this.stateFault() ?? this.typeFault(c) ?? this.quantityFault(c.quantity);
    const later =
      code ??
      this.priceFault(c.kind, c.price) ??
      (c.timeInForce === GTC ? this.roomFault(c) : undefined) ??
      this.crossingFault(c.side, c.kind === MARKET ? null : c.price, c.postOnly);
    if (later !== undefined) return this.reject(later, c.owner, 0);
    const id = this.nextOrderId++;
    this.tell('accepted', id, c.owner, c.side, c.price, c.quantity);
    const { owner, side, price, postOnly } = c;
    const order = { id, owner, side, price, open: c.quantity, postOnly };
    this.enter(order, c.kind === MARKET ? null : price, c.timeInForce);
  }

  private cancel(owner: number, id: number): void {
    const order = this.orders.find((o) => o.id === id);
    if (order?.owner !== owner) return this.reject('unknown-order', owner, id);
    this.remove(order);
    this.tell('cancelled', id, owner, order.side, order.open, 0);
    this.publishLevel(order.side, order.price);
  }

  private amend(c: Amend): void {
    const closed = this.stateFault();
    if (closed !== undefined) return this.reject(closed, c.owner, c.orderId);
    const order = this.orders.find((o) => o.id === c.orderId);
    if (order?.owner !== c.owner) return this.reject('unknown-order', c.owner, c.orderId);
    const others = sum(
      this.orders.filter((o) => o.side === order.side && o !== order).map((o) => o.open),
    );
    const code =
      this.quantityFault(c.quantity) ??
      this.priceFault(0, c.price) ??
      (BigInt(others) + BigInt(c.quantity) > BigInt(MAX) ? 'resting-overflow' : undefined) ??
      this.crossingFault(order.side, c.price, order.postOnly);
    if (code !== undefined) return this.reject(code, c.owner, c.orderId);
    if (c.price === order.price && c.quantity <= order.open) {
      const changes = c.quantity < order.open;
      order.open = c.quantity;
      this.tell('amended', order.id, order.owner, order.side, order.price, order.open, 1);
      if (changes) this.publishLevel(order.side, order.price);
      return;
    }
    this.tell('amended', order.id, order.owner, order.side, c.price, c.quantity, 0);
    this.remove(order);
    if (c.price !== order.price) this.publishLevel(order.side, order.price);
    this.enter({ ...order, price: c.price, open: c.quantity }, c.price, GTC);
  }

  private changeState(state: number): void {
    if (state === this.state) return this.reject('same-state', -1, 0);
    if (state === OPEN) {
      const price = this.auction === 0 ? this.auctionPrice() : this.auction;
      if (price !== undefined) {
        this.uncross(price, this.volumeAt(price), this.meetings);
        this.auction = this.volumeAt(price) === 0 ? 0 : price;
        if (this.auction !== 0) return;
      }
    }
    this.state = state;
    this.tell('stateChanged', state);
  }

  // ── refusals ────────────────────────────────────────────────────────────────────────────────

  private stateFault(): string | undefined {
    if (this.state === CLOSED) return 'market-closed';
    return this.state === HALTED ? 'market-halted' : undefined;
  }

  private typeFault(c: Submit): string | undefined {
    if (c.kind === MARKET && (c.postOnly || (c.timeInForce !== IOC && c.timeInForce !== FOK))) {
      return 'invalid-combination';
    }
    if (c.postOnly && c.timeInForce !== GTC) return 'invalid-combination';
    const plain = c.kind !== MARKET && c.timeInForce === GTC && !c.postOnly;
    return this.state === PRE_OPEN && !plain ? 'not-in-pre-open' : undefined;
  }

  private quantityFault(quantity: number): string | undefined {
    if (!Number.isSafeInteger(quantity) || quantity <= 0) return 'invalid-quantity';
    if (quantity % this.d.quantityIncrement !== 0) return 'quantity-off-increment';
    if (quantity < this.d.quantityMin) return 'quantity-below-minimum';
    return quantity > this.d.quantityMax ? 'quantity-above-maximum' : undefined;
  }

  private priceFault(kind: number, price: number): string | undefined {
    if (kind === MARKET) return price === 0 ? undefined : 'invalid-price';
    if (!Number.isSafeInteger(price) || price <= 0) return 'invalid-price';
    if (price % this.d.priceIncrement !== 0) return 'price-off-increment';
    return price < this.d.priceMin || price > this.d.priceMax ? 'price-outside-band' : undefined;
  }

  private roomFault(c: Submit): string | undefined {
    const own = this.orders.filter((o) => o.owner === c.owner);
    if (own.length >= this.d.ordersPerOwnerMax) return 'too-many-orders';
    if (this.orders.length >= this.d.ordersMax) return 'book-full';
    const resting = sum(this.orders.filter((o) => o.side === c.side).map((o) => o.open));
    return BigInt(resting) + BigInt(c.quantity) > BigInt(MAX) ? 'resting-overflow' : undefined;
  }

  private crossingFault(side: number, limit: number | null, postOnly: boolean): string | undefined {
    if (this.state !== OPEN) return undefined;
    const best = this.queue(otherSide(side))[0];
    if (best === undefined || !reaches(side, limit, best.price)) return undefined;
    return postOnly ? 'would-cross' : undefined;
  }

  // ── trading ─────────────────────────────────────────────────────────────────────────────────

  private enter(order: Order, limit: number | null, timeInForce: number): void {
    if (this.state === OPEN) {
      if (timeInForce === FOK && this.fillable(order, limit) < order.open) {
        return this.tell('expired', order.id, order.owner, order.side, order.open, 3);
      }
      const outcome = this.trade(order, limit);
      if (outcome !== 'done') {
        const reason = outcome === 'stopped' ? 1 : 4;
        return this.tell('cancelled', order.id, order.owner, order.side, order.open, reason);
      }
    }
    if (order.open === 0) return;
    if (timeInForce !== GTC) {
      return this.tell('expired', order.id, order.owner, order.side, order.open, 2);
    }
    this.orders.push(order);
    this.publishLevel(order.side, order.price);
  }

  /** Trades with the best order of the other side until nothing more can trade. */
  private trade(order: Order, limit: number | null): 'stopped' | 'too-many-fills' | 'done' {
    let level: number | undefined;
    for (let met = 0; ; met++) {
      const maker = this.queue(otherSide(order.side))[0];
      const goesOn =
        maker !== undefined && order.open > 0 && reaches(order.side, limit, maker.price);
      // A level is published once, when the order moves on from it.
      if (level !== undefined && (!goesOn || maker.price !== level)) {
        this.publishLevel(otherSide(order.side), level);
        level = undefined;
      }
      if (!goesOn) return 'done';
      if (met === this.meetings) {
        if (level !== undefined) this.publishLevel(maker.side, level);
        return 'too-many-fills';
      }
      if (maker.owner === order.owner) {
        if (this.d.selfTrade !== 'cancel-newest') {
          this.remove(maker);
          this.tell('cancelled', maker.id, maker.owner, maker.side, maker.open, 1);
          level = maker.price;
        }
        if (this.d.selfTrade !== 'cancel-oldest') {
          if (level !== undefined) this.publishLevel(maker.side, level);
          return 'stopped';
        }
        continue;
      }
      level = maker.price;
      const quantity = Math.min(order.open, maker.open);
      order.open -= quantity;
      maker.open -= quantity;
      if (maker.open === 0) this.remove(maker);
      const [buy, sell] = order.side === BUY ? [order, maker] : [maker, order];
      this.publishTrade(maker.price, quantity, order.side, buy, sell);
    }
  }

  /** How much of an order could trade at once. */
  private fillable(order: Order, limit: number | null): number {
    let quantity = 0n;
    for (const maker of this.queue(otherSide(order.side)).slice(0, this.meetings)) {
      if (!reaches(order.side, limit, maker.price)) break;
      if (maker.owner !== order.owner) quantity += BigInt(maker.open);
      else if (this.d.selfTrade !== 'cancel-oldest') break;
    }
    return Number(quantity);
  }

  // ── the auction ─────────────────────────────────────────────────────────────────────────────

  private boughtAt(price: number): number {
    return sum(this.orders.filter((o) => o.side === BUY && o.price >= price).map((o) => o.open));
  }

  private soldAt(price: number): number {
    return sum(this.orders.filter((o) => o.side === SELL && o.price <= price).map((o) => o.open));
  }

  private volumeAt(price: number): number {
    return Math.min(this.boughtAt(price), this.soldAt(price));
  }

  private auctionPrice(): number | undefined {
    const limits = [...new Set(this.orders.map((o) => o.price))].sort((a, b) => a - b);
    const most = Math.max(0, ...limits.map((p) => this.volumeAt(p)));
    if (most === 0) return undefined;
    const surplus = (p: number): number => this.boughtAt(p) - this.soldAt(p);
    const ofMost = limits.filter((p) => this.volumeAt(p) === most);
    const least = Math.min(...ofMost.map((p) => Math.abs(surplus(p))));
    const best = ofMost.filter((p) => Math.abs(surplus(p)) === least);
    const [low, high] = [best[0]!, best.at(-1)!];
    if (best.every((p) => surplus(p) > 0)) return high;
    if (best.every((p) => surplus(p) < 0)) return low;
    const reference = this.lastPrice === 0 ? this.d.referencePrice : this.lastPrice;
    if (reference === null) {
      const middle = (BigInt(low) + BigInt(high)) / 2n;
      return Number(middle - (middle % BigInt(this.d.priceIncrement)));
    }
    if (reference < low) return low;
    return reference > high ? high : reference;
  }

  private uncross(price: number, volume: number, trades: number): void {
    const touched = [new Set<number>(), new Set<number>()] as const;
    let left = volume;
    this.lastPrice = price;
    for (let made = 0; left > 0 && made < trades; made++) {
      const buy = this.queue(BUY)[0]!;
      const sell = this.queue(SELL)[0]!;
      const quantity = Math.min(left, buy.open, sell.open);
      for (const [i, order] of [buy, sell].entries()) {
        order.open -= quantity;
        if (order.open === 0) this.remove(order);
        touched[i]!.add(order.price);
      }
      left -= quantity;
      this.publishTrade(price, quantity, NONE, buy, sell);
    }
    for (const p of touched[0]) this.publishLevel(BUY, p);
    for (const p of touched[1]) this.publishLevel(SELL, p);
  }

  // ── helpers ─────────────────────────────────────────────────────────────────────────────────

  private remove(order: Order): void {
    this.orders = this.orders.filter((o) => o !== order);
  }

  private tell(name: string, ...values: number[]): void {
    this.events.push([name, ...values]);
  }

  private publishLevel(side: number, price: number): void {
    this.tell('levelChanged', side, price, this.levelTotal(side, price));
  }

  private publishTrade(price: number, quantity: number, by: number, buy: Order, sell: Order): void {
    const id = this.nextTradeId++;
    this.lastPrice = price;
    const who = [buy.id, sell.id, buy.owner, sell.owner, buy.open, sell.open];
    this.tell('trade', id, price, quantity, by, ...who);
  }

  private reject(code: string, owner: number, id: number): void {
    this.tell('rejected', CODES.indexOf(code), owner, id);
  }

  /** The canonical sequence, for the state hash. */
  canonical(): number[] {
    const sides = [BUY, SELL].flatMap((side) => {
      const queue = this.queue(side);
      const rows = queue.map((o) => [o.id, o.owner, o.price, o.open, o.postOnly ? 1 : 0]);
      return [[queue.length], ...rows].flat();
    });
    const { state, nextOrderId, nextTradeId, lastPrice, auction } = this;
    const head = [state, nextOrderId, nextTradeId, lastPrice];
    return auction === 0 ? [2, ...head, ...sides] : [3, ...head, auction, ...sides];
  }
}

function otherSide(side: number): number {
  return 1 - side;
}

/** Whether an order of this side and limit (null: market) trades at this price. */
function reaches(side: number, limit: number | null, price: number): boolean {
  if (limit === null) return true;
  return side === BUY ? price <= limit : price >= limit;
}

function sum(values: number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
