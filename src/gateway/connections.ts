/**
 * Connections: who is connected now, by the name of its session; what an operator is shown of each, and
 * the one way in which others than the connection itself end it.
 * Bounded: by the sessions that the server takes.
 */

import type { CloseReason } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';

/** How a session does now; the broadcaster counts it. */
export interface SessionFigures {
  readonly form: 'msgpack' | 'json';
  readonly lane: 'express' | 'lagging';
  readonly topics: number;
  readonly sentBytes: number;
  readonly waitingBytes: number;
  readonly lagMs: number;
  /** Null before the first ping was answered. */
  readonly rttMs: number | null;
  readonly conflated: number;
  readonly dropped: number;
  readonly gaps: number;
  readonly lagged: number;
  readonly resets: number;
}

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
  topicNames(most: number): string[];
  /** Says why, and closes it. */
  shut(reason: CloseReason): void;
}

export class Connections {
  private readonly open = new Map<string, OpenConnection>();

  get size(): number {
    return this.open.size;
  }

  add(connection: OpenConnection): void {
    this.open.set(connection.name, connection);
  }

  delete(name: string): void {
    this.open.delete(name);
  }

  get(name: string): OpenConnection | undefined {
    return this.open.get(name);
  }

  /** In the order in which they came. */
  all(): IterableIterator<OpenConnection> {
    return this.open.values();
  }
}
