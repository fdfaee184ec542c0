/**
 * Sessions: lists, describes and closes WebSocket sessions for an operator.
 * Bounded: topic names of one answer (`TOPIC_NAMES_MAX`).
 */

import { CLOSES, fieldFault, type Fault } from '../../../protocol/codes';
import type { Clock } from '../../base/clock';
import type { Connections, OpenConnection } from '../ws/connections';

const TOPIC_NAMES_MAX = 1_000;

export class Sessions {
  private readonly connections: Connections;
  private readonly clock: Clock;

  constructor(connections: Connections, clock: Clock) {
    this.connections = connections;
    this.clock = clock;
  }

  /**
   * `{total, sessions, next}`, the longest connected first.
   * @param after name of the session before the first one of the page
   */
  list(limit: number, after: string | undefined): string | Fault {
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
  session(name: string): string | Fault {
    const found = this.find(name);
    if ('code' in found) return found;
    return JSON.stringify({
      ...this.reportOf(found),
      topicNames: found.topicNames(TOPIC_NAMES_MAX),
    });
  }

  /** Closes a session; its client learns that an operator did, and that it is not to reconnect. */
  close(name: string): string | Fault {
    const found = this.find(name);
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

  private find(name: string): OpenConnection | Fault {
    const expected = 'the name of a session that is connected';
    return this.connections.get(name) ?? fieldFault('session', name, expected, 'unknown-session');
  }
}

/** Names carry a number, which grows with each new session. */
function numberOf(name: string): number | undefined {
  return /^s\d{1,15}$/.test(name) ? Number(name.slice(1)) : undefined;
}
