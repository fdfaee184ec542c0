/**
 * One session over a virtual socket: what it is sent when it does not keep up, or is subscribed to very many
 * topics.
 */

import { expect, test } from 'bun:test';

import {
  decodeFrame,
  decodeTextFrame,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from '../../protocol/codec';
import type { Book, Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import type { Mirror } from '../../src/broadcast/topics/mirror';
import { Session } from '../../src/broadcast/sessions/session';
import type { Socket } from '../../src/broadcast/sessions/socket';
import { finished } from '../support/finished';
import { book, instrument } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

const OPTIONS = { topicsMax: 100_000, sessionBoundary: 0 };

/** @param keeps how many frames the backlog of its socket takes */
function enter(keeps: number, own: Partial<Socket> = {}) {
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, new ManualClock());
  const frames: Message[][] = [];
  const socket = socketWith({
    send: (data: string | Uint8Array) => {
      frames.push(decodeFrame(data as Uint8Array).filter((item) => !isFault(item)) as Message[]);
      return frames.length > keeps ? 0 : 1;
    },
    ...own,
  });
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.enter(session);
  return { broadcaster, session, frames };
}

test('nothing more is encoded for a session whose backlog is full, however much it asks for', () => {
  const { broadcaster, session, frames } = enter(2);
  for (let id = 1; id < 10; id++) {
    broadcaster.subscriptions.subscribe(session, id, ['status'], 0);
    expect(session.overrun).toBe(id > 2);
  }
  broadcaster.heartbeats.sendAll();
  expect(frames).toHaveLength(3);
});

test('a session that stops answering is closed once and reported once', () => {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, clock);
  let terminated = 0;
  // The close event arrives much later, if at all.
  const socket = socketWith({ getBufferedAmount: () => 1e6, terminate: () => (terminated += 1) });
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.enter(session);
  const ended: string[] = [];
  broadcaster.ended = ({ name }, reason) => void ended.push(`${name} ${reason}`);
  for (let s = 0; s < 60; s++) {
    broadcaster.look();
    clock.set(clock.now().plus(1e9));
  }
  expect([terminated, ended]).toEqual([1, ['s1 unresponsive']]);
  expect([broadcaster.lagged, finished(broadcaster.figures()).lagging]).toEqual([1, 0]);
});

test('[T7] heads that do not fit into one heartbeat are sent in several', () => {
  const { broadcaster, session, frames } = enter(1_000);
  broadcaster.hydrate(
    Array.from({ length: 7_000 }, (_, i) => instrument(`S${i}`, { seq: i })),
    1,
  );
  broadcaster.heartbeats.sendAll();
  const { mirror } = broadcaster as unknown as { mirror: Mirror };
  const topics = [...mirror.all()].flatMap((one) => Object.values(one.topics));
  for (const topic of topics) {
    session.join(topic, 0);
    topic.head += 1;
  }
  broadcaster.heartbeats.sendAll();
  broadcaster.heartbeats.sendAll();
  const heads = frames.flat().map((m) => (m.type === 'heartbeat' ? m.heads.length : -1));
  expect(heads[0]).toBe(0); // the first heartbeat
  expect(heads.slice(1, -1).reduce((sum, count) => sum + count, 0)).toBe(topics.length);
  expect(Math.max(...heads)).toBeLessThan(500); // few enough to fit into a frame
  expect(heads.at(-1)).toBe(0); // the third heartbeat: no head has moved
});

test('an operator sees how much waits for a session that is behind, and for how long', () => {
  const { broadcaster, session, frames } = enter(10, { getBufferedAmount: () => 70_000 });
  expect(session.state).toMatchObject({ lane: 'express', waitingBytes: 70_000, lagMs: 0 });
  session.look(1_000);
  session.send([{ type: 'ack', id: 1, seq: 1, repeated: null, waiting: null, shards: null }]);
  session.look(1_250);
  expect(session.state).toMatchObject({ lane: 'lagging', lagMs: 250, rttMs: null, lagged: 1 });
  expect(session.state.waitingBytes).toBeGreaterThan(70_000);
  expect([frames.length, session.state.sentBytes]).toEqual([0, 0]);
  session.pong(1_300);
  expect(session.state).toMatchObject({ lagMs: 0, rttMs: 300, waitingBytes: 70_000 });
  expect(session.state.sentBytes).toBe(
    broadcaster.encoders.binary.encode([
      { type: 'ack', id: 1, seq: 1, repeated: null, waiting: null, shards: null },
    ]).length,
  );
});

