/**
 * Order desk: who owns which order, under which name, and what has become of it.
 *
 * It makes a repeated submission harmless: the same owner and client order id get the answer of the
 * first time. It is a function of the commands alone, so recovery rebuilds it by carrying them out.
 * Bounded: the orders that have ended are kept up to `endedOrdersMax`, the oldest go first; those
 * that are open are bounded by the venues.
 */

import type { ErrorCode } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';
import { BoundedQueue } from '../base/bounded-queue';
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
  status: OrderStatus;
  code: ErrorCode | null;
  /** Place of the command, and when it was received. */
  readonly seq: number;
  readonly time: Nanos;
  /** How it stood when the command was done: what a repetition is answered with. */
  answer: OrderAnswer;
}

export interface OrderAnswer {
  readonly price: number;
  readonly status: OrderStatus;
  readonly open: number;
  readonly traded: number;
}

/** What a checkpoint keeps. */
export interface DeskCheckpoint {
  readonly owners: readonly string[];
  readonly orders: readonly TrackedOrder[];
}

export class OrderDesk {
  private readonly ownerNames: string[] = [];
  private readonly ownerNumbers = new Map<string, number>();
  private readonly byName = new Map<string, TrackedOrder>();
  private readonly byId = new Map<number, TrackedOrder>();
  /** Ended orders, oldest first. */
  private readonly ended: BoundedQueue<TrackedOrder>;

  constructor(endedOrdersMax: number) {
    this.ended = new BoundedQueue(endedOrdersMax);
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

  /** The open orders of an owner, oldest first. */
  openOf(owner: string): TrackedOrder[] {
    return [...this.byId.values()].filter((o) => o.owner === owner && o.status === 'open');
  }

  /** Keeps track of an order from before it is matched; `took` gives it its id. */
  track(order: TrackedOrder): void {
    this.byName.set(nameOf(order.owner, order.clientOrderId), order);
  }

  took(order: TrackedOrder, orderId: number): void {
    order.orderId = orderId;
    this.byId.set(orderId, order);
  }

  end(order: TrackedOrder, status: Exclude<OrderStatus, 'open'>): void {
    order.status = status;
    if (this.ended.push(order) === 'queued') return;
    const oldest = this.ended.shift()!;
    this.byName.delete(nameOf(oldest.owner, oldest.clientOrderId));
    this.byId.delete(oldest.orderId);
    this.ended.push(order);
  }

  checkpoint(): DeskCheckpoint {
    const open = [...this.byName.values()].filter((o) => o.status === 'open');
    return { owners: this.ownerNames, orders: [...this.ended, ...open] };
  }

  restore({ owners, orders }: DeskCheckpoint): void {
    for (const owner of owners) this.ownerNumber(owner);
    for (const order of orders) {
      this.track(order);
      if (order.orderId !== 0) this.byId.set(order.orderId, order);
      if (order.status !== 'open') this.end(order, order.status);
    }
  }
}

/** Names of keys hold no line feed. */
function nameOf(owner: string, clientOrderId: string): string {
  return `${owner}\n${clientOrderId}`;
}
