/**
 * Times of a recording, in the unit that its maker used. A number whose size betrays another unit is
 * refused and named, never taken for a moment of 1970.
 */

import { Nanos } from '../../../protocol/time';
import { unitOf } from '../../../protocol/time-unit';
import { lineFieldFault, type LineFault } from './faults';

export const TIME_UNITS = ['s', 'ms', 'us', 'ns'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

/** Digits behind the point that a unit may have down to nanoseconds. */
const DECIMALS: Readonly<Record<TimeUnit, number>> = { s: 9, ms: 6, us: 3, ns: 0 };
const UNIT_NAMES: Readonly<Record<TimeUnit, string>> = {
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
};

/** Digits, with a point where the unit leaves room for it, as nanoseconds, exact; undefined when it is none. */
export function parseTimeIn(text: string, unit: TimeUnit): Nanos | undefined {
  const [whole, fraction, more] = text.split('.');
  const decimals = DECIMALS[unit];
  if (whole === undefined || whole === '' || more !== undefined) return undefined;
  if (fraction === undefined) return Nanos.parse(whole + '0'.repeat(decimals));
  if (fraction === '' || fraction.length > decimals) return undefined;
  return /^\d+$/.test(whole) ? Nanos.parse(whole + fraction.padEnd(decimals, '0')) : undefined;
}

/** A time of a line in the unit of the recording, or what is wrong with it. Zero is "not known". */
export function readTime(field: string, value: unknown, unit: TimeUnit): Nanos | LineFault {
  const text = typeof value === 'number' && unit !== 'ns' ? String(value) : value;
  const time = typeof text === 'string' ? parseTimeIn(text, unit) : undefined;
  if (time === undefined) {
    return lineFieldFault(field, value, `digits: ${UNIT_NAMES[unit]} since 1970`);
  }
  if (time.compare(Nanos.ZERO) === 0 || unitOf(time) === 'nanoseconds') return time;
  const given = Nanos.parse((text as string).split('.')[0]!)!;
  const expected = `${UNIT_NAMES[unit]} since 1970, and by its size it is ${unitOf(given)}`;
  return lineFieldFault(field, value, expected, 'wrong-time-unit');
}
