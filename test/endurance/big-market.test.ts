/** The big market at a small size: the harness measures what it says. */

import { expect, test } from 'bun:test';

import { bigMarket } from './big-market';
import { slopeMbPerHour, turnBuckets, turnsBetween } from './big-market-figures';
import { testDeep } from '../support/tier';

testDeep('readers have every message, and a journal that was killed is sound', async () => {
  const report = await bigMarket({
    seconds: 3,
    instruments: 60,
    levels: 40,
    sessions: 30,
    topics: 10,
    rate: 400,
    readers: 2,
    sources: 2,
    sampleEvery: 5,
    durability: 'async',
    sampleSeconds: 1,
    verifySeconds: 60,
  });
  const { readers, source, verify, turns, turnsCpu, recovery, cost } = report;
  expect(readers).toMatchObject({ sessions: 30, holes: 0, repeated: 0, wrong: 0, errors: 0 });
  expect(readers.messages).toBeGreaterThan(300);
  expect(readers.checked).toBeGreaterThan(30);
  expect(readers.latency.messages).toBeGreaterThan(0);
  expect(source.refused).toEqual({});
  expect(source.acknowledged).toBe(source.events);
  expect(turns['batch']!.count).toBeGreaterThan(0);
  expect(turnsCpu['batch']!.count).toBeGreaterThan(0);
  expect(cost.cpuUsPerEvent).toBeGreaterThan(0);
  expect(cost.eventsPerSecond).toBeGreaterThan(100);
  expect(recovery.records).toBeGreaterThan(0);
  expect(verify).toBe('sound');
});

test('turns between two readings are counted, and the longest is given by its bucket', () => {
  const text = (counts: readonly number[]): string =>
    ['0.001', '0.005', '0.01', '+Inf']
      .map((le, i) => `tapedeck_loop_turn_seconds_bucket{le="${le}",turn="batch"} ${counts[i]!}`)
      .join('\n');
  const between = (before: readonly number[], after: readonly number[]): unknown =>
    turnsBetween(turnBuckets(text(before)), turnBuckets(text(after)))['batch'];
  expect(between([5, 6, 7, 7], [8, 10, 12, 12])).toEqual({
    count: 5,
    over5Ms: 1,
    longestMsMax: 10,
  });
  expect(between([0, 0, 0, 0], [1, 1, 1, 2])).toEqual({ count: 2, over5Ms: 1, longestMsMax: null });
  expect(between([5, 6, 7, 7], [5, 6, 7, 7])).toBeUndefined();
});

test('growth is computed from the last half', () => {
  const samples = Array.from({ length: 20 }, (_, i) => ({
    seconds: i * 10,
    rssBytes: 0,
    anonBytes: 1_048_576 * (i < 10 ? i * 100 : 1_000 + i),
    cpuSeconds: 0,
    threadSeconds: {},
  }));
  expect(slopeMbPerHour(samples)).toBeCloseTo(360);
});
