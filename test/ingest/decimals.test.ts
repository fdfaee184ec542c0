/** The decimals with which numbers are read, and how they are converted to those of the target. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Book, Instrument, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { formatDecimal, parseDecimal } from '../../protocol/units';
import { Conversion, rescaleEvent } from '../../src/ingest/recording/conversion';
import { Decimals } from '../../src/ingest/recording/decimals';
import type { Known } from '../../src/ingest/recording/definitions';
import { ACME, readPieces } from './support';

const scaleOf = (...values: unknown[]): number => {
  const decimals = new Decimals();
  for (const value of values) decimals.see(value);
  return decimals.scale;
};

describe('decimals found in values', () => {
  test.each<[string, string[], number]>([
    ['as they are written', ['1.50', '2.25'], 2],
    ['the most of them', ['1.5', '2.25', '3'], 2],
    ['none', ['4', '100'], 0],
    ['of nothing', [], 0],
    ['eight where there is room', ['61837.63000000'], 8],
    ['fewer for want of room, zeros first', ['250000000.00000000'], 3],
    ['as many as the digits need', ['250000000.12345000'], 5],
    ['of a price in pesos', ['135000000.00'], 2],
  ])('%s: %p', (_, values, scale) => expect(scaleOf(...values)).toBe(scale));

  test('values that are no decimals give none', () => {
    expect(scaleOf('1.50', 7.123, null, '1e5', '-1.123', '.5', '', {})).toBe(2);
  });

  test('all values seen can be read with them, if any scale can', () => {
    const value = fc
      .tuple(fc.nat(999_999_999), fc.integer({ min: 0, max: 8 }), fc.nat(99_999_999))
      .map(([whole, decimals, rest]) =>
        decimals === 0
          ? `${whole}`
          : `${whole}.${String(rest).padStart(8, '0').slice(0, decimals)}`,
      );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const scale = scaleOf(...values);
        const able = (s: number): boolean =>
          values.every((text) => typeof parseDecimal(text, s) === 'number');
        if (Array.from({ length: 16 }, (_, s) => s).some(able)) expect(able(scale)).toBe(true);
      }),
    );
  });
});

describe('whose decimals are used', () => {
  const shib = `1700000000000000000 {"e":"trade","s":"SHIB2","t":1,"p":"0.00001234","q":"170000000.00","T":1700000000000,"m":true}\n`;
  const options = (price: [string, number][], quantity: [string, number][]): Known => ({
    definitionOf: () => undefined,
    scales: { price: new Map(price), quantity: new Map(quantity) },
  });
  const scales = (known?: Known): number[] => {
    const { records, faults } = readPieces([shib], { format: 'binance', ...(known && { known }) });
    expect(faults).toEqual([]);
    const { priceScale, quantityScale } = records[0]!.events[0] as Instrument;
    return [priceScale, quantityScale];
  };

  test('those of the lines, otherwise those of the target, otherwise those of the options', () => {
    expect(scales()).toEqual([8, 2]);
    const there: Instrument = { ...ACME, symbol: 'SHIB2', priceScale: 9, quantityScale: 1 };
    const known: Known = { ...options([], []), definitionOf: () => there };
    expect(scales(known)).toEqual([9, 1]);
    expect(scales({ ...options([['', 10]], []), definitionOf: () => there })).toEqual([10, 1]);
    expect(
      scales(
        options(
          [
            ['', 11],
            ['SHIB2', 10],
          ],
          [['SHIB2', 4]],
        ),
      ),
    ).toEqual([10, 4]);
    expect(scales(options([['', 12]], []))).toEqual([12, 2]);
  });

  test('a value that does not fit is a fault that quotes it', () => {
    const { faults } = readPieces([shib], { format: 'binance', known: options([], [['', 9]]) });
    expect(faults).toMatchObject([{ code: 'out-of-range', line: 1, field: 'q' }]);
    expect(faults[0]!.message).toContain('"170000000.00"');
  });
});

const trade = (price: number, quantity: number): Trade => ({
  type: 'trade',
  symbol: 'ACME',
  seq: 1,
  prevSeq: 0,
  eventTime: Nanos.fromSeconds(1.7e9, 0),
  receiveTime: Nanos.ZERO,
  price,
  quantity,
  aggressor: 'buy',
  tradeId: 1,
  timing: null,
});

describe('conversion', () => {
  const to = (priceScale: number, quantityScale: number): Instrument => ({
    ...ACME,
    priceScale,
    quantityScale,
  });

  test('a price that does not fit the target is refused, as a decimal', () => {
    const conversion = new Conversion(() => to(2, 0));
    const record = (e: Trade | Instrument) => ({ line: 1, receiveTime: Nanos.ZERO, events: [e] });
    expect(conversion.convert(record(to(3, 0)))).toMatchObject({ events: [] });
    expect(conversion.convert(record(trade(1010, 1)))).toMatchObject({ events: [{ price: 101 }] });
    const refused = conversion.convert(record(trade(1005, 1)));
    expect(refused).toMatchObject({ code: 'off-increment', field: 'price' });
    expect((refused as { message: string }).message).toBe(
      'price is "1.005"; expected no more than 2 decimals, which ACME has where it goes to',
    );
  });

  test('increments that can be expressed are converted', () => {
    const conversion = new Conversion(() => to(2, 0));
    const definition = { ...to(3, 0), priceIncrement: 50 };
    const record = { line: 1, receiveTime: Nanos.ZERO, events: [definition] };
    expect(conversion.convert(record)).toMatchObject({
      events: [{ priceScale: 2, quantityScale: 0, priceIncrement: 5 }],
    });
  });

  test('events that depend on a refused definition are refused too', () => {
    const conversion = new Conversion(() => undefined);
    const record = (e: Trade | Instrument) => ({ line: 1, receiveTime: Nanos.ZERO, events: [e] });
    conversion.convert(record(ACME));
    conversion.refuse('ACME', { code: 'overloaded', message: 'there are 1 instruments already' });
    expect(conversion.convert(record(trade(1, 1)))).toMatchObject({ code: 'overloaded' });
    conversion.convert(record(ACME));
    expect(conversion.convert(record(trade(1, 1)))).toMatchObject({ events: [{ price: 1 }] });
  });

  test('for any digits and scales: the same decimals, or refused', () => {
    const scale = fc.integer({ min: 0, max: 15 });
    const amount = fc.nat(Number.MAX_SAFE_INTEGER);
    fc.assert(
      fc.property(scale, scale, scale, scale, amount, amount, (p1, q1, p2, q2, price, quantity) => {
        const from = { priceScale: p1, quantityScale: q1 };
        const into = { priceScale: p2, quantityScale: q2 };
        const found = rescaleEvent(trade(price, quantity), from, into);
        const texts = [formatDecimal(price, p1), formatDecimal(quantity, q1)] as const;
        const expected = [parseDecimal(texts[0], p2), parseDecimal(texts[1], q2)] as const;
        if (typeof expected[0] === 'number' && typeof expected[1] === 'number') {
          expect(found).toMatchObject({ price: expected[0], quantity: expected[1] });
        } else {
          const code = expected[typeof expected[0] === 'number' ? 1 : 0];
          const codes = code === 'out-of-range' ? 'out-of-range' : 'off-increment';
          expect(found).toMatchObject({ code: codes });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('levels keep their order', () => {
    const book: Book = {
      ...trade(0, 0),
      type: 'book',
      form: 'delta',
      bids: [150, 2000],
      asks: [160, 0, 155, 1000],
      crc: null,
      count: 1,
      mark: null,
    } as unknown as Book;
    expect(
      rescaleEvent(book, { priceScale: 2, quantityScale: 3 }, { priceScale: 4, quantityScale: 0 }),
    ).toMatchObject({ bids: [15_000, 2], asks: [16_000, 0, 15_500, 1] });
  });
});
