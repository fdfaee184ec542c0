/**
 * Memtable: an answer equals that of the complete past, or there is none; compared with a list that keeps
 * everything.
 */

import { describe, expect, test } from 'bun:test';
import { heapStats } from 'bun:jsc';

import type { Trade } from '../../protocol/messages';
import type { BatchEvent, RecordedTick } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { Memtable, type TimeRange } from '../../src/cache/memtable';
import { at, bbo, trade } from '../support/market-events';
import { readSeed } from '../support/seed';

const LATEST = Number.MAX_SAFE_INTEGER;
const ALL: TimeRange = { from: null, to: null };
const SYMBOLS = ['A', 'B', 'C'];

/** Numbers and chains events as the sequencer does, and keeps all. */
class NaivePast {
  readonly batches: BatchEvent[][] = [];
  private seq: number;
  private readonly heads = new Map<string, number>();

  constructor(lastSeq = 0) {
    this.seq = lastSeq;
  }

  /** Publishes trades, each followed by its tick, or a quote where the symbol is null. */
  batch(...events: (readonly [symbol: string | null, time: Nanos])[]): BatchEvent[] {
    const batch = events.flatMap(([symbol, eventTime]): BatchEvent[] => {
      if (symbol === null) return [bbo(++this.seq, [1, 1], null)];
      const made = trade({ symbol, eventTime, ...this.chain('trade', symbol) });
      return [made, this.tick(made)];
    });
    this.batches.push(batch);
    return batch;
  }

  /** Every fifth seq has a tick that is ordered by another time than its own. */
  private tick({ symbol, eventTime, receiveTime, price }: Trade): RecordedTick {
    const asOf = this.seq % 5 === 0 ? { asOf: eventTime.plus(-3_000) } : {};
    const times = { eventTime, receiveTime, ...asOf };
    return {
      type: 'tick',
      symbol,
      ...this.chain('tick', symbol),
      ...times,
      last: price,
      bid: null,
      ask: null,
      quantity: 5,
      volume: 5,
      count: 1,
    };
  }

  private chain(type: string, symbol: string): { seq: number; prevSeq: number } {
    const prevSeq = this.heads.get(`${type}:${symbol}`) ?? 0;
    this.heads.set(`${type}:${symbol}`, ++this.seq);
    return { seq: this.seq, prevSeq };
  }

  get events(): BatchEvent[] {
    return this.batches.flat();
  }

  get lastSeq(): number {
    return this.seq;
  }

  trades(symbol: string): Trade[] {
    return this.events.filter((e): e is Trade => e.type === 'trade' && e.symbol === symbol);
  }

  ticks(symbol: string, { from, to }: TimeRange, after: number): RecordedTick[] {
    return this.events.filter(
      (e): e is RecordedTick =>
        e.type === 'tick' &&
        e.symbol === symbol &&
        e.seq > after &&
        (from === null || (e.asOf ?? e.eventTime).toBigInt() >= from.toBigInt()) &&
        (to === null || (e.asOf ?? e.eventTime).toBigInt() < to.toBigInt()),
    );
  }
}

const joined = (runs: Iterable<readonly BatchEvent[]> | undefined) => runs && [...runs].flat();