/** A server with a number of instruments, each with a book, and one reader that has not answered a ping yet. */
function enterMany(count: number, form: typeof SUBPROTOCOL_JSON | typeof SUBPROTOCOL_MSGPACK) {
  const clock = new ManualClock();
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, clock);
  const prices = (from: number): number[] =>
    Array.from({ length: 10 }, (_, i) => [from + i * 7, 123_456_789 + i]).flat();
  const symbols = Array.from({ length: count }, (_, i) => `S${i}`);
  const more = (symbol: string): Partial<Book> => ({ symbol, crc: null });
  const events = symbols.flatMap((symbol, i) => [
    instrument(symbol, { seq: 2 * i + 1 }),
    book('snapshot', 2 * i + 2, 0, prices(1_000_000).reverse(), prices(1_000_100), more(symbol)),
  ]);
  broadcaster.hydrate(events, 2 * count);
  const frames: { readonly bytes: number; readonly messages: Message[] }[] = [];
  let pings = 0;
  const socket = socketWith({
    send: (data: string | Uint8Array) => {
      const { scalesOf } = broadcaster.encoders;
      const items = typeof data === 'string' ? decodeTextFrame(data, scalesOf) : decodeFrame(data);
      frames.push({
        bytes: data.length,
        messages: items.filter((item) => !isFault(item)) as Message[],
      });
      return 1;
    },
    ping: () => (pings += 1),
  });
  const limits = { ...LIMITS, controlMessagesMax: 3 * count };
  const session = new Session('s1', form, socket, broadcaster.encoders, limits);
  broadcaster.enter(session);
  const change = (seq: number, symbol: string, prevSeq: number): void => {
    const delta = book('delta', seq, prevSeq, [999_999, seq], [], more(symbol));
    broadcaster.accept({ lastSeq: seq, events: [delta], executions: [] });
  };
  return { broadcaster, clock, session, frames, change, asked: () => pings };
}

