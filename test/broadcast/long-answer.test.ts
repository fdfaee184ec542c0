/** Long answers: made as they are read, so one that reads nothing holds little, and no turn makes much of it. */

import { expect, test } from 'bun:test';

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/session';
import { book, instrument, trade } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';

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
    book('snapshot', 2 * i + 2, 0, prices(1_000).reverse(), prices(2_000), { symbol: `S${i}`, crc: null }), // prettier-ignore
  ]).flat();
  broadcaster.hydrate(events, 2 * COUNT);
  const account = new ByteAccount({ clientBytesMax: 1e9, clientBytesPerClientMax: 1e9 });
  const told: Message[] = [];
  let pings = 0;
  const socket = socketWith({
    send: (data) => {
      for (const m of decodeFrame(data as Uint8Array)) if (!isFault(m)) told.push(m);
      return 1;
    },
    ping: () => (pings += 1),
  });
  const limits = { ...LIMITS, controlMessagesMax: 100_000 };
  const session = new Session('s', SUBPROTOCOL_MSGPACK, socket, broadcaster.encoders, limits, account.open('one')); // prettier-ignore
  broadcaster.enter(session);
  let ponged = 0;
  const pong = (): boolean => {
    if (ponged === pings) return false;
    ponged = pings;
    session.pong(clock.monotonicMs(), pings);
    return true;
  };
  return { broadcaster, session, told, pong, account };
}

test('one that reads nothing of ten thousand books holds kilobytes, and joins what it was sent', () => {
  const { broadcaster, session, told, account } = world();
  broadcaster.subscriptions.subscribe(session, 1, ['book:*'], 0);
  const books = told.filter(({ type }) => type === 'book').length;
  expect(books).toBeWithin(1, 1_000);
  expect(session.topics.size).toBeWithin(books, books + 10);
  expect(account.total).toBeLessThan(800_000); // eager, its messages took some twenty times as much
  session.gone();
  expect(account.total).toBe(0);
});

test('[S5] what happens while it is made is in a state, or follows it; and short messages go between', async () => {
  const { broadcaster, session, told, pong, account } = world();
  let done = 0;
  broadcaster.subscriptions.subscribe(session, 7, ['book:*', 'trade:*'], 0, () => void done++);
  await Bun.sleep(0); // trades are joined some at a time
  const late = `S${COUNT - 1}`;
  const change = book('delta', 2 * COUNT + 1, 2 * COUNT, [999, 5], [], { symbol: late, crc: null });
  const trades = trade({ symbol: late, seq: 2 * COUNT + 2, prevSeq: 0 });
  while (session.topics.size < COUNT) await Bun.sleep(0);
  broadcaster.accept({ lastSeq: 2 * COUNT + 2, events: [change, trades], executions: [] });
  session.send([{ type: 'ack', id: 8, seq: 1, repeated: null, waiting: null }]);
  let most = 0;
  for (let before = told.length; pong(); before = told.length) most = Math.max(most, told.length - before); // prettier-ignore
  await Bun.sleep(0);
  expect(done).toBe(1);
  expect(most).toBeLessThan(2_000); // of 20,001
  const at = (isIt: (m: Message) => boolean): number => told.findIndex(isIt);
  const acked = at((m) => m.type === 'ack' && m.id === 7);
  expect(told[acked]).toMatchObject({ seq: 2 * COUNT });
  expect(at((m) => m.type === 'ack' && m.id === 8)).toBeLessThan(acked);
  const states = told.filter((m) => m.type === 'book' && m.symbol === late);
  expect(states).toMatchObject([{ form: 'snapshot', seq: 2 * COUNT + 1 }]);
  expect(at((m) => m.type === 'trade')).toBeGreaterThan(acked);
  expect(session.isExpress).toBe(true);
  expect(account.ofKind.answers).toBe(0);
});
