/** Hostile and truncated bytes and texts. */

import { describe, expect, test } from 'bun:test';

import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';

import { decodeFrame, decodeTextFrame, FrameEncoder, isFault } from '../../protocol/codec';
import { ERRORS, type Fault } from '../../protocol/codes';
import type { Message } from '../../protocol/messages';
import { anyMessage, scalesOfSymbol } from '../support/arbitraries';
import { naiveJson } from '../support/naive-json';
import { fromHex } from '../support/bytes';

const encoder = new FrameEncoder();

/** Every part of a decoded frame is a message, or a fault whose code the table knows. */
function faultsOf(decoded: (Message | Fault)[]): Fault[] {
  const faults = decoded.filter(isFault);
  for (const fault of faults) {
    expect(ERRORS).toHaveProperty([fault.code]);
    expect(fault.message.length).toBeGreaterThan(0);
    expect(fault.message.length).toBeLessThanOrEqual(500);
    if (fault.field !== undefined) {
      expect(fault.field.length).toBeLessThanOrEqual(120);
      expect(fault.message).toContain('; expected ');
      expect(fault.message).toStartWith(`${fault.field} is `);
    }
  }
  return faults;
}

/** What a decoder accepted must be a message that can be encoded again, unchanged. */
function messagesOf(decoded: (Message | Fault)[]): Message[] {
  const messages = decoded.filter((m): m is Message => !isFault(m));
  expect(decodeFrame(encoder.encode(messages))).toEqual(messages);
  return messages;
}

function codesOf(bytes: Uint8Array): string[] {
  return faultsOf(decodeFrame(bytes)).map((f) => f.code);
}

