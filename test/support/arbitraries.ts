/**
 * Arbitrary messages of every type, generated from the field definitions, with a preference for the values at which
 * an encoding changes its form. All of them are valid.
 */

import fc, { type Arbitrary } from 'fast-check';

import type { Field, Fields, FieldSpec } from '../../protocol/fields';
import { MESSAGES, type Message, type MessageType } from '../../protocol/messages';
import { sumOfBigInt, type Sum } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import type { Scales } from '../../protocol/units';

/** Where MessagePack integers change their form, and where doubles stop being exact. */
const EDGES = [
  0,
  1,
  31,
  32,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_ffff,
  0x1_0000_0000,
  0x1_0000_0001,
  0x1f_ffff_0000_0000,
  Number.MAX_SAFE_INTEGER,
].flatMap((n) => [n, -n, -n - 1].filter(Number.isSafeInteger));

const TYPES = Object.keys(MESSAGES) as MessageType[];

/** The scales of a symbol in these tests: arbitrary, but always the same for the same symbol. */
export function scalesOfSymbol(symbol: string): Scales {
  let hash = 7;
  for (const letter of symbol) hash = (hash * 31 + letter.charCodeAt(0)) % 65_521;
  return { priceScale: hash % 16, quantityScale: (hash >> 4) % 16 };
}

export function safeInteger(
  min = Number.MIN_SAFE_INTEGER,
  max = Number.MAX_SAFE_INTEGER,
): Arbitrary<number> {
  const edges = [...EDGES, min, max].filter((n) => n >= min && n <= max).map((n) => n + 0);
  return fc
    .oneof(
      fc.integer({ min: clamp(min), max: clamp(max) }),
      fc.maxSafeInteger(),
      fc.constantFrom(...edges),
    )
    .map((n) => (n < min || n > max ? min + (Math.abs(n) % (Math.min(max, 65_535) - min + 1)) : n));
}

function clamp(n: number): number {
  return Math.max(-0x8000_0000, Math.min(0x7fff_ffff, n));
}

export function nanos(): Arbitrary<Nanos> {
  const edges = [0n, 1n, (1n << 32n) - 1n, 1n << 32n, 10n ** 18n, (1n << 63n) - 1n];
  return fc
    .oneof(fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }), fc.constantFrom(...edges))
    .map((n) => Nanos.fromBigInt(n));
}

/** A sum in its canonical form, with a preference for the limits of a number and of the whole range. */
export function sum(): Arbitrary<Sum> {
  const half = 1n << 53n;
  const edges = [half - 2n, half - 1n, half, half + 1n, 10n ** 31n, half * half - 1n];
  return fc
    .oneof(
      safeInteger(0).map(BigInt),
      fc.bigInt({ min: 0n, max: half * half - 1n }),
      fc.constantFrom(...edges),
    )
    .map(sumOfBigInt);
}

export function symbol(): Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('BTCUSDT', 'A', '0', 'X.Y-Z_9', 'ABCDEFGHIJKLMNOP'),
    fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,15}$/),
  );
}

function text(lengthMax: number): Arbitrary<string> {
  return fc
    .string({ unit: 'grapheme', maxLength: Math.min(lengthMax, 40) })
    .filter((t) => t.length <= lengthMax);
}

/** A message of the given type. */
export function messageOf(type: MessageType): Arbitrary<Message> {
  const fields = struct(MESSAGES[type].fields) as Arbitrary<Record<string, unknown>>;
  return fields.map((values) => {
    const scales = type === 'instrument' ? scalesOfSymbol(values['symbol'] as string) : undefined;
    return Object.assign({ type }, values, scales) as unknown as Message;
  });
}

/** A message of any type. */
export function anyMessage(): Arbitrary<Message> {
  return fc.constantFrom(...TYPES).chain(messageOf);
}

function struct(fields: Fields): Arbitrary<unknown> {
  return fc.record(
    Object.fromEntries(Object.entries(fields).map(([name, f]) => [name, valueOf(f)])),
    { noNullPrototype: true },
  );
}

function valueOf(f: Field<unknown>): Arbitrary<unknown> {
  const spec = f.spec;
  switch (spec.type) {
    case 'list':
      return fc.array(valueOf(spec.item), { maxLength: Math.min(spec.lengthMax, 20) });
    case 'struct':
      return struct(spec.fields);
    case 'messages':
      return fc.array(fc.constantFrom(...(spec.kinds as MessageType[])).chain(messageOf), {
        maxLength: 8,
      });
    case 'nullable':
      return fc.option(valueOf(spec.inner), { nil: null });
    default:
      return scalar(spec);
  }
}

function scalar(spec: FieldSpec): Arbitrary<unknown> {
  switch (spec.type) {
    case 'int':
      return safeInteger(spec.min, spec.max);
    case 'price':
      return safeInteger();
    case 'quantity':
      return safeInteger(0);
    case 'sum':
      return sum();
    case 'nanos':
      return nanos();
    case 'boolean':
      return fc.boolean();
    case 'symbol':
      return symbol();
    case 'text':
      return text(spec.lengthMax);
    case 'enum':
      return fc.constantFrom(...spec.values);
    case 'decimal':
      return fc.stringMatching(/^-?\d{1,40}(\.\d{1,30})?$/);
    case 'levels':
      return fc
        .array(fc.tuple(safeInteger(), safeInteger(0)), { maxLength: Math.min(spec.levelsMax, 14) })
        .map((pairs) => pairs.flat());
    default:
      throw new Error(`no arbitrary value for ${spec.type}`);
  }
}
