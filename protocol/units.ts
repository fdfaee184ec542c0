/**
 * Units: prices and quantities are integers, scaled by the decimals that the instrument defines.
 *
 * `61837.63` at a scale of 8 is 6183763000000. Nothing is rounded: text with too many decimals is
 * refused with a reason. Every scaled integer stays within ±(2^53 − 1), where a double is exact; values outside
 * that range are refused on entry.
 */

/** Most decimals of an instrument; 10^15 is the largest power that is exact. */
export const SCALE_MAX = 15;
/** Longest symbol, in ASCII bytes. */
export const SYMBOL_LENGTH_MAX = 16;
/** Levels a side of the journaled, pushed and checksummed book. */
export const BOOK_DEPTH = 10;

export type DecimalFault = 'malformed' | 'too-many-decimals' | 'out-of-range';

/** Decimals of an instrument's prices and quantities. */
export interface Scales {
  readonly priceScale: number;
  readonly quantityScale: number;
}
export type ScalesOf = (symbol: string) => Scales | undefined;

/** The longest text of a field that is a decimal of any size. */
export const DECIMAL_LENGTH_MAX = 72;

/** Whether a text is such a decimal. */
export function isDecimalText(text: string): boolean {
  return /^-?\d{1,40}(\.\d{1,30})?$/.test(text);
}

/** Powers of ten by exponent, up to `SCALE_MAX`. */
export const POWERS: readonly number[] = Array.from({ length: SCALE_MAX + 1 }, (_, n) => 10 ** n);

/**
 * Reads a decimal such as `-12.3400` into an integer scaled by 10^scale.
 * Zeros beyond the scale are accepted; any other digit there is `too-many-decimals`.
 */
export function parseDecimal(text: string, scale: number): number | DecimalFault {
  const length = text.length;
  let i = 0;
  let negative = false;
  if (text.charCodeAt(0) === 45) {
    negative = true;
    i = 1;
  }
  let value = 0;
  let digits = 0;
  let decimals = -1;
  if (length - i > 40) return 'malformed';
  for (; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      if (decimals >= 0 || digits === 0) return 'malformed';
      decimals = 0;
      continue;
    }
    if (code < 48 || code > 57) return 'malformed';
    digits += 1;
    if (decimals >= 0) {
      if (decimals === scale) {
        if (code !== 48) return isDecimal(text) ? 'too-many-decimals' : 'malformed';
        continue;
      }
      decimals += 1;
    }
    value = value * 10 + (code - 48);
    if (value > Number.MAX_SAFE_INTEGER) return isDecimal(text) ? 'out-of-range' : 'malformed';
  }
  if (digits === 0 || text.charCodeAt(length - 1) === 46) return 'malformed';
  value *= POWERS[scale - Math.max(decimals, 0)]!;
  if (value > Number.MAX_SAFE_INTEGER) return 'out-of-range';
  return negative && value !== 0 ? -value : value;
}

/** Writes a scaled integer with exactly `scale` decimals: 6183763000000 at 8 is `61837.63000000`. */
export function formatDecimal(value: number, scale: number): string {
  if (scale === 0) return String(value);
  const negative = value < 0;
  const digits = String(negative ? -value : value).padStart(scale + 1, '0');
  const split = digits.length - scale;
  return `${negative ? '-' : ''}${digits.slice(0, split)}.${digits.slice(split)}`;
}

/** @throws Error if they are unknown */
export function scalesKnown(scales: Scales | undefined): Scales {
  if (scales === undefined) throw new Error('a message with decimals names no known instrument');
  return scales;
}

/** 1 to 16 of `A-Z a-z 0-9 . _ -`: no character with a meaning in paths, topics or SQL. */
export function isSymbol(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$/.test(text);
}

/** Whether a number that was refused early is well formed to its end. */
function isDecimal(text: string): boolean {
  return /^-?\d+(\.\d+)?$/.test(text);
}
