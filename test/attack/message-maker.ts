/**
 * Message maker: valid messages of every type from a seeded generator, some hundred thousand a second, with a
 * preference for the values at which an encoding changes its form. The arbitraries of fast-check (test/support) can
 * shrink, but are a hundred times slower.
 */

import type { Field, Fields, FieldSpec } from '../../protocol/fields';
import { MESSAGES, type Message, type MessageType } from '../../protocol/messages';
import { sumOfBigInt, type Sum } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import type { Prng } from '../../src/base/prng';
import { scalesOfSymbol } from '../support/arbitraries';

const TYPES = Object.keys(MESSAGES) as MessageType[];
const EDGES = [0, 1, 31, 32, 33, 127, 128, 129, 255, 256, 32_767, 32_768, 65_535, 65_536]
  .concat([0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 2 ** 48 - 1, 2 ** 48, 2 ** 52])
  .concat([Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER])
  .flatMap((n) => (n === 0 ? [0] : [n, -n]));
const SYMBOLS = ['BTCUSDT', 'A', '0', 'X.Y-Z_9', 'ABCDEFGHIJKLMNOP', 'ACME'];
const LETTERS = ['a', 'Z', '0', ' ', '"', '\\', '\u0000', '\n', 'é', '€', '💥', '\uffff', '_'];

export class MessageMaker {
  private readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  frame(): Message[] {
    return Array.from({ length: this.random.int(1, 3) }, () => this.message());
  }

  message(type: MessageType = this.pick(TYPES)): Message {
    const values = this.struct(MESSAGES[type].fields);
    const scales = type === 'instrument' ? scalesOfSymbol(values['symbol'] as string) : undefined;
    return { type, ...values, ...scales } as unknown as Message;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.int(0, from.length - 1)]!;
  }

  private struct(fields: Fields): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const name of Object.keys(fields)) values[name] = this.value(fields[name]!);
    return values;
  }

  private value({ spec }: Field<unknown>): unknown {
    const { random } = this;
    switch (spec.type) {
      case 'nullable':
        return random.chance(0.3) ? null : this.value(spec.inner);
      case 'list':
        return this.times(Math.min(spec.lengthMax, 6), () => this.value(spec.item));
      case 'struct':
        return this.struct(spec.fields);
      case 'messages':
        return this.times(4, () => this.message(this.pick(spec.kinds as MessageType[])));
      case 'levels': {
        const pairs = random.int(0, Math.min(spec.levelsMax, random.chance(0.05) ? 300 : 10));
        return Array.from({ length: pairs * 2 }, (_, i) => this.integer(i % 2 === 0 ? -MAX : 0));
      }
      default:
        return this.scalar(spec);
    }
  }

  private scalar(spec: FieldSpec): unknown {
    const { random } = this;
    switch (spec.type) {
      case 'int':
        return this.integer(spec.min, spec.max);
      case 'price':
        return this.integer(-MAX);
      case 'quantity':
        return this.integer(0);
      case 'sum':
        return this.sum();
      case 'nanos':
        return new Nanos(
          random.chance(0.2) ? this.pick([0, 0x7fff_ffff]) : random.int(0, 0x7fff_ffff),
          random.chance(0.2) ? this.pick([0, 0xffff_ffff]) : random.uint32(),
        );
      case 'boolean':
        return random.chance(0.5);
      case 'symbol':
        return this.pick(SYMBOLS);
      case 'text':
        return this.text(spec.lengthMax);
      case 'enum':
        return this.pick(spec.values);
      case 'decimal': {
        const whole = this.digits(this.pick([1, 2, 40]));
        return `${this.pick(['', '-'])}${whole}${random.chance(0.5) ? '' : `.${this.digits(this.pick([1, 30]))}`}`;
      }
      default:
        throw new Error(`no value for ${spec.type}`);
    }
  }

  private integer(min: number, max = MAX): number {
    const edge = this.pick(EDGES);
    if (this.random.chance(0.5) && edge >= min && edge <= max) return edge;
    const low = Math.max(min, -0x8000_0000);
    return this.random.int(low, Math.min(max, low + 0xffff_fffe, 0x7fff_ffff));
  }

  /** Below 2^106; a third of them exceed the range of a number. */
  private sum(): Sum {
    const low = BigInt(this.integer(0));
    if (this.random.chance(0.6)) return sumOfBigInt(low);
    return sumOfBigInt((BigInt(this.integer(0)) << 53n) + low);
  }

  private text(lengthMax: number): string {
    let text = '';
    const length = this.random.chance(0.1) ? lengthMax : this.random.int(0, 12);
    while (text.length < length) text += this.pick(LETTERS);
    return text.length > lengthMax ? text.slice(0, lengthMax - 1).toWellFormed() : text;
  }

  private digits(count: number): string {
    return Array.from({ length: count }, () => this.random.int(0, 9)).join('');
  }

  private times<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.random.int(0, most) }, make);
  }
}

const MAX = Number.MAX_SAFE_INTEGER;
