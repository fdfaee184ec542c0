/** Local book: a copy that is right, or knows that it is not. Rules [T5], [B2] to [B8]. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Book } from '../../protocol/messages';
import { BOOK_DEPTH } from '../../protocol/units';
import { LocalBook } from '../../src/client/local-book';
import { book } from '../support/market-events';

type Levels = { bids: number[]; asks: number[] };

const quantity = fc.integer({ min: 1, max: 99 });

/** At most ten best levels a side, flat and best first. */
const levels: fc.Arbitrary<Levels> = fc
  .record({
    bids: fc.dictionary(fc.integer({ min: 0, max: 14 }).map(String), quantity),
    asks: fc.dictionary(fc.integer({ min: 0, max: 14 }).map(String), quantity),
  })
  .map(({ bids, asks }) => ({ bids: side(bids, -1), asks: side(asks, 1) }));

function side(prices: Record<string, number>, sign: 1 | -1): number[] {
  return Object.entries(prices)
    .map(([price, quantity]) => [sign * Number(price) + 0, quantity] as const)
    .sort(([a], [b]) => sign * (a - b))
    .slice(0, BOOK_DEPTH)
    .flat();
}

/** The messages that lead through these states, each with its checksum. */
function messages(states: readonly Levels[]): Book[] {
  return states.map((state, i) => {
    const before = states[i - 1];
    const crc = bookChecksum(state.bids, state.asks);
    if (before === undefined) return book('snapshot', 1, 0, state.bids, state.asks, { crc });
    const bids = diffLevels(before.bids, state.bids, 'bid');
    const asks = diffLevels(before.asks, state.asks, 'ask');
    return book('delta', i + 1, i, bids, asks, { crc });
  });
}

const walk = fc.array(levels, { minLength: 1, maxLength: 25 });

describe('local book', () => {
  test('[B2] [B4] snapshot and deltas give exactly the ten best levels at each message', () => {
    fc.assert(
      fc.property(walk, (states) => {
        const local = new LocalBook();
        for (const [i, message] of messages(states).entries()) {
          expect(local.apply(message)).toBe('applied');
          expect({ bids: local.bids, asks: local.asks }).toEqual(states[i]!);
          expect([local.seq, local.trusted]).toEqual([i + 1, true]);
        }
      }),
    );
  });

  test('[T5] a missing message is noticed at the next one, and the copy is discarded', () => {
    fc.assert(
      fc.property(fc.array(levels, { minLength: 3, maxLength: 10 }), fc.nat(), (states, n) => {
        const all = messages(states);
        const lost = 1 + (n % (all.length - 2));
        const local = new LocalBook();
        for (const message of all.slice(0, lost)) local.apply(message);
        for (const message of all.slice(lost + 1)) {
          expect(local.apply(message)).toBe('gap');
          expect([local.trusted, local.bids, local.asks]).toEqual([false, [], []]);
        }
        const last = states.at(-1)!;
        const healed = book('snapshot', all.length, 0, last.bids, last.asks);
        expect(local.apply(healed)).toBe('applied');
        expect({ bids: local.bids, asks: local.asks }).toEqual(last);
      }),
    );
  });

  test('[B7] a level that was altered in transit is a mismatch', () => {
    fc.assert(
      fc.property(walk, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 5 }), (states, m, f, by) => {
        const all = messages(states);
        const at = m % all.length;
        const wrong = structuredClone(all[at]!.bids);
        fc.pre(wrong.length > 0);
        const field = (f % (wrong.length / 2)) * 2 + 1;
        fc.pre(wrong[field]! !== 0); // deleting a level that is absent changes nothing
        wrong[field]! += by;
        const local = new LocalBook();
        for (const message of all.slice(0, at)) local.apply(message);
        expect(local.apply({ ...all[at]!, bids: wrong })).toBe('mismatch');
        expect([local.trusted, local.bids, local.asks]).toEqual([false, [], []]);
      }),
    );
  });

  test('[B7] a message without a checksum is accepted, and the next one proves both', () => {
    const local = new LocalBook();
    local.apply(book('snapshot', 1, 0, [5, 1], []));
    expect(local.apply(book('delta', 2, 1, [4, 1], []))).toBe('applied');
    const crc = bookChecksum([5, 1, 4, 1, 3, 1], []);
    expect(local.apply(book('delta', 3, 2, [3, 1], [], { crc }))).toBe('applied');
    expect(local.apply(book('delta', 4, 3, [2, 1], [], { crc }))).toBe('mismatch');
  });

  test('[B2] [B3] incomplete discards it until a snapshot, also one with the same seq', () => {
    const local = new LocalBook();
    expect(local.apply(book('delta', 1, 0, [5, 1], []))).toBe('gap');
    local.apply(book('snapshot', 2, 0, [5, 1], [6, 1]));
    expect(local.apply(book('incomplete', 3, 2))).toBe('incomplete');
    expect([local.trusted, local.bids, local.asks]).toEqual([false, [], []]);
    expect(local.apply(book('delta', 4, 3, [5, 2], []))).toBe('gap');
    expect(local.apply(book('snapshot', 5, 4, [5, 2], []))).toBe('applied');
    expect(local.apply(book('snapshot', 5, 0, [5, 2], []))).toBe('applied');
    expect(local.apply(book('delta', 6, 5, [5, 3], []))).toBe('applied');
    expect(local.bids).toEqual([5, 3]);
  });

  test('the given messages are not changed', () => {
    const first = book('snapshot', 1, 0, [5, 1, 4, 1], [6, 1]);
    const second = book('delta', 2, 1, [5, 0, 3, 2], [6, 9]);
    const before = structuredClone([first.bids, first.asks, second.bids, second.asks]);
    const local = new LocalBook();
    local.apply(first);
    const copy = local.bids;
    local.apply(second);
    expect([first.bids, first.asks, second.bids, second.asks]).toEqual(before);
    expect(copy).toEqual([5, 1, 4, 1]);
  });
});
