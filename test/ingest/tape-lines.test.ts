/** A tape in a request body is read a little at a time, whatever it contains. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Fault } from '../../protocol/codes';
import { readTapeLines, type TapeLines } from '../../src/ingest/tape-lines';
import { cut } from './support';

const SCALES = { priceScale: 2, quantityScale: 3 };
const LINE_BYTES_MAX = 1_048_576;

function trade(n: number): string {
  return JSON.stringify({
    type: 'trade',
    symbol: 'ACME',
    eventTime: `${n + 1}`,
    price: '1.00',
    quantity: '1',
    aggressor: 'buy',
  });
}

function read(pieces: readonly Uint8Array[], lineBytesMax = LINE_BYTES_MAX) {
  const work = readTapeLines(pieces, () => SCALES, lineBytesMax);
  for (let steps = 1; ; steps++) {
    const { done, value } = work.next();
    if (done === true) return { result: value, steps };
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const eventsOf = (result: TapeLines | Fault): number =>
  'code' in result ? -1 : result.events.length;

describe('tape lines', () => {
  test('of a long body are read in as many steps as there are lines', () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => trade(i)).join('\n');
    const { result, steps } = read([bytes(lines)]);
    expect(eventsOf(result)).toBe(20_000);
    expect(steps).toBeGreaterThan(20_000);
  });

  test('that are blank need steps, too: at most 16 KiB of them in one', () => {
    const { result, steps } = read([new Uint8Array(1_048_576).fill(10)]);
    expect(result).toMatchObject({ events: [], skipped: 1_048_576 });
    expect(steps).toBeGreaterThan(64);
  });

  test('are no longer than the limit, wherever their ends are', () => {
    const long = JSON.stringify({
      type: 'heartbeat',
      time: '1',
      seq: 1,
      heads: [],
      x: 'y'.repeat(5_000),
    });
    const pieces = [bytes(`${trade(1)}\n${long.slice(0, 3_000)}`), bytes(`${long.slice(3_000)}\n`)];
    expect(read(pieces, 5_001).result).toMatchObject({
      code: 'frame-too-large',
      field: 'lines[2]',
      message: 'line 2: the line is too long; expected at most 5001 bytes',
    });
    expect(read(pieces, long.length).result).toMatchObject({ skipped: 1 });
  });

  test('of a book with many levels are read in parts, and refused like any other', () => {
    const side = (count: number): string[][] =>
      Array.from({ length: count }, (_, i) => [`${i}.25`, '1.5']);
    const of = (bids: unknown[], asks: unknown[]): Uint8Array =>
      bytes(
        JSON.stringify({
          type: 'book',
          symbol: 'ACME',
          form: 'snapshot',
          eventTime: '1',
          crc: null,
          mark: null,
          bids,
          asks,
        }),
      );
    const { result, steps } = read([of(side(20_000), side(7_500))]);
    if ('code' in result) throw new Error(result.message);
    const flat = (count: number): number[] =>
      Array.from({ length: count }, (_, i) => [i * 100 + 25, 1_500]).flat();
    expect(result.events).toMatchObject([
      { type: 'book', form: 'snapshot', bids: flat(20_000), asks: flat(7_500) },
    ]);
    expect(steps).toBeGreaterThan(40);
    const wrong = side(9_000).with(8_000, ['1.001', '1']);
    expect(read([of([], wrong)]).result).toMatchObject({ field: 'lines[1].asks[8000][0]' });
    expect(read([of(side(20_001), [])]).result).toMatchObject({ field: 'lines[1].bids' });
  });

  test('are the same wherever the body was cut, up to the first fault', () => {
    const line = fc.oneof(
      { weight: 6, arbitrary: fc.nat(99).map(trade) },
      { weight: 2, arbitrary: fc.constantFrom('', ' ', '\t\r') },
      { weight: 1, arbitrary: fc.constantFrom('nonsense', '{"type":"tick","symbol":"é"}', '[1]') },
    );
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        (lines, cuts) => {
          const whole = bytes(lines.join('\n'));
          const plain = (r: TapeLines | Fault): unknown =>
            'code' in r ? r : [r.events, r.skipped];
          expect(plain(read(cut(whole, cuts)).result)).toEqual(plain(read([whole]).result));
        },
      ),
    );
  });
});
