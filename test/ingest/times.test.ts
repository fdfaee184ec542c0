/** Times of recordings: their unit, and the receive time of a line that has none. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { Nanos } from '../../protocol/time';
import { parseTimeIn, readTime, TIME_UNITS, type TimeUnit } from '../../src/ingest/recording/times';
import { tapeLine } from '../../src/ingest/recording/tape';
import { ACME, readPieces } from './support';

const DIGITS: Record<TimeUnit, number> = { s: 9, ms: 6, us: 3, ns: 0 };

describe('the unit of times', () => {
  test('any present-day time is read exactly in its own unit, and in no other', () => {
    const nanos = fc.bigInt(10n ** 17n, (1n << 63n) - 1n);
    fc.assert(
      fc.property(
        nanos,
        fc.constantFrom(...TIME_UNITS),
        fc.constantFrom(...TIME_UNITS),
        (ns, own, other) => {
          const step = 10n ** BigInt(DIGITS[own]);
          const count = (ns / step).toString();
          if (ns / step < 10n ** 8n) return;
          expect((readTime('time', count, own) as Nanos).toBigInt()).toBe((ns / step) * step);
          if (own === other) return;
          const found = readTime('time', count, other);
          expect(found).toMatchObject({ field: 'time' });
          if (DIGITS[other] < DIGITS[own]) expect(found).toMatchObject({ code: 'wrong-time-unit' });
        },
      ),
    );
  });

  test('a part of a unit', () => {
    expect(parseTimeIn('1700000000.5', 's')?.toString()).toBe('1700000000500000000');
    expect(parseTimeIn('1700000000123.456789', 'ms')?.toString()).toBe('1700000000123456789');
    for (const text of ['1.', '.5', '1.5.5', '1,5', '', '-1', '1e9', '1.0000001']) {
      expect([text, parseTimeIn(text, 'ms')]).toEqual([text, undefined]);
    }
  });

  const seconds = '1700000000';
  const trade = (eventTime: string | number, more: object = {}): string =>
    `${JSON.stringify({ type: 'trade', symbol: 'ACME', eventTime, price: '1', quantity: '1', aggressor: 'buy', ...more })}\n`;
  const definition = tapeLine(ACME, () => ACME);

  test('times in other fields of a message have the unit of the tape, and may be null', () => {
    const line = (fundingTime: string | null): string =>
      `${JSON.stringify({ type: 'mark', symbol: 'ACME', eventTime: '1700000000123', fundingTime })}\n`;
    const lines = [definition, line('1700000060123'), line(null), line('1700000060')];
    const { records, faults } = readPieces(lines, { timeUnit: 'ms' });
    const marks = records.flatMap(({ events }) => events).filter(({ type }) => type === 'mark');
    expect(marks).toMatchObject([
      { fundingTime: Nanos.fromBigInt(1_700_000_060_123_000_000n) },
      { fundingTime: null },
    ]);
    expect(faults).toMatchObject([{ code: 'wrong-time-unit', line: 4, field: 'fundingTime' }]);
  });

  test.each<[TimeUnit, string, string]>([
    ['s', '', 'seconds'],
    ['ms', '123', 'milliseconds'],
    ['us', '123456', 'microseconds'],
  ])('a tape in %s is refused by name, and taken when that is said', (unit, rest, name) => {
    const lines = [definition, trade(seconds + rest), trade(Number(seconds + rest))];
    const { faults } = readPieces(lines);
    expect(faults[0]).toMatchObject({ code: 'wrong-time-unit', line: 2, field: 'eventTime' });
    expect(faults[0]!.message).toEndWith(
      `expected nanoseconds since 1970, and by its size it is ${name}`,
    );
    const taken = readPieces(lines, { timeUnit: unit });
    expect(taken.faults).toEqual([]);
    const expected = (seconds + rest).padEnd(19, '0');
    expect(taken.records.map((r) => r.receiveTime.toString())).toEqual(['0', expected, expected]);
  });

  test('the same for a capture, by its receive times', () => {
    const line = `1700000000123 {"e":"trade","s":"ACME","t":1,"p":"1","q":"1","T":1700000000100,"m":true}\n`;
    const { faults } = readPieces([line], { format: 'binance' });
    expect(faults).toMatchObject([{ code: 'wrong-time-unit', line: 1, field: 'time' }]);
    const { records } = readPieces([line], { format: 'binance', timeUnit: 'ms' });
    expect(records[0]!.receiveTime.toString()).toBe('1700000000123000000');
  });
});

describe('a line without a receive time', () => {
  const S = 1_700_000_000;
  const trade = (second: number, symbol = 'ACME', more = ''): string =>
    `{"type":"trade","symbol":"${symbol}","eventTime":"${second}000000000","price":"1","quantity":"1","aggressor":"buy"${more}}\n`;
  const definitions = ['ACME', 'OTHER'].map((symbol) => tapeLine({ ...ACME, symbol }, () => ACME));
  const NOW = Nanos.fromSeconds(S + 1_000_000, 0);
  const received = (...lines: string[]): number[] => {
    const { records, faults } = readPieces([...definitions, ...lines], { now: () => NOW });
    expect(faults).toEqual([]);
    return records.slice(2).map((r) => r.receiveTime.seconds - S);
  };

  test('was received when it happened', () => {
    expect(received(trade(S), trade(S + 500), trade(S + 450))).toEqual([0, 500, 450]);
  });

  test('unless that is far ahead of all lines around it: then with the first of those after it', () => {
    expect(received(trade(S), trade(S + 900), trade(S + 30), trade(S + 20))).toEqual([
      0, 20, 30, 20,
    ]);
    expect(received(trade(S + 900), trade(S + 30), trade(S + 60))).toEqual([30, 30, 60]);
    // A minute is not far.
    expect(received(trade(S), trade(S + 80), trade(S + 20))).toEqual([0, 80, 20]);
  });

  test('or ahead of the clock', () => {
    const late = S + 2_000_000;
    expect(received(trade(S), trade(late), trade(S + 20))).toEqual([0, 20, 20]);
    expect(received(trade(S), trade(late))).toEqual([0, 0]);
    expect(received(trade(late))).toEqual([1_000_000]);
    expect(received(trade(S), trade(9_223_372_036), trade(S + 1))).toEqual([0, 1, 1]);
  });

  test('a recording that goes back to an earlier day, or to another symbol, does not count as ahead', () => {
    const day = 86_400;
    expect(received(trade(S + day), trade(S + day + 9), trade(S), trade(S + 9))).toEqual([
      day,
      day + 9,
      0,
      9,
    ]);
    expect(received(trade(S + 500, 'OTHER'), trade(S), trade(S + 9))).toEqual([500, 0, 9]);
  });

  test('a line that has a receive time is not changed', () => {
    const own = `,"receiveTime":"${S}000000000"`;
    expect(received(trade(S + 900, 'ACME', own), trade(S + 1), trade(S + 2))).toEqual([0, 1, 2]);
  });
});
