/**
 * Damage: what a hostile or faulty sender makes of a valid frame. Bytes and characters are changed at random,
 * values are replaced within a structure, heads are given false lengths.
 */

import { encode, ExtData } from '@msgpack/msgpack';

import type { Prng } from '../../src/base/prng';

type Bytes = Uint8Array<ArrayBuffer>;

/** First bytes of MessagePack values, with false lengths. */
const LIES = [
  'ddffffffff',
  'dd00010000',
  'dcffff',
  '9f',
  'dfffffffff',
  'deffff',
  '8f',
  'dbffffffff',
  'd9ff',
  'bf',
  'c6ffffffff',
  'c4ff',
  'c9ffffffff05',
  'c7ff05',
  'd805',
  'd4ff00',
  'd6ff00000000',
  'c1',
  'c0',
  'c2',
  'cfffffffffffffffff',
  'cf0020000000000000',
  'd38000000000000000',
  'd3ffdfffffffffffff',
  'ce80000000',
  'cb7ff8000000000000',
  'cbfff0000000000000',
  'cb8000000000000000',
  'cb433fffffffffffff',
  'ca7f800000',
  'a5ffeda080ff',
  'a3eda080',
  'a2c0af',
  'a4f4908080',
  'a95f5f70726f746f5f5f',
  'ab636f6e7374727563746f72',
].map((hex) => Buffer.from(hex, 'hex'));

/** What valid JSON for this protocol never has. */
const WORDS = [
  '1e400',
  '-1e400',
  '1e-400',
  '-0',
  '0.1',
  '9007199254740993',
  '9'.repeat(400),
  '[[[[[[[[',
  '{"a":{"a":',
  '"__proto__"',
  '"__proto__":{"polluted":1}',
  '"constructor":{"prototype":{"polluted":1}}',
  '"type":"ping"',
  '"\\ud83d"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '\\',
  '\\u12',
  '"',
  'null',
  'NaN',
  'Infinity',
  '-',
  'true',
  '[]',
  '{}',
  ',',
  ':',
  ']',
  '}',
  '\ud800',
  '\ufeff',
  '\u2028',
  '0x10',
  '01',
  '1.',
  '.5',
  '+1',
  "'a'",
  '//',
  '/*',
];

const MEMBERS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'type',
  'then',
  'length',
  '',
];

export class Damage {
  private readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  /** Changes the bytes one to four times. */
  bytes(good: Bytes): Bytes {
    let bytes = good;
    for (let i = this.below(4); i >= 0; i--) bytes = this.oneOfBytes(bytes);
    return bytes;
  }

  /** Does the same to a text. */
  text(good: string): string {
    let text = good;
    for (let i = this.below(4); i >= 0; i--) text = this.oneOfText(text);
    return text;
  }