describe('under random operations', () => {
  const seed = readSeed();
  test(`an answer equals that of the complete past, or there is none: seed ${seed}`, () => {
    const outcomes = { ticks: 0, ticksPassed: 0, since: 0, sincePassed: 0 };
    for (let round = 0; round < 60; round++) {
      const random = new Prng(seed + round);
      const eventsMax = random.int(1, 60);
      const tradesMax = random.int(1, 12);
      const memtable = new Memtable({ eventsMax, tradesMax });
      const past = new NaivePast();
      let micros = 0;
      for (let step = 0; step < 80; step++) {
        memtable.accept(
          past.batch(
            ...Array.from({ length: random.int(1, 6) }, () => {
              micros += random.chance(0.2) ? -random.int(0, 40) : random.int(0, 10);
              const symbol = random.chance(0.3) ? null : SYMBOLS[random.int(0, 2)]!;
              return [symbol, at(Math.max(0, micros))] as const;
            }),
          ),
        );
        const held = past.events.slice(-eventsMax);
        expect(memtable.size).toBe(held.length);
        const position = Math.max(0, past.lastSeq - random.int(-2, 80));
        checkSince(memtable, past, held, position, outcomes);
        const symbol = SYMBOLS[random.int(0, 2)]!;
        const limit = random.int(1, 15);
        checkTrades(
          memtable,
          past,
          symbol,
          random.chance(0.5) ? LATEST : position,
          limit,
          tradesMax,
        );
        const time = (): Nanos | null =>
          random.chance(0.4) ? null : at(Math.max(0, micros - random.int(-20, 150)));
        const range = { from: time(), to: time() };
        checkTicks(
          memtable,
          past,
          held,
          symbol,
          range,
          random.chance(0.5) ? 0 : position,
          limit,
          outcomes,
        );
        const newest = past.ticks(symbol, ALL, 0).at(-1) ?? null;
        expect(memtable.newestTick(symbol)).toBe(newest);
      }
    }
    // It neither always answers nor never.
    for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(100);
  });

  function checkSince(
    memtable: Memtable,
    past: NaivePast,
    held: readonly BatchEvent[],
    position: number,
    outcomes: { since: number; sincePassed: number },
  ): void {
    const known = position >= held[0]!.seq - 1 && position <= past.lastSeq;
    const answer = joined(memtable.since(position));
    expect(answer).toEqual(known ? past.events.filter((e) => e.seq > position) : undefined);
    outcomes[known ? 'since' : 'sincePassed'] += 1;
  }

  function checkTrades(
    memtable: Memtable,
    past: NaivePast,
    symbol: string,
    before: number,
    limit: number,
    tradesMax: number,
  ): void {
    const all = past.trades(symbol);
    const below = all.filter((t) => t.seq < before).toReversed();
    const kept = all.slice(-tradesMax).filter((t) => t.seq < before);
    const known = kept.length >= limit || (all.length > 0 && all.length <= tradesMax);
    const answer = memtable.trades(symbol, before, limit);
    expect(answer).toEqual(known ? below.slice(0, limit) : undefined);
  }

  function checkTicks(
    memtable: Memtable,
    past: NaivePast,
    held: readonly BatchEvent[],
    symbol: string,
    range: TimeRange,
    after: number,
    limit: number,
    outcomes: { ticks: number; ticksPassed: number },
  ): void {
    const all = past.ticks(symbol, ALL, 0);
    const left = all.filter((t) => t.seq < held[0]!.seq);
    // It can be certain if nothing has left, or what left is at or below the cursor, or all of it is too early.
    const known =
      (all.length > 0 && left.every((t) => t.seq <= after)) ||
      (all.length > 0 &&
        range.from !== null &&
        left.every((t) => (t.asOf ?? t.eventTime).compare(range.from!) < 0));
    const answer = memtable.ticks(symbol, range, after, limit);
    const truth = past.ticks(symbol, range, after).slice(0, limit);
    expect(answer).toEqual(known ? truth : undefined);
    outcomes[known ? 'ticks' : 'ticksPassed'] += 1;
  }
});

