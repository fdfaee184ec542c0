/**
 * Fields of Binance messages, each checked as it is read. A wrong one is thrown as `FieldError` and
 * caught at the edge of the decoder, as in protocol/tuple.ts.
 */

import { SOURCE_LEVELS_MAX } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { FieldError } from '../../../protocol/tuple';
import { parseDecimal, type Scales } from '../../../protocol/units';
import { fieldFault, type ErrorCode } from '../../../protocol/codes';

/** A JSON object of unknown content. */
export type Json = Readonly<Record<string, unknown>>;

/** Present times have thirteen digits in milliseconds and sixteen in microseconds. */
const MILLIS = { from: 100_000_000_000, to: 9_223_372_036_854 };
const MICROS = { from: 100_000_000_000_000, to: Number.MAX_SAFE_INTEGER };

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param least the smallest valid value */
export function readId(data: Json, name: string, least: number): number {
  const value = data[name];
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw wrong(name, value, `an integer of at least ${least}`);
}

/** Milliseconds, or microseconds if the stream was opened with timeUnit=MICROSECOND. */
export function readTimeOf(data: Json, name: string): Nanos {
  const value = data[name];
  if (Number.isSafeInteger(value)) {
    const time = value as number;
    if (time >= MILLIS.from && time <= MILLIS.to) return Nanos.fromMillis(time);
    if (time >= MICROS.from && time <= MICROS.to) {
      const seconds = Math.floor(time / 1_000_000);
      return Nanos.fromSeconds(seconds, (time - seconds * 1_000_000) * 1000);
    }
  }
  throw wrong(name, value, 'milliseconds or microseconds since 1970');
}

export function readBoolean(data: Json, name: string): boolean {
  const value = data[name];
  if (typeof value === 'boolean') return value;
  throw wrong(name, value, 'true or false');
}

/** A decimal as an integer scaled by 10^scale. */
export function readDecimal(value: unknown, scale: number, name: string): number {
  const parsed = typeof value === 'string' ? parseDecimal(value, scale) : 'malformed';
  if (typeof parsed === 'number') return parsed;
  switch (parsed) {
    case 'malformed':
      throw wrong(name, value, 'a decimal string such as "61837.63"');
    case 'too-many-decimals':
      throw wrong(name, value, `no more than ${scale} decimals`, 'off-increment');
    case 'out-of-range':
      throw wrong(name, value, `less than 2^53 when scaled by 10^${scale}`, 'out-of-range');
  }
}

export function readQuantity(value: unknown, scale: number, name: string): number {
  const quantity = readDecimal(value, scale, name);
  if (quantity >= 0) return quantity;
  throw wrong(name, value, 'a quantity that is not negative');
}

/** Pairs of decimal strings as flat scaled levels, in the order given. */
export function readLevels(data: Json, name: string, scales: Scales): number[] {
  const pairs = data[name];
  if (!Array.isArray(pairs) || pairs.length > SOURCE_LEVELS_MAX) {
    throw wrong(name, pairs, `an array of at most ${SOURCE_LEVELS_MAX} levels`);
  }
  const flat = Array.from<number>({ length: pairs.length * 2 });
  for (let i = 0; i < pairs.length; i++) {
    const pair: unknown = pairs[i];
    if (!Array.isArray(pair) || pair.length < 2) {
      throw wrong(`${name}[${i}]`, pair, 'a pair ["price", "quantity"]');
    }
    flat[i * 2] = readDecimal(pair[0], scales.priceScale, name);
    flat[i * 2 + 1] = readQuantity(pair[1], scales.quantityScale, name);
  }
  return flat;
}

export function wrong(
  field: string,
  value: unknown,
  expected: string,
  code?: ErrorCode,
): FieldError {
  return new FieldError(fieldFault(field, value, expected, code));
}
