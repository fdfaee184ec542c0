import { describe, expect, test } from 'bun:test';

import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';

import {
  decodeFrame,
  decodeTextFrame,
  encodeTextFrame,
  FRAME_MESSAGES_MAX,
  FrameEncoder,
  isFault,
} from '../../protocol/codec';
import { SOURCE_CHANNELS } from '../../protocol/channels';
import { fromJson, SOURCE_OPTIONAL } from '../../protocol/json';
import { BOOK_FORMS, MESSAGES, SOURCE_LEVELS_MAX } from '../../protocol/messages';
import type { Book, Message, MessageType, Tick } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { fromTuple, toTuple } from '../../protocol/tuple';
import { anyMessage, messageOf, scalesOfSymbol, sum } from '../support/arbitraries';
import { reencoded, toHex } from '../support/bytes';
import { mark as markOf } from '../support/market-events';
import { naiveJson } from '../support/naive-json';

const TYPES = Object.keys(MESSAGES) as MessageType[];
const HOT = ['tick', 'trade', 'bbo', 'book'] as const;
const encoder = new FrameEncoder();

const emptyBook: Book = {
  type: 'book',
  symbol: 'ABCDEFGHIJKLMNOP',
  seq: Number.MAX_SAFE_INTEGER,
  prevSeq: 0,
  eventTime: Nanos.fromBigInt((1n << 63n) - 1n),
  receiveTime: Nanos.ZERO,
  form: 'incomplete',
  bids: [],
  asks: [],
  crc: null,
  count: 0xffff_ffff,
  mark: null,
};

/** How many fields at the end of a message may be nil. */
function optionalAtEnd(type: MessageType): number {
  const fields = Object.values(MESSAGES[type].fields);
  return fields.length - 1 - fields.findLastIndex((f) => f.spec.type !== 'nullable');
}

describe('round trip', () => {
  for (const type of TYPES) {
    test(`[W4] ${type}: a binary frame decodes to what was encoded`, () => {
      fc.assert(
        fc.property(fc.array(messageOf(type), { maxLength: 4 }), (messages) => {
          expect(decodeFrame(encoder.encode(messages))).toEqual(messages);
        }),
      );
    });

    test(`[W9] ${type}: a text frame decodes to what was encoded`, () => {
      fc.assert(
        fc.property(fc.array(messageOf(type), { maxLength: 4 }), (messages) => {
          const frame = encodeTextFrame(messages, scalesOfSymbol);
          expect(decodeTextFrame(frame, scalesOfSymbol)).toEqual(messages);
        }),
      );
    });
  }

  test('[W9] a text equals JSON.stringify of its object', () => {
    fc.assert(
      fc.property(fc.array(anyMessage(), { maxLength: 4 }), (messages) => {
        const objects = messages.map((message) => naiveJson(message, scalesOfSymbol));
        expect(encodeTextFrame(messages, scalesOfSymbol)).toBe(JSON.stringify(objects));
      }),
    );
  });

  test('[W9] a value that is no whole number is not written as another one', () => {
    const tick: Tick = {
      type: 'tick',
      symbol: 'ACME',
      seq: 1,
      prevSeq: 0,
      eventTime: Nanos.ZERO,
      receiveTime: Nanos.ZERO,
      last: 100,
      bid: null,
      ask: null,
      quantity: 1,
      volume: 1,
      count: 1,
    };
    const scalesOf = () => ({ priceScale: 2, quantityScale: 3 });
    for (const wrong of [12.5, 0.07, NaN, Infinity, 1e20, -0.5, undefined] as number[]) {
      for (const field of ['seq', 'last', 'quantity'] as const) {
        const encode = () => encodeTextFrame([{ ...tick, [field]: wrong }], scalesOf);
        expect(encode).toThrow(`${field} is ${wrong}; expected a whole number`);
      }
    }
    // None of those affects the next frame.
    expect(encodeTextFrame([tick], scalesOf)).toBe(JSON.stringify([naiveJson(tick, scalesOf)]));
  });

  test('[W3] a frame of mixed messages keeps their order', () => {
    fc.assert(
      fc.property(fc.array(anyMessage(), { maxLength: 40 }), (messages) => {
        expect(decodeFrame(encoder.encode(messages))).toEqual(messages);
      }),
    );
  });

  test('[W4] empty levels, the last nanosecond and the largest numbers survive', () => {
    expect(decodeFrame(encoder.encode([emptyBook]))).toEqual([emptyBook]);
    const json = encodeTextFrame([emptyBook], scalesOfSymbol);
    expect(decodeTextFrame(json, scalesOfSymbol)).toEqual([emptyBook]);
  });

  test('[W12] a book with the maximum number of levels is accepted, one more is refused', () => {
    const levels = Array.from({ length: SOURCE_LEVELS_MAX * 2 }, (_, i) => i * 1_000_003);
    const book: Book = { ...emptyBook, form: 'snapshot', bids: levels, asks: levels };
    expect(decodeFrame(encoder.encode([book]))).toEqual([book]);
    const [fault] = decodeFrame(encoder.encode([{ ...book, asks: [...levels, 1, 1] }]));
    expect(fault).toMatchObject({ code: 'invalid-field', field: 'book.asks' });
  });
});

