/** Messages cut into frames: all are there, in order, and no frame is longer than it may be. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { decodeFrame, decodeTextFrame, encodeTextFrames, FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

const SCALES = { priceScale: 2, quantityScale: 3 };

const message = fc.oneof(
  fc.record({ seq: fc.nat(), levels: fc.nat(40) }).map(({ seq, levels }): Message => ({
    type: 'book',
    symbol: 'ACME',
    seq,
    prevSeq: 0,
    eventTime: Nanos.ZERO,
    receiveTime: Nanos.ZERO,
    form: 'snapshot',
    bids: Array.from({ length: 2 * levels }, (_, i) => 1 + i),
    asks: [],
    crc: null,
    count: 1,
    mark: null,
  })),
  fc
    .record({ id: fc.nat(), text: fc.string({ maxLength: 60, unit: 'grapheme' }) })
    .map(({ id, text }): Message => ({
      type: 'error',
      id,
      code: 'invalid-field',
      message: text,
      field: null,
      hint: '',
    })),
);

test('[W19] frames of at most so many bytes hold the same messages', () => {
  const encoder = new FrameEncoder();
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 60 }),
      fc.integer({ min: 20, max: 2_000 }),
      (messages, most) => {
        const binary = encoder.encodeFrames(messages, most);
        expect(binary.flatMap((frame) => decodeFrame(frame))).toEqual(messages);
        for (const frame of binary)
          expect(frame.length <= most || decodeFrame(frame).length === 1).toBe(true);
        const texts = encodeTextFrames(messages, () => SCALES, most);
        const decoded = texts.map((text) => decodeTextFrame(text, () => SCALES));
        expect(decoded.flat()).toEqual(messages);
        for (const [i, text] of texts.entries()) {
          expect(Buffer.byteLength(text) <= most || decoded[i]!.length === 1).toBe(true);
        }
      },
    ),
  );
});
