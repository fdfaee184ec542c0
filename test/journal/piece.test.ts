/** Pieces: unpacking gives what was packed, and different content has a different checksum. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { pieceCrc, PiecePacker, unpackPiece } from '../../src/journal/write/piece';

const amount = fc.oneof(fc.nat(300), fc.nat({ max: Number.MAX_SAFE_INTEGER }));
const levels = fc
  .array(fc.tuple(amount, amount), { maxLength: 40 })
  .map((pairs) => Float64Array.from(pairs.flat()));
const content = fc.record({
  text: fc.string({ unit: 'grapheme', maxLength: 200 }),
  levels: fc.array(levels, { maxLength: 3 }),
  bytes: fc.option(fc.uint8Array({ minLength: 1, maxLength: 200 }).map((b) => b.slice())),
});

describe('a piece', () => {
  test('is unpacked as it was packed, whatever was packed before it', () => {
    const packer = new PiecePacker();
    fc.assert(
      fc.property(content, (piece) => {
        expect(unpackPiece(packer.pack(piece).slice())).toEqual(piece);
      }),
    );
  });

  test('with other bytes or another name has another checksum', () => {
    const body = new PiecePacker().pack({ text: 'a', levels: [], bytes: null }).slice();
    const piece = { kind: 1, key: 2, cycle: 3, seq: 4, body };
    const crc = pieceCrc(piece);
    const flipped = body.map((byte, i) => (i === 4 ? byte ^ 1 : byte));
    for (const other of [{ kind: 2 }, { key: 3 }, { cycle: 4 }, { seq: 5 }, { body: flipped }]) {
      expect(pieceCrc({ ...piece, ...other })).not.toBe(crc);
    }
  });

  test('that is cut off cannot be unpacked', () => {
    const body = new PiecePacker().pack({
      text: 'some text',
      levels: [Float64Array.of(10, 1, 9, 2)],
      bytes: Uint8Array.of(1, 2, 3),
    });
    for (let length = 0; length < body.length; length++) {
      expect(() => unpackPiece(body.slice(0, length))).toThrow(RangeError);
    }
  });
});
