/**
 * Admin: what an operator does over REST, with the role `admin`: sessions are listed, looked at one by
 * one, closed; instruments are defined, deleted, and their numbering is reset.
 * Bounded: sessions of one answer (`limit`), names of topics of one session (`TOPIC_NAMES_MAX`).
 */

import { CLOSES, fieldFault, type Fault } from '../../../protocol/codes';
import type { Clock } from '../../base/clock';
import { integer } from './answer';
import { mayNot, type Principal } from '../auth/auth';
import { objectOf } from './body';
import type { Connections, OpenConnection } from '../ws/connections';
import type { Query } from './query';

const SESSIONS_MAX = 10_000;
const SESSIONS = 1_000;
const TOPIC_NAMES_MAX = 1_000;

/** What defining takes of the market. */
export interface Definer {
  /** Defines what the fields say; resolves to its symbol when the journal has it. */
  define(fields: unknown): Promise<string | Fault>;
  /** The instrument as it is asked for over REST. */
  instrument(symbol: string): string | Fault;
  /** The numbers of its source begin anew; resolves to the newest seq when the journal has it. */
  renumber(symbol: string): Promise<number | Fault>;
  /** It counts as not there; resolves to the newest seq when the journal has it. */
  delete(symbol: string): Promise<number | Fault>;
}

export class Admin {
  private readonly connections: Connections;
  private readonly definer: Definer;
  private readonly clock: Clock;

  constructor(connections: Connections, definer: Definer, clock: Clock) {
    this.connections = connections;
    this.definer = definer;
    this.clock = clock;
  }

  /** @param body JSON: an instrument as under `[[instruments]]` @returns it, as it then stands */
  async define(principal: Principal, body: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const read = objectOf(body);
    if ('code' in read) return read;
    const symbol = await this.definer.define(read.object);
    return typeof symbol === 'string' ? this.definer.instrument(symbol) : symbol;
  }

  /** Has the numbers of an instrument's source begin anew, for one that does not say so itself. */
  async renumber(principal: Principal, symbol: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const seq = await this.definer.renumber(symbol);
    return typeof seq === 'number' ? JSON.stringify({ symbol, seq }) : seq;
  }

  /** Deletes an instrument that is fed; its past stays. */
  async delete(principal: Principal, symbol: string): Promise<string | Fault> {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const seq = await this.definer.delete(symbol);
    return typeof seq === 'number' ? JSON.stringify({ symbol, seq }) : seq;
  }

  /**
   * `{total, sessions, next}`, the longest connected first.
   * @param query `limit`: at most so many; `next`: goes on behind a page
   */
  list(principal: Principal, query: Query): string | Fault {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const limit = integer('limit', query['limit'], SESSIONS, SESSIONS_MAX);
    if (typeof limit !== 'number') return limit;
    const after = query['next'];
    const number = after === undefined ? 0 : numberOf(after);
    if (number === undefined) return fieldFault('next', after, 'the next of an answer');
    const sessions: object[] = [];
    let next: string | null = null;
    for (const connection of this.connections.all()) {
      if (numberOf(connection.name)! <= number) continue;
      if (sessions.push(this.reportOf(connection)) < limit) continue;
      next = connection.name;
      break;
    }
    return JSON.stringify({ total: this.connections.size, sessions, next });
  }

  /** One session, with the names of its topics. */
  session(principal: Principal, name: string): string | Fault {
    const found = this.find(principal, name);
    if ('code' in found) return found;
    return JSON.stringify({
      ...this.reportOf(found),
      topicNames: found.topicNames(TOPIC_NAMES_MAX),
    });
  }

  /** Closes it; it is told that an operator did, and not to come back. */
  close(principal: Principal, name: string): string | Fault {
    const found = this.find(principal, name);
    if ('code' in found) return found;
    const reason = 'closed-by-operator';
    found.shut(reason);
    return JSON.stringify({ name: found.name, ...CLOSES[reason], reason });
  }

  private reportOf(connection: OpenConnection): Record<string, unknown> {
    const { name, client, key, address, connectedAt, figures, received } = connection;
    const { rttMs, lagMs } = figures;
    return {
      name,
      client,
      key,
      address,
      connectedAt: connectedAt.toString(),
      ageMs: Math.round(this.clock.now().since(connectedAt) / 1e6),
      ...figures,
      lagMs: Math.round(lagMs),
      rttMs: rttMs === null ? null : Math.round(rttMs * 1000) / 1000,
      receivedFrames: received.frames,
      receivedBytes: received.bytes,
      receivedMessages: received.messages,
      refused: received.refused,
    };
  }

  private find(principal: Principal, name: string): OpenConnection | Fault {
    const refused = mayNot(principal, 'admin');
    if (refused !== undefined) return refused;
    const expected = 'the name of a session that is connected';
    return this.connections.get(name) ?? fieldFault('session', name, expected, 'unknown-session');
  }
}

/** Names are numbered in the order in which sessions came. */
function numberOf(name: string): number | undefined {
  return /^s\d{1,15}$/.test(name) ? Number(name.slice(1)) : undefined;
}
