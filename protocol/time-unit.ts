/**
 * Time unit: the unit that the magnitude of a time suggests. Market data is between the years 1973 and 5138, so the number
 * of digits distinguishes seconds, milliseconds, microseconds and nanoseconds since 1970.
 */

import { fieldFault, type Fault } from './codes';
import { Nanos } from './time';

export type TimeUnit = 'seconds' | 'milliseconds' | 'microseconds' | 'nanoseconds';

/** Nanoseconds of each unit. */
export const UNIT_NANOS: Readonly<Record<TimeUnit, number>> = {
  seconds: 1e9,
  milliseconds: 1e6,
  microseconds: 1e3,
  nanoseconds: 1,
};

/** The first values that are not a count of the unit before: 10^11 s, 10^14 ms, 10^17 us. */
const MILLISECONDS_FROM = Nanos.fromBigInt(10n ** 11n);
const MICROSECONDS_FROM = Nanos.fromBigInt(10n ** 14n);
const NANOSECONDS_FROM = Nanos.fromBigInt(10n ** 17n);

/** @param value the given number, read as nanoseconds */
export function unitOf(value: Nanos): TimeUnit {
  if (value.compare(NANOSECONDS_FROM) >= 0) return 'nanoseconds';
  if (value.compare(MICROSECONDS_FROM) >= 0) return 'microseconds';
  return value.compare(MILLISECONDS_FROM) >= 0 ? 'milliseconds' : 'seconds';
}

/** Why a value cannot be nanoseconds, by its magnitude; undefined if it can. */
export function timeUnitFault(field: string, value: Nanos): Fault | undefined {
  const unit = unitOf(value);
  if (unit === 'nanoseconds') return undefined;
  const looks = value.compare(Nanos.ZERO) === 0 ? '' : `, as this looks like ${unit}`;
  return fieldFault(field, value.toString(), `nanoseconds since 1970, 18 or 19 digits${looks}`);
}