  /** A copy of a structure in which some values are replaced or moved. */
  value(good: unknown, wild: () => unknown, chance = 0.15): unknown {
    if (this.random.chance(chance * 0.3)) return wild();
    if (Array.isArray(good)) return this.list(good as unknown[], wild, chance);
    if (typeof good !== 'object' || good === null) {
      return this.random.chance(chance) ? wild() : good;
    }
    if (Object.getPrototypeOf(good) !== Object.prototype) return good;
    const made: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(good)) {
      if (this.random.chance(chance * 0.2)) continue;
      define(made, name, this.value(value, wild, chance));
    }
    if (this.random.chance(chance)) define(made, this.pick(MEMBERS), wild());
    return made;
  }

  /** An arbitrary value that MessagePack can carry. */
  wildPacked(depth = 3): unknown {
    switch (this.below(depth > 0 ? 12 : 8)) {
      case 0:
        return this.pick([null, true, false, Number.NaN, Infinity, -Infinity, -0, 1.5]);
      case 1:
        return this.pick([2n ** 64n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n), 2n ** 63n, 0n]);
      case 2:
        return (this.random.unit() - 0.5) * 2 ** this.below(70);
      case 3:
        return this.below(70) - 2;
      case 4:
        return this.pick(['', ...MEMBERS, 'x'.repeat(this.long()), 'trade:ACME', '💥']);
      case 5:
        return new Uint8Array(this.below(40));
      case 6:
        return new ExtData(this.below(256) - 128, new Uint8Array(this.below(20)));
      case 7:
        return new Date(this.below(1e9) * 1000);
      case 8:
      case 9:
        return Array.from({ length: this.below(7) }, () => this.wildPacked(depth - 1));
      default: {
        const made: Record<string, unknown> = {};
        for (let i = this.below(5); i >= 0; i--)
          define(made, this.pick(MEMBERS), this.wildPacked(depth - 1));
        return made;
      }
    }
  }

  /** An arbitrary value that JSON can carry. */
  wildJson(depth = 3): unknown {
    switch (this.below(depth > 0 ? 8 : 6)) {
      case 0:
        return this.pick([null, true, false, -0, 1.5, 1e21, 1e308]);
      case 1:
        return (this.random.unit() - 0.5) * 2 ** this.below(70);
      case 2:
        return this.pick([
          '',
          '1',
          '-0.00',
          '1e9',
          '1.',
          '0'.repeat(41),
          '9'.repeat(300),
          '9007199254740992',
          '9223372036854775808',
          '\ud800',
        ]);
      case 3:
        return this.pick(MEMBERS);
      case 4:
        return this.below(70) - 2;
      case 5:
        return 'x'.repeat(this.long());
      case 6:
        return Array.from({ length: this.below(7) }, () => this.wildJson(depth - 1));
      default: {
        const made: Record<string, unknown> = {};
        for (let i = this.below(5); i >= 0; i--)
          define(made, this.pick(MEMBERS), this.wildJson(depth - 1));
        return made;
      }
    }
  }

  randomBytes(most: number): Bytes {
    return Uint8Array.from({ length: this.below(most) }, () => this.random.uint32() & 255);
  }

  below(end: number): number {
    return this.random.int(0, end - 1);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** A length, rarely a large one. */
  private long(): number {
    return this.below(this.random.chance(0.02) ? 70_000 : 600);
  }

  private list(good: unknown[], wild: () => unknown, chance: number): unknown[] {
    const made = good.map((item) => this.value(item, wild, chance));
    if (!this.random.chance(chance)) return made;
    const at = this.below(made.length + 1);
    switch (this.below(4)) {
      case 0:
        return made.slice(0, at);
      case 1:
        return [...made.slice(0, at), wild(), ...made.slice(at)];
      case 2:
        return [...made, ...made.slice(0, at)];
      default:
        return made.toReversed();
    }
  }

  private oneOfBytes(bytes: Bytes): Bytes {
    const at = this.below(bytes.length + 1);
    switch (this.below(7)) {
      case 0:
        return bytes.slice(0, at);
      case 1:
        return joined(bytes.subarray(0, at), [this.below(256)], bytes.subarray(at));
      case 2: {
        const end = Math.min(bytes.length, at + this.below(9));
        return joined(bytes.subarray(0, at), [], bytes.subarray(end));
      }
      case 3: {
        const lie = this.pick(LIES);
        const end = Math.min(bytes.length, at + (this.random.chance(0.5) ? 1 : lie.length));
        return joined(bytes.subarray(0, at), lie, bytes.subarray(end));
      }
      case 4: {
        const from = this.below(bytes.length + 1);
        return joined(bytes.subarray(0, at), [], bytes.subarray(from));
      }
      default: {
        const changed = bytes.slice();
        if (at < changed.length)
          changed[at]! ^= this.random.chance(0.5) ? 1 << this.below(8) : this.below(256);
        return changed;
      }
    }
  }

  private oneOfText(text: string): string {
    const at = this.below(text.length + 1);
    const rest = this.below(text.length + 1);
    switch (this.below(6)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + text.slice(rest);
      case 2:
        return (
          text.slice(0, at) +
          String.fromCharCode(this.below(this.pick([128, 65_536]))) +
          text.slice(at + 1)
        );
      default:
        return this.inToken(text, at);
    }
  }

  /** Replaces a value or a punctuation mark by another token. */
  private inToken(text: string, from: number): string {
    const found = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|null|true|false|[[\]{},:]/g;
    found.lastIndex = from;
    const match = found.exec(text);
    const [at, end] = match === null ? [from, from] : [match.index, found.lastIndex];
    return text.slice(0, at) + this.pick(WORDS) + text.slice(this.random.chance(0.7) ? end : at);
  }
}

/** Any value as MessagePack; empty when it cannot be encoded. */
export function packed(value: unknown): Bytes {
  try {
    return encode(value, { useBigInt64: true });
  } catch {
    return new Uint8Array();
  }
}

function joined(head: Bytes, middle: ArrayLike<number>, tail: Bytes): Bytes {
  const bytes = new Uint8Array(head.length + middle.length + tail.length);
  bytes.set(head);
  bytes.set(middle, head.length);
  bytes.set(tail, head.length + middle.length);
  return bytes;
}

/** Also defines `__proto__` as an own member. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
