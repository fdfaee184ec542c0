/** Tiers: an answer has the newest state, names its source, and L1 is faster. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Instrument, Tick } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import { Memtable } from '../../src/cache/memtable';
import { Tiers, type LiveInstrument, type Outcomes } from '../../src/cache/tiers';
import { at, instrument } from '../support/market-events';

/** A live instrument whose state the test sets. */
class FakeLive implements LiveInstrument {
  definition: Instrument;
  tickHead = 0;
  bookHead = 0;
  tick: Tick | null = null;
  view: BookView | null = null;
  asked = 0;

  constructor(symbol = 'ACME') {
    this.definition = instrument(symbol);
  }

  currentTick(): Tick | null {
    this.asked += 1;
    return this.tick;
  }

  bookView(): BookView | null {
    this.asked += 1;
    return this.view;
  }

  trades(seq: number): void {
    this.tickHead = seq;
    this.tick = tickAt(this.definition.symbol, seq, seq * 10);
  }

  /** Null: the book is incomplete from now on. */
  moves(seq: number, bids: number[] | null): void {
    this.bookHead = seq;
    const { symbol } = this.definition;
    const times = { eventTime: at(seq), receiveTime: at(seq) };
    this.view = bids === null ? null : { symbol, seq, ...times, bids, asks: [] };
  }
}

function tickAt(symbol: string, seq: number, last: number): Tick {
  const times = { eventTime: at(seq), receiveTime: at(seq) };
  return {
    type: 'tick',
    symbol,
    seq,
    prevSeq: 0,
    ...times,
    last,
    bid: null,
    ask: null,
    quantity: 1,
    volume: 1,
    count: 1,
  };
}

interface Scene {
  readonly tiers: Tiers;
  readonly memtable: Memtable;
  readonly clock: ManualClock;
  readonly live: FakeLive;
}

function scene(entriesMax = 100): Scene {
  const clock = new ManualClock();
  const memtable = new Memtable({ eventsMax: 100, tradesMax: 10 });
  const tiers = new Tiers({ ttlMs: 1000, entriesMax }, clock, memtable);
  return { tiers, memtable, clock, live: new FakeLive() };
}

const outcomes = (more: Partial<Outcomes> = {}): Outcomes => ({
  hits: 0,
  absent: 0,
  expired: 0,
  stale: 0,
  ...more,
});

const MS = 1_000_000;

describe('L1', () => {
  test('answers again with the same value until the state changes', () => {
    const { tiers, live } = scene();
    live.trades(5);
    live.moves(6, [1, 1]);
    expect(tiers.tick(live).source).toBe('live');
    const kept = tiers.tick(live);
    expect([kept.source, kept.entry!.seq]).toEqual(['l1', 5]);
    expect(kept.entry!.value).toBe(live.tick!);
    expect([tiers.book(live).source, tiers.book(live).source]).toEqual(['live', 'l1']);
    expect(live.asked).toBe(2);
    live.trades(7);
    const newer = tiers.tick(live);
    expect([newer.source, newer.entry!.value.seq]).toEqual(['live', 7]);
    expect(tiers.book(live).source).toBe('l1'); // the book has not changed
    expect(tiers.counters).toEqual({
      l1: {
        tick: outcomes({ hits: 1, absent: 1, stale: 1 }),
        book: outcomes({ hits: 2, absent: 1 }),
      },
      l2: { tick: outcomes({ absent: 2 }), trades: outcomes(), ticks: outcomes() },
      l3: { book: 0, trades: 0, ticks: 0, bars: 0 },
      live: { tick: outcomes({ hits: 2 }), book: outcomes({ hits: 1 }) },
    });
  });

  test('a value is kept for its time and no longer', () => {
    const { tiers, clock, live } = scene();
    live.trades(5);
    tiers.tick(live);
    clock.advance(1000 * MS);
    expect(tiers.tick(live).source).toBe('l1');
    clock.advance(1);
    expect(tiers.tick(live).source).toBe('live');
    expect(tiers.tick(live).source).toBe('l1');
    expect(tiers.counters.l1.tick).toEqual(outcomes({ hits: 2, absent: 1, expired: 1 }));
    expect(tiers.counters.live.tick.hits).toBe(2);
  });

  test('a book that became incomplete is not answered from memory', () => {
    const { tiers, live } = scene();
    expect(tiers.book(live).entry).toBeNull();
    live.moves(3, [1, 1]);
    tiers.book(live);
    live.moves(4, null);
    expect(tiers.book(live).entry).toBeNull();
    expect(tiers.book(live).entry).toBeNull();
    live.moves(5, [2, 2]);
    expect(tiers.book(live).entry!.value.bids).toEqual([2, 2]);
  });

  test('before the first trade the tick follows quotes and definitions, whose seqs it does not have', () => {
    const { tiers, live } = scene();
    expect(tiers.tick(live).entry).toBeNull();
    for (const last of [100, 200, 300]) {
      live.tick = tickAt('ACME', 0, last);
      expect(tiers.tick(live).entry!.value.last).toBe(last);
    }
  });

  test('holds a limited number of instruments; the least recently requested are dropped first', () => {
    const { tiers } = scene(2);
    const [a, b, c] = ['A', 'B', 'C'].map((symbol) => {
      const live = new FakeLive(symbol);
      live.trades(1);
      return live;
    }) as [FakeLive, FakeLive, FakeLive];
    const sources = (...instruments: FakeLive[]): string[] =>
      instruments.map((l) => tiers.tick(l).source);
    expect(sources(a, b, a, b)).toEqual(['live', 'live', 'l1', 'l1']);
    a.trades(2);
    expect(sources(a)).toEqual(['live']); // requested since: B is dropped before it
    expect(sources(c)).toEqual(['live']);
    expect(sources(a, c)).toEqual(['l1', 'l1']);
    expect(sources(b)).toEqual(['live']);
    expect(sources(c, b)).toEqual(['l1', 'l1']);
    expect(sources(a)).toEqual(['live']);
    for (const live of [a, c]) live.trades(3);
    expect(sources(a, a)).toEqual(['live', 'l1']); // renewing a value drops none
    expect(sources(c)).toEqual(['live']);
    expect(sources(a, c, a, c)).toEqual(['l1', 'l1', 'l1', 'l1']);
    for (const live of [a, c]) live.trades(4);
    expect(sources(a, c, b)).toEqual(['live', 'live', 'live']); // if all are requested, one must go
    expect(sources(b)).toEqual(['l1']);
  });

  test('an entry keeps the text that was made of it, and a new one has none', () => {
    const { tiers, live } = scene();
    live.trades(5);
    tiers.tick(live).entry!.json = 'text';
    expect(tiers.tick(live).entry!.json).toBe('text');
    live.trades(6);
    expect(tiers.tick(live).entry!.json).toBeNull();
  });
});

