/** Flow control over virtual lines: no line is idle, and none holds much more than it can carry in a short time. */

import { describe, expect, test } from 'bun:test';

import { FlowControl } from '../../src/broadcast/sessions/flow-control';

const WINDOW_MAX = 2_097_152;
const FRAME = 16_384;

/**
 * Sends a number of bytes as a session does.
 * @returns how long it took, and the longest delay of a frame after the first window
 */
function send(bytes: number, bytesPerSecond: number, rttMs: number) {
  const flight = new FlowControl(WINDOW_MAX);
  const pongs: { readonly number: number; readonly atMs: number }[] = [];
  let nowMs = 1_000;
  let freeMs = nowMs;
  let left = bytes;
  let sentFirst = 0;
  let longestMs = 0;
  const put = (size: number): void => {
    freeMs = Math.max(freeMs, nowMs) + (size / bytesPerSecond) * 1_000;
    pongs.push({ number: flight.ping(size, nowMs), atMs: freeMs + rttMs });
    if (sentFirst > 65_536) longestMs = Math.max(longestMs, freeMs - nowMs);
    sentFirst += size;
  };
  put(0);
  for (;;) {
    for (let room = flight.roomBytes; room > 0 && left > 0;) {
      const size = Math.ceil(Math.min(FRAME, flight.windowBytes / 4, room, left));
      put(size);
      room -= size;
      left -= size;
    }
    const next = pongs.shift();
    if (next === undefined) break;
    nowMs = next.atMs;
    flight.pong(next.number, nowMs);
  }
  return { tookMs: freeMs - 1_000, longestMs, flight };
}

describe('a line of', () => {
  for (const pace of [2_000, 20_000, 200_000, 2_000_000, 20_000_000]) {
    for (const rttMs of [1, 50, 300]) {
      test(`${pace} bytes a second with a round trip of ${rttMs} ms`, () => {
        const bytes = Math.min(20 * pace, 50_000_000) + 500_000;
        const { tookMs, longestMs, flight } = send(bytes, pace, rttMs);
        const needsMs = (bytes / pace) * 1_000;
        // After the first window a frame is delayed by the target time at most, or by the smallest window.
        expect(longestMs).toBeLessThan(3_500 + (2 * FRAME * 1_000) / pace);
        // A few round trips are lost at the beginning; after that the line is never idle.
        const idealMs = Math.max(needsMs, (bytes / (WINDOW_MAX / 2)) * rttMs);
        expect(tookMs).toBeLessThan(1.15 * idealMs + 8 * rttMs);
        expect(flight.isEmpty).toBe(true);
        expect(flight.bytes).toBe(0);
      });
    }
  }
});

test('a pong that answers any ping counts as progress; a pong that answers none does not', () => {
  const flight = new FlowControl(WINDOW_MAX);
  const first = flight.ping(100, 1_000);
  const second = flight.ping(200, 1_010);
  flight.ping(300, 1_020);
  expect(flight.silentMs(6_000)).toBe(5_000);
  expect(flight.pong(Number.NaN, 6_000)).toBeUndefined();
  expect(flight.pong(99, 6_000)).toBeUndefined();
  expect([flight.silentMs(6_000), flight.bytes]).toEqual([5_000, 600]);
  flight.pong(second, 6_000); // this also answers the first ping
  expect([
    flight.silentMs(6_500),
    flight.bytes,
    flight.lateAtMs({ lagMs: 9_000, pongMs: 1e9 }),
  ]).toEqual([500, 300, 1_020 + 9_000 + 4_990]);
  expect(flight.pong(first, 7_000)).toBeUndefined();
  flight.pong(undefined, 7_000);
  expect([flight.isEmpty, flight.bytes, flight.silentMs(99_000)]).toEqual([true, 0, 0]);
});

test('a socket that holds back less than before counts as progress too, and nothing else does', () => {
  const flight = new FlowControl(WINDOW_MAX);
  flight.ping(100, 1_000);
  flight.look(50_000, 2_000);
  flight.look(50_000, 3_000);
  expect(flight.silentMs(3_000)).toBe(2_000);
  flight.look(49_000, 4_000);
  expect(flight.silentMs(4_500)).toBe(500);
  flight.look(60_000, 5_000);
  expect(flight.silentMs(5_000)).toBe(1_000);
});

/** Sends a ping after so many bytes, and gets its pong after so many milliseconds. */
function trip(flight: FlowControl, bytes: number, atMs: number, rttMs: number) {
  const number = flight.ping(bytes, atMs);
  return flight.pong(number, atMs + rttMs);
}

test('the fastest round trip is kept for ten seconds, then measured again with nothing else in flight', () => {
  const flight = new FlowControl(WINDOW_MAX);
  trip(flight, 0, 0, 5);
  expect(trip(flight, 20_000, 9_000, 205)).toBe('fair'); // slower by 200 ms
  flight.renew(9_500);
  expect([flight.wantsMeasure, flight.roomBytes > 0]).toEqual([false, true]);
  flight.ping(20_000, 11_000);
  flight.renew(11_000);
  // Nothing is sent until everything in flight was read; then a ping is sent alone.
  expect([flight.wantsMeasure, flight.roomBytes]).toEqual([false, 0]);
  expect(flight.pong(undefined, 11_300)).toBe('late');
  expect([flight.wantsMeasure, flight.roomBytes, flight.rttMinMs]).toEqual([true, 0, 5]);
  expect(trip(flight, 0, 11_300, 200)).toBe('soon');
  expect([flight.wantsMeasure, flight.rttMinMs]).toEqual([false, 200]);
  expect(flight.roomBytes).toBeGreaterThan(0);
  // A line that became faster is noticed at once.
  trip(flight, 20_000, 12_000, 30);
  expect(flight.rttMinMs).toBe(30);
  // Time that data waits on the line never counts as the delay of the line.
  for (let atMs = 13_000; atMs < 60_000; atMs += 1_000) trip(flight, 20_000, atMs, 400);
  expect(flight.rttMinMs).toBe(30);
});
