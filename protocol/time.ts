/**
 * Time: nanoseconds since 1970-01-01T00:00:00Z, exact, without bigint on the hot path.
 *
 * A `Number` holds 53 bits, a time of today needs 61, and a `bigint` allocates at every step. So a
 * time is two 32-bit words, which are also its bytes on the wire, in shared memory and (shifted and
 * or-ed by SQL) in the journal. Arithmetic goes through whole seconds and the rest, which both fit
 * a double exactly. Range: 0 … 2^63 − 1 (the year 2262).
 */

const WORD = 4_294_967_296;
const NS_PER_S = 1_000_000_000;
const NS_PER_MS = 1_000_000;
/** WORD = 4 · 10^9 + WORD_REST: for splitting seconds off the high word exactly. */
const WORD_REST = 294_967_296;
const HI_MAX = 0x7fff_ffff;
const SECONDS_MAX = 9_223_372_035;

/** A time in nanoseconds since 1970. Immutable. `hi` is 0 … 2^31 − 1, `lo` is 0 … 2^32 − 1. */
export class Nanos {
  readonly hi: number;
  readonly lo: number;

  constructor(hi: number, lo: number) {
    this.hi = hi;
    this.lo = lo;
  }

  static readonly ZERO = new Nanos(0, 0);

  /** @param seconds whole, 0 … 9223372035 @param nanos whole, 0 … 999999999 */
  static fromSeconds(seconds: number, nanos: number): Nanos {
    // seconds · 10^9 passes 2^53, so it is done in two halves of the multiplier: 10^9 = 2^9 · 1953125.
    const high = Math.floor(seconds / 65_536);
    const low = seconds - high * 65_536;
    const lowNanos = low * NS_PER_S + nanos; // < 2^47
    const highNanos = high * NS_PER_S; // × 2^16, < 2^48
    const highWords = Math.floor(highNanos / 65_536);
    const rest = (highNanos - highWords * 65_536) * 65_536; // < 2^32
    const sum = lowNanos + rest;
    const carry = Math.floor(sum / WORD);
    return new Nanos(highWords + carry, sum - carry * WORD);
  }

  /** @param ms milliseconds since 1970, whole */
  static fromMillis(ms: number): Nanos {
    const seconds = Math.floor(ms / 1000);
    return Nanos.fromSeconds(seconds, (ms - seconds * 1000) * NS_PER_MS);
  }

  /** @throws RangeError outside 0 … 2^63 − 1 */
  static fromBigInt(value: bigint): Nanos {
    if (value < 0n || value >= 1n << 63n) throw new RangeError(`time ${value} is outside int64`);
    return new Nanos(Number(value >> 32n), Number(value & 0xffff_ffffn));
  }

  /** Reads a string of 1 to 19 digits; undefined for anything else, or beyond int64. */
  static parse(digits: string): Nanos | undefined {
    if (digits.length === 0 || digits.length > 19) return undefined;
    for (let i = 0; i < digits.length; i++) {
      const code = digits.charCodeAt(i);
      if (code < 48 || code > 57) return undefined;
    }
    const split = Math.max(0, digits.length - 9);
    const seconds = split === 0 ? 0 : Number(digits.slice(0, split));
    const rest = Number(digits.slice(split));
    if (seconds > SECONDS_MAX) {
      const value = BigInt(digits);
      return value >= 1n << 63n ? undefined : Nanos.fromBigInt(value);
    }
    return Nanos.fromSeconds(seconds, rest);
  }

  /** Whole seconds since 1970, rounded down. */
  get seconds(): number {
    return splitSeconds(this.hi, this.lo);
  }

  /** The nanoseconds within the second, 0 … 999999999. */
  get nanosOfSecond(): number {
    return restOf(this.lo, splitSeconds(this.hi, this.lo));
  }

  /** Milliseconds since 1970, rounded down. */
  get millis(): number {
    return this.seconds * 1000 + Math.floor(this.nanosOfSecond / NS_PER_MS);
  }

  /** Negative, zero or positive: this is before, at or after the other. */
  compare(other: Nanos): number {
    return this.hi !== other.hi ? this.hi - other.hi : this.lo - other.lo;
  }

  /** this − other in nanoseconds; exact while under 2^53 (104 days). */
  since(other: Nanos): number {
    return (this.hi - other.hi) * WORD + (this.lo - other.lo);
  }

  /** This moved by a whole number of nanoseconds, |delta| < 2^53; clamped to the range. */
  plus(delta: number): Nanos {
    const words = Math.floor(delta / WORD);
    let hi = this.hi + words;
    let lo = this.lo + (delta - words * WORD);
    if (lo >= WORD) {
      lo -= WORD;
      hi += 1;
    }
    if (hi < 0) return Nanos.ZERO;
    return hi > HI_MAX ? new Nanos(HI_MAX, WORD - 1) : new Nanos(hi, lo);
  }

  /** This rounded down to a whole multiple of `seconds` since 1970. */
  floorToSeconds(seconds: number): Nanos {
    const at = this.seconds;
    return Nanos.fromSeconds(at - (at % seconds), 0);
  }

  toBigInt(): bigint {
    return (BigInt(this.hi) << 32n) | BigInt(this.lo);
  }

  /** The digits of the number of nanoseconds. */
  toString(): string {
    const seconds = splitSeconds(this.hi, this.lo);
    const rest = restOf(this.lo, seconds);
    return seconds === 0 ? String(rest) : `${seconds}${String(NS_PER_S + rest).slice(1)}`;
  }

  /** JSON carries a time as its digits, since a JSON number would round it. */
  toJSON(): string {
    return this.toString();
  }

  /** For people: `2024-08-09T00:34:15.342000000Z`. */
  toISOString(): string {
    const whole = new Date(this.seconds * 1000).toISOString().slice(0, 19);
    return `${whole}.${String(this.nanosOfSecond).padStart(9, '0')}Z`;
  }
}

/** Reads digits (ns since 1970) or an ISO 8601 time with up to nine decimals of a second. */
export function parseTime(text: string): Nanos | undefined {
  const digits = Nanos.parse(text);
  if (digits !== undefined) return digits;
  const iso = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (iso === null) return undefined;
  const local = iso[1]!.replace(' ', 'T');
  const ms = Date.parse(`${local}${iso[3] ?? 'Z'}`);
  if (!Number.isFinite(ms) || ms < 0) return undefined;
  // The engine reads 30 February as 1 March; nothing may be changed silently.
  if (new Date(`${local}Z`).toISOString().slice(0, 19) !== local) return undefined;
  const time = Nanos.fromSeconds(ms / 1000, Number((iso[2] ?? '').padEnd(9, '0')));
  return time.hi > HI_MAX ? undefined : time; // the calendar continues after 2262, int64 does not
}

/** The nanoseconds behind whole seconds: modulo 2^32 both sides agree, and the answer is below it. */
function restOf(lo: number, seconds: number): number {
  return (lo - Math.imul(seconds, NS_PER_S)) >>> 0;
}

function splitSeconds(hi: number, lo: number): number {
  // hi · 2^32 = hi · 4 · 10^9 + hi · WORD_REST, and hi · WORD_REST < 2^60 needs one more split.
  const high = Math.floor(hi / 65_536);
  const low = hi - high * 65_536;
  const upper = high * WORD_REST; // × 2^16, < 2^44
  const upperSeconds = Math.floor(upper / NS_PER_S);
  const rest = (upper - upperSeconds * NS_PER_S) * 65_536 + low * WORD_REST + lo;
  return hi * 4 + upperSeconds * 65_536 + Math.floor(rest / NS_PER_S);
}
