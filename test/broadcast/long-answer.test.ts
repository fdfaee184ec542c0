/**
 * Long answers are made while they are read: a session that reads nothing costs little memory, and a turn little
 * time.
 */

import { expect, test } from 'bun:test';

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { book, instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { until } from '../support/until';

const COUNT = 10_000;

function world() {
  const clock = new ManualClock();
  clock.advance(3_600e9);
  const options = { topicsMax: 100_000, sessionBoundary: 0 };
  const broadcaster = new Broadcaster(options, { publish: () => 1 }, clock);
  const prices = (from: number): number[] =>
    Array.from({ length: 10 }, (_, i) => [from + i * 7, 123_456_789 + i]).flat();
  const events = Array.from({ length: COUNT }, (_, i) => [
    instrument(`S${i}`, { seq: 2 * i + 1 }),
    book('snapshot', 2 * i + 2, 0, prices(1_000).reverse(), prices(2_000), {
      symbol: `S${i}`,
      crc: null,
    }),
  ]).flat();
  broadcaster.hydrate(events, 2 * COUNT);
  const account = new ByteAccount({ clientBytesMax: 1e9, clientBytesPerClientMax: 1e9 });
  const received: Message[] = [];
  let pings = 0;
  /** Native topics joined and left since the newest `turn`, the most in any turn, and all. */
  const changes = { now: 0, most: 0, all: 0 };
  const change = (): void => {
    changes.all += 1;
    changes.most = Math.max(changes.most, ++changes.now);
  };
  const turn = async (): Promise<void> => {
    changes.now = 0;
    await new Promise((resolve) => setImmediate(resolve));
  };
  const socket = socketWith({
    subscribe: change,
    unsubscribe: change,
    send: (data) => {
      for (const m of decodeFrame(data as Uint8Array)) if (!isFault(m)) received.push(m);
      return 1;
    },
    ping: () => (pings += 1),
  });
  const limits = { ...LIMITS, controlMessagesMax: 100_000 };
  const session = new Session(
    's',
    SUBPROTOCOL_MSGPACK,
    socket,
    broadcaster.encoders,
    limits,
    account.open('one'),
  );
  broadcaster.enter(session);
  let ponged = 0;
  const pong = (): boolean => {
    if (ponged === pings) return false;
    ponged = pings;
    session.pong(clock.monotonicMs(), pings);
    return true;
  };
  return { broadcaster, session, received, pong, account, clock, changes, turn };
}

test('a session that reads none of ten thousand books costs kilobytes, and joins only topics whose state it was sent', () => {
  const { broadcaster, session, received, account } = world();
  broadcaster.subscriptions.subscribe(session, 1, ['book:*'], 0);
  const books = received.filter(({ type }) => type === 'book').length;
  expect(books).toBeWithin(1, 1_000);
  expect(session.topics.size).toBeWithin(books, books + 10);
  expect(account.total).toBeLessThan(800_000); // if they were made at once, the messages would take about twenty times as much
  session.gone();
  expect(account.total).toBe(0);
});

test('[S5] changes during the answer are in a state or follow it; short messages are sent in between', async () => {
  const { broadcaster, session, received, pong, account } = world();
  let done = 0;
  broadcaster.subscriptions.subscribe(session, 7, ['book:*', 'trade:*'], 0, () => void done++);
  await Bun.sleep(0); // topics of trades are joined a few at a time
  const late = `S${COUNT - 1}`;
  const change = book('delta', 2 * COUNT + 1, 2 * COUNT, [999, 5], [], { symbol: late, crc: null });
  const trades = trade({ symbol: late, seq: 2 * COUNT + 2, prevSeq: 0 });
  await until(() => session.topics.size >= COUNT);
  broadcaster.accept({ lastSeq: 2 * COUNT + 2, events: [change, trades], executions: [] });
  session.send([{ type: 'ack', id: 8, seq: 1, repeated: null, waiting: null, shards: null }]);
  let most = 0;
  for (let before = received.length; pong(); before = received.length)
    most = Math.max(most, received.length - before);
  await until(() => session.isNative); // of many topics, some are joined in each turn
  expect(done).toBe(1);
  expect(most).toBeLessThan(2_000); // of 20,001
  const at = (isIt: (m: Message) => boolean): number => received.findIndex(isIt);
  const acked = at((m) => m.type === 'ack' && m.id === 7);
  expect(received[acked]).toMatchObject({ seq: 2 * COUNT });
  expect(at((m) => m.type === 'ack' && m.id === 8)).toBeLessThan(acked);
  const states = received.filter((m) => m.type === 'book' && m.symbol === late);
  expect(states).toMatchObject([{ form: 'snapshot', seq: 2 * COUNT + 1 }]);
  expect(at((m) => m.type === 'trade')).toBeGreaterThan(acked);
  expect(account.ofKind.answers).toBe(0);
});

test('a session on ten thousand topics joins and leaves its native topics over several turns', async () => {
  const { broadcaster, session, received, pong, clock, changes, turn } = world();
  broadcaster.subscriptions.subscribe(session, 1, ['trade:*'], 0);
  while (!session.isNative) {
    pong();
    await turn();
  }
  expect(changes.all).toBe(COUNT + 1); // and the topic of definitions
  // It falls behind: it does not answer a ping.
  session.mark(clock.monotonicMs());
  clock.advance(1_000e6);
  session.look(clock.monotonicMs());
  expect(session.isLagging).toBe(true);
  // Each new message is sent once and in order, whether its topic is still native or not.
  const late = trade({ symbol: `S${COUNT - 1}`, seq: 2 * COUNT + 1, prevSeq: 0 });
  broadcaster.accept({ lastSeq: 2 * COUNT + 1, events: [late], executions: [] });
  while (changes.all < 2 * COUNT + 1) await turn();
  while (!session.isNative) {
    pong();
    await turn();
  }
  expect(changes.all).toBe(3 * COUNT + 1);
  const left: number[] = [];
  expect(broadcaster.subscriptions.unsubscribe(session, ['trade:*'], () => void left.push(1))).toBe(
    undefined,
  );
  expect(left).toEqual([]);
  while (left.length === 0) await turn();
  expect(session.topics.size).toBe(0);
  expect(changes.all).toBe(4 * COUNT + 1);
  expect(changes.most).toBeWithin(500, 4_000);
  expect(received.filter(({ type }) => type === 'trade').length).toBeLessThan(2);
});

test('a thousand definitions go to each session in a few frames, before later messages of their topics', () => {
  const clock = new ManualClock();
  const published: string[] = [];
  const native = { publish: (topic: string) => published.push(topic) };
  const broadcaster = new Broadcaster({ topicsMax: 10, sessionBoundary: 0 }, native, clock);
  const limits = { ...LIMITS };
  const joined: string[] = [];
  const socket = socketWith({ subscribe: (topic) => void joined.push(topic) });
  const session = new Session('s', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, limits);
  broadcaster.enter(session);
  expect(broadcaster.subscriptions.subscribe(session, 1, ['trade:*'], 0)).toBe(undefined);
  const definitions = Array.from({ length: 1_000 }, (_, i) => instrument(`S${i}`, { seq: i + 1 }));
  const late = trade({ symbol: 'S999', seq: 1_001, prevSeq: 0 });
  broadcaster.accept({ lastSeq: 1_001, events: [...definitions, late], executions: [] });
  expect(joined).toHaveLength(1_001);
  const of = (topic: string): number => published.filter((name) => name === topic).length;
  expect(of('b:instrument')).toBeWithin(2, 30);
  expect(of('t:instrument')).toBeWithin(2, 60);
  expect(published.at(-1)).toBe('b:trade:S999');
});

test('a wildcard that is named a thousand times is expanded once', () => {
  const { broadcaster, session } = world();
  const { subscriptions } = broadcaster;
  let checked = 0;
  const count = <A extends unknown[], R>(of: object, name: string): void => {
    const own = (of as Record<string, (...args: A) => R>)[name]!.bind(of);
    Object.assign(of, { [name]: (...args: A) => ((checked += 1), own(...args)) });
  };
  count((subscriptions as unknown as { mirror: object }).mirror, 'all');
  const names = Array.from({ length: 1_000 }, () => 'trade:*');
  expect(subscriptions.subscribe(session, 1, names, 0)).toBe(undefined);
  expect(subscriptions.unsubscribe(session, names)).toBe(undefined);
  expect(checked).toBe(2);
  // A request for two hundred thousand topics is refused without expanding it.
  const bars = [
    'tick:*',
    'bar:*:1s',
    'bar:*:1m',
    'bar:*:5m',
    'bar:*:1h',
    'bar:*:1d',
    'stats:*',
    'book:*',
    'bbo:*',
    'trade:*',
  ].flatMap((name) => [name, name]);
  expect(subscriptions.subscribe(session, 2, bars, 0)?.code).toBe(undefined); // a hundred thousand are allowed here
});
