/**
 * CRC-32 (IEEE 802.3, as in zlib) of the ten best levels of a book, so that a reader can verify its
 * copy. The bytes, little-endian: uint16 number of bids, uint16 number of asks, then for each bid
 * and then each ask, best first, int64 price and int64 quantity (scaled integers).
 *
 * The length is a multiple of 32 bits, so four tables process a 32-bit word at a time (the "slicing" of
 * Kounavis and Berry, 2005).
 */

import { BOOK_DEPTH } from './units';

const [T0, T1, T2, T3] = makeTables();

/**
 * @param bids price, quantity, price, quantity …, best first; levels past the tenth are ignored
 * @param asks as bids
 * @returns an unsigned 32-bit integer
 */
export function bookChecksum(bids: ArrayLike<number>, asks: ArrayLike<number>): number {
  const bidFields = Math.min(bids.length, BOOK_DEPTH * 2);
  const askFields = Math.min(asks.length, BOOK_DEPTH * 2);
  let crc = word(-1, (bidFields >> 1) | ((askFields >> 1) << 16));
  crc = side(crc, bids, bidFields);
  crc = side(crc, asks, askFields);
  return ~crc >>> 0;
}

/** CRC-32 of bytes, unsigned. */
export function crc32(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length & ~3;
  let crc = -1;
  for (let at = 0; at < whole; at += 4) crc = word(crc, view.getInt32(at, true));
  for (let at = whole; at < bytes.length; at++) {
    crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!;
  }
  return ~crc >>> 0;
}

function side(start: number, levels: ArrayLike<number>, fields: number): number {
  let crc = start;
  for (let i = 0; i < fields; i++) {
    const value = levels[i]!;
    crc = word(crc, value | 0);
    crc = word(crc, Math.floor(value / 4_294_967_296) | 0);
  }
  return crc;
}

function word(crc: number, value: number): number {
  const x = crc ^ value;
  return T3[x & 0xff]! ^ T2[(x >>> 8) & 0xff]! ^ T1[(x >>> 16) & 0xff]! ^ T0[x >>> 24]!;
}

function makeTables(): [Int32Array, Int32Array, Int32Array, Int32Array] {
  const tables = [0, 1, 2, 3].map(() => new Int32Array(256)) as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    tables[0][n] = c;
  }
  for (let k = 1; k < 4; k++) {
    for (let n = 0; n < 256; n++) {
      const previous = tables[k - 1]![n]!;
      tables[k]![n] = (previous >>> 8) ^ tables[0][previous & 0xff]!;
    }
  }
  return tables;
}
