/** Session state: what an operator is told of a session, besides who it is. */

import type { SessionCounters } from './session-parts';

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