describe('binary frames', () => {
  test('[E3] arbitrary bytes give messages or coded faults, never an exception', () => {
    const opened = fc.uint8Array({ maxLength: 300 }).map((b) => Uint8Array.of(0x93, ...b));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), opened), (bytes) => {
        const decoded = decodeFrame(bytes);
        faultsOf(decoded);
        messagesOf(decoded);
      }),
      { numRuns: 3_000 },
    );
  });

  test('[E3] arbitrary MessagePack instead of messages', () => {
    const junk = fc.anything({ withBigInt: true, withTypedArray: false, withDate: false });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(junk, fc.tuple(fc.integer({ min: 0, max: 60 }), junk, junk))),
        (value) => {
          let bytes: Uint8Array;
          try {
            bytes = encode(value, { useBigInt64: true });
          } catch {
            return; // beyond int64, or not expressible in MessagePack
          }
          faultsOf(decodeFrame(bytes));
        },
      ),
    );
  });

  test('[W14] a frame cut at any byte gives the complete messages before the cut and one fault', () => {
    fc.assert(
      fc.property(fc.array(anyMessage(), { minLength: 1, maxLength: 3 }), (messages) => {
        const bytes = encoder.encode(messages);
        const step = Math.max(1, Math.floor(bytes.length / 200));
        for (let cut = 0; cut < bytes.length; cut += step) {
          const decoded = decodeFrame(bytes.subarray(0, cut));
          expect(faultsOf(decoded)).toMatchObject([{ code: 'malformed-msgpack' }]);
          expect(decoded.slice(0, -1)).toEqual(messages.slice(0, decoded.length - 1));
        }
      }),
      { numRuns: 60 },
    );
  });

  test('[E3] one flipped byte gives a valid message or a coded fault', () => {
    fc.assert(
      fc.property(anyMessage(), fc.integer({ min: 1, max: 255 }), (message, flip) => {
        const bytes = encoder.encode([message]);
        const step = Math.max(1, Math.floor(bytes.length / 100));
        for (let at = 0; at < bytes.length; at += step) {
          const damaged = bytes.slice();
          damaged[at]! ^= flip;
          const decoded = decodeFrame(damaged);
          faultsOf(decoded);
          messagesOf(decoded);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('[W11] nesting of any depth is refused as too deep', () => {
    for (const depth of [7, 100, 1_000_000]) {
      const bomb = new Uint8Array(depth + 1).fill(0x91);
      expect(codesOf(bomb)).toEqual(['too-deep']);
      const maps = new Uint8Array(depth * 2).map((_, i) => (i === 0 ? 0x91 : i % 2 ? 0x81 : 0x01));
      expect(codesOf(maps)).toEqual(['too-deep']);
    }
  });

  const lies: [what: string, hex: string][] = [
    ['an array of 2^32 - 1 messages', 'dd ffffffff'],
    ['a message of 2^32 - 1 elements', '91 dd ffffffff 06'],
    ['a map of 2^32 - 1 pairs', '91 92 06 df ffffffff'],
    ['a string of 2^32 - 1 bytes', '91 93 02 01 db ffffffff 41'],
    ['binary data of 2^32 - 1 bytes', '91 92 06 c6 ffffffff'],
    ['levels of 2^32 - 2 integers', '91 9b 34 a141 01 00 00 00 00 dd fffffffe'],
  ];
  for (const [what, hex] of lies) {
    test(`[E3] ${what} is refused without allocating memory for it`, () => {
      const before = process.memoryUsage.rss();
      const faults = faultsOf(decodeFrame(fromHex(hex)));
      expect(faults).toHaveLength(1);
      expect(['malformed-msgpack']).toContain(faults[0]!.code);
      expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
    });
  }

  test('[E3] many arrays that each claim the rest of the frame are refused', () => {
    const size = 200_000;
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    bytes[0] = 0x91;
    for (let at = 1; at + 5 < size; at += 5) {
      bytes[at] = 0xdd;
      view.setUint32(at + 1, size - at - 5);
    }
    expect(codesOf(bytes)).toEqual(['too-deep']);
  });

  const frames: [what: string, hex: string, codes: string[]][] = [
    ['nothing at all', '', ['malformed-msgpack']],
    ['a map as the frame', '80', ['malformed-msgpack']],
    ['a number as a message', '91 05', ['invalid-field']],
    ['a message without a code', '91 90', ['invalid-field']],
    ['a text as the code', '91 91 a141', ['unknown-message']],
    [
      'an object that throws when it is printed',
      '91 91 81 a8746f537472696e67 01',
      ['unknown-message'],
    ],
    ['a map with a key that is an array', '91 92 06 81 91 01 02', ['malformed-msgpack']],
    ['a map with the key __proto__', '91 92 06 81 a95f5f70726f746f5f5f 01', ['malformed-msgpack']],
    ['an extension', '91 92 06 d4 01 02', ['malformed-msgpack']],
    ['the byte that is never used', '91 92 06 c1', ['malformed-msgpack']],
    ['bytes after the frame', '90 00', ['malformed-msgpack']],
  ];
  for (const [what, hex, codes] of frames) {
    test(`[E3] ${what}: ${codes.join(', ')}`, () => expect(codesOf(fromHex(hex))).toEqual(codes));
  }

  const tick = [49, 'A', 5, 4, 1, 1, 100, 99, 101, 1, 1, 1];
  const book = [52, 'A', 5, 4, 1, 1, 1, [100, 1], [], 0, 1];
  const fields: [message: unknown[], index: number, value: unknown, field: string, code: string][] =
    [
      [tick, 1, '', 'tick.symbol', 'invalid-field'],
      [tick, 1, 'A:B', 'tick.symbol', 'invalid-field'],
      [tick, 1, 'ABCDEFGHIJKLMNOPQ', 'tick.symbol', 'invalid-field'],
      [tick, 1, 7, 'tick.symbol', 'invalid-field'],
      [tick, 2, -1, 'tick.seq', 'invalid-field'],
      [tick, 2, 2n ** 53n, 'tick.seq', 'out-of-range'],
      [tick, 4, -1, 'tick.eventTime', 'invalid-field'],
      [tick, 4, 2n ** 63n, 'tick.eventTime', 'invalid-field'],
      [tick, 6, null, 'tick.last', 'invalid-field'],
      [tick, 6, 1.5, 'tick.last', 'invalid-field'],
      [tick, 6, Number.NaN, 'tick.last', 'invalid-field'],
      [tick, 6, -(2n ** 53n), 'tick.last', 'out-of-range'],
      [tick, 9, -5, 'tick.quantity', 'invalid-field'],
      [tick, 11, 2 ** 32, 'tick.count', 'invalid-field'],
      [book, 6, 3, 'book.form', 'invalid-field'],
      [book, 6, -1, 'book.form', 'invalid-field'],
      [book, 7, [1], 'book.bids', 'invalid-field'],
      [book, 7, [1, -1], 'book.bids[1]', 'invalid-field'],
      [book, 7, 'x', 'book.bids', 'invalid-field'],
      [book, 9, -1, 'book.crc', 'invalid-field'],
      [book, 9, 2 ** 32, 'book.crc', 'invalid-field'],
    ];
  for (const [message, index, value, field, code] of fields) {
    test(`[E4] ${field} of ${String(value)} is ${code} and does not affect other messages`, () => {
      const damaged = message.with(index, value);
      const decoded = decodeFrame(encode([message, damaged, message], { useBigInt64: true }));
      expect(decoded).toHaveLength(3);
      expect(faultsOf(decoded)).toMatchObject([{ code, field }]);
      expect(isFault(decoded[1]!)).toBe(true);
    });
  }

  test('[P2] a publish inside a publish is refused before it is parsed', () => {
    const inner = [7, 1, [[7, 2, []]]];
    expect(faultsOf(decodeFrame(encode([inner])))).toMatchObject([
      { code: 'invalid-field', field: 'publish.events[0].type' },
    ]);
  });
});

describe('text frames', () => {
  const decode = (text: string): (Message | Fault)[] => decodeTextFrame(text, scalesOfSymbol);

  test('[E3] arbitrary text and arbitrary JSON give messages or coded faults', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json({ maxDepth: 8 })), (text) => {
        faultsOf(decode(text));
      }),
      { numRuns: 1_000 },
    );
  });

  test('[E3] a member replaced by any JSON gives a valid message or a coded fault', () => {
    const junk = fc.jsonValue({ maxDepth: 3 });
    fc.assert(
      fc.property(anyMessage(), fc.nat(), junk, (message, at, value) => {
        const known = (symbol: string): ReturnType<typeof scalesOfSymbol> => scalesOfSymbol(symbol);
        const object = naiveJson(message, known) as Record<string, unknown>;
        const names = Object.keys(object);
        object[names[at % names.length]!] = value;
        const decoded = decodeTextFrame(JSON.stringify(object), known);
        faultsOf(decoded);
        messagesOf(decoded);
      }),
      { numRuns: 1_000 },
    );
  });

  test('[W14] a text cut at any character is one fault', () => {
    const text =
      '[{"type":"ping","id":1,"time":"5"},{"type":"subscribe","id":2,"topics":["status"]}]';
    for (let cut = 0; cut < text.length; cut++) {
      expect(faultsOf(decode(text.slice(0, cut)))).toMatchObject([{ code: 'malformed-json' }]);
    }
  });

  test('[W11] nesting of any depth and position is refused as too deep', () => {
    for (const depth of [8, 1_000, 1_000_000]) {
      expect(faultsOf(decode('['.repeat(depth)))).toMatchObject([{ code: 'too-deep' }]);
      expect(faultsOf(decode('{"a":'.repeat(depth)))).toMatchObject([{ code: 'too-deep' }]);
      const events = '{"type":"publish","id":1,"events":['.repeat(depth);
      expect(faultsOf(decode(events))).toMatchObject([{ code: 'too-deep' }]);
    }
  });

  test('[W11] brackets in strings do not count as nesting', () => {
    const client = '[{"\\"[['.repeat(6);
    const hello = { type: 'hello', version: 1, client, key: null };
    expect(decode(JSON.stringify([hello]))).toEqual([hello] as unknown as Message[]);
  });

  const objects: [json: string, code: string, field: string][] = [
    ['7', 'invalid-field', 'message'],
    ['[null]', 'invalid-field', 'message'],
    ['[[]]', 'invalid-field', 'message'],
    ['{}', 'unknown-message', 'type'],
    ['{"type":"toString"}', 'unknown-message', 'type'],
    ['{"type":"__proto__"}', 'unknown-message', 'type'],
    ['{"type":"ping","id":-1,"time":"1"}', 'invalid-field', 'ping.id'],
    ['{"type":"ping","id":1,"time":1}', 'invalid-field', 'ping.time'],
    ['{"type":"ping","id":1e99,"time":"1"}', 'out-of-range', 'ping.id'],
    ['{"type":"subscribe","id":1,"topics":"status"}', 'invalid-field', 'subscribe.topics'],
    ['{"type":"subscribe","id":1,"topics":[1]}', 'invalid-field', 'subscribe.topics[0]'],
    [
      '{"type":"publish","id":1,"events":[{"type":"ping"}]}',
      'invalid-field',
      'publish.events[0].type',
    ],
    [
      '{"type":"instrument","symbol":"A","priceScale":16}',
      'invalid-field',
      'instrument.priceScale',
    ],
    ['{"type":"order","id":1,"clientOrderId":"","price":"1"}', 'invalid-field', 'order.symbol'],
  ];
  for (const [json, code, field] of objects) {
    test(`[E4] ${json} is ${code} at ${field}`, () => {
      expect(faultsOf(decode(json))).toMatchObject([{ code, field }]);
    });
  }

  test('[E4] an undefined instrument is unknown-symbol', () => {
    const text = '{"type":"order","id":1,"clientOrderId":"a","symbol":"NONE","price":"1"}';
    expect(faultsOf(decodeTextFrame(text, () => undefined))).toMatchObject([
      { code: 'unknown-symbol', field: 'order.symbol' },
    ]);
  });
});
