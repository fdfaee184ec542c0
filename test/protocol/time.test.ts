import { describe, expect, test } from 'bun:test';

import fc from 'fast-check';

import { Nanos, parseTime } from '../../protocol/time';
import { nanos, safeInteger } from '../support/arbitraries';

const NS_PER_S = 1_000_000_000n;
const LAST = (1n << 63n) - 1n;

describe('nanoseconds against a bigint oracle', () => {
  test('[T1] halves, digits and bigint are the same time', () => {
    fc.assert(
      fc.property(nanos(), (t) => {
        const big = (BigInt(t.hi) << 32n) | BigInt(t.lo);
        expect(t.toBigInt()).toBe(big);
        expect(t.toString()).toBe(String(big));
        expect(JSON.stringify(t)).toBe(`"${big}"`);
        expect(Nanos.parse(String(big))).toEqual(t);
        expect(Nanos.parse(String(big).padStart(19, '0'))).toEqual(t);
        expect(Nanos.fromBigInt(big)).toEqual(t);
      }),
      { numRuns: 1_000 },
    );
  });

  test('[T1] seconds, the rest and milliseconds are exact, up to the largest time', () => {
    fc.assert(
      fc.property(nanos(), (t) => {
        const big = t.toBigInt();
        expect(BigInt(t.seconds)).toBe(big / NS_PER_S);
        expect(BigInt(t.nanosOfSecond)).toBe(big % NS_PER_S);
        expect(BigInt(t.millis)).toBe(big / 1_000_000n);
        expect(Nanos.fromSeconds(t.seconds, t.nanosOfSecond)).toEqual(t);
      }),
      { numRuns: 1_000 },
    );
  });

  test('[T1] plus moves exactly, and stops at the ends of the range', () => {
    fc.assert(
      fc.property(nanos(), safeInteger(), (t, delta) => {
        const moved = t.toBigInt() + BigInt(delta);
        const clamped = moved < 0n ? 0n : moved > LAST ? LAST : moved;
        expect(t.plus(delta).toBigInt()).toBe(clamped);
      }),
      { numRuns: 1_000 },
    );
  });

  test('[T1] since is exact while it fits a double', () => {
    fc.assert(
      fc.property(nanos(), safeInteger(), (t, delta) => {
        const other = t.plus(delta);
        expect(BigInt(other.since(t))).toBe(other.toBigInt() - t.toBigInt());
      }),
      { numRuns: 1_000 },
    );
  });

  test('[T1] compare orders like the numbers', () => {
    fc.assert(
      fc.property(nanos(), nanos(), safeInteger(-3, 3), (a, b, step) => {
        for (const other of [b, a.plus(step)]) {
          const [x, y] = [a.toBigInt(), other.toBigInt()];
          expect(Math.sign(a.compare(other))).toBe(x < y ? -1 : x > y ? 1 : 0);
        }
      }),
    );
  });

  test('[T1] floorToSeconds rounds down to a multiple', () => {
    fc.assert(
      fc.property(nanos(), fc.constantFrom(1, 60, 300, 3_600, 86_400), (t, seconds) => {
        const step = BigInt(seconds) * NS_PER_S;
        expect(t.floorToSeconds(seconds).toBigInt()).toBe((t.toBigInt() / step) * step);
      }),
    );
  });

  test('[T1] fromMillis is exact', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9_223_372_036_853 }), (ms) => {
        expect(Nanos.fromMillis(ms).toBigInt()).toBe(BigInt(ms) * 1_000_000n);
      }),
    );
  });

  test('[T1] values outside int64 are refused', () => {
    expect(() => Nanos.fromBigInt(-1n)).toThrow(RangeError);
    expect(() => Nanos.fromBigInt(LAST + 1n)).toThrow(RangeError);
    expect(Nanos.parse(String(LAST))?.toBigInt()).toBe(LAST);
    expect(Nanos.parse(String(LAST + 1n))).toBeUndefined();
    expect(Nanos.parse('9999999999999999999')).toBeUndefined();
  });
});

describe('texts of a time', () => {
  for (const text of ['', '-1', '+1', '1.5', '1e9', ' 1', '١', '12345678901234567890', '0x1']) {
    test(`[T2] "${text}" is not a time`, () => {
      expect(Nanos.parse(text)).toBeUndefined();
      expect(parseTime(text)).toBeUndefined();
    });
  }

  const isoTimes: [text: string, nanos: bigint | undefined][] = [
    ['1970-01-01T00:00:00Z', 0n],
    ['1970-01-01T00:00:00.000000001Z', 1n],
    ['1970-01-01 00:00:01', NS_PER_S],
    ['2024-08-09T02:34:15.342+02:00', 1_723_163_655_342_000_000n],
    ['2262-04-11T23:47:16.854775807Z', LAST],
    ['2262-04-11T23:47:16.854775808Z', undefined],
    ['9999-12-31T23:59:59Z', undefined],
    ['1969-12-31T23:59:59Z', undefined],
    ['1970-01-01T00:00:00+01:00', undefined],
    ['2024-13-01T00:00:00Z', undefined],
    ['2024-08-09T25:00:00Z', undefined],
    ['2024-08-09', undefined],
    ['2024-08-09T00:34:15.1234567891Z', undefined],
  ];
  for (const [text, expected] of isoTimes) {
    test(`[T2] ${text} is ${expected === undefined ? 'no time' : expected}`, () => {
      expect(parseTime(text)?.toBigInt()).toBe(expected as bigint);
    });
  }

  test('[T2] a day that does not exist is refused', () => {
    expect(parseTime('2024-02-30T00:00:00Z')).toBeUndefined();
    expect(parseTime('2023-02-29T00:00:00Z')).toBeUndefined();
  });

  test('[T2] the ISO form is read back exactly', () => {
    fc.assert(
      fc.property(nanos(), (t) => {
        expect(parseTime(t.toISOString())).toEqual(t);
        expect(parseTime(t.toString())).toEqual(t);
      }),
    );
  });
});
