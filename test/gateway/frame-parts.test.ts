/** Frames read in parts: the messages and faults are the same, and every part is small. */

import { describe, expect, test } from 'bun:test';

import {
  decodeFrame,
  decodeFrameInParts,
  decodeTextFrame,
  decodeTextFrameInParts,
  FRAME_MESSAGES_MAX,
  FrameEncoder,
} from '../../protocol/codec';
import { parseJsonInParts } from '../../protocol/json-parts';
import type { ScalesOf } from '../../protocol/units';
import { Prng } from '../../src/base/prng';
import { finished } from '../support/finished';
import { asMessage } from '../support/stream-client';
import { readSeed } from '../support/seed';

const scalesOf: ScalesOf = (symbol) =>
  symbol.startsWith('X') ? undefined : { priceScale: 2, quantityScale: 3 };
const FAULTS_MAX = 256;

function trade(i: number, more: object = {}): object {
  return {
    type: 'trade',
    symbol: 'ACME',
    seq: i,
    prevSeq: 0,
    eventTime: '1700000000000000000',
    receiveTime: '0',
    price: '5000.00',
    quantity: '1.000',
    aggressor: 'buy',
    tradeId: i,
    timing: null,
    ...more,
  };
}

function pairs(count: number, last: unknown = ['1.00', '1']): unknown[] {
  return [
    ...Array.from({ length: count }, (_, i) => [(5_000 + i / 100).toFixed(2), '1.000']),
    last,
  ];
}

function book(bids: unknown[], asks: unknown[], symbol = 'ACME'): object {
  return {
    type: 'book',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: '1',
    receiveTime: '0',
    form: 'snapshot',
    bids,
    asks,
    crc: null,
    count: 1,
    mark: null,
  };
}

function publish(events: unknown, id: unknown = 1): object {
  return { type: 'publish', id, events, continues: null };
}

function definition(symbol: string): object {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale: 1,
    quantityScale: 0,
    priceIncrement: '0.1',
    quantityIncrement: '1',
  };
}

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

const FRAMES: Record<string, string> = {
  'many messages': JSON.stringify(many(5_000, (id) => ({ type: 'ping', id, time: '1' }))),
  'too many messages': JSON.stringify(many(10_001, (id) => ({ type: 'ping', id, time: '1' }))),
  'many faults': JSON.stringify(
    many(5_000, (id) => ({ type: 'ping', id: id % 2 === 0 ? id : -1, time: '1' })),
  ),
  'a long publish': JSON.stringify([publish(many(5_000, (i) => trade(i)))]),
  'a publish with a fault at its end': JSON.stringify([
    publish([...many(5_000, (i) => trade(i)), trade(1, { price: 'much' })]),
  ]),
  'a publish with faults in its events and before them': JSON.stringify([
    publish([...many(5_000, (i) => trade(i)), trade(1, { price: 'much' })], -3),
  ]),
  'more events than a publish takes': JSON.stringify([publish(many(10_001, () => 0))]),
  'an unknown symbol, and one that is defined before': JSON.stringify([
    publish([
      definition('XD'),
      ...many(3_000, (i) => trade(i, { symbol: 'XD', price: '1.0', quantity: '1' })),
    ]),
    publish([trade(1, { symbol: 'XD', price: '1.0', quantity: '1' }), trade(1, { symbol: 'XE' })]),
  ]),
  'a book of many levels': JSON.stringify([publish([book(pairs(9_000), pairs(9_000)), trade(1)])]),
  'a book with a bad level': JSON.stringify([
    publish([book(pairs(9_000), pairs(9_000, ['1.00', '-1']))]),
  ]),
  'a book with a bad pair': JSON.stringify([publish([book(pairs(9_000, 7), pairs(9_000))])]),
  'a book with a bad level and a bad time': JSON.stringify([
    publish([{ ...book(pairs(9_000, 7), []), eventTime: 'now' }]),
  ]),
  'a book with too many levels': JSON.stringify([publish([book(pairs(20_001), [])])]),
  'a book of an unknown symbol': JSON.stringify([publish([book(pairs(9_000), [], 'XE')])]),
  'one message of many topics': JSON.stringify({
    type: 'subscribe',
    id: 1,
    topics: many(40_000, (i) => `book:F${i}`),
    intervalMs: null,
  }),
  'too deep': `[${'1,'.repeat(40_000)}[[[[[[[[1]]]]]]]]]`,
  'text after it': `${JSON.stringify(many(5_000, (id) => ({ type: 'ping', id, time: '1' })))}]`,
  'an end too early': JSON.stringify(many(5_000, (id) => ({ type: 'ping', id, time: '1' }))).slice(
    0,
    -1,
  ),
};

function inParts(text: string): { parts: number; items: unknown[]; largest: number } {
  const items: unknown[] = [];
  let [parts, largest] = [0, 0];
  for (const part of decodeTextFrameInParts(text, scalesOf, FRAME_MESSAGES_MAX, FAULTS_MAX)) {
    parts += 1;
    largest = Math.max(largest, part.length);
    items.push(...part);
  }
  return { parts, items, largest };
}

