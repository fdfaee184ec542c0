/** Captures of Binance futures, and how they are distinguished from spot. */

import { describe, expect, test } from 'bun:test';

import type { Bbo, Book, SourceEvent, Trade } from '../../protocol/messages';
import type { LineReaderOptions } from '../../src/ingest/recording/line-reader';
import { BookMarkets } from '../../src/ingest/recording/markets';
import { NaiveInstrument } from './naive-book';
import { readPieces, type All } from './support';

type Json = Record<string, unknown>;

const AT = 1_710_000_000_000;
const line = (data: Json, stream = 'x@depth@0ms', ms = AT): string =>
  `${ms}000000 ${JSON.stringify({ stream, data })}\n`;
const raw = (data: Json, ms = AT): string => `${ms}000000 ${JSON.stringify(data)}\n`;
const diff = (
  U: number,
  u: number,
  pu: number | undefined,
  b: string[][],
  more: Json = {},
): Json => ({
  e: 'depthUpdate',
  E: AT + u,
  T: AT + u - 3,
  s: 'SOLUSDT',
  U,
  u,
  ...(pu !== undefined && { pu }),
  b,
  a: [],
  ...more,
});
const dealt = (t: number, p: string, more: Json = {}): Json => ({
  e: 'trade',
  E: AT,
  s: 'SOLUSDT',
  t,
  p,
  q: '2',
  T: AT + t,
  m: true,
  ...more,
});
const read = (lines: string[], options: Partial<LineReaderOptions> = {}) =>
  readPieces(lines, { format: 'binance', ...options });
const eventsOf = ({ records }: All): SourceEvent[] => records.flatMap(({ events }) => events);
const tradesOf = (all: All): Trade[] => eventsOf(all).filter((e) => e.type === 'trade');

