/**
 * A shutdown as sessions see it, over virtual sockets: each is notified, is sent what waits for it, and is closed
 * afterwards.
 */

import { expect, test } from 'bun:test';

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { DRAINED_A_TURN } from '../../src/broadcast/sessions/drain';
import { TopicState } from '../../src/broadcast/topics/mirror';
import { Session } from '../../src/broadcast/sessions/session';
import { at } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

function world() {
  const clock = new ManualClock();
  const options = { topicsMax: 100, sessionBoundary: 0 };
  const broadcaster = new Broadcaster(options, { publish: () => 1 }, clock);
  let count = 0;
  const enter = () => {
    const reader = { got: [] as Message[], pings: 0, buffered: 0, closed: [] as unknown[] };
    const socket = socketWith({
      send: (data) => {
        const items = decodeFrame(data as Uint8Array);
        return reader.got.push(...items.filter((item): item is Message => !isFault(item)));
      },
      ping: () => (reader.pings += 1),
      getBufferedAmount: () => reader.buffered,
      close: (code, reason) => void reader.closed.push([code, reason]),
    });
    const name = `s${++count}`;
    const session = new Session(name, SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
    broadcaster.enter(session);
    return { session, reader };
  };
  const turns: (() => void)[] = [];
  clock.turns.soon = (_kind, act) => void turns.push(act);
  /** @returns whether anything was waiting for a turn */
  const turn = (): boolean => {
    const acts = turns.splice(0);
    for (const act of acts) act();
    return acts.length > 0;
  };
  return { broadcaster, clock, enter, turn };
}

const CLOSED = [[1001, 'going-away']];

function trade(seq: number): Message {
  return {
    type: 'trade',
    symbol: 'ACME',
    seq,
    prevSeq: seq - 1,
    eventTime: at(seq),
    receiveTime: at(seq),
    price: 100,
    quantity: 1,
    aggressor: 'buy',
    tradeId: seq,
    timing: null,
  };
}

/** The types of the messages that were sent. */
function types(messages: readonly Message[]): string[] {
  return messages.map(({ type }) => type);
}

test('a session that has just connected does not count as one that stopped answering', () => {
  const { broadcaster, clock, enter } = world();
  clock.advance(3_600e9);
  enter();
  broadcaster.goAway(new Prng(7));
  broadcaster.look();
  expect(broadcaster.sessions.size).toBe(1);
});

test('each session is given an address of its own to go to', () => {
  const { broadcaster, enter } = world();
  const readers = Array.from({ length: 3 }, () => enter().reader);
  const urls = ['http://a', 'http://b', null];
  broadcaster.goAway(new Prng(7), () => urls.shift()!);
  expect(readers.map(({ got }) => got)).toMatchObject([
    [{ type: 'closing', url: 'http://a' }],
    [{ type: 'closing', url: 'http://b' }],
    [{ type: 'closing', url: null }],
  ]);
});

test('each session is given a time to reconnect, each at a different time', () => {
  const { broadcaster, enter } = world();
  const readers = Array.from({ length: 50 }, () => enter().reader);
  broadcaster.goAway(new Prng(7));
  const waits = readers.map(({ got }) => {
    expect(got).toMatchObject([{ type: 'closing', code: 1001, reconnect: true }]);
    const [closing] = got;
    return closing!.type === 'closing' ? closing!.retryMs : -1;
  });
  for (const ms of waits) expect(ms).toBeWithin(250, 501);
  expect(new Set(waits).size).toBeGreaterThan(30);
});

test('the more sessions there are, the longer the period over which they reconnect', () => {
  const { broadcaster, enter, turn } = world();
  const readers = Array.from({ length: 5_000 }, () => enter().reader);
  broadcaster.goAway(new Prng(7));
  while (turn());
  const waits = readers.map(({ got: [first] }) => (first!.type === 'closing' ? first!.retryMs : 0));
  // A thousand milliseconds for five thousand sessions: about five in each millisecond.
  expect(Math.max(...waits)).toBeWithin(1_200, 1_251);
  const soonest = waits.filter((ms) => ms < 350).length;
  expect(soonest).toBeWithin(400, 600);
});

test('a turn notifies and closes a bounded number of sessions; none is closed before it was notified', () => {
  const { broadcaster, enter, turn } = world();
  const entered = Array.from({ length: 1_000 }, () => enter());
  const received = (): number => entered.filter(({ reader }) => reader.got.length > 0).length;
  const closed = (): number => entered.filter(({ reader }) => reader.closed.length > 0).length;
  broadcaster.goAway(new Prng(7));
  expect(received()).toBe(DRAINED_A_TURN);
  for (const { session } of entered) session.pong(10);
  broadcaster.closeDrained(false);
  expect([received(), closed()]).toEqual([DRAINED_A_TURN, DRAINED_A_TURN]);
  broadcaster.closeDrained(false);
  expect(closed()).toBe(DRAINED_A_TURN);
  for (let before = received(); turn(); before = received()) {
    expect(received() - before).toBeLessThanOrEqual(DRAINED_A_TURN);
  }
  expect(received()).toBe(1_000);
  for (const { session } of entered) session.pong(20);
  for (let before = closed(); broadcaster.sessions.size > 0; before = closed()) {
    broadcaster.closeDrained(false);
    expect(closed() - before).toBe(DRAINED_A_TURN);
  }
});

test('a session that keeps up is closed when it has answered the ping after the last message', () => {
  const { broadcaster, enter } = world();
  const { session, reader } = enter();
  broadcaster.goAway(new Prng(7));
  expect(reader.pings).toBe(1);
  reader.buffered = 500;
  session.pong(10);
  broadcaster.closeDrained(false);
  expect(reader.closed).toEqual([]);
  reader.buffered = 0;
  broadcaster.closeDrained(false);
  expect([reader.closed, broadcaster.sessions.size]).toEqual([CLOSED, 0]);
});

test('messages that wait for an interval are sent at once', () => {
  const { broadcaster, enter } = world();
  const { session, reader } = enter();
  const topic = new TopicState('trade:ACME');
  session.join(topic, 60_000);
  topic.log!.append([trade(1), trade(2)], 0);
  broadcaster.goAway(new Prng(7));
  expect(types(reader.got)).toEqual(['closing', 'trade', 'trade']);
  session.pong(10);
  broadcaster.closeDrained(false);
  expect(reader.closed).toEqual(CLOSED);
});

test('a session that is behind gets the notice first, then everything that waits, window by window', () => {
  const { broadcaster, enter } = world();
  const { session, reader } = enter();
  const topic = new TopicState('trade:ACME');
  session.join(topic, 0);
  reader.buffered = 1e6;
  session.look(0);
  expect(session.isLagging).toBe(true);
  reader.buffered = 0;
  const trades = Array.from({ length: 1_000 }, (_, i) => trade(i + 1));
  topic.log!.append(trades, 0);
  broadcaster.goAway(new Prng(7));
  expect(reader.got).toEqual([]);
  let pongs = 0;
  while (reader.closed.length === 0) {
    expect(++pongs).toBeLessThan(100);
    session.pong(pongs * 10, reader.pings);
    broadcaster.closeDrained(false);
  }
  expect(pongs).toBeGreaterThan(1);
  expect(types(reader.got.slice(0, 2))).toEqual(['closing', 'trade']);
  const seqs = reader.got.flatMap((m) => (m.type === 'trade' ? [m.seq] : []));
  expect(seqs).toEqual(trades.map((_, i) => i + 1));
});

test('messages that wait for an interval are not sent ahead of a long answer', () => {
  const { broadcaster, enter } = world();
  const { session, reader } = enter();
  const topic = new TopicState('trade:ACME');
  session.join(topic, 60_000);
  const answer = Array.from({ length: 50_000 }, (_, i) => trade(i + 1));
  session.answer(
    [...answer, { type: 'ack', id: 1, seq: 50_000, repeated: null, waiting: null, shards: null }],
    0,
  );
  topic.log!.append([trade(50_001)], 0);
  broadcaster.goAway(new Prng(7));
  for (let pongs = 1; reader.closed.length === 0; pongs++) {
    expect(pongs).toBeLessThan(100);
    session.pong(pongs * 10, reader.pings);
    broadcaster.closeDrained(false);
  }
  expect(reader.pings).toBeGreaterThan(1);
  const seqs = reader.got.flatMap((m) => (m.type === 'trade' ? [m.seq] : []));
  expect(seqs).toEqual(Array.from({ length: 50_001 }, (_, i) => i + 1));
  expect(types(reader.got).indexOf('ack')).toBe(50_000);
});

test('when the time is over all sessions are closed, whatever still waits', () => {
  const { broadcaster, enter } = world();
  const { reader } = enter();
  broadcaster.goAway(new Prng(7));
  broadcaster.closeDrained(false);
  expect(reader.closed).toEqual([]);
  broadcaster.closeDrained(true);
  expect([reader.closed, broadcaster.sessions.size]).toEqual([CLOSED, 0]);
});
