import { describe, expect, spyOn, test } from 'bun:test';
import fc from 'fast-check';

import { CHUNK_LEVELS, PriceLadder } from '../../src/market/price-ladder';
import { sortedLevels } from '../../src/market/sorted-levels';

type Side = 'bid' | 'ask';

/** The oracle: a map that is sorted when it is read. */
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

  apply(flat: readonly number[]): 'ok' | 'full' {
    for (let i = 0; i < flat.length; i += 2) this.levels.set(flat[i]!, flat[i + 1]!);
    return this.load([...this.levels].flat());
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
  { weight: 4, arbitrary: fc.record({ apply: flat }) },
  { weight: 1, arbitrary: fc.record({ clear: fc.constant(true) }) },
);

describe('price ladder', () => {
  test('behaves like a sorted map, on both sides, below zero and at its limit', () => {
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
            else if ('apply' in o) expect(ladder.apply(o.apply)).toBe(naive.apply(o.apply));
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

  test('accepts levels best first, worst first, and more than its initial size', () => {
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
          // Remains of a larger load must not appear in a smaller one.
          expect(ladder.load([7, 1, 7, 2])).toBe('ok');
          naive.load([7, 1, 7, 2]);
          expectSame(ladder, naive);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a repeated price counts once, so that it does not exceed the limit', () => {
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

  test('long lists of changes give the same as with a sorted map, in any order', () => {
    const change = fc.tuple(
      fc.integer({ min: -9_000, max: 9_000 }),
      fc.integer({ min: 0, max: 2 }),
    );
    fc.assert(
      fc.property(
        side,
        fc.array(fc.array(change, { maxLength: 3_000, size: 'max' }), { maxLength: 6 }),
        fc.constantFrom('as they are', 'best first', 'worst first'),
        (which, lists, order) => {
          const ladder = new PriceLadder(which, 6_000);
          const naive = new NaiveLadder(which, 6_000);
          const sign = which === 'bid' ? -1 : 1;
          for (const list of lists) {
            if (order === 'best first') list.sort(([a], [b]) => sign * (a - b));
            if (order === 'worst first') list.sort(([a], [b]) => sign * (b - a));
            expect(ladder.apply(list.flat())).toBe(naive.apply(list.flat()));
            // Few changes, and many deletions of single levels, after many.
            for (const [price, quantity] of list.slice(0, 40)) {
              expect(ladder.set(price, quantity)).toBe(naive.set(price, quantity));
            }
            for (const [price] of list.slice(40, 2_000)) {
              expect(ladder.has(price)).toBe(naive.levels.has(price));
              ladder.set(price, 0);
              naive.set(price, 0);
            }
            expectSame(ladder, naive);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('levels are sorted by price; for a repeated price the last one counts', () => {
    const far = fc.maxSafeInteger().map((n) => n + 0);
    const near = fc.integer({ min: -3, max: 3 }).map((n) => n + 0);
    fc.assert(
      fc.property(
        fc.constantFrom<1 | -1>(1, -1),
        fc.array(fc.tuple(fc.oneof(far, near), fc.nat()), { maxLength: 200 }),
        (sign, levels) => {
          const newest = new Map(levels.map(([price, q]) => [price * sign + 0, q]));
          const sorted = [...newest].sort(([a], [b]) => a - b).flat();
          expect([...sortedLevels(levels.flat(), sign)].map((n) => n + 0)).toEqual(sorted);
        },
      ),
    );
  });

  test('a change moves at most one chunk, wherever it is', () => {
    const depth = 90_000;
    const ladder = new PriceLadder('bid', 100_000);
    expect(ladder.load(Array.from({ length: depth }, (_, i) => [2 * (depth - i), 1]).flat())).toBe(
      'ok',
    );
    const movedBy = (act: () => void): number => {
      const spy = spyOn(Float64Array.prototype, 'copyWithin');
      act();
      let moved = 0;
      for (const [, start, end] of spy.mock.calls) moved += (end! - start) / 2;
      spy.mockRestore();
      return moved;
    };
    const single = movedBy(() => {
      for (let i = 0; i < 500; i++) ladder.set(2 * i + 1, 1); // at the worst end
      for (let i = 0; i < 500; i++) ladder.set(2 * i + 1, 0);
    });
    expect(single).toBeGreaterThan(0);
    expect(single).toBeLessThanOrEqual(1_000 * CHUNK_LEVELS);
    // As many as one message may have, from the worst end on: they are merged, not moved.
    const changes = Array.from({ length: 10_000 }, (_, i) => [2 * i + 1, 1]).flat();
    expect(movedBy(() => void ladder.apply(changes))).toBe(0);
    expect(ladder.length).toBe(100_000);
  });

  test('levels that precede deletions in one list exceed the limit only if they remain', () => {
    const ladder = new PriceLadder('ask', 3);
    expect(ladder.load([1, 1, 2, 1, 3, 1])).toBe('ok');
    expect(ladder.apply([4, 1, 1, 0])).toBe('ok');
    expect(ladder.top(10)).toEqual([2, 1, 3, 1, 4, 1]);
    expect(ladder.apply([5, 1])).toBe('full');
    expect(ladder.length).toBe(0);
  });
});
