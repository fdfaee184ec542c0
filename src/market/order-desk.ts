/**
 * Order desk: who owns which order, under which name, and what has become of it.
 *
 * It makes a repeated submission harmless: the same owner and client order id get the answer of the
 * first time. It is a function of the commands alone, so recovery rebuilds it by carrying them out.
 * Bounded: the orders that have ended are kept up to `endedOrdersMax`, each owner having its share
 * (`ended-orders.ts`); those that are open are bounded by the venues and by the router.
 */

import type { ErrorCode } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';
import { EndedChunks } from './ended-chunks';
import { EndedOrders } from './ended-orders';
import { readFills, writeFills, type FillsOfOrder, type WrittenFills } from './fills';
import { OpenOrders } from './open-orders';
import { OWNER_MAX } from './venue/definition';

export type OrderStatus = 'open' | 'filled' | 'cancelled' | 'expired' | 'rejected';

/** An order that was given a name by its owner. Prices and quantities scaled. */
export interface TrackedOrder {
  /** 0 when it was rejected. */
  orderId: number;
  readonly owner: string;
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly kind: 'limit' | 'market';
  readonly timeInForce: 'gtc' | 'ioc' | 'fok';
  readonly postOnly: boolean;
  price: number;
  /** As entered. */
  readonly quantity: number;
  open: number;
  traded: number;
  fills: FillsOfOrder;
  status: OrderStatus;
  code: ErrorCode | null;
  /** Place of the command, and when it was received. */
  readonly seq: number;
  readonly time: Nanos;
  /** How it stood when the command was done: what a repetition is answered with. */
  answer: OrderAnswer;
  /** How many had ended before it; absent while it is open. */
  endedAs?: number;
}

export interface OrderAnswer {
  readonly price: number;
  readonly status: OrderStatus;
  readonly open: number;
  readonly traded: number;
  readonly fills: FillsOfOrder;
}

/** An order as a checkpoint keeps it. */
export interface WrittenOrder extends Omit<TrackedOrder, 'fills' | 'answer'> {
  readonly fills?: WrittenFills | 'unknown' | null;
  readonly answer: Omit<OrderAnswer, 'fills'> & Pick<WrittenOrder, 'fills'>;
}

/** What a checkpoint keeps. */
export interface DeskCheckpoint {
  readonly owners: readonly string[];
  readonly orders: readonly WrittenOrder[];
}

export class OrderDesk {
  private readonly ownerNames: string[] = [];
  private readonly ownerNumbers = new Map<string, number>();
  private readonly byName = new Map<string, TrackedOrder>();
  private readonly byId = new Map<number, TrackedOrder>();
  private readonly ended: EndedOrders<TrackedOrder>;
  /** Of owners who have some. */
  private readonly open = new Map<string, OpenOrders<TrackedOrder>>();
  private readonly ofSymbols = new Map<string, Set<TrackedOrder>>();
  /** What a checkpoint keeps of those that have ended. */
  readonly chunks = new EndedChunks<TrackedOrder>();
  /** Recovery reads commands again whose ends a checkpoint has: these orders had ended by then. */
  private restored: TrackedOrder[] | undefined;

  constructor(endedOrdersMax: number) {
    this.ended = new EndedOrders(endedOrdersMax);
  }

  /** The number of an owner who has given a command; only what is on record may give one. */
  knownOwner(owner: string): number | undefined {
    return this.ownerNumbers.get(owner);
  }

  /** The number of an owner, which venues know it by; undefined when there are too many. */
  ownerNumber(owner: string): number | undefined {
    const known = this.ownerNumbers.get(owner);
    if (known !== undefined) return known;
    if (this.ownerNames.length > OWNER_MAX) return undefined;
    const number = this.ownerNames.length;
    this.ownerNames.push(owner);
    this.ownerNumbers.set(owner, number);
    return number;
  }

  /** @param number as `ownerNumber` gave it */
  ownerName(number: number): string {
    return this.ownerNames[number]!;
  }

  named(owner: string, clientOrderId: string): TrackedOrder | undefined {
    return this.byName.get(nameOf(owner, clientOrderId));
  }

  get(orderId: number): TrackedOrder | undefined {
    return this.byId.get(orderId);
  }

  /** How many orders of an owner are open. */
  openCount(owner: string): number {
    return this.open.get(owner)?.size ?? 0;
  }

  /** Open orders of an owner, oldest first: those entered behind a command, `limit` at the most. */
  openOf(owner: string, after: number, limit: number): TrackedOrder[] {
    return this.open.get(owner)?.behind(after, limit) ?? [];
  }

