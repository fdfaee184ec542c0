/**
 * Instrument settings: the definition of an instrument as people write it, under `[[instruments]]` of the settings and
 * over REST. Prices and quantities are decimals; omitted members have defaults.
 */

import { Type, type Static } from '@sinclair/typebox';

import { SCALE_MAX, SYMBOL_LENGTH_MAX } from './units';

const decimal = (description: string) => Type.Optional(Type.String({ description }));
const orders = (value: number, maximum: number, description: string) =>
  Type.Integer({ default: value, minimum: 1, maximum, description });

export const InstrumentSettingsSchema = Type.Object(
  {
    symbol: Type.String({ minLength: 1, maxLength: SYMBOL_LENGTH_MAX }),
    market: Type.Union([Type.Literal('feed'), Type.Literal('venue')], { default: 'venue' }),
    priceScale: Type.Integer({ minimum: 0, maximum: SCALE_MAX }),
    quantityScale: Type.Integer({ minimum: 0, maximum: SCALE_MAX }),
    priceIncrement: decimal('Default: one unit of the scale'),
    quantityIncrement: decimal('Default: one unit of the scale'),
    previousClose: decimal('Last price of the session before'),
    quantityMin: decimal('Venue: smallest order; default: the increment'),
    quantityMax: decimal('Venue: largest order'),
    priceMin: decimal('Venue: lowest limit; default: the increment'),
    priceMax: decimal('Venue: highest limit'),
    ordersPerOwnerMax: orders(100_000, 10_000_000, 'Venue: resting orders of one owner'),
    ordersMax: orders(1_000_000, 50_000_000, 'Venue: resting orders in all'),
    selfTrade: Type.Union(
      ['cancel-newest', 'cancel-oldest', 'cancel-both'].map((word) => Type.Literal(word)),
      { default: 'cancel-newest', description: 'Venue: who is cancelled' },
    ),
    initialState: Type.Union(
      ['pre-open', 'open', 'halted', 'closed'].map((word) => Type.Literal(word)),
      { default: 'open', description: 'Venue: state to begin in' },
    ),
  },
  { additionalProperties: false },
);

export type InstrumentSettings = Static<typeof InstrumentSettingsSchema>;
