import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Book, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { LineReaderOptions } from '../../src/ingest/recording/line-reader';
import { ACME, known, readPieces, type All } from './support';

type Json = Record<string, unknown>;

const TIME = '1723161253937085768';
const depth = {
  e: 'depthUpdate',
  E: 1723161255208,
  s: 'ACME',
  U: 11,
  u: 14,
  b: [['2.5', '1']],
  a: [],
};
const trade = {
  e: 'trade',
  E: 2,
  s: 'ACME',
  t: 7,
  p: '2.5',
  q: '0.1',
  T: 1723161255342,
  m: true,
  M: true,
};
const quote = { u: 14, s: 'ACME', b: '2.5', B: '1', a: '2.6', A: '3' };
const snapshot = {
  lastUpdateId: 12,
  bids: [
    ['2.4', '1'],
    ['2.5', '2'],
  ],
  asks: [['2.6', '3']],
};

const line = (message: Json, time = TIME): string => `${time} ${JSON.stringify(message)}\n`;
const stream = (data: Json, name = 'acme@depth'): Json => ({ stream: name, data });
/** With eight decimals by default. */
const EIGHT: Partial<LineReaderOptions> = {
  known: {
    definitionOf: () => undefined,
    scales: { price: new Map([['', 8]]), quantity: new Map([['', 8]]) },
  },
};
const read = (
  lines: string[],
  options: Partial<LineReaderOptions> = EIGHT,
): ReturnType<typeof readPieces> => readPieces(lines, { format: 'binance', ...options });
const kinds = ({ records }: All): string[] =>
  records.flatMap((r) => r.events.map((e) => `${r.line} ${e.type} ${e.symbol}`));

