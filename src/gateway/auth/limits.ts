/**
 * Limits: how much one client, and all clients together, may request from the gateway, and the answers
 * beyond that. The values are the current ones of `[limits]` in the settings: a reload changes them in
 * place.
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { Clock } from '../../base/clock';
import { Rate, Rates } from '../../base/rate';
import type { Connections } from '../ws/connections';
import type { ShareLimits } from './shares';
import type { OrderStage } from '../../base/contracts/order-entry';

export interface GatewayLimits extends RequestLimits, ShareLimits {
  readonly sessionsMax: number;
  readonly sessionsForKeysPercent: number;
  readonly sessionsPerAddressMax: number;
  readonly sessionsPerKeyMax: number;
  readonly helloMs: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly publishBytesPerSecond: number;
  readonly controlFramesPerSecond: number;
  readonly ordersPerSecond: number;
  readonly bodyBytesMax: number;
  readonly bodiesBytesMax: number;
  readonly heldBytesMax: number;
}

/** Number of refusals in a row after which a connection is closed. */
const REFUSALS_MAX = 100;
/** The same for a client that was closed for a flood recently. */
const SUSPECT_REFUSALS_MAX = 10;
/** Initial allowance of such a connection, as a part of the usual one: that of a hundredth of a second. */
const SUSPECT_SHARE = 0.01;
/**
 * The least initial allowance, so that an innocent neighbour can send its requests even with small limits.
 */
const SUSPECT_MESSAGES_MIN = 8;
const SUSPECT_BYTES_MIN = 16_384;
/** Number of pings and pongs of WebSocket while sent data are unread. */
const UNREAD_CONTROL_MAX = 1_000;
/** Number of refusals that are forgiven per second. */
const REFUSALS_PER_SECOND = 1;

/** Rates of what one connection sends. */
export class Inbound {
  private readonly limits: GatewayLimits;
  /** Counted as a fraction of the bytes per second, because that limit changes with the key. */
  private readonly bytes = new Rate();
  private readonly messages = new Rate();
  private readonly control = new Rate();
  private unreadControl = 0;
  private refusals = 0;
  private refusedMs = 0;
  private refusalsMax = REFUSALS_MAX;

  constructor(limits: GatewayLimits) {
    this.limits = limits;
  }

  /** A client of this address was closed for a flood recently, so a new connection gets no new allowance. */
  suspect(mayPublish: boolean, nowMs: number): void {
    const begin = (rate: Rate, perSecond: number, least: number): void => {
      const left = Math.min(perSecond, Math.max(perSecond * SUSPECT_SHARE, least));
      rate.spend(perSecond - left, perSecond, nowMs);
    };
    const bytesMin = SUSPECT_BYTES_MIN / this.bytesPerSecond(mayPublish);
    begin(this.bytes, 1, bytesMin);
    begin(this.messages, this.limits.messagesPerSecond, SUSPECT_MESSAGES_MIN);
    this.refusalsMax = SUSPECT_REFUSALS_MAX;
  }

  /** Counts topics of a subscribe or unsubscribe; each counts as one average message. */
  topics(count: number, nowMs: number): void {
    this.messages.spend(count, this.limits.messagesPerSecond, nowMs);
  }

  /** Counts a frame. @returns a fault if it exceeds the rate */
  frame(bytes: number, mayPublish: boolean, nowMs: number): Fault | undefined {
    const most = this.bytesPerSecond(mayPublish);
    if (this.bytes.take(bytes / most, 1, nowMs)) return undefined;
    return this.refused(`more than ${most} bytes a second; the frame was not read`, nowMs);
  }

  /** Counts a message of a frame. @returns a fault if it exceeds the rate */
  message(nowMs: number): Fault | undefined {
    const { messagesPerSecond } = this.limits;
    if (this.messages.take(1, messagesPerSecond, nowMs)) return undefined;
    return this.refused(`more than ${messagesPerSecond} messages a second`, nowMs);
  }

  /** Counts a ping or pong of WebSocket itself. @returns a fault if it exceeds the rate */
  controlFrame(nowMs: number): Fault | undefined {
    const { controlFramesPerSecond: most } = this.limits;
    if (this.control.take(1, most, nowMs)) return undefined;
    return fault('limit-reached', `more than ${most} pings and pongs of WebSocket a second`);
  }

  /**
   * Checks the unread bytes at a ping or pong. Bun answers every ping at once, however much is unread, so
   * many pings in a row with unread data are a fault. A payload has at most 125 bytes.
   */
  unread(bytes: number): Fault | undefined {
    this.unreadControl = bytes === 0 ? 0 : this.unreadControl + 1;
    if (this.unreadControl <= UNREAD_CONTROL_MAX) return undefined;
    const message = `${UNREAD_CONTROL_MAX} pings and pongs of WebSocket while nothing was read to its end`;
    return fault('limit-reached', message);
  }

