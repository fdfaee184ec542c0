/**
 * Client orders: the owner, name and state of each order.
 *
 * They make a repeated submission harmless: the same owner and client order id get the first answer again. They are a
 * function of the commands alone, so recovery rebuilds them by executing the commands again. Bounds: ended orders are
 * kept up to `endedOrdersMax`, with a share for each owner (`ended-orders.ts`); open orders are bounded by venues and
 * router.
 */

import type { ErrorCode } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';
import { EndedChunks } from './ended-chunks';
import { EndedOrders } from './ended-orders';
import { readFills, writeFills, type FillsOfOrder, type WrittenFills } from './fills';
import { OpenOrders } from './open-orders';
import { OWNER_MAX } from './venue/definition';

export type OrderStatus = 'open' | 'filled' | 'cancelled' | 'expired' | 'rejected';

/** An order with a client order id. Prices and quantities are scaled. */
export interface TrackedOrder {
  /** 0 if it was rejected. */
  orderId: number;
  readonly owner: string;
  readonly clientOrderId: string;
  readonly symbol: string;
  readonly side: 'buy' | 'sell';
  readonly kind: 'limit' | 'market';
  readonly timeInForce: 'gtc' | 'ioc' | 'fok';
  readonly postOnly: boolean;
  price: number;
  /** The quantity with which it was entered. */
  readonly quantity: number;
  open: number;
  traded: number;
  fills: FillsOfOrder;
  status: OrderStatus;
  code: ErrorCode | null;
  /** Sequence number of the command, and when it was received. */
  readonly seq: number;
  readonly time: Nanos;
  /** Its state after the command: the answer to a repetition. */
  answer: OrderAnswer;
  /** Number of orders that ended before it; absent while it is open. */
  endedAs?: number;
}

export interface OrderAnswer {
  readonly price: number;
  readonly status: OrderStatus;
  readonly open: number;
  readonly traded: number;
  readonly fills: FillsOfOrder;
}

/** An order in a checkpoint. */
export interface WrittenOrder extends Omit<TrackedOrder, 'fills' | 'answer'> {
  readonly fills?: WrittenFills | 'unknown' | null;
  readonly answer: Omit<OrderAnswer, 'fills'> & Pick<WrittenOrder, 'fills'>;
}

/** The state for a checkpoint. */
export interface ClientOrdersState {
  readonly owners: readonly string[];
  readonly orders: readonly WrittenOrder[];
}

export class ClientOrders {
  private readonly ownerNames: string[] = [];
  private readonly ownerNumbers = new Map<string, number>();
  private readonly byName = new Map<string, TrackedOrder>();
  private readonly byId = new Map<number, TrackedOrder>();
  private readonly ended: EndedOrders<TrackedOrder>;
  /** Open orders by owner. */
  private readonly open = new Map<string, OpenOrders<TrackedOrder>>();
  private readonly ofSymbols = new Map<string, Set<TrackedOrder>>();
  /** Ended orders in chunks for checkpoints. */
  readonly chunks = new EndedChunks<TrackedOrder>();
  /** Recovery: orders that had ended by the time of the checkpoint, while older commands are read again. */
  private restored: TrackedOrder[] | undefined;

  constructor(endedOrdersMax: number) {
    this.ended = new EndedOrders(endedOrdersMax);
  }

  /** The number of an owner; assigns one if needed. Only for recorded commands. */
  knownOwner(owner: string): number | undefined {
    return this.ownerNumbers.get(owner);
  }

  /** The number by which venues know an owner; undefined if there are too many owners. */
  ownerNumber(owner: string): number | undefined {
    const known = this.ownerNumbers.get(owner);
    if (known !== undefined) return known;
    if (this.ownerNames.length > OWNER_MAX) return undefined;
    const number = this.ownerNames.length;
    this.ownerNames.push(owner);
    this.ownerNumbers.set(owner, number);
    return number;
  }

  /** @param number as returned by `ownerNumber` */
  ownerName(number: number): string {
    return this.ownerNames[number]!;
  }

  named(owner: string, clientOrderId: string): TrackedOrder | undefined {
    return this.byName.get(nameOf(owner, clientOrderId));
  }

  get(orderId: number): TrackedOrder | undefined {
    return this.byId.get(orderId);
  }

  /** Number of open orders of an owner. */
  openCount(owner: string): number {
    return this.open.get(owner)?.size ?? 0;
  }

  /** At most `limit` open orders of an owner behind a command, oldest first. */
  openOf(owner: string, after: number, limit: number): TrackedOrder[] {
    return this.open.get(owner)?.behind(after, limit) ?? [];
  }

  /**
   * At most `limit` kept ended orders of an owner, newest end first.
   * @param before only those with a lower `endedAs`; null: all
   */
  endedOf(owner: string, before: number | null, limit: number): TrackedOrder[] {
    return this.ended.of(owner, before, limit);
  }

  /** Tracks an order before it is matched; `took` sets its id. */
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

  /** Number of orders that have ended. */
  get endedTotal(): number {
    return this.ended.total;
  }

  private close(owner: string): void {
    const open = this.open.get(owner)!;
    open.ended();
    if (open.size === 0) this.open.delete(owner);
  }

  /** Its name can belong to another order by now, if a setting keeps more orders than before. */
  private forget(order: TrackedOrder): void {
    const name = nameOf(order.owner, order.clientOrderId);
    if (this.byName.get(name) === order) this.byName.delete(name);
    this.byId.delete(order.orderId);
  }

  /** Names of owners by their numbers. */
  get owners(): readonly string[] {
    return this.ownerNames;
  }

  checkpoint(): ClientOrdersState {
    const open = [...this.byName.values()].filter((o) => o.status === 'open');
    open.sort((a, b) => a.seq - b.seq);
    return { owners: this.ownerNames, orders: [...this.ended, ...open].map(writtenOrder) };
  }

  restore({ owners, orders }: ClientOrdersState): void {
    for (const owner of owners) this.ownerNumber(owner);
    for (const kept of orders) {
      const order = readOrder(kept);
      this.track(order);
      if (order.orderId !== 0) this.took(order, order.orderId);
      if (order.status !== 'open') this.end(order, order.status);
    }
  }

  /**
   * Restores the orders of a checkpoint in pieces. Open orders are as of their instruments' pieces, ended orders as of
   * a later sequence number: until that is reached, orders that end again are not counted twice (`reached`).
   */
  restorePieces(open: TrackedOrder[], ended: TrackedOrder[], endedTotal: number): void {
    this.ended.total = endedTotal;
    for (const order of open.toSorted((a, b) => a.seq - b.seq)) {
      this.track(order);
      this.took(order, order.orderId);
    }
    this.restored = ended.toSorted((a, b) => a.endedAs! - b.endedAs!);
  }

  /** Recovery has reached the sequence number of the checkpoint's ended orders. */
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

/** The form in a checkpoint. */
export function writtenOrder({ fills, answer, ...order }: TrackedOrder): WrittenOrder {
  const atFirst = { ...answer, fills: writeFills(answer.fills) };
  return { ...order, fills: writeFills(fills), answer: atFirst };
}

export function readOrder({ fills, answer, ...order }: WrittenOrder): TrackedOrder {
  const atFirst = { ...answer, fills: readFills(answer.fills, answer.traded) };
  return { ...order, fills: readFills(fills, order.traded), answer: atFirst };
}

/** A key of map entries; names of keys contain no line feed. */
function nameOf(owner: string, clientOrderId: string): string {
  return `${owner}\n${clientOrderId}`;
}
