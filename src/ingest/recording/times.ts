/**
 * Times of a recording, in the unit that its maker used. A number whose size suggests another unit is refused with that
 * unit's name, and never read as a time in 1970.
 */

import { Nanos } from '../../../protocol/time';
import { unitOf } from '../../../protocol/time-unit';
import { lineFieldFault, type LineFault } from './faults';

export const TIME_UNITS = ['s', 'ms', 'us', 'ns'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

/** Decimals that a unit can have, down to nanoseconds. */
const DECIMALS: Readonly<Record<TimeUnit, number>> = { s: 9, ms: 6, us: 3, ns: 0 };
const UNIT_NAMES: Readonly<Record<TimeUnit, string>> = {
  s: 'seconds',
  ms: 'milliseconds',
  us: 'microseconds',
  ns: 'nanoseconds',
};

/** A decimal number of a unit in nanoseconds, exact; undefined if the text is none. */
export function parseTimeIn(text: string, unit: TimeUnit): Nanos | undefined {
  const [whole, fraction, more] = text.split('.');
  const decimals = DECIMALS[unit];
  if (whole === undefined || whole === '' || more !== undefined) return undefined;
  if (fraction === undefined) return Nanos.parse(whole + '0'.repeat(decimals));
  if (fraction === '' || fraction.length > decimals) return undefined;
  return /^\d+$/.test(whole) ? Nanos.parse(whole + fraction.padEnd(decimals, '0')) : undefined;
}

/** A time of a line in the unit of the recording, or what is wrong with it. Zero means unknown. */
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
