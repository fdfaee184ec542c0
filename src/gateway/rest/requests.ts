/**
 * Requests: how many a client may send in a second and have waiting at once, and the refusals beyond that.
 * A client is a key; without one an address (of IPv6 the network of 64 bits that a customer has).
 *
 * Looking up an address costs half as much as an answer. So while no client exceeds its rate, only one request in
 * `STRIDE` is checked, and counts as `STRIDE` requests. While a client exceeds its rate, every request is checked.
 * An immediate refusal would not slow a flood down, so refusals are delayed: a connection waits for its answers.
 * Bounded: delayed refusals (`HELD_MAX`), clients by the activity of some seconds.
 */

import { fault, type Fault } from '../../../protocol/codes';
import type { ByteAccount, Meter } from '../../base/byte-account';
import type { Clock } from '../../base/clock';
import { Counts } from '../../base/counts';
import { Rates } from '../../base/rate';
import { clientAt, isLocal } from '../auth/addresses';
import { Lanes } from '../ws/lanes';
import { crowded } from '../auth/limits';
import { refusal } from './responses';
import type { Share, ShareLimits, Shares } from '../auth/shares';
import { WORK } from '../auth/work';
import type { RequestLimits } from '../auth/limits';

/** Queries of one client that the history thread has at once; others wait in line. */
const LANES_A_CLIENT = 2;

const STRIDE = 16;
/** One request counts for sixteen only if sixteen are a small part of a second's allowance. */
const STRIDE_PER_SECOND_MIN = 64 * STRIDE;
const WATCH_MS = 2_000;
const HELD_MS = 100;
const HELD_MAX = 1_024;

export class Requests {
  private readonly limits: RequestLimits & ShareLimits;
  private readonly clock: Clock;
  private readonly addressOf: (request: Request) => string;
  private readonly addresses = new Rates();
  private readonly keys = new Rates();
  private readonly keyOf = new WeakMap<Request, string>();
  private readonly shares: Shares;
  private readonly waiting = new Counts();
  private readonly past = new Counts();
  private readonly lanes = new Lanes(LANES_A_CLIENT);
  /** Counts down to the next request that is checked, which counts as `stride` requests. */
  private unseen = 1;
  private stride = 1;
  private refusedMs = -Infinity;
  private held = 0;

  /** @param addressOf the address that a request comes from; empty if unknown */
  constructor(
    limits: RequestLimits & ShareLimits,
    shares: Shares,
    clock: Clock,
    addressOf: (request: Request) => string,
  ) {
    this.limits = limits;
    this.shares = shares;
    this.clock = clock;
    this.addressOf = addressOf;
  }

  /** Called for every request. @returns the refusal, if its address exceeds its rate */
  admit(request: Request): Promise<Response> | undefined {
    if (--this.unseen > 0) return undefined; // as for nearly all requests
    return this.look(request);
  }

  /** A request whose key is valid. @returns the refusal, if the key exceeds its rate */
  admitKey(request: Request, key: string): Promise<Response> | undefined {
    this.keyOf.set(request, key);
    const { requestsPerSecond } = this.limits;
    if (this.keys.take(key, 1, requestsPerSecond, this.clock.monotonicMs())) return undefined;
    const message = `the key ${key} sends more than ${requestsPerSecond} requests a second`;
    return this.refused(request, message);
  }

  /** Refuses a request whose key is invalid. If its client has caused much work, the refusal is delayed. */
  async unknown(request: Request, refused: Fault): Promise<Response> {
    const share = this.shares.ofStranger(this.clientOf(request));
    share.spend(WORK.unknown);
    if (share.isOver) await this.hold();
    return refusal(request, refused);
  }

  /** Runs what waits for the market or for a body. @param key of the request; null: without one */
  async wait<T>(
    request: Request,
    key: string | null,
    act: () => T | Promise<T>,
  ): Promise<T | Fault> {
    const client = key ?? this.clientOf(request);
    const { waitingRequestsMax, waitingRequestsPerClientMax } = this.limits;
    if (this.waiting.size >= waitingRequestsMax) {
      return fault('overloaded', `${waitingRequestsMax} requests are waiting already`);
    }
    if (this.waiting.of(client) >= waitingRequestsPerClientMax) {
      const message = `${client} has ${waitingRequestsPerClientMax} requests waiting already`;
      return fault('limit-reached', message);
    }
    return this.waiting.during(client, act);
  }

