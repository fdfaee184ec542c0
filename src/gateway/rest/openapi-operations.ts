/** OpenAPI operations: every route with its parameters, an example of its answer, and its errors. */

import type { ErrorCode } from '../../../protocol/codes';
import { BAR_INTERVALS } from '../../../protocol/messages';
import type { SchemaName } from './openapi-schemas';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly description: string;
  readonly schema: object;
  readonly example?: string | number | boolean;
}

export interface Operation {
  /** A name for programs that are made of the document. */
  readonly id: string;
  readonly method: 'get' | 'post' | 'delete';
  /** As routes have it: `:name` stands for a part. */
  readonly path: string;
  readonly tag: 'market' | 'past' | 'orders' | 'feeds' | 'operation';
  readonly summary: string;
  readonly role?: 'publish' | 'trade' | 'admin';
  readonly parameters?: readonly Parameter[];
  readonly body?: {
    readonly type: string;
    readonly schema?: SchemaName;
    readonly example: unknown;
  };
  readonly status?: 200 | 201;
  /** JSON of a schema, or another type of content. */
  readonly answer:
    { readonly schema: SchemaName; readonly example?: object } | { readonly type: string };
  /** An answer of another status that is no error of the table. */
  readonly otherwise?: {
    readonly status: number;
    readonly summary: string;
    readonly schema: SchemaName;
    readonly example: object;
  };
  readonly errors: readonly ErrorCode[];
}

const text = { type: 'string' };
const whole = { type: 'integer', minimum: 1 };
const symbol: Parameter = {
  name: 'symbol',
  in: 'path',
  description: 'Instrument',
  schema: text,
  example: 'ACME',
};
const limit: Parameter = {
  name: 'limit',
  in: 'query',
  description: 'At most so many',
  schema: whole,
  example: 100,
};
const next: Parameter = {
  name: 'next',
  in: 'query',
  description: 'Goes on behind a page: the `next` of its answer, as it was given',
  schema: text,
};
const TIME = 'ns since 1970 in digits, or a time such as 2024-08-09T00:35:00.5Z';
const from: Parameter = {
  name: 'from',
  in: 'query',
  description: `First time, ${TIME}`,
  schema: text,
};
const to: Parameter = {
  name: 'to',
  in: 'query',
  description: `Time to end before, ${TIME}`,
  schema: text,
};

