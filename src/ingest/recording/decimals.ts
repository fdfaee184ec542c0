/**
 * Decimals: how many a symbol's prices or quantities need, found from their values.
 *
 * As many as are written, trailing zeros included, since sources write all decimals of a symbol. If the largest value
 * would not fit a scaled integer then, fewer, but as many as its digits need.
 */

import { parseDecimal, SCALE_MAX } from '../../../protocol/units';

/** Room for later values, in digits beyond the largest so far: with the written decimals, and with fewer. */
const HEADROOM_DIGITS = 1;
const HEADROOM_DIGITS_OF_FEWER = 3;
/** Any integer of this many digits is below 2^53. */
const DIGITS_MAX = 15;

export class Decimals {
  private written = 0;
  private needed = 0;
  private wholeDigits = 1;
  /** The largest value as text. */
  private largest = '0';

  /** @param value anything; a value that is no plain decimal is ignored */
  see(value: unknown): void {
    if (typeof value !== 'string' || !/^\d{1,40}(?:\.\d{1,40})?$/.test(value)) return;
    const point = value.indexOf('.');
    const whole = (point < 0 ? value : value.slice(0, point)).replace(/^0+(?=\d)/, '');
    this.wholeDigits = Math.max(this.wholeDigits, whole.length);
    if (Number(value) > Number(this.largest)) this.largest = value;
    if (point < 0) return;
    this.written = Math.max(this.written, value.length - point - 1);
    const significant = value.replace(/0+$/, '');
    this.needed = Math.max(this.needed, significant.length - point - 1);
  }

  get scale(): number {
    const room = DIGITS_MAX - this.wholeDigits;
    if (this.written <= room - HEADROOM_DIGITS) return Math.min(this.written, SCALE_MAX);
    const fewer = Math.min(this.written, room - HEADROOM_DIGITS_OF_FEWER);
    let scale = Math.min(Math.max(0, this.needed, fewer), SCALE_MAX);
    while (scale > 0 && parseDecimal(this.largest, scale) === 'out-of-range') scale -= 1;
    return scale;
  }
}
