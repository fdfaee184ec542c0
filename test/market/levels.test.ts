/**
 * How many levels the books of a key, and of all keys, may hold: counted as they change, and refused beyond the
 * limit.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Book, SourceEvent } from '../../protocol/messages';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { Market } from '../../src/market/market';
import { book, Collected, feedOf, instrument } from '../support/market-events';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const SYMBOLS = ['ONE', 'TWO', 'THREE'] as const;

class Scene {
  readonly out = new Collected();
  readonly market: Market;

  constructor(levelsMax: number, levelsPerKeyMax: number, symbols: readonly string[] = SYMBOLS) {
    const limits = { instrumentsMax: 10, endedOrdersMax: 100 };
    this.market = new Market({ ...limits, levelsMax, levelsPerKeyMax });
    for (const symbol of symbols) this.market.define(instrument(symbol), this.out);
  }

  /** @returns the code and the message of a refusal; undefined if it was accepted */
  enter(owner: string, events: readonly SourceEvent[]): string | undefined {
    const source = owner.charCodeAt(0);
    const admission = this.market.admit({ source, owner, isDecimal: false }, events, false);
    const refused = admission.check(events.length);
    if (refused !== undefined)
      return `${refused.index} ${refused.fault.code}: ${refused.fault.message}`;
    for (const event of events) this.market.apply(source, event, this.out, false, owner);
    this.market.seal();
    return undefined;
  }

  leave(owner: string): void {
    this.market.release(owner.charCodeAt(0), this.out);
  }
}

function levels(count: number, from = 1): number[] {
  return Array.from({ length: count }, (_, i) => [from + i, 1]).flat();
}

function of(symbol: string, event: Book): Book {
  return { ...event, symbol };
}

const whole = (symbol: string, count: number): Book =>
  of(symbol, book('snapshot', 0, 0, levels(count)));

