/**
 * Integers: the MessagePack forms of integers and times, as straight-line writes into a `DataView`.
 *
 * Each function writes at `at` and returns the next offset; the buffer must have room. An integer takes its
 * shortest form, so the result equals that of @msgpack/msgpack byte for byte.
 *
 * This is the innermost part of the encoder, and its shape is measured (bench `encode`):
 * - Values are in a `Float64Array`, so that one loop, in which the engine knows every type, serves all fields
 *   of all messages. One call a field is slower by half, and more with mixed kinds.
 * - A value that is written as an integer is an int32 before (`| 0`). For other values the engine uses a call
 *   that is twenty times slower.
 * - A double past 2^31 becomes an int32 only on a slow path. So the bytes of a large integer are not
 *   computed but read off a double: 2^52 + n, for 0 ≤ n < 2^52, is the double whose 52 lowest bits
 *   are n; what its exponent leaves in the highest bytes is then written over.
 */

import type { Nanos } from './time';

const WORD = 4_294_967_296;
const TO_BITS = 4_503_599_627_370_496; // 2^52
const SIX_BYTES = 281_474_976_710_656; // 2^48: below it, the two highest bytes of an int64 are zero

/** Represents nil among values. */
export const NIL_VALUE = Number.NaN;

/** Writes the first `count` values, each an integer within ±(2^53 − 1) or nil; nine bytes at most. */
export function putValues(
  view: DataView,
  start: number,
  values: Float64Array,
  count: number,
): number {
  let at = start;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    if (value >= WORD && value < SIX_BYTES) {
      view.setFloat64(at + 1, value + TO_BITS);
      view.setUint16(at + 1, 0);
      view.setUint8(at, 0xcf);
      at += 9;
    } else if (value >= 0x1_0000 && value <= 0x7fff_ffff) {
      view.setUint8(at, 0xce);
      view.setInt32(at + 1, value | 0);
      at += 5;
    } else if (value >= 0 && value < 0x80) {
      view.setUint8(at, value | 0);
      at += 1;
    } else {
      at = putValue(view, at, value);
    }
  }
  return at;
}

/** Two sequence numbers: mostly of five bytes each, once a server has run for a while. */
export function putSeqs(view: DataView, at: number, seq: number, prevSeq: number): number {
  if (prevSeq < 0x1_0000 || seq < 0x1_0000 || seq > 0x7fff_ffff || prevSeq > 0x7fff_ffff) {
    return putValue(view, putValue(view, at, seq), prevSeq);
  }
  view.setUint8(at, 0xce);
  view.setInt32(at + 1, seq | 0);
  view.setUint8(at + 5, 0xce);
  view.setInt32(at + 6, prevSeq | 0);
  return at + 10;
}

/** Two times, of nine bytes each unless they lie in the first seconds of 1970. */
export function putTimes(view: DataView, at: number, first: Nanos, second: Nanos): number {
  if (first.hi === 0 || second.hi === 0) {
    return putTime(view, putTime(view, at, first), second);
  }
  // The low word is in place; the high word overwrites the rest of the double.
  view.setFloat64(at + 1, first.lo + TO_BITS);
  view.setInt32(at + 1, first.hi | 0);
  view.setUint8(at, 0xcf);
  view.setFloat64(at + 10, second.lo + TO_BITS);
  view.setInt32(at + 10, second.hi | 0);
  view.setUint8(at + 9, 0xcf);
  return at + 18;
}

function putTime(view: DataView, at: number, { hi, lo }: Nanos): number {
  if (hi === 0) return putValue(view, at, lo);
  view.setUint8(at, 0xcf);
  view.setInt32(at + 1, hi | 0);
  view.setUint32(at + 5, lo >>> 0);
  return at + 9;
}

/** An integer of any form, or nil. */
function putValue(view: DataView, at: number, value: number): number {
  if (Number.isNaN(value)) {
    view.setUint8(at, 0xc0);
    return at + 1;
  }
  if (value < 0) return putNegative(view, at, value);
  if (value >= WORD) {
    view.setUint8(at, 0xcf);
    view.setUint32(at + 1, (value / WORD) >>> 0);
    view.setUint32(at + 5, value >>> 0);
    return at + 9;
  }
  if (value >= 0x1_0000) {
    view.setUint8(at, 0xce);
    view.setUint32(at + 1, value >>> 0);
    return at + 5;
  }
  if (value >= 0x100) {
    view.setUint8(at, 0xcd);
    view.setUint16(at + 1, value | 0);
    return at + 3;
  }
  if (value >= 0x80) {
    view.setUint16(at, 0xcc00 | value);
    return at + 2;
  }
  view.setUint8(at, value | 0);
  return at + 1;
}

function putNegative(view: DataView, at: number, value: number): number {
  if (value >= -0x20) {
    view.setInt8(at, value | 0);
    return at + 1;
  }
  if (value >= -0x80) {
    view.setUint8(at, 0xd0);
    view.setInt8(at + 1, value | 0);
    return at + 2;
  }
  if (value >= -0x8000) {
    view.setUint8(at, 0xd1);
    view.setInt16(at + 1, value | 0);
    return at + 3;
  }
  if (value >= -0x8000_0000) {
    view.setUint8(at, 0xd2);
    view.setInt32(at + 1, value | 0);
    return at + 5;
  }
  view.setUint8(at, 0xd3);
  view.setInt32(at + 1, Math.floor(value / WORD) | 0);
  view.setUint32(at + 5, value >>> 0);
  return at + 9;
}