const epoch = 1795369146862;
const eventTime = '1795370286546190917';
const sequenced = {
  symbol: 'ACME',
  seq: 1339664,
  prevSeq: 1339662,
  eventTime,
  receiveTime: eventTime,
};
const definition = {
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
const tick = {
  type: 'tick',
  ...sequenced,
  last: '188.96',
  bid: '188.96',
  ask: '188.98',
  quantity: '28',
  volume: '3481031',
  count: 1,
};
const trade = {
  type: 'trade',
  ...sequenced,
  price: '188.96',
  quantity: '28',
  aggressor: 'sell',
  tradeId: 17040,
  timing: null,
};
const bar = {
  type: 'bar',
  ...sequenced,
  prevSeq: 0,
  interval: '1m',
  openTime: '1795370280000000000',
  open: '189.00',
  high: '189.03',
  low: '188.96',
  close: '188.96',
  volume: '12660',
  trades: 82,
  final: false,
  count: 1,
};
const order = {
  orderId: 2571042820,
  clientOrderId: 'my-1',
  symbol: 'ACME',
  side: 'buy',
  kind: 'limit',
  timeInForce: 'gtc',
  postOnly: false,
  price: '150.00',
  quantity: '10',
  open: '10',
  traded: '0',
  fills: 0,
  turnover: '0.00',
  averagePrice: null,
  firstFillTime: null,
  lastFillTime: null,
  status: 'open',
  code: null,
  seq: 1339974,
  time: eventTime,
};
const session = {
  name: 's17',
  client: 'tapedeck page',
  key: null,
  address: '127.0.0.1',
  connectedAt: eventTime,
  ageMs: 93_500,
  form: 'msgpack',
  lane: 'express',
  topics: 40,
  sentBytes: 1_482_911,
  sentFrames: 18_220,
  waitingBytes: 0,
  lagMs: 0,
  rttMs: 0.412,
  conflated: 0,
  dropped: 0,
  gaps: 0,
  lagged: 0,
  resets: 0,
  receivedFrames: 3,
  receivedBytes: 210,
  receivedMessages: 3,
  refused: 0,
};
const at = (source: string): object => ({ seq: 1339788, epoch, source, ageMs: 180 });
const ofMessage = (source: string): object => ({ epoch, source, ageMs: 119 });

const UNKNOWN: readonly ErrorCode[] = ['unknown-symbol', 'invalid-field'];
const PAST: readonly ErrorCode[] = [...UNKNOWN, 'records-missing', 'overloaded', 'history-failed'];
const KEYED: readonly ErrorCode[] = ['unauthorized', 'forbidden'];

export const OPERATIONS: readonly Operation[] = [
  {
    id: 'listInstruments',
    method: 'get',
    path: '/v1/instruments',
    tag: 'market',
    summary: 'What there is: definitions and states',
    answer: { schema: 'Instruments', example: { instruments: [definition], ...at('live') } },
    errors: [],
  },
  {
    id: 'getInstrument',
    method: 'get',
    path: '/v1/instruments/:symbol',
    tag: 'market',
    summary: 'One definition, and its state',
    parameters: [symbol],
    answer: { schema: 'Instrument', example: { ...definition, ...ofMessage('live') } },
    errors: UNKNOWN,
  },
  {
    id: 'getTick',
    method: 'get',
    path: '/v1/tick/:symbol',
    tag: 'market',
    summary: 'Newest tick: last, bid, ask, quantity, volume',
    parameters: [symbol],
    answer: { schema: 'Tick', example: { ...tick, state: 'live', ...ofMessage('l2') } },
    errors: [...UNKNOWN, 'no-data'],
  },
  {
    id: 'getOrderBook',
    method: 'get',
    path: '/v1/orderbook/:symbol',
    tag: 'market',
    summary: 'Best levels a side, now or as of a past moment',
    parameters: [
      symbol,
      {
        name: 'depth',
        in: 'query',
        description: 'Levels a side; ten unless told, and at most ten of a past book',
        schema: whole,
        example: 2,
      },
      { name: 'at', in: 'query', description: `A past moment, ${TIME}`, schema: text },
    ],
    answer: {
      schema: 'OrderBook',
      example: {
        symbol: 'ACME',
        ...at('live'),
        eventTime,
        receiveTime: eventTime,
        bids: [
          ['188.96', '376'],
          ['188.95', '5264'],
        ],
        asks: [
          ['188.98', '94'],
          ['188.99', '2016'],
        ],
        depthKnown: null,
        state: 'live',
      },
    },
    errors: [...PAST, 'no-data', 'book-incomplete', 'before-first-record'],
  },
  {
    id: 'getStats',
    method: 'get',
    path: '/v1/stats/:symbol',
    tag: 'market',
    summary: 'The session so far',
    parameters: [symbol],
    answer: {
      schema: 'Stats',
      example: {
        type: 'stats',
        ...sequenced,
        prevSeq: 0,
        open: '187.43',
        high: '189.19',
        low: '186.99',
        last: '188.96',
        previousClose: '187.42',
        volume: '3481211',
        turnover: '654792461.35',
        vwap: '188.093299',
        trades: 17042,
        count: 1,
        change: '1.54',
        ...ofMessage('live'),
      },
    },
    errors: UNKNOWN,
  },
  {
    id: 'listTrades',
    method: 'get',
    path: '/v1/trades/:symbol',
    tag: 'past',
    summary: 'Trades, newest first',
    parameters: [symbol, limit, next],
    answer: {
      schema: 'Trades',
      example: { symbol: 'ACME', trades: [trade], next: '1339664', ...at('l2') },
    },
    errors: PAST,
  },
  {
    id: 'listTicks',
    method: 'get',
    path: '/v1/ticks/:symbol',
    tag: 'past',
    summary: 'Ticks of a time range, in the order of their places',
    parameters: [symbol, from, to, limit, next],
    answer: {
      schema: 'Ticks',
      example: {
        symbol: 'ACME',
        ticks: [tick],
        next: 'WyJBQ01FIixudWxsLG51bGwsNDk2N10',
        ...at('l3'),
      },
    },
    errors: PAST,
  },
  {
    id: 'listBars',
    method: 'get',
    path: '/v1/bars/:symbol',
    tag: 'past',
    summary: 'Bars by their open time, oldest first',
    parameters: [
      symbol,
      {
        name: 'interval',
        in: 'query',
        description: 'Length of a bar',
        schema: { ...text, enum: BAR_INTERVALS },
        example: '1m',
      },
      from,
      to,
      limit,
      next,
    ],
    answer: {
      schema: 'Bars',
      example: { symbol: 'ACME', interval: '1m', bars: [bar], next: null, ...at('l3') },
    },
    errors: PAST,
  },
  {
    id: 'submitOrder',
    method: 'post',
    path: '/v1/orders',
    tag: 'orders',
    role: 'trade',
    summary: 'Enters an order; answered when the journal has it',
    status: 201,
    body: {
      type: 'application/json',
      schema: 'OrderRequest',
      example: {
        symbol: 'ACME',
        side: 'buy',
        price: '150.00',
        quantity: '10',
        clientOrderId: 'my-1',
      },
    },
    answer: { schema: 'Order', example: order },
    errors: [
      ...KEYED,
      ...UNKNOWN,
      'malformed-json',
      'frame-too-large',
      'wrong-market',
      'market-closed',
      'market-halted',
      'not-in-pre-open',
      'invalid-combination',
      'invalid-quantity',
      'quantity-off-increment',
      'quantity-below-minimum',
      'quantity-above-maximum',
      'invalid-price',
      'price-off-increment',
      'price-outside-band',
      'off-increment',
      'out-of-range',
      'would-cross',
      'duplicate-client-order-id',
      'too-many-orders',
      'book-full',
      'resting-overflow',
      'auction-under-way',
      'journal-failing',
      'overloaded',
      'shutting-down',
    ],
  },
  {
    id: 'listOrders',
    method: 'get',
    path: '/v1/orders',
    tag: 'orders',
    role: 'trade',
    summary: 'Your orders: those that are open, or have ended, or the one of a name',
    parameters: [
      {
        name: 'status',
        in: 'query',
        description:
          'open, oldest first; or ended, the newest end first, as far as limits.endedOrdersMax keeps them',
        schema: { ...text, enum: ['open', 'ended'] },
        example: 'open',
      },
      {
        name: 'clientOrderId',
        in: 'query',
        description: 'Only the order of this name, open or ended; goes without the others',
        schema: text,
      },
      limit,
      next,
    ],
    answer: { schema: 'Orders', example: { orders: [order], next: null } },
    errors: KEYED,
  },
  {
    id: 'getOrder',
    method: 'get',
    path: '/v1/orders/:id',
    tag: 'orders',
    role: 'trade',
    summary: 'One of your orders',
    parameters: [orderId()],
    answer: { schema: 'Order', example: order },
    errors: [...KEYED, 'unknown-order', 'invalid-field'],
  },
  {
    id: 'cancelOrder',
    method: 'delete',
    path: '/v1/orders/:id',
    tag: 'orders',
    role: 'trade',
    summary: 'Cancels an order',
    parameters: [orderId()],
    answer: { schema: 'Order', example: { ...order, status: 'cancelled', open: '0' } },
    errors: [...KEYED, 'unknown-order', 'auction-under-way', 'invalid-field', 'journal-failing'],
  },
  {
    id: 'setInstrumentState',
    method: 'post',
    path: '/v1/instruments/:symbol/state',
    tag: 'orders',
    role: 'admin',
    summary: 'Opens, halts or closes a venue',
    parameters: [symbol],
    body: { type: 'application/json', schema: 'StateRequest', example: { state: 'halted' } },
    answer: { schema: 'StateChanged', example: { symbol: 'ACME', state: 'halted', seq: 1340021 } },
    errors: [
      ...KEYED,
      ...UNKNOWN,
      'malformed-json',
      'frame-too-large',
      'same-state',
      'auction-under-way',
      'wrong-market',
      'journal-failing',
    ],
  },
  {
    id: 'ingest',
    method: 'post',
    path: '/v1/ingest',
    tag: 'feeds',
    role: 'publish',
    summary: 'Takes the lines of a tape in, all or none',
    parameters: [
      {
        name: 'continues',
        in: 'query',
        description:
          'true: the numbers go on from those that this source sent before; otherwise they begin anew where another session does',
        schema: { type: 'boolean' },
        example: true,
      },
    ],
    body: {
      type: 'application/x-ndjson',
      example:
        '{"type":"trade","symbol":"DEMO","seq":1,"eventTime":"1700000000000000001","price":"10.01","quantity":"2","aggressor":"buy"}\n',
    },
    answer: {
      schema: 'Ingested',
      example: { seq: 1340022, events: 1, skipped: 0, repeated: 0, waiting: 0 },
    },
    errors: [
      ...KEYED,
      ...UNKNOWN,
      'malformed-json',
      'frame-too-large',
      'off-increment',
      'out-of-range',
      'symbol-in-use',
      'definition-conflict',
      'too-many-instruments',
      'wrong-market',
      'overloaded',
      'journal-failing',
    ],
  },
  {
    id: 'defineInstrument',
    method: 'post',
    path: '/v1/admin/instruments',
    tag: 'operation',
    role: 'admin',
    summary: 'Defines an instrument; answered when the journal has it',
    status: 201,
    body: {
      type: 'application/json',
      schema: 'InstrumentRequest',
      example: {
        symbol: 'BARLEY',
        market: 'venue',
        priceScale: 2,
        quantityScale: 0,
        priceIncrement: '0.25',
        initialState: 'pre-open',
      },
    },
    answer: { schema: 'Instrument', example: { ...definition, ...ofMessage('live') } },
    errors: [
      ...KEYED,
      'malformed-json',
      'invalid-field',
      'definition-conflict',
      'too-many-instruments',
      'wrong-market',
      'overloaded',
      'journal-failing',
      'shutting-down',
    ],
  },
  {
    id: 'renumberInstrument',
    method: 'post',
    path: '/v1/admin/instruments/:symbol/renumber',
    tag: 'operation',
    role: 'admin',
    summary: 'Has the numbers of the source of a feed begin anew',
    parameters: [symbol],
    answer: { schema: 'Renumbered', example: { symbol: 'FEED', seq: 1340023 } },
    errors: [...KEYED, 'unknown-symbol', 'wrong-market', 'journal-failing', 'shutting-down'],
  },
  {
    id: 'deleteInstrument',
    method: 'delete',
    path: '/v1/admin/instruments/:symbol',
    tag: 'operation',
    role: 'admin',
    summary: 'Deletes an instrument that is fed; its past stays',
    parameters: [symbol],
    answer: { schema: 'Renumbered', example: { symbol: 'FEED', seq: 1340024 } },
    errors: [
      ...KEYED,
      'unknown-symbol',
      'wrong-market',
      'symbol-in-use',
      'limit-reached',
      'journal-failing',
      'shutting-down',
    ],
  },
  {
    id: 'cancelOrdersOfOwner',
    method: 'delete',
    path: '/v1/admin/owners/:owner/orders',
    tag: 'operation',
    role: 'admin',
    summary:
      'Cancels all open orders of an owner, also of one whose key is revoked; answered when the journal has the cancels',
    parameters: [owner()],
    answer: {
      schema: 'OwnerCancelled',
      example: { owner: 'desk', cancelled: 12, left: 0, seq: 1340036 },
    },
    errors: [...KEYED, 'invalid-field', 'overloaded', 'journal-failing', 'shutting-down'],
  },
  {
    id: 'listSessions',
    method: 'get',
    path: '/v1/admin/sessions',
    tag: 'operation',
    role: 'admin',
    summary: 'Who is connected, the longest first',
    parameters: [limit, next],
    answer: { schema: 'Sessions', example: { total: 1, sessions: [session], next: null } },
    errors: [...KEYED, 'invalid-field'],
  },
  {
    id: 'getSession',
    method: 'get',
    path: '/v1/admin/sessions/:name',
    tag: 'operation',
    role: 'admin',
    summary: 'One session, with its topics',
    parameters: [sessionName()],
    answer: { schema: 'Session', example: { ...session, topicNames: ['book:ACME'] } },
    errors: [...KEYED, 'unknown-session'],
  },
  {
    id: 'closeSession',
    method: 'delete',
    path: '/v1/admin/sessions/:name',
    tag: 'operation',
    role: 'admin',
    summary: 'Closes a session',
    parameters: [sessionName()],
    answer: {
      schema: 'SessionClosed',
      example: { name: 's17', code: 4004, reconnect: false, reason: 'closed-by-operator' },
    },
    errors: [...KEYED, 'unknown-session'],
  },
  {
    id: 'getHealth',
    method: 'get',
    path: '/healthz',
    tag: 'operation',
    summary: 'It is alive',
    answer: { schema: 'Health', example: { status: 'ok' } },
    errors: [],
  },
  {
    id: 'getReadiness',
    method: 'get',
    path: '/readyz',
    tag: 'operation',
    summary: 'Whether it is ready; else 503 with the reasons',
    answer: { schema: 'Ready', example: { ready: true } },
    otherwise: {
      status: 503,
      summary: 'It is not ready, and why',
      schema: 'Ready',
      example: {
        ready: false,
        reasons: [{ code: 'journal-failing', message: 'the journal cannot be written: disk full' }],
      },
    },
    errors: [],
  },
  {
    id: 'getMetrics',
    method: 'get',
    path: '/metrics',
    tag: 'operation',
    summary: 'Figures for Prometheus',
    answer: { type: 'text/plain' },
    errors: [],
  },
  {
    id: 'openStream',
    method: 'get',
    path: '/v1/stream',
    tag: 'market',
    summary: 'WebSocket: live topics, publishing, orders; see protocol/README.md',
    answer: { type: 'application/octet-stream' },
    errors: ['upgrade-required', 'unauthorized', 'overloaded', 'shutting-down', 'invalid-field'],
  },
];

function orderId(): Parameter {
  return {
    name: 'id',
    in: 'path',
    description: 'The orderId of the answer',
    schema: { type: 'integer' },
    example: 2571042820,
  };
}

function owner(): Parameter {
  return { name: 'owner', in: 'path', description: 'Name of a key', schema: text, example: 'desk' };
}

function sessionName(): Parameter {
  return {
    name: 'name',
    in: 'path',
    description: 'Name of a session',
    schema: text,
    example: 's17',
  };
}
