/** Figures over all sessions and instruments are computed in steps, and stay correct and in order meanwhile. */

import { expect, test } from 'bun:test';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Status } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Mirror } from '../../src/broadcast/topics/mirror';
import { Session } from '../../src/broadcast/sessions/session';
import { Freshness } from '../../src/app/freshness';
import { at, instrument } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

/** No step looks at more entries than this. */
const AT_ONCE_MAX = 256;

/** @returns how many entries each step looked at, and the result */
function stepped<T>(work: Generator<unknown, T>, seen: () => number): [number[], T] {
  const steps: number[] = [];
  for (let before = 0; ; before = seen()) {
    const { done, value } = work.next();
    steps.push(seen() - before);
    if (done === true) return [steps, value];
  }
}

test('sessions are counted in steps, also while some of them leave', () => {
  const broadcaster = new Broadcaster(
    { topicsMax: 100, sessionBoundary: 0 },
    { publish: () => 1 },
    new ManualClock(),
  );
  let seen = 0;
  for (let i = 0; i < 1_000; i++) {
    const socket = socketWith({ getBufferedAmount: () => ((seen += 1), 7) });
    const session = new Session(`s${i}`, SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
    broadcaster.enter(session);
  }
  const [steps, all] = stepped(broadcaster.figures(), () => seen);
  expect(all).toEqual({ lagging: 0, logBytes: 0, bytes: 7_000 });
  expect(Math.max(...steps)).toBe(AT_ONCE_MAX);
  const some = broadcaster.figures();
  some.next();
  for (const session of [...broadcaster.sessions].slice(500)) broadcaster.leave(session);
  for (let step = some.next(); step.done !== true; step = some.next());
  expect(broadcaster.sessions.size).toBe(500);
});

test('feeds are counted in steps, and those that were silent longest are listed in order', () => {
  const clock = new ManualClock(at(100_000));
  let seen = 0;
  const feeds = Array.from({ length: 1_000 }, (_, i) => ({
    definition: { symbol: `F${i}` },
    get heardAt() {
      seen += 1;
      return at((i * 7_919) % 1_000);
    },
  }));
  const settings = { market: { feedStaleMs: 1, feedStaleIs: 'ready' }, instruments: [] };
  const fresh = new Freshness(() => feeds, clock, settings);
  const [steps, all] = stepped(fresh.figures(), () => seen);
  expect(all).toEqual({ instruments: 1_000, stale: 1_000, silenceMsMax: 100 });
  expect(Math.max(...steps)).toBe(AT_ONCE_MAX);
  const stale = fresh.stale()!;
  const expected = Array.from({ length: 20 }, (_, ms) => at(ms).toString());
  expect([stale.count, stale.feeds.map(({ since }) => since)]).toEqual([1_000, expected]);
});

test('statuses are listed in the order of their seq, also those restored at a start', () => {
  const mirror = new Mirror(0);
  const status = (symbol: string, seq: number): Status =>
    ({
      type: 'status',
      symbol,
      seq,
      prevSeq: 0,
      eventTime: at(seq),
      receiveTime: at(seq),
      state: 'open',
      reason: '',
    }) as unknown as Status;
  for (const symbol of ['A', 'B', 'C']) mirror.define(instrument(symbol, { seq: 1 }));
  const seqs = (): number[] => mirror.statuses(mirror.numberings.at(0)).map(({ seq }) => seq);
  // A start restores in the order of instruments, not of seqs.
  for (const [symbol, seq] of [
    ['A', 9],
    ['B', 4],
    ['C', 6],
  ] as const)
    mirror.apply(status(symbol, seq));
  expect(seqs()).toEqual([4, 6, 9]);
  mirror.apply(status('C', 10));
  expect(seqs()).toEqual([4, 9, 10]);
  mirror.apply(status('B', 11));
  expect(seqs()).toEqual([9, 10, 11]);
});
