/** Frames made by an independent encoder (fixtures/frames/README.md). */

import { describe, expect, test } from 'bun:test';

import { bookChecksum } from '../../protocol/checksum';
import { decodeFrame, decodeTextFrame, encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import { TenLevels } from '../../protocol/levels';
import { MESSAGES, type Book, type Message } from '../../protocol/messages';
import type { ScalesOf } from '../../protocol/units';
import { readEarlierFrames, readGoldenFrames } from '../support/golden';
import { fromHex, reencoded, toHex } from '../support/bytes';

const frames = readGoldenFrames();
const encoder = new FrameEncoder();

function messagesOf(name: string): Message[] {
  const frame = frames.find((f) => f.name === name);
  return decodeFrame(fromHex(frame?.hex ?? '')) as Message[];
}

/** For `JSON.stringify`: leaves out nulls. */
function withoutNull(_name: string, value: unknown): unknown {
  return value === null ? undefined : value;
}

describe('golden frames', () => {
  for (const { name, hex, messages: json, scales } of frames) {
    const scalesOf: ScalesOf = (symbol) => scales[symbol];
    const fromText = decodeTextFrame(JSON.stringify(json), scalesOf) as Message[];

    test(`[W4] ${name}: the messages encode to the bytes, and the bytes decode to the messages`, () => {
      expect(toHex(encoder.encode(fromText))).toBe(hex);
      expect(decodeFrame(fromHex(hex))).toEqual(fromText);
    });

    test(`[W9] ${name}: the messages encode to the JSON, and the JSON decodes to the messages`, () => {
      const decoded = decodeFrame(fromHex(hex)) as Message[];
      expect(JSON.parse(encodeTextFrame(decoded, scalesOf))).toEqual(json as unknown[]);
    });

    test(`[W5] ${name}: @msgpack/msgpack writes the same bytes`, () => {
      expect(toHex(reencoded(fromHex(hex)))).toBe(hex);
    });
  }

  for (const { name, hex, messages: json, scales } of readEarlierFrames()) {
    test(`[W4] [W13] ${name} from before a field was added is accepted, with null for the field`, () => {
      const now = frames.find((frame) => frame.name === name)!;
      expect(hex.length).toBeLessThan(now.hex.length);
      expect(json).toEqual(now.messages as Record<string, unknown>[]);
      expect(decodeFrame(fromHex(hex))).toEqual(decodeFrame(fromHex(now.hex)));
      expect(decodeTextFrame(JSON.stringify(json, withoutNull), (s) => scales[s])).toEqual(
        decodeFrame(fromHex(hex)),
      );
    });
  }

  test('[W4] every type of message has a frame of its name', () => {
    for (const type of Object.keys(MESSAGES)) {
      const types = frames.find((f) => f.name === type)?.messages.map((m) => m['type']);
      expect(types).toEqual([type]);
    }
  });

  test('[B4] [B8] the delta follows the snapshot, and the checksums of both are right', () => {
    const copy = new TenLevels();
    const [snapshot] = messagesOf('book') as Book[];
    const [delta] = messagesOf('book-delta') as Book[];
    copy.replace(snapshot!.bids, snapshot!.asks);
    expect(bookChecksum(copy.bids, copy.asks)).toBe(0xb257bf07);
    expect(snapshot!.crc).toBe(0xb257bf07);
    expect(delta!.prevSeq).toBe(snapshot!.seq);
    copy.apply(delta!.bids, delta!.asks);
    expect(bookChecksum(copy.bids, copy.asks)).toBe(0x701b45b8);
    expect(delta!.crc).toBe(0x701b45b8);
  });
});
