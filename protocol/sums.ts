/**
 * Sums: totals of quantities, exact, of any size. A sum is a number while that is exact, and a bigint
 * beyond 2^53 − 1, so equal sums have equal forms, and a bigint is used only if needed.
 *
 * Fixed layouts (journal, shared memory) keep a sum as two numbers, `sumHigh` × 2^53 + `sumLow`. Sums are
 * not negative and stay below 2^106: 2^53 quantities of 2^53 each.
 */

import { formatDecimal, POWERS } from './units';

export type Sum = number | bigint;

const HALF_BITS = 53n;
const HALF = 2n ** HALF_BITS;
/** Digits of the largest sum. */
export const SUM_DIGITS_MAX = 32;

export function addSum(a: Sum, b: Sum): Sum {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return sumOfBigInt(BigInt(a) + BigInt(b));
}

export function sumOfBigInt(value: bigint): Sum {
  return value < HALF ? Number(value) : value;
}

/** The high part of a sum, in units of 2^53; mostly 0. */
export function sumHigh(sum: Sum): number {
  return typeof sum === 'number' ? 0 : Number(sum >> HALF_BITS);
}

/** The low part of a sum, below 2^53. */
export function sumLow(sum: Sum): number {
  return typeof sum === 'number' ? sum : Number(BigInt.asUintN(Number(HALF_BITS), sum));
}

export function sumOfHalves(high: number, low: number): Sum {
  return high === 0 ? low : (BigInt(high) << HALF_BITS) + BigInt(low);
}

/** Writes a scaled sum with exactly `scale` decimals. */
export function formatSum(sum: Sum, scale: number): string {
  if (typeof sum === 'number') return formatDecimal(sum, scale);
  if (scale === 0) return sum.toString();
  const digits = sum.toString().padStart(scale + 1, '0');
  const split = digits.length - scale;
  return `${digits.slice(0, split)}.${digits.slice(split)}`;
}

/** Reads a decimal as a scaled sum; undefined if it is none, negative, too long or has too many decimals. */
export function parseSum(text: string, scale: number): Sum | undefined {
  const parts = /^(\d{1,40})(?:\.(\d{1,40}))?$/.exec(text);
  if (parts === null) return undefined;
  const decimals = (parts[2] ?? '').replace(/0+$/, '');
  if (decimals.length > scale) return undefined;
  const scaled = BigInt(parts[1]!) * BigInt(POWERS[scale]!) + BigInt(decimals.padEnd(scale, '0'));
  return scaled < HALF * HALF ? sumOfBigInt(scaled) : undefined;
}

/** Reads the digits of a scaled sum; undefined if the text is not digits. */
export function parseSumDigits(digits: string): Sum | undefined {
  if (!/^\d{1,32}$/.test(digits)) return undefined;
  const value = BigInt(digits);
  return value < HALF * HALF ? sumOfBigInt(value) : undefined;
}