  /** Refuses because all connections of the client together request more than a second's work. */
  crowded(client: string, nowMs: number): Fault {
    return this.refused(crowded(client, this.limits).message, nowMs);
  }

  /** The same for what sources send. */
  crowdedSource(client: string, nowMs: number): Fault {
    const { publishWorkPerSecond: most } = this.limits;
    const message = `${client} publishes and orders more than ${most} µs of work a second, over all its connections and requests; the frame was not read`;
    return this.refused(message, nowMs);
  }

  /** Whether the client ignores the refusals. */
  get isFlood(): boolean {
    return this.refusals > this.refusalsMax;
  }

  private bytesPerSecond(mayPublish: boolean): number {
    const { limits } = this;
    return mayPublish ? limits.publishBytesPerSecond : limits.bytesPerSecond;
  }

  private refused(message: string, nowMs: number): Fault {
    const forgiven = ((nowMs - this.refusedMs) * REFUSALS_PER_SECOND) / 1000;
    this.refusals = Math.max(0, this.refusals - forgiven) + 1;
    this.refusedMs = nowMs;
    return fault('limit-reached', message);
  }
}

/** A second's worth of the client's work waits already. */
export function crowded(client: string, { workPerSecond }: ShareLimits): Fault {
  const message = `${client} asks for more work than ${workPerSecond} µs a second, over all its connections and requests`;
  return fault('limit-reached', message);
}

/**
 * Why no further connection is accepted; undefined if it is.
 * @param address the client that the address counts as: for IPv6 the network
 * @param areKeys whether the server has keys; some sessions are then reserved for clients with a key
 */
export function tooManySessions(
  connections: Connections,
  limits: GatewayLimits,
  address: string,
  key: string | null,
  areKeys: boolean,
): Fault | undefined {
  const { sessionsMax, sessionsPerAddressMax, sessionsForKeysPercent } = limits;
  if (connections.size >= sessionsMax) {
    return fault('overloaded', `there are ${sessionsMax} sessions already`);
  }
  const kept = areKeys ? Math.floor((sessionsMax * sessionsForKeysPercent) / 100) : 0;
  if (key === null && connections.keyless >= sessionsMax - kept) {
    const message = `there are ${connections.keyless} sessions without a key already; ${kept} more are kept for those that show one`;
    return fault('overloaded', message);
  }
  if (connections.ofAddress(address) >= sessionsPerAddressMax) {
    return fault('limit-reached', `${address} has ${sessionsPerAddressMax} sessions already`);
  }
  return tooManyOfKey(connections, limits, key);
}

/** The same check for a key that is presented on an open connection. */
export function tooManyOfKey(
  connections: Connections,
  { sessionsPerKeyMax }: GatewayLimits,
  key: string | null,
): Fault | undefined {
  if (key === null || connections.ofKey(key) < sessionsPerKeyMax) return undefined;
  return fault('limit-reached', `the key ${key} has ${sessionsPerKeyMax} sessions already`);
}

/** Wraps an order stage: limits the commands per second of each owner. */
export function limitedOrders(stage: OrderStage, limits: GatewayLimits, clock: Clock): OrderStage {
  const rates = new Rates();
  const over = (owner: string): Fault | undefined => {
    const { ordersPerSecond } = limits;
    if (rates.take(owner, 1, ordersPerSecond, clock.monotonicMs())) return undefined;
    return fault('limit-reached', `more than ${ordersPerSecond} orders and cancels a second`);
  };
  return {
    setState: (owner, symbol, state) => stage.setState(owner, symbol, state),
    cancelAll: (owner) => stage.cancelAll(owner),
    find: (orderId) => stage.find(orderId),
    named: (owner, clientOrderId) => stage.named(owner, clientOrderId),
    openOf: (owner, after, limit) => stage.openOf(owner, after, limit),
    endedOf: (owner, before, limit) => stage.endedOf(owner, before, limit),
    definition: (symbol) => stage.definition(symbol),
    submit: async (owner, fields) => over(owner) ?? stage.submit(owner, fields),
    cancel: async (owner, target) => over(owner) ?? stage.cancel(owner, target),
    amend: async (owner, fields) => over(owner) ?? stage.amend(owner, fields),
  };
}

export interface RequestLimits {
  readonly requestsPerSecond: number;
  readonly localRequestsPerSecond: number;
  readonly waitingRequestsMax: number;
  readonly waitingRequestsPerClientMax: number;
  readonly pastQueriesPerClientMax: number;
}
