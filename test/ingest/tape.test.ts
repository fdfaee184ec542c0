import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Book, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { tapeLine } from '../../src/ingest/recording/tape';
import { ACME, cut, known, readPieces } from './support';

const INSTRUMENT = tapeLine(ACME, () => ACME);
const TRADE =
  '{"type":"trade","symbol":"ACME","eventTime":"1723161255342000001","price":"100.5","quantity":"0.25","aggressor":"sell"}\n';

describe('tape', () => {
  test('a source event is read exactly; what a source may omit is filled in', () => {
    const { records, faults } = readPieces([INSTRUMENT, TRADE]);
    expect(faults).toEqual([]);
    const time = Nanos.parse('1723161255342000001')!;
    expect(records).toEqual([
      { line: 1, receiveTime: Nanos.ZERO, events: [ACME] },
      {
        line: 2,
        receiveTime: time,
        events: [
          {
            type: 'trade',
            symbol: 'ACME',
            seq: 0,
            prevSeq: 0,
            eventTime: time,
            receiveTime: time,
            price: 10050,
            quantity: 250,
            aggressor: 'sell',
            tradeId: 0,
            timing: null,
          },
        ],
      },
    ]);
  });

  test('a venue is imported as a feed: its orders are not on the tape', () => {
    const rules = {
      quantityMin: 1,
      quantityMax: 9,
      priceMin: 1,
      priceMax: 9,
      ordersPerOwnerMax: 1,
      ordersMax: 1,
      selfTrade: 'cancel-newest',
      referencePrice: null,
      initialState: 'open',
    } as const;
    const line = tapeLine({ ...ACME, market: 'venue', rules }, () => ACME);
    const { records, faults } = readPieces([line, TRADE]);
    expect(faults).toEqual([]);
    expect(records[0]!.events).toEqual([ACME]);
  });

  test('levels keep the order of the line; count and crc may be absent', () => {
    const book =
      '{"type":"book","symbol":"ACME","eventTime":"1700000000000000005","receiveTime":"1700000000000000007","seq":3,"prevSeq":2,"form":"delta","bids":[["1.00","2"],["3.00","0"],["2.00","1.5"]],"asks":[]}';
    const { records } = readPieces([INSTRUMENT, book]);
    const event = records[1]!.events[0] as Book;
    expect(event.bids).toEqual([100, 2000, 300, 0, 200, 1500]);
    expect([event.crc, event.count, event.seq, event.prevSeq]).toEqual([null, 1, 3, 2]);
    expect(records[1]!.receiveTime.toString()).toBe('1700000000000000007');
  });

  test('a later instrument line gets the time of the line before it', () => {
    const { records } = readPieces([INSTRUMENT, TRADE, INSTRUMENT.replace('ACME', 'OTHER')]);
    expect(records[2]!.receiveTime.toString()).toBe('1723161255342000001');
  });

  test('the caller may give definitions, once, before the first event of the symbol', () => {
    const { records } = readPieces([TRADE, TRADE], { known: known(ACME) });
    expect(records.map((r) => r.events.map((e) => e.type))).toEqual([
      ['instrument', 'trade'],
      ['trade'],
    ]);
    const own = readPieces([INSTRUMENT, TRADE], { known: known({ ...ACME, priceScale: 9 }) });
    expect(own.records.map((r) => r.events.map((e) => e.type))).toEqual([
      ['instrument'],
      ['trade'],
    ]);
    expect((own.records[1]!.events[0] as Trade).price).toBe(10050);
  });

  test('other messages of the protocol and blank lines are skipped and counted', () => {
    const lines = ['welcome', 'ack', 'tick', 'bar', 'stats', 'status', 'heartbeat', 'publish'].map(
      (type) => `{"type":"${type}","whatever":[1]}\n`,
    );
    const { records, faults, reader } = readPieces([...lines, '\n', ' \r\n', INSTRUMENT]);
    expect(records).toHaveLength(1);
    expect(faults).toEqual([]);
    expect(reader.counts).toMatchObject({ lines: 11, read: 1, events: 1, skipped: 10, refused: 0 });
    expect(reader.counts.skippedBy).toMatchObject({ blank: 2, tick: 1, welcome: 1 });
  });

  test.each([
    ['malformed-json', '{"type":"trade",', ''],
    ['invalid-field', '[]', 'message is an array of 0; expected a JSON object'],
    ['unknown-message', '{"type":"weather"}', 'type is "weather"; expected'],
    ['unknown-symbol', TRADE.replace('ACME', 'NOBODY'), 'trade.symbol is "NOBODY"; expected'],
    ['off-increment', TRADE.replace('100.5', '100.505'), 'trade.price is "100.505"; expected'],
    ['out-of-range', TRADE.replace('100.5', '99999999999999999'), 'trade.price is "9999'],
    [
      'invalid-field',
      TRADE.replace('"100.5"', '100.5'),
      'trade.price is 100.5; expected a decimal',
    ],
    [
      'invalid-field',
      TRADE.replace('1723161255342000001', 'noon'),
      'eventTime is "noon"; expected digits: nano',
    ],
    [
      'invalid-field',
      TRADE.replace('"aggressor":"sell"', '"x":1'),
      'aggressor is missing; expected',
    ],
    ['invalid-field', TRADE.replace('0.25', '-0.25'), 'quantity is "-0.25"; expected'],
    ['invalid-field', TRADE.replace('"price"', '"seq":-1,"price"'), 'seq is -1; expected'],
  ])('%s: %s', (code, line, message) => {
    const { records, faults } = readPieces([INSTRUMENT, `${line.trim()}\n`, TRADE]);
    expect(faults).toMatchObject([{ code: code as 'invalid-field', file: 'test', line: 2 }]);
    expect(faults[0]!.message).toContain(message);
    expect(records.map((r) => r.line)).toEqual([1, 3]);
  });

  test('any line is accepted, skipped or refused, and never throws', () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('ACME', '1', '1.5', 'buy', 'delta', [], 0),
    );
    const line = fc.oneof(
      fc.string(),
      fc.jsonValue().map((v) => JSON.stringify(v)),
      fc
        .record(
          {
            type: fc.constantFrom('trade', 'bbo', 'book', 'instrument', 'tick', 'nothing'),
            symbol: value,
            eventTime: value,
            receiveTime: value,
            price: value,
            quantity: value,
            bids: value,
            priceScale: value,
          },
          { requiredKeys: ['type'] },
        )
        .map((v) => JSON.stringify(v)),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const { records, reader } = readPieces([INSTRUMENT, lines.join('\n')]);
        const { counts } = reader;
        expect(records.length + counts.skipped + counts.refused).toBe(counts.lines);
        expect(counts.read).toBe(records.length);
      }),
      { numRuns: 300 },
    );
  });

  test('the output of tapeLine can be read back, wherever the bytes are cut', () => {
    const time = fc.bigInt(10n ** 17n, (1n << 63n) - 1n).map((n) => Nanos.fromBigInt(n));
    const amount = fc.nat(Number.MAX_SAFE_INTEGER);
    const trade: fc.Arbitrary<Trade> = fc.record({
      type: fc.constant('trade' as const),
      symbol: fc.constant('ACME'),
      seq: amount,
      prevSeq: amount,
      eventTime: time,
      receiveTime: time,
      price: fc.maxSafeInteger(),
      quantity: amount,
      aggressor: fc.constantFrom('buy', 'sell', 'none'),
      tradeId: amount,
      timing: fc.constant(null),
    });
    const levels = fc.array(fc.tuple(fc.maxSafeInteger(), amount)).map((pairs) => pairs.flat());
    const book: fc.Arbitrary<Book> = fc.record({
      type: fc.constant('book' as const),
      symbol: fc.constant('ACME'),
      seq: amount,
      prevSeq: amount,
      eventTime: time,
      receiveTime: time,
      form: fc.constantFrom('snapshot', 'delta', 'incomplete'),
      bids: levels,
      asks: levels,
      crc: fc.option(fc.nat(0xffff_ffff)),
      count: fc.nat(0xffff_ffff),
      mark: fc.constant(null),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(trade, book)), fc.array(fc.nat(5000)), (events, offsets) => {
        const text = [ACME, ...events].map((e) => tapeLine(e, () => ACME)).join('');
        const { records, faults } = readPieces(cut(Buffer.from(text), offsets));
        expect(faults).toEqual([]);
        expect(records.flatMap((r) => r.events)).toEqual([ACME, ...events]);
      }),
    );
  });
});