describe('binance futures', () => {
  test('a diff continues the one that `pu` names, so the book is complete', () => {
    const all = read([
      raw({ lastUpdateId: 400, E: AT, T: AT, bids: [['30.10', '5']], asks: [['30.20', '7']] }),
      line(diff(390, 410, 380, [['30.11', '2']])),
      line(diff(425, 430, 410, [['30.12', '1']])),
      line(diff(477, 480, 430, [], { a: [['30.19', '4']] })),
    ]);
    expect(all.faults).toEqual([]);
    const [definition, ...events] = eventsOf(all);
    const book = new NaiveInstrument(definition as SourceEvent & { type: 'instrument' });
    for (const event of events) book.apply(event);
    expect([book.state, book.seq]).toEqual(['live', 480]);
    expect([Math.max(...book.bids.keys()), Math.min(...book.asks.keys())]).toEqual([3012, 3019]);
    expect(events.map((e) => [(e as Book).prevSeq, (e as Book).eventTime.millis])).toEqual([
      [0, AT],
      [380, AT + 410],
      [410, AT + 430],
      [430, AT + 480],
    ]);
  });

  test('messages that are no trades of the order book are skipped, without a hole in the numbers', () => {
    const all = read([
      line(dealt(11, '30.10', { X: 'MARKET' })),
      line(dealt(12, '0', { q: '0', X: 'NA' })),
      line(dealt(13, '35.00', { X: 'INSURANCE_FUND' })),
      line(dealt(14, '30.12', { X: 'MARKET' })),
      line(dealt(17, '30.13', { X: 'MARKET' })),
    ]);
    expect(tradesOf(all).map(({ seq, prevSeq }) => [seq, prevSeq])).toEqual([
      [11, 10],
      [14, 11],
      [17, 16],
    ]);
    expect(all.reader.counts).toMatchObject({ lines: 5, read: 3, skipped: 2, refused: 0 });
    expect(all.reader.counts.skippedBy).toEqual({ 'trade-off-book': 2 });
  });

  test('a quote has the time in its message', () => {
    const quote = {
      e: 'bookTicker',
      u: 9,
      s: 'SOLUSDT',
      b: '30.1',
      B: '1',
      a: '30.2',
      A: '1',
      T: AT + 4,
      E: AT + 7,
    };
    const found = eventsOf(read([line(quote, 'x@bookTicker')])).at(-1) as Bbo;
    expect(found.eventTime.millis).toBe(AT + 7);
  });

  test.each(['x@depth5', 'x@depth10@100ms', 'x@depth20@500ms'])(
    'best levels alone, as %s has them, are no diff',
    (stream) => {
      const { records, reader } = read([line(diff(1, 9, 0, [['30.1', '1']]), stream)]);
      expect(records).toEqual([]);
      expect(reader.counts.skippedBy).toEqual({ 'partial-depth': 1 });
    },
  );

  test('aggregate trades are used where there are no others', () => {
    const sum = (a: number): Json => ({
      e: 'aggTrade',
      E: AT,
      a,
      s: 'SOLUSDT',
      p: '30.1',
      q: '4',
      f: 1,
      l: 2,
      T: AT,
      m: false,
    });
    const alone = read([line(sum(71)), line(sum(72))]);
    expect(tradesOf(alone).map(({ tradeId, prevSeq }) => [tradeId, prevSeq])).toEqual([
      [71, 70],
      [72, 71],
    ]);
    const beside = read([line(sum(71)), line(dealt(5, '30.1')), line(sum(72))]);
    expect(tradesOf(beside).map(({ tradeId }) => tradeId)).toEqual([5]);
    expect(beside.reader.counts.skippedBy).toEqual({ aggTrade: 2 });
  });

  test('the first trade of a listing has the number 0', () => {
    const all = read([line(dealt(0, '1.0')), line(dealt(1, '1.1'))]);
    expect(all.faults).toEqual([]);
    expect(tradesOf(all).map(({ tradeId, seq, prevSeq }) => [tradeId, seq, prevSeq])).toEqual([
      [0, 0, 0],
      [1, 1, 0],
    ]);
  });

  test('times in microseconds are recognised by their size', () => {
    const us = AT * 1000 + 123;
    const all = read([line(dealt(1, '1.0', { T: us })), line(diff(2, 3, 1, [], { E: us }))]);
    expect(all.faults).toEqual([]);
    for (const event of eventsOf(all).slice(1)) {
      expect((event as Trade).eventTime.toString()).toBe(`${us}000`);
    }
    for (const T of [AT / 1000, AT * 1e6, -1]) {
      const { faults } = read([line(dealt(1, '1.0', { T }))]);
      expect(faults[0]?.message).toContain('expected milliseconds or microseconds since 1970');
    }
  });

  test('spot and futures with the same name are not mixed in one instrument', () => {
    const markets = new BookMarkets();
    const spot = [line({ ...diff(1, 2, undefined, []) }), line(dealt(1, '1.0', { M: true }))];
    const futures = [
      line(diff(8, 9, 7, [])),
      line(dealt(7, '1.0')),
      line(dealt(8, '1', { X: 'NA' })),
    ];
    expect(read(spot, { markets }).faults).toEqual([]);
    const all = read(futures, { markets });
    expect(all.records).toEqual([]);
    expect(all.reader.counts.refusedBy).toEqual({ 'mixed-markets': 3 });
    expect(all.faults).toMatchObject([{ code: 'mixed-markets', line: 1 }]);
    expect(all.faults[0]!.message).toContain('expected a symbol of futures, but it is one of spot');
    expect(read(futures, { markets, onFault: 'stop' }).reader.stoppedBy?.line).toBe(1);
    const renamed = new Map([['SOLUSDT', 'SOLUSDT.PERP']]);
    expect(read(futures, { markets, names: renamed }).faults).toEqual([]);
    // Within one capture as well.
    const both = read([...spot, ...futures], { markets: new BookMarkets() });
    expect(both.reader.counts.refusedBy).toEqual({ 'mixed-markets': 2 });
  });
});

describe('names', () => {
  const named = (s: string): string => line({ ...dealt(3, '1.0'), s });

  test('an invalid one skips its own lines, under either policy, and is reported once', () => {
    const lines = [
      named('BTCUSDT'),
      named('龙USDT'),
      named('龙USDT'),
      named('A B'),
      named('BTCUSDT'),
    ];
    const all = read(lines, { onFault: 'stop' });
    expect(all.records.map((r) => r.line)).toEqual([1, 5]);
    expect(all.reader.stoppedBy).toBeUndefined();
    expect(all.reader.counts).toMatchObject({ lines: 5, read: 2, refused: 3 });
    expect(all.faults).toMatchObject([
      { code: 'unusable-symbol', line: 2, message: expect.stringContaining('龙USDT') },
      { code: 'unusable-symbol', line: 4 },
    ]);
  });

  test('they can be replaced', () => {
    const names = new Map([
      ['龙USDT', 'DRAGON'],
      ['BTCUSDT', 'BTC-SPOT'],
    ]);
    const all = read([named('龙USDT'), named('BTCUSDT')], { names, onFault: 'stop' });
    expect(eventsOf(all).map(({ symbol }) => symbol)).toEqual([
      'DRAGON',
      'DRAGON',
      'BTC-SPOT',
      'BTC-SPOT',
    ]);
  });
});