  /** Runs a query of the past. The journal bounds their total number. */
  async waitForPast<T>(request: Request, act: () => T | Promise<T>): Promise<T | Fault> {
    const client = this.client(request);
    const { pastQueriesPerClientMax } = this.limits;
    if (this.past.of(client) >= pastQueriesPerClientMax) {
      const message = `${client} has ${pastQueriesPerClientMax} queries of the past under way already`;
      return fault('limit-reached', message);
    }
    return this.past.during(client, () => this.lanes.during(client, act));
  }

  /** Notes the key of a request that needs none. */
  note(request: Request, key: string): void {
    this.keyOf.set(request, key);
  }

  /**
   * Does work in the share of its client: a client that has requested much waits for its turn.
   * @param least least work of it, in microseconds
   * @param bytes work of each byte of the answer
   */
  async weighed(
    request: Request,
    least: number,
    bytes: number,
    act: (spend: (work: number) => void) => string | Fault | Promise<string | Fault>,
  ): Promise<string | Fault> {
    const key = this.keyOf.get(request);
    const client = key ?? this.clientOf(request);
    const share = this.shareOf(key, client);
    const turn = share.turn(least);
    if (turn !== true && !(await turn)) return crowded(client, this.limits);
    const answer = await act((work) => share.spend(work));
    if (typeof answer === 'string') share.spend(answer.length * bytes);
    return answer;
  }

  /** Resolves when events of a request may be published, after what else its client publishes. */
  line(request: Request, work: number): Promise<void> {
    const key = this.keyOf.get(request) ?? null;
    return this.shares.ofSource(key, key ?? this.clientOf(request)).line(work);
  }

  /** Counts the work of sending a long answer that is reused. */
  sends(request: Request, work: number): void {
    const key = this.keyOf.get(request);
    this.shareOf(key, key ?? this.clientOf(request)).spend(work);
  }

  private shareOf(key: string | undefined, client: string): Share {
    return key === undefined ? this.shares.ofStranger(client) : this.shares.ofKey(key);
  }

  /** The valid key of a request. */
  keyIn(request: Request): string | undefined {
    return this.keyOf.get(request);
  }

  /** The client of a request: its valid key, or its address. */
  client(request: Request): string {
    return this.keyOf.get(request) ?? this.clientOf(request);
  }

  /** Opens a meter that counts what is held for a request. */
  meterOf(request: Request, account: ByteAccount): Meter {
    return account.open(this.client(request), undefined, !this.keyOf.has(request));
  }

  private look(request: Request): Promise<Response> | undefined {
    const address = this.clientOf(request);
    const { requestsPerSecond, localRequestsPerSecond } = this.limits;
    const perSecond = isLocal(address) ? localRequestsPerSecond : requestsPerSecond;
    const nowMs = this.clock.monotonicMs();
    const isTaken = this.addresses.take(address, this.stride, perSecond, nowMs);
    if (!isTaken) this.refusedMs = nowMs;
    const isWatching = nowMs - this.refusedMs < WATCH_MS;
    const least = Math.min(requestsPerSecond, localRequestsPerSecond);
    this.stride = isWatching || least < STRIDE_PER_SECOND_MIN ? 1 : STRIDE;
    this.unseen = this.stride;
    if (isTaken) return undefined;
    const message = `${address} sends more than ${perSecond} requests a second`;
    return this.refused(request, message);
  }

  private clientOf(request: Request): string {
    return clientAt(this.addressOf(request));
  }

  private async refused(request: Request, message: string): Promise<Response> {
    await this.hold();
    return refusal(request, fault('limit-reached', message));
  }

  private async hold(): Promise<void> {
    if (this.held >= HELD_MAX) return;
    this.held += 1;
    await new Promise((resolve) => setTimeout(resolve, HELD_MS));
    this.held -= 1;
  }
}
