/**
 * Connections: who is connected now, by the name of its session; what an operator is shown of each, and
 * the one way in which others than the connection itself end it.
 * Bounded: by the sessions that the server takes; of addresses that flood it, by `FLOODS_MAX`.
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
  /** Name of its session. */
  readonly name: string;
  /** What the client calls itself; null when it does not say. */
  readonly client: string | null;
  /** Name of the key that it presented; null without one. */
  readonly key: string | null;
  /** Whom it comes from; behind a proxy, the proxy. */
  readonly address: string;
  readonly connectedAt: Nanos;
  readonly figures: SessionFigures;
  readonly received: ReceivedCounts;
  /** Whether it has sent what is not read yet; meanwhile nothing more is read of it. */
  readonly intake: { readonly isHolding: boolean };
  readonly principal: Principal;
  /** Why somebody for whom it acts may not any more: who showed a key last, or asked before that. */
  lapsed(): Lapse | undefined;
  /** Its key has changed. */
  become(principal: Principal): void;
  topicNames(most: number): string[];
  /** Says why, and closes it. */
  shut(reason: CloseReason): void;
}

/** So long an address is known for a flood. */
const FLOOD_MS = 10_000;
const FLOODS_MAX = 10_000;
/** So many connections are checked in a turn of the event loop. */
const CHECKS_A_TURN = 1_000;

export class Connections {
  private readonly open = new Map<string, OpenConnection>();
  /** How many there are of each address and each key. */
  private readonly addresses = new Map<string, number>();
  private readonly keyNames = new Map<string, number>();
  private keyed = 0;
  /** When a connection of an address was last closed for a flood; the longest ago first. */
  private readonly floods = new Map<string, number>();
  private readonly clock: Clock;
  /** Those that the newest check has yet to look at. */
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

  /** An open connection has shown another key. */
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

  /** Whether a connection of this address was closed for a flood just now. */
  hasFlooded(address: string): boolean {
    return this.isRecent(clientAt(address));
  }

  private isRecent(address: string): boolean {
    const atMs = this.floods.get(address);
    return atMs !== undefined && this.clock.monotonicMs() - atMs < FLOOD_MS;
  }

  /** Those that have not shown a key. */
  get keyless(): number {
    return this.open.size - this.keyed;
  }

  /** Of IPv6: of its network. */
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
   * Closes those of whose keys one is no more, or has expired, or goes for less than it did, though
   * another was shown since; and those that may do nothing and have not shown a key in `helloMs`. Of many
   * some in a turn of the event loop; a later check takes the place of one that is under way.
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

  /** In the order in which they came. */
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
