/** The timing wheel and the agenda compared with a naive list: nothing is late, lost or repeated. */

import { expect, test } from 'bun:test';

import { ManualClock, SystemClock } from '../../src/base/clock';
import { Agenda } from '../../src/base/agenda';
import { Prng } from '../../src/base/prng';
import { TimingWheel } from '../../src/base/timing-wheel';
import { readSeed } from '../support/seed';

const TICK_MS = 20;
const SLOTS = 16;

test('each item is returned once, in the tick of its time; those beyond the wheel may be early', () => {
  const random = new Prng(readSeed());
  const wheel = new TimingWheel<number>(TICK_MS, SLOTS);
  /** Its time, when it was first added, and when it got that time. */
  const due = new Map<number, { ms: number; firstMs: number; atMs: number }>();
  let nowMs = 0;
  let handed = 0;
  for (let step = 0; step < 20_000; step++) {
    const item = random.int(0, 99);
    if (random.chance(0.1)) {
      wheel.delete(item);
      due.delete(item);
    } else {
      const ms = nowMs + random.int(-50, 2 * SLOTS * TICK_MS);
      wheel.at(item, ms);
      const before = due.get(item);
      if (before !== undefined && before.ms <= ms) continue;
      due.set(item, { ms, firstMs: before?.firstMs ?? nowMs, atMs: nowMs });
    }
    if (random.chance(0.5)) continue;
    nowMs += random.chance(0.01) ? 10_000 : random.int(0, 60);
    wheel.take(nowMs, (taken) => {
      const { ms, firstMs } = due.get(taken)!;
      due.delete(taken);
      handed += 1;
      // Early only if its time was beyond the wheel when it was added.
      if (ms > nowMs) expect(ms - firstMs).toBeGreaterThan((SLOTS - 3) * TICK_MS);
    });
    expect(wheel.size).toBe(due.size);
    for (const { ms, atMs } of due.values()) {
      expect(Math.max(ms, atMs)).toBeGreaterThan(nowMs - TICK_MS);
    }
  }
  expect(handed).toBeGreaterThan(1_000);
});

test('a turn that has taken long looks at no more items', async () => {
  const clock = new ManualClock();
  const looked: number[] = [];
  const agenda = new Agenda<number>(1_000, clock.turns, (item) => {
    looked.push(item);
    clock.advance(1e6);
  });
  for (let i = 0; i < 100; i++) agenda.soon(i);
  clock.turns.run('look', () => agenda.run(0));
  const counts = [looked.length];
  while (looked.length < 100) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(looked.length);
  }
  expect(counts).toEqual([16, 32, 48, 64, 80, 96, 100]);
});

test('items that are due at once are handled over several turns, and deleted ones are not', async () => {
  const looked: number[] = [];
  const agenda = new Agenda<number>(10, new SystemClock().turns, (item) => void looked.push(item));
  for (let i = 0; i < 35; i++) {
    if (i % 2 === 0) agenda.soon(i);
    else agenda.at(i, 500);
  }
  agenda.run(0);
  expect(looked).toHaveLength(10);
  agenda.delete(20);
  const counts: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(looked.length);
  }
  expect(counts).toEqual([17, 17, 17, 17, 17]);
  agenda.run(500);
  while (looked.length < 34) await new Promise((resolve) => setImmediate(resolve));
  agenda.run(1e6);
  expect(looked.toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 35 }, (_, i) => i).filter((i) => i !== 20),
  );
});
