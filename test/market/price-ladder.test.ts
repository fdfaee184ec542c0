import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { PriceLadder } from '../../src/market/price-ladder';

type Side = 'bid' | 'ask';

/** The oracle: a map, sorted when it is looked at. */
class NaiveLadder {
  levels = new Map<number, number>();
  private readonly side: Side;
  private readonly levelsMax: number;

  constructor(side: Side, levelsMax: number) {
    this.side = side;
    this.levelsMax = levelsMax;
  }

  set(price: number, quantity: number): 'ok' | 'full' {
    if (quantity === 0) this.levels.delete(price);
    else if (!this.levels.has(price) && this.levels.size === this.levelsMax) return 'full';
    else this.levels.set(price, quantity);
    return 'ok';
  }

  load(flat: readonly number[]): 'ok' | 'full' {
    this.levels = new Map<number, number>();
    for (let i = 0; i < flat.length; i += 2) this.levels.set(flat[i]!, flat[i + 1]!);
    for (const [price, quantity] of this.levels) if (quantity === 0) this.levels.delete(price);
    if (this.levels.size <= this.levelsMax) return 'ok';
    this.levels.clear();
    return 'full';
  }

  top(depth: number): number[] {
    const sorted = [...this.levels].sort(([a], [b]) => (this.side === 'bid' ? b - a : a - b));
    return sorted.slice(0, depth).flat();
  }
}

function expectSame(ladder: PriceLadder, naive: NaiveLadder): void {
  const all = naive.top(Infinity);
  expect(ladder.length).toBe(naive.levels.size);
  expect(ladder.top(ladder.length)).toEqual(all);
  expect(ladder.top(1_000_000)).toEqual(all);
  expect(ladder.top(0)).toEqual([]);
  expect(ladder.top(10)).toEqual(naive.top(10));
  expect(ladder.best).toBe(all[0] ?? null);
  expect(ladder.bestQuantity).toBe(all[1] ?? 0);
}

const side = fc.constantFrom<Side>('bid', 'ask');
const price = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -12, max: 12 }) },
  { weight: 1, arbitrary: fc.maxSafeInteger().map((n) => n + 0) },
);
const quantity = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 1, max: 9 }),
  fc.constant(Number.MAX_SAFE_INTEGER),
);
const flat = fc.array(fc.tuple(price, quantity), { maxLength: 30 }).map((pairs) => pairs.flat());
const operation = fc.oneof(
  { weight: 20, arbitrary: fc.record({ set: fc.tuple(price, quantity) }) },
  { weight: 2, arbitrary: fc.record({ load: flat }) },
  { weight: 1, arbitrary: fc.record({ clear: fc.constant(true) }) },
);

describe('price ladder', () => {
  test('does what a sorted map does, on both sides, below zero and at its bound', () => {
    fc.assert(
      fc.property(
        side,
        fc.integer({ min: 1, max: 25 }),
        fc.array(operation, { maxLength: 120 }),
        (which, levelsMax, operations) => {
          const ladder = new PriceLadder(which, levelsMax);
          const naive = new NaiveLadder(which, levelsMax);
          for (const o of operations) {
            if ('set' in o) expect(ladder.set(...o.set)).toBe(naive.set(...o.set));
            else if ('load' in o) expect(ladder.load(o.load)).toBe(naive.load(o.load));
            else {
              ladder.clear();
              naive.levels.clear();
            }
            expectSame(ladder, naive);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('takes levels best first, worst first, and past the size it began with', () => {
    fc.assert(
      fc.property(
        side,
        fc.uniqueArray(fc.integer({ min: -5000, max: 5000 }), { minLength: 250, maxLength: 900 }),
        fc.constantFrom('best first', 'worst first', 'shuffled'),
        (which, prices, order) => {
          const ladder = new PriceLadder(which, 10_000);
          const naive = new NaiveLadder(which, 10_000);
          const sign = which === 'bid' ? -1 : 1;
          if (order === 'best first') prices.sort((a, b) => sign * (a - b));
          if (order === 'worst first') prices.sort((a, b) => sign * (b - a));
          const levels = prices.flatMap((p, i) => [p, i + 1]);
          expect(ladder.load(levels)).toBe('ok');
          naive.load(levels);
          expectSame(ladder, naive);
          // What a larger load left behind must not show through a smaller one.
          expect(ladder.load([7, 1, 7, 2])).toBe('ok');
          naive.load([7, 1, 7, 2]);
          expectSame(ladder, naive);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a doubled price counts once, so that it does not pass the bound', () => {
    const ladder = new PriceLadder('ask', 2);
    expect(ladder.load([5, 1, 5, 2, 6, 3])).toBe('ok');
    expect(ladder.top(10)).toEqual([5, 2, 6, 3]);
    expect(ladder.load([4, 1, 6, 1, 5, 1, 4, 0])).toBe('ok');
    expect(ladder.top(10)).toEqual([5, 1, 6, 1]);
    expect(ladder.load([5, 1, 6, 1, 7, 1])).toBe('full');
    expect(ladder.length).toBe(0);
    expect([ladder.set(1, 1), ladder.set(2, 1), ladder.set(3, 1)]).toEqual(['ok', 'ok', 'full']);
    expect(ladder.top(10)).toEqual([1, 1, 2, 1]);
    expect([ladder.set(2, 9), ladder.set(3, 0), ladder.set(1, 0)]).toEqual(['ok', 'ok', 'ok']);
    expect([ladder.set(3, 4), ladder.best]).toEqual(['ok', 2]);
  });

  test('levels in the worst order are not moved once for each', () => {
    const count = 60_000;
    const levels = Array.from({ length: count }, (_, i) => [count - i, 1]).flat();
    levels.push(1, 2); // a doubled price, so that the levels are not simply taken over
    const ladder = new PriceLadder('bid', 100_000);
    const startMs = performance.now();
    expect(ladder.load(levels)).toBe('ok');
    expect(performance.now() - startMs).toBeLessThan(500); // it took a second, moving them
    expect(ladder.length).toBe(count);
    expect(ladder.top(count).slice(-2)).toEqual([1, 2]);
  });
});
