/** Durations: each falls into the first bucket whose bound it does not exceed. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { DURATION_BOUNDS_SECONDS, Durations } from '../../src/base/durations';
import { readSeed } from '../support/seed';

test('bounds rise from 10 µs to 10 s', () => {
  const bounds = [...DURATION_BOUNDS_SECONDS];
  expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
  expect([bounds[0], bounds.at(-1)]).toEqual([0.00001, 10]);
});

test('buckets, count and sum are those of the values', () => {
  const ms = fc.oneof(
    fc.double({ min: 0, max: 20_000, noNaN: true }),
    fc.constantFrom(...DURATION_BOUNDS_SECONDS.map((seconds) => seconds * 1_000)),
  );
  fc.assert(
    fc.property(fc.array(ms, { maxLength: 100 }), (values) => {
      const durations = new Durations();
      for (const value of values) durations.observe(value);
      const bounds = [...DURATION_BOUNDS_SECONDS, Infinity];
      const expected = bounds.map((bound, i) => {
        const low = i === 0 ? -Infinity : bounds[i - 1]! * 1_000;
        return values.filter((value) => value > low && value <= bound * 1_000).length;
      });
      expect(Array.from(durations.counts)).toEqual(expected);
      expect(durations.count).toBe(values.length);
      const sum = values.reduce((a, b) => a + b, 0);
      expect(durations.sumSeconds).toBeCloseTo(sum / 1_000, 6);
    }),
    { seed: readSeed() },
  );
});

test('values below zero count as zero, so no clock makes a sum smaller', () => {
  const durations = new Durations();
  for (const ms of [-5, -0.001, Number.NaN]) durations.observe(ms);
  expect([durations.counts[0], durations.count, durations.sumSeconds]).toEqual([3, 3, 0]);
});
