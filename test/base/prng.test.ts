import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { Prng } from '../../src/base/prng';

/** sfc32 as published by its author, in exact arithmetic. */
function* sfc32(seed: number): Generator<number> {
  const mask = 0xffff_ffffn;
  let a = BigInt(seed) & mask;
  let b = BigInt(Math.floor(seed / 4_294_967_296)) & mask;
  let c = 0x9e37_79b9n;
  for (let counter = 1n, drawn = 0; ; counter++, drawn++) {
    const sum = (a + b + counter) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = ((((c << 21n) | (c >> 11n)) & mask) + sum) & mask;
    if (drawn >= 15) yield Number(sum);
  }
}

const seed = fc.maxSafeInteger();

describe('prng', () => {
  test('is sfc32', () => {
    fc.assert(
      fc.property(seed, (s) => {
        const prng = new Prng(s);
        const oracle = sfc32(s);
        for (let i = 0; i < 50; i++) expect(prng.uint32()).toBe(oracle.next().value as number);
      }),
    );
  });

  test('equal seeds give equal sequences, others do not', () => {
    fc.assert(
      fc.property(seed, seed, (s, t) => {
        const [a, b, c] = [new Prng(s), new Prng(s), new Prng(t)];
        const draw = (p: Prng): number[] => Array.from({ length: 8 }, () => p.uint32());
        const drawn = draw(a);
        expect(draw(b)).toEqual(drawn);
        if (s !== t) expect(draw(c)).not.toEqual(drawn);
      }),
    );
  });

  test('whole numbers stay within their bounds and reach them', () => {
    fc.assert(
      fc.property(
        seed,
        fc.integer({ min: -1000, max: 1000 }),
        fc.integer({ min: 0, max: 6 }),
        (s, min, size) => {
          const prng = new Prng(s);
          const seen = new Set<number>();
          for (let i = 0; i < 400; i++) seen.add(prng.int(min, min + size));
          expect([...seen].sort((x, y) => x - y)).toEqual(
            Array.from({ length: size + 1 }, (_, i) => min + i),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  test('the distributions have their mean and deviation', () => {
    const prng = new Prng(20_240_808);
    const count = 100_000;
    const statistics = (draw: () => number): [mean: number, deviation: number] => {
      let sum = 0;
      let squares = 0;
      for (let i = 0; i < count; i++) {
        const x = draw();
        expect(Number.isFinite(x)).toBe(true);
        sum += x;
        squares += x * x;
      }
      return [sum / count, Math.sqrt(squares / count - (sum / count) ** 2)];
    };
    const near = ([mean, deviation]: [number, number], m: number, d: number): void => {
      expect(Math.abs(mean - m)).toBeLessThan(0.02);
      expect(Math.abs(deviation - d)).toBeLessThan(0.02);
    };
    near(
      statistics(() => prng.unit()),
      0.5,
      Math.sqrt(1 / 12),
    );
    near(
      statistics(() => prng.exponential()),
      1,
      1,
    );
    near(
      statistics(() => prng.normal()),
      0,
      1,
    );
    near(
      statistics(() => Number(prng.chance(0.3))),
      0.3,
      Math.sqrt(0.21),
    );
  });
});
