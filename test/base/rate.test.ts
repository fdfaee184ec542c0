/** Rates: how much is allowed in a second, in pieces of any size. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { Rate, Rates } from '../../src/base/rate';
import { readSeed } from '../support/seed';

test('a second has its allowance, which is refilled evenly', () => {
  const rate = new Rate();
  const taken = Array.from({ length: 15 }, () => rate.take(1, 10, 0));
  expect(taken).toEqual([...Array<boolean>(10).fill(true), ...Array<boolean>(5).fill(false)]);
  expect(rate.take(1, 10, 99)).toBe(false);
  expect(rate.take(1, 10, 100)).toBe(true);
  expect(rate.take(1, 10, 100)).toBe(false);
});

test('a large piece passes, and the next ones wait for it', () => {
  const rate = new Rate();
  expect(rate.take(35, 10, 0)).toBe(true);
  expect(rate.take(1, 10, 2_599)).toBe(false);
  expect(rate.take(1, 10, 2_600)).toBe(true);
});

test('in any period no more passes than the allowance and one piece', () => {
  const step = fc.record({
    ms: fc.integer({ min: 0, max: 400 }),
    amount: fc.integer({ min: 1, max: 30 }),
  });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.integer({ min: 1, max: 100 }),
      (steps, perSecond) => {
        const rate = new Rate();
        let [nowMs, sum] = [0, 0];
        for (const { ms, amount } of steps) {
          nowMs += ms;
          if (rate.take(amount, perSecond, nowMs)) sum += amount;
          expect(sum).toBeLessThanOrEqual(perSecond + (nowMs * perSecond) / 1000 + 30 + 1e-6);
        }
      },
    ),
    { seed: readSeed() },
  );
});

test('each name has its own allowance, and idle names are forgotten', () => {
  const rates = new Rates();
  expect([rates.take('a', 1, 1, 0), rates.take('a', 1, 1, 0), rates.take('b', 1, 1, 0)]).toEqual([
    true,
    false,
    true,
  ]);
  for (let i = 0; i < 5_000; i++) rates.take(`n${i}`, 1, 1, i * 10);
  // A name in debt is not forgotten with the others.
  expect(rates.take('n4999', 1, 1, 50_000)).toBe(false);
  expect(rates.take('a', 1, 1, 50_000)).toBe(true);
  expect(rates.size).toBeLessThan(1_200);
});

test('names that cannot be forgotten do not make each new one slow', () => {
  const rates = new Rates();
  // All within one second: none is idle, so nothing can be forgotten.
  const names = Array.from({ length: 200_000 }, (_, i) => `n${i}`);
  expect(names.filter((name) => !rates.take(name, 1, 1, 0))).toEqual([]);
  expect(rates.size).toBe(names.length);
  rates.take('later', 1, 1, 5_000);
  for (let i = 0; i < 300_000; i++) rates.take(`m${i}`, 1, 1, 10_000 + i);
  expect(rates.size).toBeLessThan(names.length);
});