describe('sums', () => {
  const tick: Tick = {
    type: 'tick',
    symbol: 'ACME',
    seq: 1,
    prevSeq: 0,
    eventTime: Nanos.ZERO,
    receiveTime: Nanos.ZERO,
    last: 100,
    bid: null,
    ask: null,
    quantity: 1,
    volume: 1,
    count: 1,
  };
  const tickOf = (volume: unknown): unknown[] => [
    49,
    'ACME',
    1,
    0,
    0,
    0,
    100,
    null,
    null,
    1,
    volume,
    1,
  ];

  test('[N7] one below 2^106 is unchanged, in both forms and at any scale', () => {
    fc.assert(
      fc.property(sum(), fc.nat({ max: 15 }), (volume, quantityScale) => {
        const message = { ...tick, volume };
        expect(decodeFrame(encoder.encode([message]))).toEqual([message]);
        const scalesOf = () => ({ priceScale: 2, quantityScale });
        const text = encodeTextFrame([message], scalesOf);
        expect(decodeTextFrame(text, scalesOf)).toEqual([message]);
      }),
    );
  });

  test('[N7] in the binary form it is an integer up to 2^53 - 1, and digits beyond', () => {
    fc.assert(
      fc.property(sum(), (volume) => {
        const [[, , , , , , , , , , onWire]] = decode(encoder.encode([{ ...tick, volume }]), {
          useBigInt64: true,
        }) as [unknown[]];
        if (typeof volume === 'number')
          expect(BigInt(onWire as number | bigint)).toBe(BigInt(volume));
        else expect(onWire).toBe(volume.toString());
      }),
    );
  });

  test('[N7] digits of a small one are accepted too; anything else is refused', () => {
    expect(decodeFrame(encode([tickOf('0007')]))).toEqual([{ ...tick, volume: 7 }]);
    for (const wrong of ['', '-1', '1.5', 'x', '1'.repeat(33), String(2n ** 106n), -1, 2 ** 53]) {
      const [fault] = decodeFrame(encode([tickOf(wrong)]));
      expect(fault).toMatchObject({ field: 'tick.volume' });
    }
  });
});

describe('specialised writers', () => {
  for (const type of HOT) {
    test(`[W5] ${type}: @msgpack/msgpack reads the bytes and writes the same`, () => {
      fc.assert(
        fc.property(messageOf(type), (message) => {
          const bytes = encoder.encode([message]);
          expect(toHex(bytes)).toBe(toHex(reencoded(bytes)));
        }),
      );
    });

    test(`[W5] ${type}: bytes and message equal those of the general path`, () => {
      fc.assert(
        fc.property(messageOf(type), (message) => {
          const general = encode([toTuple(message)], { useBigInt64: true });
          expect(toHex(encoder.encode([message]))).toBe(toHex(general));
          expect(fromTuple(toTuple(message))).toEqual(message);
        }),
      );
    });
  }

  test('[W4] their lists of enumerated words equal the message table', () => {
    const aggressor = MESSAGES.trade.fields.aggressor.spec;
    const words = aggressor.type === 'enum' ? aggressor.values : [];
    for (const [index, word] of words.entries()) {
      const [trade] = decodeFrame(encode([[50, 'A', 1, 0, 0, 0, 1, 1, index, 0]]));
      expect(trade).toMatchObject({ type: 'trade', aggressor: word });
    }
    for (const [index, form] of BOOK_FORMS.entries()) {
      const [book] = decodeFrame(encode([[52, 'A', 1, 0, 0, 0, index, [], [], null, 1]]));
      expect(book).toMatchObject({ type: 'book', form });
    }
  });
});

