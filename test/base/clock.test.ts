import { describe, expect, spyOn, test } from 'bun:test';

import { Nanos } from '../../protocol/time';
import { ManualClock, SystemClock } from '../../src/base/clock';

describe('system clock', () => {
  test('is close to wall time and finer than a millisecond', () => {
    const clock = new SystemClock();
    const before = Date.now();
    const now = clock.now();
    expect(now.millis).toBeGreaterThanOrEqual(before - 3);
    expect(now.millis).toBeLessThanOrEqual(Date.now() + 3);
    const parts = new Set<number>();
    for (let i = 0; i < 200; i++) parts.add(clock.now().nanosOfSecond % 1_000_000);
    expect(parts.size).toBeGreaterThan(10);
  });

  test('never goes back', () => {
    const clock = new SystemClock();
    let last = clock.now();
    for (let i = 0; i < 20_000; i++) {
      const now = clock.now();
      expect(now.compare(last)).toBeGreaterThanOrEqual(0);
      last = now;
    }
  });

  test('follows the wall clock; when that is set back, it runs slower until it is right', () => {
    const clock = new SystemClock();
    const [wall, elapsed] = [Date.now(), performance.now()];
    const dateNow = spyOn(Date, 'now');
    const performanceNow = spyOn(performance, 'now');
    /** The error at a time after the start, given by either clock. */
    const at = (wallMs: number, elapsedMs: number): number => {
      dateNow.mockReturnValue(wall + wallMs);
      performanceNow.mockReturnValue(elapsed + elapsedMs);
      return clock.now().millis - wall;
    };
    try {
      const near = (ms: number): void => expect(Math.abs(ms)).toBeLessThan(5);
      near(at(2_000, 2_000) - 2_000);
      near(at(64_000, 4_000) - 64_000); // set forward by a minute
      near(at(36_000, 6_000) - 65_800); // set back by half a minute: nine tenths of the two seconds
      near(at(62_000, 32_000) - 89_200);
      near(at(1_040_000, 1_010_000) - 1_040_000); // enough time to become right
    } finally {
      dateNow.mockRestore();
      performanceNow.mockRestore();
    }
  });

  test('measures durations', async () => {
    const clock = new SystemClock();
    const start = clock.monotonicMs();
    await Bun.sleep(20);
    const elapsed = clock.monotonicMs() - start;
    expect(elapsed).toBeGreaterThan(15);
  });
});

describe('manual clock', () => {
  test('stands still until it is moved', () => {
    const clock = new ManualClock(Nanos.fromSeconds(10, 0));
    expect(clock.now()).toEqual(Nanos.fromSeconds(10, 0));
    clock.advance(1_500_000);
    expect(clock.now()).toEqual(Nanos.fromSeconds(10, 1_500_000));
    expect(clock.monotonicMs()).toBe(1.5);
  });

  test('jumps forward, and not back', () => {
    const clock = new ManualClock(Nanos.fromSeconds(10, 0));
    clock.set(Nanos.fromSeconds(12, 5));
    expect(clock.now()).toEqual(Nanos.fromSeconds(12, 5));
    expect(clock.monotonicMs()).toBeCloseTo(2000, 3);
    clock.set(Nanos.fromSeconds(11, 0));
    expect(clock.now()).toEqual(Nanos.fromSeconds(12, 5));
    expect(clock.monotonicMs()).toBeCloseTo(2000, 3);
  });
});