describe('levels', () => {
  test('of one key are bounded; another has its own limit', () => {
    const scene = new Scene(1_000, 100);
    expect(scene.enter('a', [whole('ONE', 60)])).toBeUndefined();
    expect(scene.enter('a', [whole('TWO', 41)])).toBe(
      '0 too-many-levels: the books that a feeds would hold 101 levels; at most 100 are expected (limits.levelsPerKeyMax)',
    );
    expect(scene.enter('b', [whole('TWO', 100)])).toBeUndefined();
    // Nothing of a refused submission is recorded.
    expect(
      scene.enter('a', [of('ONE', book('delta', 0, 0, [1, 0])), whole('THREE', 99)]),
    ).toStartWith('1 too-many-levels');
    expect(feedOf(scene.market, 'ONE').book.bids.length).toBe(60);
  });

  test('of all together are bounded', () => {
    const scene = new Scene(150, 100);
    expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
    expect(scene.enter('b', [whole('TWO', 51)])).toBe(
      '0 too-many-levels: all books would hold 151 levels; at most 150 are expected (limits.levelsMax)',
    );
    expect(scene.enter('b', [whole('TWO', 50)])).toBeUndefined();
  });

  test('that exist already do not count again: a full book can change', () => {
    const scene = new Scene(100, 100);
    expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
    for (let i = 0; i < 5; i++) {
      expect(scene.enter('a', [of('ONE', book('delta', 0, 0, levels(100)))])).toBeUndefined();
      expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
    }
    expect(scene.enter('a', [of('ONE', book('delta', 0, 0, [0, 1]))])).toStartWith(
      '0 too-many-levels',
    );
    expect(scene.enter('a', [of('ONE', book('delta', 0, 0, [5, 0]))])).toBeUndefined();
    expect(scene.enter('a', [of('ONE', book('delta', 0, 0, [0, 1]))])).toBeUndefined();
  });

  test('are free again when a book shrinks, and count for the key that feeds it', () => {
    const scene = new Scene(1_000, 100);
    expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
    expect(scene.enter('a', [of('ONE', book('incomplete', 0, 0))])).toBeUndefined();
    expect(scene.enter('a', [whole('TWO', 100)])).toBeUndefined();
    scene.leave('a');
    // They still count for the last key until another one takes the book over.
    expect(scene.enter('a', [whole('THREE', 1)])).toStartWith('0 too-many-levels');
    expect(scene.enter('b', [whole('THREE', 1)])).toBeUndefined();
    expect(scene.enter('b', [of('TWO', book('delta', 0, 0, [5, 1]))])).toStartWith(
      '0 too-many-levels',
    );
    expect(scene.enter('c', [of('TWO', book('incomplete', 0, 0))])).toBeUndefined();
    expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
  });

  test('that are kept for a book without a snapshot count too', () => {
    const scene = new Scene(1_000, 100);
    expect(scene.enter('a', [of('ONE', book('delta', 5, 4, levels(60)))])).toBeUndefined();
    expect(scene.enter('a', [of('ONE', book('delta', 6, 5, levels(41)))])).toStartWith(
      '0 too-many-levels',
    );
    expect(scene.enter('a', [of('ONE', book('snapshot', 5, 0, levels(100)))])).toBeUndefined();
    expect(scene.enter('a', [of('ONE', book('delta', 6, 5, levels(41)))])).toBeUndefined();
  });

  test('are counted again after a restart, and belong to no key until one feeds them', () => {
    const scene = new Scene(150, 100);
    expect(scene.enter('a', [whole('ONE', 100)])).toBeUndefined();
    const again = new Scene(150, 100, []);
    again.market.restore(readCheckpoint(writeCheckpoint(scene.market.checkpoint())), []);
    expect(again.enter('b', [whole('TWO', 51)])).toStartWith('0 too-many-levels: all books');
    expect(again.enter('b', [whole('TWO', 50)])).toBeUndefined();
    expect(again.enter('b', [of('ONE', book('incomplete', 0, 0))])).toStartWith(
      '0 too-many-levels: the books that b',
    );
    expect(again.enter('a', [of('ONE', book('incomplete', 0, 0))])).toBeUndefined();
    expect(again.enter('b', [whole('TWO', 100)])).toBeUndefined();
  });

  test('never exceed the limits, and a submission within them is never refused', () => {
    const price = fc.integer({ min: 1, max: 40 });
    const flat = fc
      .array(fc.tuple(price, fc.integer({ min: 0, max: 2 })), { maxLength: 30 })
      .map((l) => l.flat());
    const event = fc.record({
      symbol: fc.constantFrom(...SYMBOLS),
      form: fc.constantFrom('snapshot', 'delta', 'delta', 'delta', 'incomplete'),
      bids: flat,
      asks: flat,
    });
    const step = fc.record({
      owner: fc.constantFrom('a', 'b'),
      events: fc.array(event, { minLength: 1, maxLength: 4 }),
      leaves: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const scene = new Scene(90, 60);
        for (const { owner, events, leaves } of steps) {
          const books = events.map(({ symbol, form, bids, asks }) =>
            of(
              symbol,
              form === 'incomplete' ? book(form, 0, 0) : book(form as 'delta', 0, 0, bids, asks),
            ),
          );
          const refused = scene.enter(owner, books);
          const all = SYMBOLS.map((symbol) => feedOf(scene.market, symbol));
          const held = (who: string): number =>
            all.reduce(
              (sum, { book: b, counted }) => sum + (counted.owner === who ? b.levelCount : 0),
              0,
            );
          const total = held('a') + held('b') + held('');
          expect(total).toBeLessThanOrEqual(90);
          expect(held(owner)).toBeLessThanOrEqual(60);
          const most = books.reduce(
            (sum, { bids, asks }) => sum + (bids.length + asks.length) / 2,
            0,
          );
          if (refused?.includes('too-many-levels') === true) {
            expect(total + most > 90 || held('a') + held('b') + most > 60).toBe(true);
          }
          if (leaves) scene.leave(owner);
        }
      }),
      { numRuns: 200 },
    );
  });
});