describe('a publish with messages of plain channels', () => {
  const events = fc.array(fc.constantFrom(...SOURCE_CHANNELS).chain(messageOf), {
    minLength: 1,
    maxLength: 6,
  });

  test('[W5] is read as the general path reads it, and so is any change of one byte', () => {
    fc.assert(
      fc.property(events, fc.nat(), fc.nat(255), (given, at, byte) => {
        const message = { type: 'publish', id: 1, events: given, continues: null } as Message;
        const bytes = new FrameEncoder().encode([message]);
        expect(decodeFrame(bytes)).toEqual([message]);
        bytes[1 + (at % (bytes.length - 1))] = byte;
        const [found, ...rest] = decodeFrame(bytes);
        if (found === undefined || isFault(found) || rest.length > 0) return;
        // What is taken is what the bytes say to a decoder that is not ours.
        const [tuple] = decode(bytes, { useBigInt64: true }) as unknown[];
        expect(found).toEqual(fromTuple(tuple) as Message);
      }),
      { numRuns: 2_000 },
    );
  });

  test('[P2] names the field at fault', () => {
    const mark = markOf({ fundingRate: '1e5' });
    const message = { type: 'publish', id: 1, events: [mark], continues: null } as Message;
    expect(decodeFrame(new FrameEncoder().encode([message]))).toMatchObject([
      { code: 'invalid-field', field: 'publish.events[0].fundingRate' },
    ]);
  });
});

describe('what a reader tolerates', () => {
  test('[W7] elements after the known fields are ignored', () => {
    fc.assert(
      fc.property(anyMessage(), (message) => {
        const longer = [...toTuple(message), { later: [1, 'x'] }, null, 3.5];
        expect(decodeFrame(encode([longer], { useBigInt64: true }))).toEqual([message]);
      }),
    );
  });

  test('[W7] unknown members of a JSON object are ignored', () => {
    const ping = { type: 'ping', later: { deep: [1] }, id: 1, time: '5' };
    expect(decodeTextFrame(JSON.stringify(ping), scalesOfSymbol)).toEqual([
      { type: 'ping', id: 1, time: new Nanos(0, 5) },
    ]);
  });

  test('[W8] an unknown code is one fault; the other messages are accepted', () => {
    const ping = [6, 1, 2];
    const decoded = decodeFrame(encode([ping, [99, { x: 1 }], ping]));
    expect(decoded.map((m) => (isFault(m) ? m.code : m.type))).toEqual([
      'ping',
      'unknown-message',
      'ping',
    ]);
  });

  test('[W6] any form of an integer is accepted, also for a code', () => {
    const longForms = [
      [6n, 1n, 2n],
      [49n, 'A', 1n, 0n, 5n, 6n, -1n, null, 3n, 4n, 5n, 1n],
    ];
    expect(decodeFrame(encode([longForms[0]], { useBigInt64: true }))).toEqual([
      { type: 'ping', id: 1, time: new Nanos(0, 2) },
    ]);
    expect(decodeFrame(encode([longForms[1]], { useBigInt64: true }))).toMatchObject([
      { type: 'tick', last: -1, bid: null, ask: 3 },
    ]);
  });

  test('[W6] a float that holds a whole number is read, hot message or not', () => {
    const asFloats = encode(
      [
        [50, 'A', 1, 0, 0, 0, 2, 3, 0, 7],
        [6, 1, 2],
      ],
      { forceIntegerToFloat: true },
    );
    expect(decodeFrame(asFloats)).toMatchObject([
      { type: 'trade', price: 2, quantity: 3, tradeId: 7, timing: null },
      { type: 'ping', id: 1 },
    ]);
  });

  test('[W6] the zero of a float is 0, whatever its sign', () => {
    expect(decodeFrame(encode([[6, -0.0, 2]], { forceIntegerToFloat: true }))).toEqual([
      { type: 'ping', id: 0, time: new Nanos(0, 2) },
    ]);
    expect(decodeTextFrame('{"type":"ping","id":-0,"time":"2"}', scalesOfSymbol)).toEqual([
      { type: 'ping', id: 0, time: new Nanos(0, 2) },
    ]);
  });

  test('[W4] [W13] fields that an earlier version did not have at the end are null', () => {
    const growing = TYPES.filter((type) => optionalAtEnd(type) > 0);
    expect(growing).toEqual(
      expect.arrayContaining(['trade', 'bbo', 'book', 'ack', 'publish', 'status']),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...growing).chain((type) => fc.tuple(messageOf(type), fc.nat())),
        ([message, drawn]) => {
          const without = 1 + (drawn % optionalAtEnd(message.type));
          const tuple = toTuple(message).slice(0, -without);
          const nulls = MESSAGES[message.type].names.slice(-without).map((name) => [name, null]);
          const expected = { ...message, ...Object.fromEntries(nulls) };
          expect(decodeFrame(encode([tuple], { useBigInt64: true }))).toEqual([expected]);
        },
      ),
    );
  });

  test('[W4] a nullable field at the end may be omitted', () => {
    expect(decodeFrame(encode([[2, 7, ['status']]]))).toEqual([
      { type: 'subscribe', id: 7, topics: ['status'], intervalMs: null },
    ]);
  });

  test('[W9] one JSON object is a frame of one message', () => {
    const text = '{"type":"subscribe","id":7,"topics":["status"]}';
    expect(decodeTextFrame(text, scalesOfSymbol)).toEqual([
      { type: 'subscribe', id: 7, topics: ['status'], intervalMs: null },
    ]);
  });

  test('[N4] an instrument gives its decimals to later messages of the same text frame', () => {
    const messages: Message[] = [
      {
        type: 'instrument',
        symbol: 'NEW',
        seq: 1,
        market: 'feed',
        priceScale: 3,
        quantityScale: 0,
        priceIncrement: 5,
        quantityIncrement: 1,
        previousClose: null,
        rules: null,
        shard: null,
      },
      { ...emptyBook, symbol: 'NEW', form: 'snapshot', bids: [1_500, 2] },
    ];
    const frame = encodeTextFrame(messages, () => ({ priceScale: 3, quantityScale: 0 }));
    expect(decodeTextFrame(frame, () => undefined)).toEqual(messages);
  });
});

