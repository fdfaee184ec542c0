import { describe, expect, test } from 'bun:test';

import fc from 'fast-check';

import { diffLevels, TenLevels } from '../../protocol/levels';
import { BOOK_DEPTH } from '../../protocol/units';

type Side = 'bid' | 'ask';

/** A whole side as price → quantity, and the naive list of its best levels. */
function best(levels: ReadonlyMap<number, number>, side: Side): number[] {
  const prices = [...levels.keys()].sort((a, b) => (side === 'bid' ? b - a : a - b));
  return prices.slice(0, BOOK_DEPTH).flatMap((price) => [price, levels.get(price)!]);
}

const levels = fc
  .array(fc.tuple(fc.integer({ min: -9, max: 25 }), fc.integer({ min: 1, max: 4 })))
  .map((pairs) => new Map(pairs));
const side = fc.constantFrom<Side>('bid', 'ask');

describe('deltas of the ten best levels', () => {
  test('[B4] a copy that applies the changes holds exactly the ten best levels', () => {
    fc.assert(
      fc.property(fc.array(levels, { minLength: 2, maxLength: 6 }), side, (states, side) => {
        const copy = new TenLevels();
        let before: number[] = [];
        for (const state of states) {
          const after = best(state, side);
          const changes = diffLevels(before, after, side);
          copy.apply(side === 'bid' ? changes : [], side === 'ask' ? changes : []);
          expect(side === 'bid' ? copy.bids : copy.asks).toEqual(after);
          before = after;
        }
      }),
      { numRuns: 500 },
    );
  });

  test('[B4] the changes are only the differences, each price once, best first', () => {
    fc.assert(
      fc.property(levels, levels, side, (from, to, side) => {
        const [before, after] = [best(from, side), best(to, side)];
        const pairs = (flat: number[]): Map<number, number> =>
          new Map(flat.flatMap((n, i) => (i % 2 === 0 ? [[n, flat[i + 1]!] as const] : [])));
        const [old, now] = [pairs(before), pairs(after)];
        const expected = new Map<number, number>();
        for (const price of old.keys()) if (!now.has(price)) expected.set(price, 0);
        for (const [price, quantity] of now) {
          if (old.get(price) !== quantity) expected.set(price, quantity);
        }
        const sorted = [...expected].sort(([a], [b]) => (side === 'bid' ? b - a : a - b));
        expect(diffLevels(before, after, side)).toEqual(sorted.flat());
      }),
      { numRuns: 500 },
    );
  });
});
