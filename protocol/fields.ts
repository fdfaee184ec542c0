/**
 * Fields: the vocabulary of message definitions. A field states three things: the type in memory, the
 * MessagePack value on the wire, and the JSON form as a TypeBox schema (decimals and times as strings).
 * `messages.ts` combines fields; `tuple.ts`, `json.ts` and `json-text.ts` convert by walking them, so a
 * message is described once.
 */

import { Type, type TSchema } from '@sinclair/typebox';

import type { Sum } from './sums';
import type { Nanos } from './time';
import { SYMBOL_LENGTH_MAX } from './units';

/** What the converters switch on. */
export type FieldSpec =
  | { readonly type: 'int'; readonly min: number; readonly max: number }
  | { readonly type: 'price' | 'quantity' | 'sum' | 'decimal' }
  | { readonly type: 'nanos' | 'boolean' | 'symbol' }
  | { readonly type: 'text'; readonly lengthMax: number }
  | { readonly type: 'enum'; readonly values: readonly string[] }
  | { readonly type: 'levels'; readonly levelsMax: number }
  | { readonly type: 'list'; readonly item: Field<unknown>; readonly lengthMax: number }
  | { readonly type: 'struct'; readonly fields: Fields }
  | { readonly type: 'messages'; readonly kinds: readonly string[]; readonly lengthMax: number }
  | { readonly type: 'nullable'; readonly inner: Field<unknown> };

export interface Field<Memory> {
  readonly spec: FieldSpec;
  readonly json: TSchema;
  /** Carries the in-memory type only; never set. */
  readonly memory?: Memory;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The in-memory object of a set of fields. */
export type Memory<F extends Fields> = {
  -readonly [K in keyof F]: F[K] extends Field<infer M> ? M : never;
};

const DECIMAL = '^-?\\d+(\\.\\d+)?$';
const EXAMPLE_TIME = '1723161255342000000';

function int(min: number, max: number, description: string): Field<number> {
  return {
    spec: { type: 'int', min, max },
    json: Type.Integer({ minimum: min, maximum: max, description }),
  };
}

export const field = {
  int,

  /** A sequence number: 0 … 2^53 − 1. */
  seq: (description = 'Sequence number of the server'): Field<number> =>
    int(0, Number.MAX_SAFE_INTEGER, description),

  /** A scaled integer of the instrument's price scale; a decimal string in JSON. */
  price: (description = 'Price'): Field<number> => ({
    spec: { type: 'price' },
    json: Type.String({ pattern: DECIMAL, maxLength: 40, description, examples: ['61837.63'] }),
  }),

  /** A scaled integer of the instrument's quantity scale, not negative; a decimal string in JSON. */
  quantity: (description = 'Quantity'): Field<number> => ({
    spec: { type: 'quantity' },
    json: Type.String({ pattern: DECIMAL, maxLength: 40, description, examples: ['0.02'] }),
  }),

  /** A sum of quantities, of any size; a decimal string in JSON. */
  sum: (description: string): Field<Sum> => ({
    spec: { type: 'sum' },
    json: Type.String({ pattern: DECIMAL, maxLength: 64, description, examples: ['1520.33071'] }),
  }),

  /** Nanoseconds since 1970; a string of digits in JSON. */
  nanos: (description: string): Field<Nanos> => ({
    spec: { type: 'nanos' },
    json: Type.String({ pattern: '^\\d{1,19}$', description, examples: [EXAMPLE_TIME] }),
  }),

  /** A decimal kept as text, since it may exceed 2^53 (turnover, average price). */
  decimal: (description: string): Field<string> => ({
    spec: { type: 'decimal' },
    json: Type.String({ pattern: DECIMAL, maxLength: 64, description }),
  }),

  symbol: (description = 'Instrument symbol'): Field<string> => ({
    spec: { type: 'symbol' },
    json: Type.String({ minLength: 1, maxLength: SYMBOL_LENGTH_MAX, description }),
  }),

  text: (lengthMax: number, description: string): Field<string> => ({
    spec: { type: 'text', lengthMax },
    json: Type.String({ maxLength: lengthMax, description }),
  }),

  boolean: (description: string): Field<boolean> => ({
    spec: { type: 'boolean' },
    json: Type.Boolean({ description }),
  }),

  /** One of a list of names; on the binary wire its index in the list, so a list only grows. */
  oneOf: <const V extends readonly string[]>(values: V, description: string): Field<V[number]> => ({
    spec: { type: 'enum', values },
    json: Type.Union(
      values.map((value) => Type.Literal(value)),
      { description },
    ),
  }),

  /** Levels best first, flat in memory and on the binary wire: price, quantity, price, quantity … */
  levels: (levelsMax: number, description: string): Field<number[]> => ({
    spec: { type: 'levels', levelsMax },
    json: Type.Array(Type.Tuple([Type.String(), Type.String()]), {
      maxItems: levelsMax,
      description,
      examples: [[['61837.63', '3.78826']]],
    }),
  }),

  list: <M>(item: Field<M>, lengthMax: number, description: string): Field<M[]> => ({
    spec: { type: 'list', item, lengthMax },
    json: Type.Array(item.json, { maxItems: lengthMax, description }),
  }),

  struct: <F extends Fields>(fields: F, description: string): Field<Memory<F>> => ({
    spec: { type: 'struct', fields },
    json: Type.Object(jsonProperties(fields), { description }),
  }),

  /** Whole messages inside a message, of the kinds named. */
  messages: <M>(kinds: readonly string[], lengthMax: number, description: string): Field<M[]> => ({
    spec: { type: 'messages', kinds, lengthMax },
    json: Type.Array(Type.Object({ type: Type.String() }, { additionalProperties: true }), {
      maxItems: lengthMax,
      description,
    }),
  }),

  nullable: <M>(inner: Field<M>): Field<M | null> => ({
    spec: { type: 'nullable', inner },
    json: Type.Union([inner.json, Type.Null()]),
  }),
};

/** The JSON properties of a set of fields; a nullable member may be omitted. */
export function jsonProperties(fields: Fields): Record<string, TSchema> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, f]) => [
      name,
      f.spec.type === 'nullable' ? Type.Optional(f.json) : f.json,
    ]),
  );
}
