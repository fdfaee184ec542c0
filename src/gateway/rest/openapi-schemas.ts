/** OpenAPI schemas: the shapes of answers and bodies, put together of the messages of the protocol. */

import { Type, type TProperties, type TSchema } from '@sinclair/typebox';

import { ERRORS } from '../../../protocol/codes';
import { InstrumentSettingsSchema } from '../../../protocol/instrument-settings';
import { INSTRUMENT_STATES, MARKS, MESSAGES } from '../../../protocol/messages';

const decimal = (description: string): TSchema =>
  Type.String({ pattern: '^-?\\d+(\\.\\d+)?$', description });
const time = (description: string): TSchema =>
  Type.String({ pattern: '^\\d{1,19}$', description: `${description}; ns since 1970` });
const place = (description: string): TSchema => Type.Integer({ minimum: 0, description });
const nullable = (schema: TSchema): TSchema => Type.Union([schema, Type.Null()]);

/** What every answer on the market says of itself. */
const standing = {
  seq: place('Place at which the answer stands'),
  epoch: place('Life of the numbering'),
  source: Type.Union(
    ['l1', 'l2', 'l3', 'live'].map((tier) => Type.Literal(tier)),
    { description: 'The tier that gave it' },
  ),
  ageMs: Type.Number({ minimum: 0, description: 'How old the newest of it is, in ms' }),
};
const { seq: _, ...standingOfMessage } = standing;

const Gap = Type.Object({ from: place('First'), to: place('Last'), reason: Type.String() });
const gaps = Type.Optional(
  Type.Array(Gap, {
    description: 'Places that are missing and may concern the answer; absent when none are',
  }),
);
const next = nullable(
  Type.String({ description: 'The `next` to ask for the next page with; null when there is none' }),
);
const Level = Type.Array(Type.String(), {
  minItems: 2,
  maxItems: 2,
  description: 'Price and quantity',
});
const levels = Type.Array(Level, { description: 'Best first' });

function message(type: keyof typeof MESSAGES, more: TProperties = {}): TSchema {
  const { properties } = MESSAGES[type].schema;
  return Type.Object({ ...properties, ...more });
}

const state = Type.Union(
  INSTRUMENT_STATES.map((word) => Type.Literal(word)),
  { description: 'State' },
);

const mark = Type.Optional(
  Type.Union(
    MARKS.map((word) => Type.Literal(word)),
    {
      description:
        'These are the last known values: of a source that is gone, or from before a restart; absent while its source is there',
    },
  ),
);

/** Of feeds only. */
const Intake = Type.Optional(
  Type.Object(
    {
      repeated: place('Dropped, since the source had sent them before'),
      waiting: place('Book events without effect until a snapshot comes'),
      late: place('Trades that changed the past alone'),
      ahead: place('Events whose time was ahead of their receipt'),
      renumbered: place('How often numbers began anew'),
      missed: place('Messages of the source that are known to be missing'),
    },
    { description: 'What became of the events of its sources since the start; of a feed only' },
  ),
);

const Listed = message('instrument', { state });
const Trade = message('trade');
const PastTick = message('tick');
const Bar = message('bar');

const { id: _id, type: _type, ...orderFields } = MESSAGES.order.schema.properties;
const optional = (names: readonly string[]): TProperties =>
  Object.fromEntries(
    Object.entries(orderFields).map(([name, schema]) => [
      name,
      names.includes(name) ? Type.Optional(schema) : schema,
    ]),
  );

const Order = Type.Object({
  orderId: place('Id given by Tapedeck'),
  clientOrderId: Type.String({ description: "The client's own name of the order" }),
  symbol: Type.String(),
  side: Type.Union([Type.Literal('buy'), Type.Literal('sell')]),
  kind: Type.Union([Type.Literal('limit'), Type.Literal('market')]),
  timeInForce: Type.Union([Type.Literal('gtc'), Type.Literal('ioc'), Type.Literal('fok')]),
  postOnly: Type.Boolean(),
  price: nullable(decimal('Limit; null of a market order')),
  quantity: decimal('As entered'),
  open: decimal('Still open'),
  traded: decimal('Traded so far'),
  fills: nullable(place('Trades that filled it; null: not known, as they were of before 0.2')),
  turnover: nullable(decimal('Sum of price times quantity over them')),
  averagePrice: nullable(decimal('Turnover by what traded, four decimals beyond a price')),
  firstFillTime: nullable(time('Of the first of them')),
  lastFillTime: nullable(time('Of the last')),
  status: Type.String({ description: 'open, filled, cancelled, expired or rejected' }),
  code: nullable(Type.String({ description: 'Code of a rejection' })),
  seq: place('Place of the command'),
  time: time('When it was entered'),
});