test.each([SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const)(
  '[S4] the state of ten thousand books is sent in windows, each after the previous one was read (%s)',
  (form) => {
    const count = 10_000;
    const { broadcaster, clock, session, frames, change, asked } = enterMany(count, form);
    clock.set(clock.now().plus(3_600e9)); // a new session has no current time yet
    broadcaster.subscriptions.subscribe(session, 1, ['book:*'], 0);
    const sizes = (): number => frames.reduce((sum, { bytes }) => sum + bytes, 0);
    const first = [frames.length, asked(), sizes()];
    expect(sizes()).toBeWithin(32_768, 70_000); // the first window
    expect(asked()).toBe(frames.length + 1); // one ping after each frame, and one before all of them
    change(2 * count + 1, 'S5', 12);
    broadcaster.look();
    broadcaster.heartbeats.sendAll();
    expect([frames.length, asked(), sizes()]).toEqual(first); // nothing more until a pong proves that it was read
    expect(session.state).toMatchObject({ lane: 'express', lagged: 0 }); // this does not make it a slow session
    let rounds = 0;
    for (let at = 0; at < asked(); rounds++) {
      clock.set(clock.now().plus(20e6));
      const upTo = asked();
      while (at < upTo) session.pong(clock.monotonicMs(), ++at);
    }
    expect(rounds).toBeLessThan(form === SUBPROTOCOL_JSON ? 20 : 12); // the window grows
    change(2 * count + 2, 'S5', 2 * count + 1);
    expect(session.isNative).toBe(true);
    expect(session.counters).toEqual({ conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 });
    for (const { bytes } of frames) expect(bytes).toBeLessThanOrEqual(16_384);
    const messages = frames.flatMap((frame) => frame.messages);
    const books = messages.filter((m) => m.type === 'book');
    expect(messages.filter((m) => m.type === 'instrument')).toHaveLength(count);
    expect(books.slice(0, count).map(({ symbol }) => symbol)).toEqual(
      Array.from({ length: count }, (_, i) => `S${i}`),
    );
    // Changes made meanwhile follow the state and its answer.
    const tail = messages.slice(-2).map((m) => ('seq' in m ? [m.type, m.seq] : []));
    expect(tail).toEqual([
      ['ack', 2 * count],
      ['book', 2 * count + 1],
    ]);
  },
);

test.each([SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const)(
  '[T7] bytes of a heartbeat with many heads do not count for the window of an answer (%s)',
  (form) => {
    const { broadcaster, clock, session, frames, asked } = enterMany(2_000, form);
    clock.set(clock.now().plus(3_600e9));
    broadcaster.look();
    let at = 0;
    const pong = (): void => {
      while (at < asked()) session.pong(clock.monotonicMs(), ++at);
    };
    const ask = (): number => {
      const before = frames.length;
      broadcaster.subscriptions.subscribe(session, 1, ['trade:*'], 0);
      pong();
      return frames.length - before;
    };
    ask();
    const count = ask();
    for (const topic of session.topics.keys()) topic.head += 1;
    broadcaster.heartbeats.sendAll();
    pong();
    expect(ask()).toBeLessThan(2 * count);
  },
);

test('[W19] a reader that sends and never reads is closed; one that reads anything at all is not', () => {
  const clock = new ManualClock();
  clock.advance(3_600e9);
  const broadcaster = new Broadcaster(OPTIONS, { publish: () => 1 }, clock);
  const ended: string[] = [];
  broadcaster.ended = ({ name }, reason) => void ended.push(`${name} ${reason}`);
  const trade = (seq: number): Message => ({
    type: 'trade',
    symbol: 'ACME',
    seq,
    prevSeq: seq - 1,
    eventTime: clock.now(),
    receiveTime: clock.now(),
    price: 1,
    quantity: 1,
    aggressor: 'buy',
    tradeId: seq,
    timing: null,
  });
  const long = Array.from({ length: 5_000 }, (_, i) => trade(i + 1));
  const reader = (name: string) => {
    const it = { pings: 0, ponged: 0, buffered: 400_000 };
    const socket = socketWith({
      ping: () => (it.pings += 1),
      getBufferedAmount: () => it.buffered,
    });
    const limits = { ...LIMITS, pongMs: 3_000, controlMs: 3_000 };
    const session = new Session(name, SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, limits);
    broadcaster.enter(session);
    session.answer(long, clock.monotonicMs());
    return { it, session };
  };
  const deaf = reader('deaf');
  const slow = reader('slow'); // answers a ping every two seconds
  const held = reader('held'); // no pong yet, but its socket empties
  for (let second = 0; second < 60; second++) {
    clock.advance(1e9);
    deaf.session.pong(clock.monotonicMs(), Number.NaN); // a pong that answers no ping of the server
    deaf.session.send([{ type: 'pong', id: 1, time: clock.now(), serverTime: clock.now() }]); // it sends a request
    if (second % 2 === 0 && slow.it.ponged < slow.it.pings)
      slow.session.pong(clock.monotonicMs(), ++slow.it.ponged);
    held.it.buffered -= 1_000;
    broadcaster.look();
  }
  expect(ended).toEqual(['deaf unresponsive']);
});

test('a long batch of a topic is sent in several frames, with pings in between for sessions that keep up', () => {
  const published: number[] = [];
  const clock = new ManualClock();
  const native = { publish: (_: string, data: string | Uint8Array) => published.push(data.length) };
  const broadcaster = new Broadcaster(OPTIONS, native, clock);
  broadcaster.hydrate([instrument('ACME', { seq: 1 })], 1);
  let pings = 0;
  const socket = socketWith({ ping: () => (pings += 1) });
  const session = new Session('s1', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, LIMITS);
  broadcaster.enter(session);
  broadcaster.subscriptions.subscribe(session, 1, ['book:ACME'], 0);
  const events = Array.from({ length: 10_000 }, (_, i) =>
    book(i === 0 ? 'snapshot' : 'delta', i + 2, i === 0 ? 0 : i + 1, [100, i + 1], [], {
      symbol: 'ACME',
      crc: null,
    }),
  );
  broadcaster.accept({ lastSeq: 10_001, events, executions: [] });
  const bytes = published.reduce((sum, one) => sum + one, 0);
  expect(bytes).toBeGreaterThan(200_000);
  expect(Math.max(...published)).toBeLessThanOrEqual(16_384);
  expect(pings).toBeGreaterThanOrEqual(Math.floor(bytes / 65_536) - 1);
  expect(session.isNative).toBe(true);
});
