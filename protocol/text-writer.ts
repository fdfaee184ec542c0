/**
 * Text writer: writes JSON text as bytes, digit by digit, into one reused buffer, and returns a string at the end.
 * Concatenating strings costs several times as much, since each number becomes a string that is copied again.
 * Bound: the buffer keeps the size of the longest text, up to `KEPT_BYTES_MAX`.
 */

import type { Nanos } from './time';
import { POWERS } from './units';

const QUOTE = 0x22;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const BILLION = 1_000_000_000;
const FIRST_BYTES = 4_096;
const KEPT_BYTES_MAX = 1_048_576;
/** Room for any number, its sign, point and quotes. */
const NUMBER_BYTES = 40;
/** Most UTF-8 bytes of a UTF-16 unit. */
const UNIT_BYTES = 3;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class TextWriter {
  /** What is being written, for error messages. */
  field = '';
  private bytes = new Uint8Array(FIRST_BYTES);
  private at = 0;

  /** Returns the text so far and empties the writer. */
  take(): string {
    const text = decoder.decode(this.bytes.subarray(0, this.at));
    this.reset();
    return text;
  }

  reset(): void {
    this.at = 0;
    if (this.bytes.length > KEPT_BYTES_MAX) this.bytes = new Uint8Array(FIRST_BYTES);
  }

  /** Bytes so far. */
  get size(): number {
    return this.at;
  }

  /** Returns the text up to an offset; the rest moves to the beginning. */
  cut(at: number): string {
    const text = decoder.decode(this.bytes.subarray(0, at));
    this.bytes.copyWithin(0, at, this.at);
    this.at -= at;
    return text;
  }

  /** Overwrites a byte. */
  put(at: number, code: number): void {
    this.bytes[at] = code;
  }

  /** Writes prepared ASCII bytes. */
  raw(ascii: Uint8Array): void {
    this.room(ascii.length);
    const { bytes } = this;
    let { at } = this;
    for (let i = 0; i < ascii.length; i++) bytes[at++] = ascii[i]!;
    this.at = at;
  }

  byte(code: number): void {
    this.room(1);
    this.bytes[this.at++] = code;
  }

  /** Writes a string in quotes that needs no escaping. */
  word(text: string): void {
    this.byte(QUOTE);
    this.plain(text);
    this.byte(QUOTE);
  }

  /** Writes any string in quotes. */
  text(text: string): void {
    this.plain(JSON.stringify(text));
  }

  /** @throws RangeError if it is no integer within ±(2^53 − 1) */
  int(value: number): void {
    this.room(NUMBER_BYTES);
    this.digits(this.sign(value));
  }

  /** A scaled integer as a decimal in quotes. @throws RangeError if it is not within ±(2^53 − 1) */
  decimal(value: number, scale: number): void {
    this.room(NUMBER_BYTES);
    this.bytes[this.at++] = QUOTE;
    const size = this.sign(value);
    if (scale === 0) this.digits(size);
    else {
      const power = POWERS[scale]!;
      const whole = Math.floor(size / power);
      this.digits(whole);
      this.bytes[this.at++] = POINT;
      this.padded(size - whole * power, scale);
    }
    this.bytes[this.at++] = QUOTE;
  }

  /** A time as its digits, in quotes. */
  time(time: Nanos): void {
    this.room(NUMBER_BYTES);
    this.bytes[this.at++] = QUOTE;
    const { seconds, nanosOfSecond } = time;
    if (seconds === 0) this.digits(nanosOfSecond);
    else {
      this.digits(seconds);
      this.padded(nanosOfSecond, 9);
    }
    this.bytes[this.at++] = QUOTE;
  }

  /** Writes the absolute value. */
  private sign(value: number): number {
    if (!Number.isSafeInteger(value)) {
      const expected = 'expected a whole number within ±(2^53 - 1)';
      throw new RangeError(`${this.field} is ${String(value)}; ${expected}`);
    }
    if (value >= 0) return value;
    this.bytes[this.at++] = MINUS;
    return -value;
  }

  /** Without leading zeros; the buffer must have room. */
  private digits(value: number): void {
    let width = 1;
    while (width < POWERS.length && value >= POWERS[width]!) width += 1;
    this.padded(value, width);
  }

  /** Writes `count` digits; the buffer must have room. */
  private padded(value: number, width: number): void {
    if (width <= 9) return this.low(value, width);
    const high = Math.floor(value / BILLION);
    this.low(high, width - 9);
    this.low(value - high * BILLION, 9);
  }

  /** Writes `count` digits of a number that fits 32 bits. */
  private low(value: number, width: number): void {
    const { bytes, at } = this;
    let rest = value | 0;
    for (let i = at + width - 1; i >= at; i--) {
      const next = (rest / 10) | 0;
      bytes[i] = ZERO + rest - next * 10;
      rest = next;
    }
    this.at = at + width;
  }

  private plain(text: string): void {
    this.room(text.length * UNIT_BYTES);
    const { bytes } = this;
    const start = this.at;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) {
        this.at = start + encoder.encodeInto(text, bytes.subarray(start)).written;
        return;
      }
      bytes[start + i] = code;
    }
    this.at = start + text.length;
  }

  private room(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }
}
