/**
 * Parameters: the TypeBox schemas of what stands in paths and query strings.
 *
 * Besides what JSON Schema knows a schema may have
 * - `x-limit`: the name of a setting of `[limits]` whose current value is the maximum;
 * - `x-field`: the field that a fault names, if it is not the name of the parameter;
 * - `x-expected`: how a fault describes what was expected;
 * - `x-read`: how its text is read, if the type does not say so.
 * Parsing (query.ts) reads them; the OpenAPI document leaves them out.
 */

import { Type, type TUnsafe } from '@sinclair/typebox';

import type { Nanos } from '../../../protocol/time';

/** Settings of `[limits]` that bound a parameter. */
export type LimitName = 'tradesMax' | 'barsMax' | 'bookDepthMax';
export type ParameterLimits = Readonly<Record<LimitName, number>>;

export const symbol = Type.String({ description: 'Instrument', examples: ['ACME'] });

/** How many items an answer has at most. @param most a constant, or the setting that bounds it */
export function limit(otherwise: number | undefined, most: number | LimitName) {
  return Type.Integer({
    description: 'Largest number of items in the answer',
    ...(otherwise !== undefined && { default: otherwise }),
    minimum: 1,
    examples: [100],
    ...(typeof most === 'number' ? { maximum: most } : { 'x-limit': most }),
  });
}

/** The `next` of an answer, which is text that only the server understands. */
export const next = Type.Optional(
  Type.String({ description: 'The `next` of an answer: asks for the page after it' }),
);

/** A `next` that is a number. */
export const nextNumber = Type.Optional(
  Type.Unsafe<number>({
    'type': 'string',
    'x-read': 'number',
    'minimum': 1,
    'maximum': Number.MAX_SAFE_INTEGER,
    'description': 'The `next` of an answer: asks for the page after it',
  }),
);

const TIME = 'ns since 1970 in digits, or a time such as 2024-08-09T00:35:00.5Z';

/** A point in time, in either of the forms that clients write. */
export function time(description: string) {
  const schema: TUnsafe<Nanos> = Type.Unsafe({
    'type': 'string',
    'x-read': 'time',
    'description': `${description}, ${TIME}`,
  });
  return Type.Optional(schema);
}

export const from = time('Start, inclusive');
export const to = time('End, exclusive');

/** One of fixed words. */
export function oneOf<const V extends readonly string[]>(
  values: V,
  options: Record<string, unknown>,
): TUnsafe<V[number]> {
  return Type.Unsafe({ type: 'string', enum: [...values], ...options });
}