test('[P6] a source may omit fields of its events that have a default', () => {
  const trade = { type: 'trade', symbol: 'A', eventTime: '9', price: '1', quantity: '2' };
  const publish = {
    type: 'publish',
    id: 1,
    events: [{ ...trade, aggressor: 'buy' }],
    continues: null,
  };
  const decoded = fromJson(publish, () => ({ priceScale: 0, quantityScale: 0 }));
  const { count: _, numbers, ...standIns } = SOURCE_OPTIONAL; // a trade has neither
  expect(decoded).toMatchObject({ events: [{ ...standIns, price: 1, quantity: 2 }] });
  const renumber = { type: 'renumber', symbol: 'A', eventTime: '9' };
  expect(fromJson({ ...publish, events: [renumber] }, scalesOfSymbol)).toMatchObject({
    events: [{ type: 'renumber', seq: 0, prevSeq: 0, numbers }],
  });
  const [alone] = decodeTextFrame(JSON.stringify(trade), scalesOfSymbol);
  expect(alone).toMatchObject({ code: 'invalid-field', field: 'trade.seq' });
});

test('[W10] more messages than the server takes in a frame are one fault', () => {
  const many = Array.from({ length: FRAME_MESSAGES_MAX + 1 }, () => [6, 1, 2]);
  const fault = decodeFrame(encode(many), FRAME_MESSAGES_MAX);
  expect(fault).toMatchObject([{ code: 'malformed-msgpack' }]);
  expect(decodeFrame(encode(many.slice(1)), FRAME_MESSAGES_MAX)).toHaveLength(FRAME_MESSAGES_MAX);
  const text = `[${many.map(() => '{}').join(',')}]`;
  const textFault = decodeTextFrame(text, scalesOfSymbol, FRAME_MESSAGES_MAX);
  expect(textFault).toMatchObject([{ code: 'malformed-json' }]);
});