describe('binance', () => {
  const receiveTime = Nanos.parse(TIME)!;
  const common = { symbol: 'ACME', receiveTime };

  test('the first event of a symbol brings its definition, with the decimals that were written', () => {
    const { records } = read([line(stream(trade)), line(stream(trade))], {});
    expect(records[0]!.receiveTime).toEqual(receiveTime);
    expect(records.map((r) => r.events.length)).toEqual([2, 1]);
    expect(records[0]!.events[0]).toEqual({ ...ACME, priceScale: 1, quantityScale: 1 });
  });

  test('a definition of the caller replaces the default, and its scales are used', () => {
    const { records, faults } = read(
      [line(stream(trade)), line(stream({ ...trade, p: '2.555' }))],
      {
        known: known(ACME),
      },
    );
    expect(records[0]!.events[0]).toEqual(ACME);
    expect((records[0]!.events[1] as Trade).price).toBe(250);
    expect(faults).toMatchObject([{ line: 2, code: 'off-increment', field: 'p' }]);
  });

  test('trade: numbered by its id, aggressor from m, time T in ns', () => {
    const { records } = read([line(stream(trade)), line(stream({ ...trade, t: 8, m: false }))]);
    expect(records[0]!.events[1]).toEqual({
      ...common,
      type: 'trade',
      seq: 7,
      prevSeq: 6,
      eventTime: Nanos.parse('1723161255342000000')!,
      price: 250_000_000,
      quantity: 10_000_000,
      aggressor: 'sell',
      tradeId: 7,
      timing: null,
    });
    expect(records[1]!.events[0]).toMatchObject({ aggressor: 'buy', seq: 8, prevSeq: 7 });
  });

  test('depth diff: a delta from U − 1 to u at time E, levels unchanged', () => {
    const b = [
      ['2.5', '1'],
      ['1.5', '0.00000000'],
      ['2.0', '4'],
    ];
    const { records } = read([line(stream({ ...depth, b }))]);
    expect(records[0]!.events[1]).toEqual({
      ...common,
      type: 'book',
      seq: 14,
      prevSeq: 10,
      eventTime: Nanos.parse('1723161255208000000')!,
      form: 'delta',
      bids: [250_000_000, 100_000_000, 150_000_000, 0, 200_000_000, 400_000_000],
      asks: [],
      crc: null,
      count: 1,
      mark: null,
    });
  });

  test('bookTicker: a bbo at u, at the local time; a side of quantity 0 is empty', () => {
    const empty = { ...quote, a: '0.00000000', A: '0.00000000' };
    const { records } = read([line(stream(quote, 'acme@bookTicker')), line(empty)]);
    expect(records[0]!.events[1]).toEqual({
      ...common,
      type: 'bbo',
      seq: 14,
      prevSeq: 0,
      eventTime: receiveTime,
      bid: 250_000_000,
      bidQuantity: 100_000_000,
      ask: 260_000_000,
      askQuantity: 300_000_000,
      count: 1,
      mark: null,
    });
    expect(records[1]!.events[0]).toMatchObject({ ask: null, askQuantity: 0, bid: 250_000_000 });
  });

  test('snapshot: with number lastUpdateId, at the local time, order kept', () => {
    const { records } = read([line(stream(depth)), line(snapshot)]);
    expect(records[1]!.events).toEqual([
      {
        ...common,
        type: 'book',
        seq: 12,
        prevSeq: 0,
        eventTime: receiveTime,
        form: 'snapshot',
        bids: [240_000_000, 100_000_000, 250_000_000, 200_000_000],
        asks: [260_000_000, 300_000_000],
        crc: null,
        count: 1,
        mark: null,
      },
    ]);
  });

  test('raw streams, without the wrapper, are read as well', () => {
    expect(kinds(read([line(depth), line(trade), line(quote)]))).toEqual([
      '1 instrument ACME',
      '1 book ACME',
      '2 trade ACME',
      '3 bbo ACME',
    ]);
  });

  test('other streams, partial books, answers and blank lines are skipped and counted', () => {
    const { reader, faults } = read([
      line(stream({ e: 'kline', s: 'ACME' })),
      line(stream(snapshot, 'acme@depth20@100ms')),
      line({ result: null, id: 1 }),
      '\n',
    ]);
    expect(faults).toEqual([]);
    expect(reader.counts).toMatchObject({ lines: 4, read: 0, events: 0, skipped: 4, refused: 0 });
    expect(reader.counts.skippedBy).toEqual({
      'kline': 1,
      'partial-depth': 1,
      'answer': 1,
      'blank': 1,
    });
  });

  describe('which symbol a snapshot belongs to', () => {
    const other = stream({ ...trade, s: 'OTHER' });

    test('before any symbol: to the first one, and it is placed before it', () => {
      const [at, later] = ['1700000000000000005', '1700000000000000006'];
      const found = read([line(snapshot, at), line(stream(depth), later)]);
      expect(kinds(found)).toEqual(['1 instrument ACME', '1 book ACME', '2 book ACME']);
      expect(found.records.map((r) => r.receiveTime.toString())).toEqual([at, later]);
    });

    test('no symbol follows: ambiguous', () => {
      const { faults, records } = read([line(snapshot)]);
      expect(records).toEqual([]);
      expect(faults).toMatchObject([{ line: 1, code: 'ambiguous-symbol' }]);
    });

    test('of several symbols, to the one whose updates surround its number', () => {
      const far = stream({ ...depth, s: 'OTHER', U: 90_000, u: 90_004 });
      for (const lines of [
        [line(stream(depth)), line(far), line(snapshot)],
        [line(snapshot), line(far), line(stream(depth))],
        [line(far), line(snapshot), line(stream(depth))],
      ]) {
        const found = read(lines);
        expect(found.faults).toEqual([]);
        expect(kinds(found)).toContain(`${lines.indexOf(line(snapshot)) + 1} book ACME`);
        const of = found.records
          .flatMap((r) => r.events)
          .filter((e) => e.type === 'book' && e.form === 'snapshot');
        expect(of.map((e) => e.symbol)).toEqual(['ACME']);
      }
      const own = { ...snapshot, lastUpdateId: 90_001 };
      const both = read([line(snapshot), line(own), line(far), line(stream(depth))]);
      expect(both.faults).toEqual([]);
      expect(kinds(both)).toContain('2 book OTHER');
    });

    test('surrounded by the updates of none, or of two: ambiguous, nothing is guessed', () => {
      const near = stream({ ...depth, s: 'NEAR' });
      for (const lines of [
        [line(stream(trade)), line(other), line(snapshot)],
        [line(stream(depth)), line(near), line(snapshot)],
      ]) {
        const found = read(lines);
        expect(found.faults).toMatchObject([{ line: 3, code: 'ambiguous-symbol' }]);
        expect(found.faults[0]!.message).toContain('ACME, ');
        expect(found.records).toHaveLength(2);
      }
    });

    test('named by the caller it is never ambiguous', () => {
      const found = read([line(snapshot), line(stream(depth)), line(other), line(snapshot)], {
        ...EIGHT,
        snapshotSymbol: 'OTHER',
      });
      expect(found.faults).toEqual([]);
      expect(kinds(found)).toEqual([
        '1 instrument OTHER',
        '1 book OTHER',
        '2 instrument ACME',
        '2 book ACME',
        '3 trade OTHER',
        '4 book OTHER',
      ]);
    });

    test('a damaged snapshot that waited is a fault of its own line', () => {
      const bad = { ...snapshot, bids: [['x', '1']] };
      const found = read([line(bad), line(stream(depth))]);
      expect(found.faults).toMatchObject([{ line: 1, code: 'invalid-field', field: 'bids' }]);
      expect(found.records.map((r) => r.line)).toEqual([2]);
    });
  });

  test.each<[string, string, string]>([
    ['no time', JSON.stringify(depth), 'time is '],
    ['bad time', `12x ${JSON.stringify(depth)}`, 'time is "12x"; expected digits'],
    ['time beyond int64', `9999999999999999999 ${JSON.stringify(depth)}`, 'time is "9999'],
    ['bad JSON', `${TIME} {"e":`, 'not JSON'],
    ['no JSON', '5', 'time is "5"'],
    ['not an object', `${TIME} [1]`, 'message is an array of 1; expected a JSON object'],
    ['unknown', `${TIME} {"x":1}`, 'e is missing; expected depthUpdate'],
    ['no symbol', line({ ...depth, s: 5 }), 's is 5; expected the name of a symbol'],
    ['no U', line({ ...depth, U: undefined }), 'U is missing; expected an integer'],
    ['u before U', line({ ...depth, u: 9 }), 'u is 9; expected an integer of at least 11'],
    ['E as text', line({ ...depth, E: '1' }), 'E is "1"; expected milliseconds'],
    ['no levels', line({ ...depth, b: null }), 'b is null; expected an array'],
    ['level no pair', line({ ...depth, a: [['1', '1'], ['2']] }), 'a[1] is an array of 1'],
    ['price a number', line({ ...depth, b: [[2.5, '1']] }), 'b is 2.5; expected a decimal'],
    ['negative', line({ ...depth, b: [['2.5', '-1']] }), 'b is "-1"; expected a quantity'],
    ['off scale', line({ ...trade, p: '0.123456789' }), 'p is "0.123456789"; expected no more'],
    ['out of range', line({ ...trade, q: '99999999999' }), 'q is "99999999999"; expected less'],
    ['m no boolean', line({ ...trade, m: 1 }), 'm is 1; expected true or false'],
  ])('%s is a fault of its line', (_, damaged, message) => {
    const { faults, records } = read([line(trade), `${damaged.trim()}\n`, line(trade)]);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ file: 'test', line: 2 });
    expect(faults[0]!.message).toContain(message);
    expect(records.map((r) => r.line)).toEqual([1, 3]);
  });

  test('decimals and times are exact for any value', () => {
    fc.assert(
      fc.property(
        fc.nat(Number.MAX_SAFE_INTEGER),
        fc.bigInt(10n ** 17n, (1n << 63n) - 1n),
        fc.integer({ min: 100_000_000_000, max: 9_223_372_036_854 }),
        (value, ns, ms) => {
          const text = String(value).padStart(9, '0');
          const p = `${text.slice(0, -8)}.${text.slice(-8)}`;
          const { records } = read([line({ ...depth, E: ms, a: [[p, p]] }, ns.toString())]);
          const book = records[0]!.events[1] as Book;
          expect(book.asks).toEqual([value, value]);
          expect(book.receiveTime.toBigInt()).toBe(ns);
          expect(book.eventTime.toBigInt()).toBe(BigInt(ms) * 1_000_000n);
        },
      ),
    );
  });

  test('any message is accepted, skipped or refused, and never throws', () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('ACME', '1.5', 1, 'depthUpdate', []));
    const names = ['e', 'E', 's', 'U', 'u', 'b', 'a', 'B', 'A', 't', 'T', 'p', 'q', 'm'] as const;
    const fields = Object.fromEntries(
      [...names, 'lastUpdateId', 'stream', 'data'].map((n) => [n, value]),
    );
    fc.assert(
      fc.property(fc.array(fc.record(fields, { requiredKeys: [] })), (messages) => {
        const { records, reader } = read(messages.map((m) => line(m)));
        const { counts } = reader;
        expect(counts.lines).toBe(messages.length);
        expect(records.length + counts.skipped + counts.refused).toBe(counts.lines);
      }),
      { numRuns: 300 },
    );
  });
});
