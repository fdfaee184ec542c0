/** Schemas: parts of answers that several groups of routes share, built from the messages of the protocol. */

import { Type, type Static, type TObject, type TProperties, type TSchema } from '@sinclair/typebox';

import type { PlainChannel } from '../../../protocol/channels';
import type { Field } from '../../../protocol/fields';
import { INSTRUMENT_STATES, MARKS, MESSAGES } from '../../../protocol/messages';
import { plainFields } from '../../../protocol/plain';

export const decimal = (description: string): TSchema =>
  Type.String({ pattern: '^-?\\d+(\\.\\d+)?$', description });
export const time = (description: string): TSchema =>
  Type.String({ pattern: '^\\d{1,19}$', description: `${description}; ns since 1970` });
export const count = (description: string): TSchema => Type.Integer({ minimum: 0, description });
export const nullable = (schema: TSchema): TSchema => Type.Union([schema, Type.Null()]);

/** One of fixed words. */
export function literals<const V extends readonly string[]>(
  values: V,
  options: Record<string, unknown> = {},
) {
  return Type.Union(
    values.map((value) => Type.Literal(value as V[number])),
    options,
  );
}

/** A message of the protocol with more members. */
export function message(type: keyof typeof MESSAGES, $id: string, more: TProperties = {}): TObject {
  const { properties } = MESSAGES[type].schema;
  return Type.Object({ ...properties, ...more }, { $id });
}

/** What every answer about the market has. */
export const position = {
  seq: count('Sequence number at which the answer stands'),
  epoch: count('Epoch of the numbering'),
  source: literals(['l1', 'l2', 'l3', 'live'], { description: 'The tier that gave the answer' }),
  ageMs: Type.Number({ minimum: 0, description: 'Age of its newest part, in ms' }),
};
const { seq: _, ...rest } = position;
/** The same of an answer that is a message, which has a `seq` of its own. */
export const positionOfMessage = rest;

const Gap = Type.Object(
  { from: count('First'), to: count('Last'), reason: Type.String() },
  { $id: 'Gap' },
);
export const gaps = Type.Optional(
  Type.Array(Gap, {
    description:
      'Sequence numbers of missing records that may concern the answer; absent if there are none',
  }),
);
export const nextPage = nullable(
  Type.String({ description: 'Asks for the next page, as `next`; null if there is none' }),
);
export const state = literals(INSTRUMENT_STATES, { description: 'State' });
export const mark = Type.Optional(
  literals(MARKS, {
    description:
      'The values are the last known ones: the source is gone, or the server has restarted; absent while the source is connected',
  }),
);

/** A decimal or time as it stands in examples. */
export const EXAMPLE_TIME = '1795370286546190917';
export const EXAMPLE_EPOCH = 1795369146862;
/** Members of an event in examples. */
export const exampleEvent = {
  symbol: 'ACME',
  seq: 1339664,
  prevSeq: 1339662,
  eventTime: EXAMPLE_TIME,
  receiveTime: EXAMPLE_TIME,
};
/** Where an example stands. */
export const exampleAt = (source: Static<typeof position.source>): object => ({
  seq: 1339788,
  epoch: EXAMPLE_EPOCH,
  source,
  ageMs: 180,
});
/** The same of an answer that is a message. */
export const exampleOfMessage = (source: Static<typeof position.source>): object => ({
  epoch: EXAMPLE_EPOCH,
  source,
  ageMs: 119,
});
export const exampleTick = {
  type: 'tick',
  ...exampleEvent,
  last: '188.96',
  bid: '188.96',
  ask: '188.98',
  quantity: '28',
  volume: '3481031',
  count: 1,
};
/** An example of a message of a plain channel, with a value of each field. */
export function examplePlain(channel: PlainChannel): object {
  const own = Object.entries(plainFields(channel)).map(([name, field]) => [name, valueOf(field)]);
  return { type: channel, ...exampleEvent, ...(Object.fromEntries(own) as object), count: 1 };
}

function valueOf(field: Field<unknown>): unknown {
  const { spec } = field;
  switch (spec.type) {
    case 'nullable':
      return valueOf(spec.inner);
    case 'price':
      return '188.96';
    case 'decimal':
      return '0.0001';
    case 'nanos':
      return EXAMPLE_TIME;
    case 'int':
      return spec.min;
    case 'boolean':
      return true;
    case 'enum':
      return spec.values[0];
    case 'levels':
      return [['188.96', '376']];
    default:
      return '376'; // quantities, sums and texts
  }
}

export const exampleDefinition = {
  type: 'instrument',
  symbol: 'ACME',
  seq: 9,
  market: 'venue',
  priceScale: 2,
  quantityScale: 0,
  priceIncrement: '0.01',
  quantityIncrement: '1',
  previousClose: '187.42',
  rules: {
    quantityMin: '1',
    quantityMax: '1125899906842624',
    priceMin: '0.01',
    priceMax: '11258999068426.24',
    ordersPerOwnerMax: 100000,
    ordersMax: 1000000,
    selfTrade: 'cancel-newest',
    referencePrice: '187.42',
    initialState: 'open',
  },
  state: 'live',
};

/** What became of the events of an instrument's sources. */
const Intake = Type.Optional(
  Type.Object(
    {
      repeated: count('Dropped, since the source had sent them before'),
      waiting: count('Book events without effect until a snapshot comes'),
      late: count('Trades that changed the past alone'),
      ahead: count('Events whose time was ahead of their receipt'),
      renumbered: count('How often the numbering of the source started again'),
      missed: count('Messages of the source that are known to be missing'),
    },
    {
      $id: 'Intake',
      description:
        'What became of the events of its sources since the start; only of feed instruments',
    },
  ),
);

/** An instrument as one route answers with it. */
export const Instrument = message('instrument', 'Instrument', {
  ...positionOfMessage,
  state,
  intake: Intake,
});
/** An instrument in a list. */
export const ListedInstrument = message('instrument', 'Listed', { state });

/** Codes of any route that takes a symbol. */
export const SYMBOL_ERRORS = ['unknown-symbol', 'invalid-field'] as const;
/** Codes of any route that changes something; a member of a cluster may have to ask its leader. */
export const WRITE_ERRORS = ['journal-failing', 'no-leader', 'unknown-outcome'] as const;
/** Codes of any route that may read the journal. */
export const PAST_ERRORS = [
  ...SYMBOL_ERRORS,
  'records-missing',
  'overloaded',
  'history-failed',
] as const;
