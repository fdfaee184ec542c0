/** Session state: what an operator is told of a session, besides who it is. */

import type { Backlog } from './backlog';
import type { Flight } from './flight';
import type { Session } from './session';
import type { SessionCounters } from './session-parts';
import type { Wire } from './wire';

export interface SessionState extends SessionCounters {
  readonly form: 'msgpack' | 'json';
  readonly lane: 'express' | 'lagging';
  readonly topics: number;
  /** Frames to it since it came, without what WebSocket adds. */
  readonly sentBytes: number;
  readonly sentFrames: number;
  /** About what waits for it: in its backlog, and in its socket. */
  readonly waitingBytes: number;
  /** How long the oldest of that has waited; 0 when nothing waits outside the socket. */
  readonly lagMs: number;
  /** From the newest ping to its pong; null before the first. */
  readonly rttMs: number | null;
}

/** @param nowMs by the session's clock */
export function stateOf(
  session: Session,
  wire: Wire,
  backlog: Backlog,
  { rttMs }: Flight,
  nowMs: number,
): SessionState {
  const sinceMs = backlog.oldestMs;
  return {
    form: session.isText ? 'json' : 'msgpack',
    lane: session.isLagging ? 'lagging' : 'express',
    topics: session.topics.size,
    sentBytes: wire.sentBytes(),
    sentFrames: wire.sentFrames(),
    waitingBytes: session.waitingBytes,
    lagMs: sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs),
    rttMs,
    ...session.counters,
  };
}
