/** Time input: parses a past time that the user typed; a fault is a text for the user. */

import { UNIT_NANOS, unitOf } from '../../../protocol/time-unit';
import { Nanos, parseTime } from '../../client/index';
import { moment } from './format';

/** `remark`: how the text was interpreted, if that is not obvious. */
export type ReadTime = { readonly at: Nanos; readonly remark: string } | { readonly fault: string };

const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/i;
const CLOCK = /^(\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?$/;

/**
 * @param now by the server's clock
 * @param displayed the time on the screen; a time without a date is on its day
 */
export function readTime(text: string, now: Nanos, displayed: Nanos = now): ReadTime {
  const typed = text.trim();
  const example = moment(now);
  const read = /^\d+$/.test(typed) ? readDigits(typed) : readDate(typed, displayed);
  if (read === undefined) {
    const given = typed === '' ? 'No time is given' : `“${typed.slice(0, 40)}” is not a time`;
    return {
      fault: `${given}. Expected UTC such as ${example}, 14:05:30, or a number since 1970.`,
    };
  }
  if ('at' in read && read.at.compare(now) > 0) {
    return { fault: `${moment(read.at)} is in the future. The server’s clock is at ${example}.` };
  }
  return read;
}

/** A number since 1970; its magnitude determines the unit. */
function readDigits(digits: string): ReadTime | undefined {
  const given = Nanos.parse(digits);
  if (given === undefined) return undefined;
  const unit = unitOf(given);
  const at = Nanos.parse((BigInt(digits) * BigInt(UNIT_NANOS[unit])).toString());
  if (at === undefined || unitOf(at) !== 'nanoseconds') return undefined; // before 1973
  const remark = unit === 'nanoseconds' ? '' : `Read as ${unit} since 1970: ${moment(at)}.`;
  return { at, remark };
}

function readDate(text: string, displayed: Nanos): ReadTime | undefined {
  const clock = CLOCK.exec(text);
  const day = displayed.toISOString().slice(0, 10);
  const [, date, minutes = '00:00', seconds = ':00', zone = 'Z'] =
    (clock === null ? DATE.exec(text) : [text, day, clock[1], clock[2]]) ?? [];
  if (date === undefined) return undefined;
  const at = parseTime(`${date}T${minutes}${seconds}${zone.toUpperCase()}`);
  return at && { at, remark: '' };
}
