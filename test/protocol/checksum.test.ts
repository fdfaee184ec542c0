import { expect, test } from 'bun:test';

import fc from 'fast-check';

import { bookChecksum } from '../../protocol/checksum';
import { BOOK_DEPTH } from '../../protocol/units';
import { safeInteger } from '../support/arbitraries';

/** The bytes of rule [B8], for the CRC-32 of the runtime. */
function checksummedBytes(bids: readonly number[], asks: readonly number[]): Uint8Array {
  const sides = [bids, asks].map((levels) => levels.slice(0, BOOK_DEPTH * 2));
  const values = sides.flat();
  const view = new DataView(new ArrayBuffer(4 + values.length * 8));
  view.setUint16(0, sides[0]!.length / 2, true);
  view.setUint16(2, sides[1]!.length / 2, true);
  values.forEach((value, i) => view.setBigInt64(4 + i * 8, BigInt(value), true));
  return new Uint8Array(view.buffer);
}

const levels = fc
  .array(fc.tuple(safeInteger(), safeInteger(0)), { maxLength: 13 })
  .map((pairs) => pairs.flat());

test('[B8] the checksum is the CRC-32 of the specified bytes, also beyond the tenth level', () => {
  fc.assert(
    fc.property(levels, levels, (bids, asks) => {
      expect(bookChecksum(bids, asks)).toBe(Bun.hash.crc32(checksummedBytes(bids, asks)));
    }),
    { numRuns: 1_000 },
  );
});

test('[B8] typed arrays give the same checksum', () => {
  const bids = [6_183_763_000_000, 378_826_000, 6_183_762_000_000, 1];
  expect(bookChecksum(Float64Array.from(bids), new Float64Array(0))).toBe(bookChecksum(bids, []));
});

test('[B8] an empty book has the checksum of four zero bytes', () => {
  expect(bookChecksum([], [])).toBe(0x2144df1c);
});