describe('L2', () => {
  test('returns the newest tick before the live instrument does, and L1 keeps it', () => {
    const { tiers, memtable, clock, live } = scene();
    live.trades(5);
    memtable.accept([live.tick!]);
    expect([1, 2].map(() => tiers.tick(live).source)).toEqual(['l2', 'l1']);
    expect(tiers.tick(live).entry!.value).toBe(live.tick!);
    clock.advance(1001 * MS);
    expect([1, 2].map(() => tiers.tick(live).source)).toEqual(['l2', 'l1']);
    expect(live.asked).toBe(0);
    expect(tiers.counters.l2.tick).toEqual(outcomes({ hits: 2 }));
  });

  test('does not answer with a tick that is not at the live head', () => {
    const { tiers, memtable, live } = scene();
    live.trades(5);
    memtable.accept([live.tick!]);
    live.trades(7);
    const { source, entry } = tiers.tick(live);
    expect([source, entry!.value.seq]).toEqual(['live', 7]);
    expect(tiers.counters.l2.tick).toEqual(outcomes({ stale: 1 }));
  });

  test('trades and ticks: what it is not certain of is left to L3', () => {
    const { tiers, memtable, live } = scene();
    const range = { from: null, to: null };
    expect(tiers.trades(live, 10, 5)).toEqual([]); // has never traded
    expect(tiers.ticks(live, range, 0, 5)).toEqual([]);
    live.trades(5);
    expect(tiers.trades(live, 10, 5)).toBeUndefined();
    expect(tiers.ticks(live, range, 0, 5)).toBeUndefined();
    memtable.accept([live.tick!]);
    expect(tiers.ticks(live, range, 0, 5)).toEqual([live.tick!]);
    expect(tiers.counters.l2.trades).toEqual(outcomes({ hits: 1, absent: 1 }));
    expect(tiers.counters.l2.ticks).toEqual(outcomes({ hits: 2, absent: 1 }));
  });
});

describe('under random operations', () => {
  test('no answer is older than the live state', () => {
    const step = fc.record({
      symbol: fc.nat({ max: 3 }),
      what: fc.constantFrom(
        'trade',
        'untold trade',
        'book',
        'incomplete',
        'wait',
        'tick?',
        'tick?',
        'book?',
        'book?',
      ),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(step, { maxLength: 100 }),
        (max, steps) => {
          const { tiers, memtable, clock } = scene(max);
          const instruments = ['A', 'B', 'C', 'D'].map((symbol) => new FakeLive(symbol));
          let questions = 0;
          let missing = 0;
          for (const [i, { symbol, what }] of steps.entries()) {
            const live = instruments[symbol]!;
            if (what === 'trade' || what === 'untold trade') {
              live.trades(i + 1);
              // L2 may miss one, and then must not answer with the one before.
              if (what === 'trade') memtable.accept([live.tick!]);
            } else if (what === 'book') live.moves(i + 1, [i, 1]);
            else if (what === 'incomplete') live.moves(i + 1, null);
            else if (what === 'wait') clock.advance(400 * MS);
            else {
              questions += 1;
              const { entry } = what === 'tick?' ? tiers.tick(live) : tiers.book(live);
              const truth = what === 'tick?' ? live.tick : live.view;
              expect(entry === null ? null : entry.value).toBe(truth);
              if (entry === null) missing += 1;
              else expect(entry.untilMs).toBeGreaterThanOrEqual(clock.monotonicMs());
            }
          }
          const { l1, l2, live } = tiers.counters;
          const hits = [l1.tick, l1.book, l2.tick, live.tick, live.book].map((o) => o.hits);
          expect(hits.reduce((sum, n) => sum + n)).toBe(questions - missing);
          expect(live.tick.absent + live.book.absent).toBe(missing);
        },
      ),
      { numRuns: 300 },
    );
  });
});
