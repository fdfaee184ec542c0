/** Held frames: how much of a source is read at once, and what happens to the rest. */

import { describe, expect, test } from 'bun:test';

import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import { HeldFrames } from '../../src/gateway/ws/held-frames';
import { Shares, type Share } from '../../src/gateway/auth/shares';

const MS = 1_000_000; // in nanoseconds
const LIMITS = { workPerSecond: 150_000, publishWorkPerSecond: 500_000 };

function scene({ crowded = new Set<string>(), bytesMax = 1e9 } = {}) {
  const clock = new ManualClock();
  const shares = new Shares(LIMITS, clock, (client) => crowded.has(client));
  const account = new ByteAccount({
    clientBytesMax: 2 * bytesMax,
    clientBytesPerClientMax: bytesMax,
  });
  const read: string[] = [];
  const source = (key: string) => {
    const share = shares.ofSource(key, key);
    const socket = { isPaused: false, pauses: 0, pause: () => {}, resume: () => {} };
    socket.pause = () => {
      socket.isPaused = true;
      socket.pauses += 1;
    };
    socket.resume = () => (socket.isPaused = false);
    const held = new HeldFrames(
      () => share,
      (data) => read.push(data as string),
    );
    const meter = account.open(key);
    held.open(socket, meter);
    const send = (name: string, bytes = 100) => held.take(name, bytes);
    return { share, socket, held, meter, send };
  };
  return { clock, read, source, account };
}

/** What a tick of the shares does. */
function tick(clock: ManualClock, ...shares: readonly Share[]): void {
  clock.advance(MS);
  for (const share of shares) share.run();
}

test.each([
  ['frames of one event', 20, 1, 120],
  ['frames of ten events', 2, 10, 900],
  ['frames of ten books as JSON', 2, 10, 3_400],
  ['a second of it at once, in frames of 1,000', 20, 1_000, 26_000],
])('20,000 events a second of one key are read as they come: %s', (_, frames, events, bytes) => {
  const { clock, source, read } = scene();
  const { share, socket, send } = source('feed');
  const isAtOnce = events === 1_000;
  for (let ms = 0; ms < 3_000; ms++) {
    tick(clock, share);
    if (isAtOnce && ms % 1_000 > 0) continue;
    for (let i = 0; i < frames; i++) {
      expect(send('x', bytes)).toBeUndefined();
      share.spend(2 * events);
    }
  }
  expect(read.length).toBe(isAtOnce ? 3 * frames : 3_000 * frames);
  if (!isAtOnce) expect(socket.pauses).toBe(0);
});

test('a heavy sender gets a share of each millisecond; the rest waits in order, and its socket is paused', () => {
  const { clock, source, read, account } = scene();
  const { share, socket, send } = source('flood');
  for (let i = 0; i < 1_000; i++) expect(send(String(i), 10_000)).toBeUndefined();
  // Each costs 158 µs, so at most three may have passed in the first millisecond.
  expect([socket.isPaused, read.length < 14]).toEqual([true, true]);
  expect(account.of('flood')).toBe((1_000 - read.length) * (10_000 + 256));
  for (let ms = 0; ms < 100; ms++) tick(clock, share);
  const slowed = read.length;
  for (let ms = 0; ms < 100; ms++) tick(clock, share);
  expect(read.length - slowed).toBeGreaterThan(250);
  expect(read.length - slowed).toBeLessThan(450);
  for (let ms = 0; ms < 1_000; ms++) tick(clock, share);
  expect(read).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)));
  expect([socket.isPaused, account.of('flood')]).toEqual([false, 0]);
});

test('330 sessions of one key get no more than one session of another key, and each gets its turn', () => {
  const { clock, source, read } = scene();
  const flood = Array.from({ length: 330 }, () => source('flood'));
  const other = source('other');
  for (const [i, { send }] of flood.entries()) for (let k = 0; k < 10; k++) send(`f${i}`, 1_000);
  for (let k = 0; k < 40; k++) other.send('o', 1_000);
  const before = read.length;
  for (let ms = 0; read.filter((name) => name === 'o').length < 40; ms++) {
    expect(ms).toBeLessThan(10);
    tick(
      clock,
      ...(ms % 2 === 0 ? [flood[0]!.share, other.share] : [other.share, flood[0]!.share]),
    );
  }
  const those = read.slice(before).filter((name) => name !== 'o');
  expect(those.length).toBeLessThan(4 * 40);
  // One piece of each session before a second of any.
  const perSession = Map.groupBy(those, (name) => name);
  expect(Math.max(...[...perSession.values()].map(({ length }) => length))).toBeLessThanOrEqual(4);
});

test('a client with too much waiting is not read at all', () => {
  const crowded = new Set(['flood']);
  const { clock, source, read } = scene({ crowded });
  const [flood, other] = [source('flood'), source('other')];
  flood.send('f');
  other.send('o');
  tick(clock, flood.share, other.share);
  expect([read, flood.socket.isPaused]).toEqual([['o'], true]);
  crowded.clear();
  tick(clock, flood.share);
  expect([read, flood.socket.isPaused]).toEqual([['o', 'f'], false]);
});

describe('too much is refused', () => {
  test('when more than two seconds of work wait, except for a connection that has little waiting', () => {
    const { source } = scene();
    const [flood, modest] = [source('flood'), source('flood')];
    let taken = 0;
    while (flood.send('f', 100_000) === undefined) taken += 1;
    expect(flood.send('f', 100_000)).toBe('crowded');
    expect(taken).toBeGreaterThan(600);
    expect(taken).toBeLessThan(700);
    for (let i = 0; i < 16; i++) expect(modest.send('m', 100)).toBeUndefined();
    expect(modest.send('m', 100)).toBe('crowded');
  });

  test('when the memory budget is used up', () => {
    const { source } = scene({ bytesMax: 1_000_000 });
    const { send } = source('flood');
    const why = Array.from({ length: 100 }, () => send('f', 50_000));
    expect(why.at(-1)).toBe('no-room');
  });
});

test('a connection that ends leaves nothing behind', () => {
  const { clock, source, read, account } = scene();
  const { share, socket, held, send } = source('flood');
  for (let i = 0; i < 100; i++) send('x', 10_000);
  const before = read.length;
  held.clear();
  for (let ms = 0; ms < 100; ms++) tick(clock, share);
  expect([read.length, socket.isPaused, account.of('flood'), share.hasTasks]).toEqual([
    before,
    false,
    0,
    false,
  ]);
});