describe('a text frame in parts', () => {
  for (const [name, text] of Object.entries(FRAMES)) {
    test(`of ${name} has the same content as when it is read whole`, () => {
      const whole = decodeTextFrame(text, scalesOf, FRAME_MESSAGES_MAX, FAULTS_MAX);
      const { parts, items, largest } = inParts(text);
      if (name !== 'text after it' && name !== 'an end too early') expect(items).toEqual(whole);
      else expect(items).toMatchObject([{ code: 'malformed-json' }]);
      expect(whole.length).toBe(items.length);
      expect(largest).toBeLessThanOrEqual(32);
      // A part has about 16,384 characters of text, or 64 events.
      expect(parts).toBeGreaterThan(name === 'too deep' ? 0 : text.length / 65_536);
    });
  }

  test('with a definition in one message and its use in the next', () => {
    const text = FRAMES['an unknown symbol, and one that is defined before']!;
    const [first, second] = inParts(text).items as { type?: string; code?: string }[];
    expect([first!.type, second!.code]).toEqual(['publish', 'unknown-symbol']);
  });
});

describe('a binary frame in parts', () => {
  const encoder = new FrameEncoder();
  const messages = many(5_000, (id) => asMessage({ type: 'ping', id, time: '1' }));
  const bytes = encoder.encode(messages);

  test.each([
    ['whole', bytes],
    ['cut off', bytes.subarray(0, bytes.length - 100)],
    ['with bytes after it', Uint8Array.of(...bytes, 1, 2, 3)],
    [
      'of faults',
      encoder.encode(many(1_000, () => messages[0]!)).map((byte, i) => (i % 7 === 6 ? 0xc0 : byte)),
    ],
    ['that is none', Uint8Array.of(0xc1)],
    ['of too many', Uint8Array.of(0xdd, 0, 1, 0, 0)],
  ])('%s: holds what it holds whole', (_, frame) => {
    const parts = [...decodeFrameInParts(frame, FRAME_MESSAGES_MAX, FAULTS_MAX)];
    expect(parts.flat()).toEqual(decodeFrame(frame, FRAME_MESSAGES_MAX, FAULTS_MAX));
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(33);
  });
});

const seed = readSeed();
console.log(`seed ${seed} (repeat with TAPEDECK_TEST_SEED=${seed})`);

describe('JSON in parts', () => {
  const prng = new Prng(seed);

  /** No deeper than a frame allows, and longer than a part. */
  function value(depth: number): unknown {
    const kind = depth === 0 ? prng.int(0, 3) : prng.int(0, 5);
    if (kind === 0) return null;
    if (kind === 1) return prng.int(-1e9, 1e9) / 7;
    if (kind <= 3) return text(prng.int(0, 200) === 0 ? 20_000 : prng.int(0, 12));
    const count = prng.int(0, 30) === 0 ? 3_000 : prng.int(0, 12);
    const inner = count > 1_000 ? 0 : depth - 1;
    if (kind === 4) return many(count, () => value(inner));
    return Object.fromEntries(many(count, () => [text(5), value(inner)]));
  }

  function text(length: number): string {
    const letters = ['a', '"', '\\', '{', ']', ',', ':', '\n', 'ü', '\u2028', '😀'];
    return many(length, () => letters[prng.int(0, letters.length - 1)]!).join('');
  }

  function parsed(source: string): unknown {
    const found = finished(parseJsonInParts(source));
    return 'value' in found ? found.value : found.code;
  }

  test('equals the result of JSON.parse, and accepts no text that JSON.parse refuses', () => {
    let long = 0;
    for (let i = 0; i < 100; i++) {
      const source = JSON.stringify([value(4), value(4), value(4)], null, prng.int(0, 3));
      if (source.length > 40_000) long += 1;
      expect(parsed(source)).toEqual(JSON.parse(source));
      // One character is replaced.
      const at = prng.int(0, source.length - 1);
      const other =
        source.slice(0, at) +
        [',', '"', ']', '}', ' ', ':', 'x'][prng.int(0, 6)]! +
        source.slice(at + 1);
      let expected: unknown = 'malformed-json';
      try {
        expected = JSON.parse(other);
      } catch {}
      const found = parsed(other);
      if (found !== 'too-deep') expect(found).toEqual(expected);
    }
    expect(long).toBeGreaterThan(5);
  });

  test.each([
    ['[]', []],
    [`[${' '.repeat(40_000)}]`, []],
    [`{${' '.repeat(40_000)}}`, {}],
    [`  [${'1,'.repeat(20_000)}1]  `, many(20_001, () => 1)],
    [`{"a":1,"a":[${'1,'.repeat(20_000)}1],"b":2,"a":3}`, { a: 3, b: 2 }],
    [`"${'x'.repeat(40_000)}"`, 'x'.repeat(40_000)],
  ])('takes what is unusual', (source, expected) => {
    expect(parsed(source)).toEqual(expected);
    expect(JSON.parse(source)).toEqual(expected);
  });

  test('a key named __proto__ is an ordinary key', () => {
    const source = `{"__proto__":{"x":[${'1,'.repeat(20_000)}1]},"y":1}`;
    const found = parsed(source) as object;
    expect(Object.keys(found)).toEqual(['__proto__', 'y']);
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
  });

  const ones = '1,'.repeat(20_000);
  test.each([
    `[${ones}]`,
    `[,${ones}1]`,
    `[${ones},1]`,
    `[${ones}1}`,
    `{${ones}1}`,
    `{"a":[${ones}1],}`,
    `{"a"[${ones}1]}`,
    `{a:[${ones}1]}`,
    `[${ones}1]1`,
    `[${ones}1`,
    `["${'x'.repeat(40_000)}`,
    `{"a":1${' '.repeat(40_000)}"b":1}`,
    `{,"a":[${ones}1]}`,
    '',
    ' '.repeat(40_000),
  ])('refuses what is none', (source) => {
    expect(() => JSON.parse(source) as unknown).toThrow();
    expect(parsed(source)).toBe('malformed-json');
  });
});
