/** What is counted as waiting for readers: the log of a topic once, everything else for each session. */

import { expect, test } from 'bun:test';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { finished } from '../support/finished';
import { instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

const SESSIONS = 200;
const BUFFERED = 70_000;
const ROUNDS = 100;
const TRADES = 500;
/** Size of a trade, as the log counts it. */
const TRADE_BYTES = 80;

test('many slow readers share one topic: its log counts once in the total, and no session counts more than is held', () => {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(
    { topicsMax: 100, sessionBoundary: 0 },
    { publish: () => 1 },
    clock,
  );
  broadcaster.hydrate([instrument('SLOW', { seq: 1 })], 1);
  const sessions = Array.from({ length: SESSIONS }, (_, i) => {
    const socket = socketWith({ getBufferedAmount: () => BUFFERED });
    const session = new Session(`s${i}`, SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
    broadcaster.enter(session);
    broadcaster.subscriptions.subscribe(session, 1, ['trade:SLOW'], 0);
    session.look(0); // its socket holds data back: the session is slow from here on
    expect(session.isLagging).toBe(true);
    return session;
  });
  expect(finished(broadcaster.figures())).toMatchObject({
    logBytes: 0,
    bytes: SESSIONS * BUFFERED,
  });
  let seq = 1;
  for (let round = 0; round < ROUNDS; round++) {
    const events = Array.from({ length: TRADES }, () => {
      seq += 1;
      return trade({ symbol: 'SLOW', seq, prevSeq: seq === 2 ? 0 : seq - 1 });
    });
    broadcaster.accept({ lastSeq: seq, events, executions: [] });
  }
  const published = ROUNDS * TRADES * TRADE_BYTES;
  expect(published).toBeGreaterThan(2 * LIMITS.outboxBytesMax); // most of it has left the log
  const { logBytes, bytes } = finished(broadcaster.figures());
  expect(logBytes).toBeLessThanOrEqual(LIMITS.outboxBytesMax);
  expect(logBytes).toBeGreaterThan(LIMITS.outboxBytesMax - TRADE_BYTES);
  expect(bytes).toBe(logBytes + SESSIONS * BUFFERED);
  for (const session of sessions) {
    expect(session.state.waitingBytes).toBe(logBytes + BUFFERED);
  }
  // An answer belongs to one session alone.
  sessions[0]!.send([{ type: 'ack', id: 1, seq, repeated: null, waiting: null, shards: null }]);
  expect(finished(broadcaster.figures()).bytes - bytes).toBe(
    sessions[0]!.state.waitingBytes - sessions[1]!.state.waitingBytes,
  );
  for (const session of sessions) broadcaster.leave(session);
  expect(finished(broadcaster.figures())).toMatchObject({ logBytes: 0, bytes: 0 });
});