describe('memtable', () => {
  const both = { eventsMax: 4, tradesMax: 2 };

  test('holds the newest events, also of a batch that is larger than its limit', () => {
    const memtable = new Memtable(both);
    const past = new NaivePast();
    memtable.accept([]);
    expect([memtable.size, memtable.since(0)]).toEqual([0, undefined]);
    memtable.accept(past.batch(['A', at(1)], ['A', at(2)], ['A', at(3)]));
    expect(memtable.size).toBe(4);
    expect(joined(memtable.since(2))).toEqual(past.events.slice(2));
    memtable.accept(past.batch([null, at(4)]));
    expect(memtable.since(2)).toBeUndefined();
    expect(joined(memtable.since(3))).toEqual(past.events.slice(3));
    expect(joined(memtable.since(7))).toEqual([]);
    expect(memtable.since(8)).toBeUndefined();
  });

  test('returns batches without copying, except a part of the first', () => {
    const memtable = new Memtable({ ...both, eventsMax: 100 });
    const past = new NaivePast();
    for (let i = 0; i < 3; i++) memtable.accept(past.batch(['A', at(i)], ['B', at(i)]));
    const runs = [...memtable.since(4)!];
    expect(runs.every((run, i) => run === past.batches[i + 1])).toBe(true);
    expect([...memtable.since(5)!].map((run) => run.length)).toEqual([3, 4]);
    const late = memtable.since(0)!;
    memtable.accept(past.batch(['A', at(4)]));
    expect(() => [...late]).toThrow('no batch came');
  });

  test('no answer silently skips a gap of the journal', () => {
    const memtable = new Memtable({ eventsMax: 100, tradesMax: 10 });
    const past = new NaivePast();
    memtable.accept(past.batch(['A', at(1)], ['A', at(2)]));
    const before = past.events.length;
    expect(memtable.trades('A', LATEST, 2)).toHaveLength(2);
    memtable.gap(before);
    const batch = past.batch(['A', at(3)], ['A', at(4)], ['B', at(5)]);
    memtable.accept(batch);
    expect(memtable.trades('A', LATEST, 2)).toHaveLength(2);
    expect(memtable.trades('A', LATEST, 3)).toBeUndefined();
    expect(memtable.trades('A', before + 1, 2)).toHaveLength(2); // all of it lies before
    expect(memtable.ticks('A', ALL, 0, 10)).toBeUndefined();
    expect(memtable.ticks('A', ALL, before, 10)).toHaveLength(2);
    expect(memtable.ticks('B', ALL, 0, 10)).toHaveLength(1); // which began after it
    expect(memtable.since(before - 1)).toBeUndefined();
    expect([...memtable.since(before)!].flat()).toEqual(batch);
    memtable.clear();
    expect([memtable.size, memtable.trades('A', LATEST, 1)]).toEqual([0, undefined]);
  });

  test('of many instruments each holds its share of all trades, at least ten', () => {
    const memtable = new Memtable({ eventsMax: 1, tradesMax: 100, tradesInAllMax: 120 });
    const past = new NaivePast();
    const held = (symbol: string): number => {
      for (let n = 100; n > 0; n--) if (memtable.trades(symbol, LATEST, n) !== undefined) return n;
      return 0;
    };
    const trade = (count: number, ...symbols: string[]): void => {
      for (let i = 0; i < count; i++) {
        for (const symbol of symbols) memtable.accept(past.batch([symbol, at(i)]));
      }
    };
    trade(150, 'A');
    expect(held('A')).toBe(100);
    trade(70, 'A', 'B', 'C', 'D');
    expect(['A', 'B', 'C', 'D'].map(held)).toEqual([30, 30, 30, 30]);
    const many = Array.from({ length: 20 }, (_, i) => `M${i}`);
    trade(30, 'A', ...many);
    expect(['A', ...many].map(held)).toEqual(Array<number>(21).fill(10));
    expect(memtable.trades('A', LATEST, 10)).toEqual(past.trades('A').toReversed().slice(0, 10));
    expect(held('B')).toBe(30); // trades of an instrument that trades no more all stay
  });

  test('a quiet instrument keeps its trades and its newest tick', () => {
    const memtable = new Memtable(both);
    const past = new NaivePast();
    memtable.accept(past.batch(['QUIET', at(1)], ['QUIET', at(2)]));
    for (let i = 3; i < 20; i++) memtable.accept(past.batch(['A', at(i)]));
    expect(memtable.trades('QUIET', LATEST, 5)).toEqual(past.trades('QUIET').toReversed());
    const [first, second] = past.ticks('QUIET', ALL, 0);
    expect(memtable.newestTick('QUIET')).toBe(second!);
    expect(memtable.ticks('QUIET', ALL, 0, 5)).toBeUndefined();
    expect(memtable.ticks('QUIET', ALL, second!.seq, 5)).toEqual([]);
    expect(memtable.ticks('QUIET', ALL, first!.seq, 5)).toBeUndefined();
    expect(memtable.ticks('QUIET', { from: at(2), to: null }, 0, 5)).toBeUndefined();
    expect(memtable.ticks('QUIET', { from: at(2).plus(1), to: null }, 0, 5)).toEqual([]);
  });

  test('after a start it knows the earlier events that it was given, and no more', () => {
    const past = new NaivePast();
    for (let i = 0; i < 5; i++) past.batch(['A', at(i)]);
    const before = past.events.length;
    const newest = past.ticks('A', ALL, 0).at(-1)!;
    const [five, four] = past.trades('A').toReversed() as [Trade, Trade];
    const memtable = new Memtable({ eventsMax: 100, tradesMax: 10 });
    memtable.hydrate('A', newest, [five, four]);
    expect(memtable.newestTick('A')).toBe(newest);
    expect(memtable.trades('A', LATEST, 2)).toEqual([five, four]);
    expect(memtable.trades('A', LATEST, 3)).toBeUndefined();
    expect(memtable.ticks('A', { from: at(100), to: null }, 0, 5)).toBeUndefined(); // as far as it knows
    expect(memtable.ticks('A', ALL, newest.seq, 5)).toEqual([]);
    expect(memtable.ticks('B', ALL, 0, 5)).toBeUndefined();
    expect(memtable.trades('B', LATEST, 5)).toBeUndefined();
    memtable.accept(past.batch(['A', at(6)]));
    expect(memtable.trades('A', LATEST, 3)).toEqual([past.trades('A').at(-1)!, five, four]);
    expect(memtable.ticks('A', ALL, newest.seq, 5)).toEqual(past.ticks('A', ALL, before));
    expect(memtable.ticks('A', ALL, 0, 5)).toBeUndefined();
  });

  test('the tail of a start counts like batches', () => {
    const past = new NaivePast();
    for (let i = 0; i < 1_500; i++) past.batch(['A', at(i)]);
    const memtable = new Memtable({ eventsMax: 2_500, tradesMax: 10 });
    for (let i = 0; i < past.events.length; i += 1_000)
      memtable.accept(past.events.slice(i, i + 1_000));
    expect(joined(memtable.since(past.lastSeq - 5))).toEqual(past.events.slice(-5));
    expect(memtable.size).toBe(2_500);
    // The journal has fewer than the tail; what is known stays.
    memtable.hydrate(
      'A',
      past.ticks('A', ALL, 0).at(-1)!,
      past.trades('A').toReversed().slice(0, 3),
    );
    expect(memtable.trades('A', LATEST, 10)).toEqual(past.trades('A').toReversed().slice(0, 10));
  });

  test('a gap in the tail: queries after it are answered, queries that include it are not', () => {
    const past = new NaivePast();
    for (let i = 0; i < 40; i++) past.batch(['A', at(i)]);
    const [before, behind] = [past.events.slice(0, 20), past.events.slice(30)];
    const gapSeq = behind[0]!.seq - 1;
    const memtable = new Memtable({ eventsMax: 2_500, tradesMax: 10 });
    memtable.accept(before);
    memtable.accept(behind);
    memtable.gap(gapSeq);
    for (let i = 0; i <= behind.length; i++) {
      expect(joined(memtable.since(gapSeq + i))).toEqual(behind.slice(i));
    }
    for (const { seq } of before) expect(memtable.since(seq)).toBeUndefined();
  });
});

test('all held events of an instrument share one string of the symbol', () => {
  const TRADES = 5_000;
  const table = new Memtable({ eventsMax: TRADES, tradesMax: TRADES });
  const bytes = Buffer.from('SYMBOL-USDT');
  const strings = (): number => {
    Bun.gc(true);
    return heapStats().objectTypeCounts['string'] ?? 0;
  };
  const before = strings();
  for (let seq = 1; seq <= TRADES; seq++) {
    // As decoded: a string of its own in each event.
    table.accept([trade({ symbol: bytes.toString('latin1'), seq, prevSeq: seq - 1 })]);
  }
  expect(strings() - before).toBeLessThan(TRADES / 10);
  expect(table.newestTrades('SYMBOL-USDT', 1)).toHaveLength(1);
});