  /**
   * Ended orders of an owner that are kept, the newest end first: those that ended before the `before`th
   * of all (`endedAs`), or all; `limit` at the most.
   */
  endedOf(owner: string, before: number | null, limit: number): TrackedOrder[] {
    return this.ended.of(owner, before, limit);
  }

  /** Keeps track of an order from before it is matched; `took` gives it its id. */
  track(order: TrackedOrder): void {
    this.byName.set(nameOf(order.owner, order.clientOrderId), order);
  }

  took(order: TrackedOrder, orderId: number): void {
    order.orderId = orderId;
    this.byId.set(orderId, order);
    let open = this.open.get(order.owner);
    if (open === undefined) {
      open = new OpenOrders();
      this.open.set(order.owner, open);
    }
    open.add(order);
    this.openAt(order.symbol).add(order);
  }

  /** Open orders of an instrument that have a name. */
  openAt(symbol: string): Set<TrackedOrder> {
    let open = this.ofSymbols.get(symbol);
    if (open === undefined) {
      open = new Set();
      this.ofSymbols.set(symbol, open);
    }
    return open;
  }

  end(order: TrackedOrder, status: Exclude<OrderStatus, 'open'>): void {
    order.status = status;
    if (order.orderId !== 0) this.close(order.owner);
    this.openAt(order.symbol).delete(order);
    if (this.restored === undefined) this.keep(order);
    else this.forget(order);
  }

  private keep(order: TrackedOrder): void {
    const isNew = order.endedAs === undefined;
    const gone = this.ended.push(order);
    if (isNew) this.chunks.add(order);
    else this.chunks.restore(order);
    if (gone === undefined) return;
    this.forget(gone);
    this.chunks.remove(gone);
  }

  /** How many orders have ended. */
  get endedTotal(): number {
    return this.ended.total;
  }

  private close(owner: string): void {
    const open = this.open.get(owner)!;
    open.ended();
    if (open.size === 0) this.open.delete(owner);
  }

  /** Its name may be another order's by now, where a setting has more kept than before. */
  private forget(order: TrackedOrder): void {
    const name = nameOf(order.owner, order.clientOrderId);
    if (this.byName.get(name) === order) this.byName.delete(name);
    this.byId.delete(order.orderId);
  }

  /** Names of owners by their numbers. */
  get owners(): readonly string[] {
    return this.ownerNames;
  }

  checkpoint(): DeskCheckpoint {
    const open = [...this.byName.values()].filter((o) => o.status === 'open');
    open.sort((a, b) => a.seq - b.seq);
    return { owners: this.ownerNames, orders: [...this.ended, ...open].map(writtenOrder) };
  }

  restore({ owners, orders }: DeskCheckpoint): void {
    for (const owner of owners) this.ownerNumber(owner);
    for (const kept of orders) {
      const order = readOrder(kept);
      this.track(order);
      if (order.orderId !== 0) this.took(order, order.orderId);
      if (order.status !== 'open') this.end(order, order.status);
    }
  }

  /**
   * Takes the orders of a checkpoint of pieces on. Those that are open are of the time of their
   * instruments' pieces; those that have ended, of a later one: up to there, orders that end again do
   * not count (`reached`).
   */
  restorePieces(open: TrackedOrder[], ended: TrackedOrder[], endedTotal: number): void {
    this.ended.total = endedTotal;
    for (const order of open.toSorted((a, b) => a.seq - b.seq)) {
      this.track(order);
      this.took(order, order.orderId);
    }
    this.restored = ended.toSorted((a, b) => a.endedAs! - b.endedAs!);
  }

  /** Recovery has come to the place at which the ended orders were as the checkpoint has them. */
  reached(): void {
    const { restored } = this;
    this.restored = undefined;
    for (const order of restored ?? []) {
      this.track(order);
      if (order.orderId !== 0) this.byId.set(order.orderId, order);
      this.keep(order);
    }
  }
}

/** As a checkpoint keeps it. */
export function writtenOrder({ fills, answer, ...order }: TrackedOrder): WrittenOrder {
  const atFirst = { ...answer, fills: writeFills(answer.fills) };
  return { ...order, fills: writeFills(fills), answer: atFirst };
}

export function readOrder({ fills, answer, ...order }: WrittenOrder): TrackedOrder {
  const atFirst = { ...answer, fills: readFills(answer.fills, answer.traded) };
  return { ...order, fills: readFills(fills, order.traded), answer: atFirst };
}

/** Names of keys hold no line feed. */
function nameOf(owner: string, clientOrderId: string): string {
  return `${owner}\n${clientOrderId}`;
}