const sessionFields = {
  name: Type.String({ description: 'As in welcome, and in the log' }),
  client: nullable(Type.String({ description: 'What it calls itself' })),
  key: nullable(Type.String({ description: 'Name of its key' })),
  address: nullable(Type.String()),
  connectedAt: time('When it came'),
  form: Type.Union([Type.Literal('msgpack'), Type.Literal('json')]),
  lane: Type.Union([Type.Literal('express'), Type.Literal('lagging')]),
  topics: place('How many'),
  ageMs: place('How long it has been connected'),
  sentBytes: place('Frames to it, without what WebSocket adds'),
  sentFrames: place('How many, but for definitions that came while it was connected'),
  waitingBytes: place('About what waits for it'),
  lagMs: place('How long the oldest of that has'),
  rttMs: nullable(Type.Number({ description: 'From the newest ping to its pong' })),
  conflated: place('Messages that another one stood for'),
  dropped: place('Messages that a gap declared'),
  gaps: place('Such gaps'),
  lagged: place('Times that it left the express lane'),
  resets: place('Times that it was told to forget what it held'),
  receivedFrames: place('Frames from it'),
  receivedBytes: place('Bytes of them'),
  receivedMessages: place('Messages in them'),
  refused: place('Of those, answered with an error'),
};
const SessionListed = Type.Object(sessionFields);
const Session = Type.Object({
  ...sessionFields,
  topicNames: Type.Array(Type.String(), { description: 'Its topics, a thousand at most' }),
});

const ReadinessNote = Type.Object({
  code: Type.String(),
  message: Type.String(),
  cause: Type.Optional(Type.String({ description: 'journal-failing: the kind of reason' })),
  hint: Type.Optional(Type.String({ description: 'What to do' })),
  count: Type.Optional(place('feed-stale: instruments that are silent')),
  feeds: Type.Optional(
    Type.Array(Type.Object({ symbol: Type.String(), since: time('Of their last word') }), {
      description: 'feed-stale: some of them, the longest silent first',
    }),
  ),
});

/** By name, as `components.schemas` of the document. */
export const SCHEMAS = {
  Gap,
  Level,
  Listed,
  Trade,
  PastTick,
  Bar,
  SessionListed,
  ReadinessNote,
  Intake,
  Instrument: message('instrument', { ...standingOfMessage, state, intake: Intake }),
  Instruments: Type.Object({
    instruments: Type.Array(Listed),
    ...standing,
  }),
  Tick: message('tick', { ...standingOfMessage, state, mark }),
  OrderBook: Type.Object({
    symbol: Type.String(),
    eventTime: time('When it became so, by the source'),
    receiveTime: time('When Tapedeck received that'),
    bids: levels,
    asks: levels,
    depthKnown: Type.Optional(
      nullable(
        place('Levels a side that are known, where those behind them went with a crash; null: all'),
      ),
    ),
    state: Type.Optional(state),
    mark,
    ...standing,
  }),
  Trades: Type.Object({
    symbol: Type.String(),
    trades: Type.Array(Trade, { description: 'Newest first' }),
    next,
    gaps,
    ...standing,
  }),
  Ticks: Type.Object({
    symbol: Type.String(),
    ticks: Type.Array(PastTick, { description: 'In the order of their places' }),
    next,
    gaps,
    ...standing,
  }),
  Bars: Type.Object({
    symbol: Type.String(),
    interval: Type.String(),
    bars: Type.Array(Bar, { description: 'Oldest first' }),
    next,
    gaps,
    ...standing,
  }),
  Stats: message('stats', standingOfMessage),
  OrderRequest: Type.Object(
    optional(['kind', 'timeInForce', 'postOnly', 'price', 'clientOrderId']),
  ),
  Order,
  Orders: Type.Object({ orders: Type.Array(Order), next }),
  InstrumentRequest: Type.Object(
    Object.fromEntries(
      Object.entries(InstrumentSettingsSchema.properties).map(([name, schema]) => [
        name,
        'default' in schema ? Type.Optional(schema) : schema,
      ]),
    ),
    { additionalProperties: false },
  ),
  StateRequest: Type.Object({
    state: Type.Union(['pre-open', 'open', 'halted', 'closed'].map((word) => Type.Literal(word))),
  }),
  Renumbered: Type.Object({
    symbol: Type.String(),
    seq: place('The newest, with what came of it'),
  }),
  StateChanged: Type.Object({ symbol: Type.String(), state: Type.String(), seq: place('Place') }),
  OwnerCancelled: Type.Object({
    owner: Type.String(),
    cancelled: place('How many orders were cancelled'),
    left: place('How many are still open, since their venues take no cancel now'),
    seq: Type.Union([place('Place of the last cancel'), Type.Null()]),
  }),
  Ingested: Type.Object({
    seq: place('The newest place of what was taken'),
    events: place('How many were taken'),
    skipped: place('Lines that are no source events, such as ticks'),
    repeated: place('Of the events: dropped, since the source had sent them before'),
    waiting: place('Of the events: of a book that waits for a snapshot'),
  }),
  Sessions: Type.Object({
    total: place('All that are connected'),
    sessions: Type.Array(SessionListed),
    next,
  }),
  Session,
  SessionClosed: Type.Object({
    name: Type.String(),
    code: Type.Integer(),
    reconnect: Type.Boolean(),
    reason: Type.String(),
  }),
  Health: Type.Object({ status: Type.Literal('ok') }),
  Ready: Type.Object({
    ready: Type.Boolean(),
    reasons: Type.Optional(Type.Array(ReadinessNote, { description: 'Why it is not' })),
    warnings: Type.Optional(Type.Array(ReadinessNote, { description: 'What does not make it so' })),
  }),
  Error: Type.Object({
    error: Type.Object({
      code: Type.Union(Object.keys(ERRORS).map((code) => Type.Literal(code))),
      message: Type.String({ description: 'What was wrong, with field, value and expectation' }),
      field: Type.Optional(Type.String({ description: 'The field at fault' })),
      hint: Type.String({ description: 'What to do' }),
    }),
  }),
} as const;

export type SchemaName = keyof typeof SCHEMAS;
