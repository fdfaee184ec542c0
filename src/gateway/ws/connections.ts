/**
 * Connections: the open connections, by session name. The register supplies the figures that an operator
 * sees of each connection, and it is the only way for other parts to close one.
 * Bounded: by the limit on sessions; remembered flooding addresses, by `FLOODS_MAX`.
 */

import type { CloseReason } from '../../../protocol/codes';
import type { Nanos } from '../../../protocol/time';
import type { Clock } from '../../base/clock';
import type { SessionFigures } from '../../base/contracts/figures';
import type { Keyring } from '../auth/auth';
import type { Lapse, Principal } from '../auth/principal';
import { clientAt } from '../auth/addresses';
import type { ReceivedCounts } from './counts';

export interface OpenConnection {
  /** Name of the connection's session. */
  readonly name: string;
  /** The name that the client gives itself; null when it gives none. */
  readonly client: string | null;
  /** Name of the key that the client presented; null without one. */
  readonly key: string | null;
  /** Address of the client; behind a proxy, the address of the proxy. */
  readonly address: string;
  readonly connectedAt: Nanos;
  readonly figures: SessionFigures;
  readonly received: ReceivedCounts;
  /** `isHolding`: frames that were received wait to be processed. The socket is not read meanwhile. */
  readonly intake: { readonly isHolding: boolean };
  readonly principal: Principal;
  /**
   * Why a principal of this connection is no longer allowed: the current one or an earlier one
   * (authority.ts).
   */
  lapsed(): Lapse | undefined;
  /** Replaces the principal after its key has changed. */
  become(principal: Principal): void;
  topicNames(most: number): string[];
  /** Sends the reason, then closes the connection. */
  shut(reason: CloseReason): void;
}

/** How long an address is remembered after a flood. */
const FLOOD_MS = 10_000;
const FLOODS_MAX = 10_000;
/** Number of connections that one turn of the event loop checks. */
const CHECKS_A_TURN = 1_000;

export class Connections {
  private readonly open = new Map<string, OpenConnection>();
  /** Number of connections per address and per key. */
  private readonly addresses = new Map<string, number>();
  private readonly keyNames = new Map<string, number>();
  private keyed = 0;
  /** When a connection of an address was last closed for a flood; the oldest entry first. */
  private readonly floods = new Map<string, number>();
  private readonly clock: Clock;
  /** Connections that the current check has not reached yet. */
  private unchecked: Iterator<OpenConnection> = [].values();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  get size(): number {
    return this.open.size;
  }

  add(connection: OpenConnection): void {
    this.open.set(connection.name, connection);
    change(this.addresses, clientAt(connection.address), 1);
    this.countKey(connection.key, 1);
  }

  delete(name: string): void {
    const connection = this.open.get(name);
    if (connection === undefined) return;
    this.open.delete(name);
    change(this.addresses, clientAt(connection.address), -1);
    this.countKey(connection.key, -1);
  }

  /** An open connection has presented another key. */
  rekeyed(before: string | null, now: string | null): void {
    this.countKey(before, -1);
    this.countKey(now, 1);
  }

  private countKey(name: string | null, by: number): void {
    if (name === null) return;
    this.keyed += by;
    change(this.keyNames, name, by);
  }

  noteFlood(from: string): void {
    const address = clientAt(from);
    this.floods.delete(address);
    this.floods.set(address, this.clock.monotonicMs());
    for (const other of this.floods.keys()) {
      if (this.floods.size <= FLOODS_MAX && this.isRecent(other)) break;
      this.floods.delete(other);
    }
  }

  /** Whether a connection of this address was closed for a flood recently. */
  hasFlooded(address: string): boolean {
    return this.isRecent(clientAt(address));
  }

  private isRecent(address: string): boolean {
    const atMs = this.floods.get(address);
    return atMs !== undefined && this.clock.monotonicMs() - atMs < FLOOD_MS;
  }

  /** Number of connections that have not presented a key. */
  get keyless(): number {
    return this.open.size - this.keyed;
  }

  /** Number of connections of an address; for IPv6, of its network. */
  ofAddress(address: string): number {
    return this.addresses.get(clientAt(address)) ?? 0;
  }

  ofKey(name: string): number {
    return this.keyNames.get(name) ?? 0;
  }

  get(name: string): OpenConnection | undefined {
    return this.open.get(name);
  }

  /**
   * Closes two groups of connections: those with a key that was removed, has expired or lost permissions
   * (even if the client has presented another key since); and those without permissions that have not
   * presented a key within `helloMs`. A check of many connections spans several turns of the event loop. A
   * new check replaces one that is under way.
   */
  check(keys: Keyring, helloMs: number): void {
    this.unchecked = this.open.values();
    this.checkSome(this.unchecked, keys, helloMs);
  }

  private checkSome(round: Iterator<OpenConnection>, keys: Keyring, helloMs: number): void {
    const now = this.clock.now();
    for (let i = 0; i < CHECKS_A_TURN; i++) {
      if (round !== this.unchecked) return;
      const next = round.next();
      if (next.done === true) return;
      checkOne(next.value, keys, helloMs, now);
    }
    this.clock.turns.soon('watch', () => this.checkSome(round, keys, helloMs));
  }

  /** All connections, in the order in which they were opened. */
  all(): IterableIterator<OpenConnection> {
    return this.open.values();
  }
}

function checkOne(connection: OpenConnection, keys: Keyring, helloMs: number, now: Nanos): void {
  const { principal, connectedAt } = connection;
  const lapse = connection.lapsed();
  const renewed = keys.renewed(principal);
  if (lapse !== undefined) connection.shut(lapse);
  else if (principal.roles.size === 0 && now.since(connectedAt) > helloMs * 1e6) {
    connection.shut('unauthorized');
  } else if (renewed !== principal) connection.become(renewed);
}

function change(counts: Map<string, number>, name: string, by: number): void {
  const count = (counts.get(name) ?? 0) + by;
  if (count === 0) counts.delete(name);
  else counts.set(name, count);
}
