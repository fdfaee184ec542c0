/** Session state: the figures of one session, for operators. */

import type { SessionFigures } from '../base/contracts/figures';
import type { Backlog } from './backlog';
import type { Flight } from './flight';
import type { Session } from './session';
import type { Wire } from './wire';

/** @param nowMs by the session's clock */
export function stateOf(
  session: Session,
  wire: Wire,
  backlog: Backlog,
  { rttMs }: Flight,
  nowMs: number,
): SessionFigures {
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
