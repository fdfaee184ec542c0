/** Market data: what is now. */

import { Type } from '@sinclair/typebox';

import { PLAIN_CHANNELS, type PlainChannel } from '../../../../protocol/channels';
import { MESSAGES } from '../../../../protocol/messages';
import { BOOK_DEPTH } from '../../../../protocol/units';
import type { KeptAnswer } from '../kept-answers';
import { symbol, time } from '../parameters';
import type { MarketQueries } from '../queries';
import { routesOf, type Route, type RouteGroup } from '../route';
import {
  count,
  EXAMPLE_TIME,
  exampleAt,
  exampleDefinition,
  exampleEvent,
  exampleOfMessage,
  examplePlain,
  exampleTick,
  Instrument,
  ListedInstrument,
  mark,
  message,
  nullable,
  PAST_ERRORS,
  position,
  positionOfMessage,
  state,
  SYMBOL_ERRORS,
  time as timeText,
} from '../schemas';

export interface MarketServices {
  readonly queries: MarketQueries;
  /** The answer of `GET /v1/instruments`. */
  readonly instruments: KeptAnswer;
}

const Level = Type.Array(Type.String(), {
  $id: 'Level',
  minItems: 2,
  maxItems: 2,
  description: 'Price and quantity',
});
const levels = Type.Array(Level, { description: 'Best first' });

const OrderBook = Type.Object(
  {
    symbol: Type.String(),
    eventTime: timeText('Time of its last change, by the source'),
    receiveTime: timeText('When Tapedeck received that change'),
    bids: levels,
    asks: levels,
    depthKnown: Type.Optional(
      nullable(
        count('Levels a side that are known, if deeper ones were lost in a crash; null: all'),
      ),
    ),
    state: Type.Optional(state),
    mark,
    ...position,
  },
  { $id: 'OrderBook' },
);

const { route, kept } = routesOf<MarketServices>();

/** The route of the newest message of a channel that has no code of its own. */
function newestOf(channel: PlainChannel): Route<MarketServices> {
  const name = `${channel[0]!.toUpperCase()}${channel.slice(1)}`;
  return route({
    id: `get${name}`,
    method: 'GET',
    path: `/v1/${channel}/:symbol`,
    summary: MESSAGES[channel].schema.description!,
    role: 'read',
    cost: 'memory',
    params: { symbol },
    answer: {
      schema: message(channel, name, { ...positionOfMessage, state, mark }),
      example: { ...examplePlain(channel), state: 'live', ...exampleOfMessage('live') },
    },
    errors: [...SYMBOL_ERRORS, 'no-data'],
    handle: ({ params }, { queries }) => queries.plain(channel, params.symbol),
  });
}

export const MARKET: RouteGroup<MarketServices> = {
  name: 'market',
  description: 'What is now',
  routes: [
    kept({
      id: 'listInstruments',
      method: 'GET',
      path: '/v1/instruments',
      summary: 'All instruments: definitions and states',
      role: 'read',
      answer: {
        schema: Type.Object(
          {
            instruments: Type.Array(ListedInstrument),
            ...position,
            shards: Type.Optional(
              Type.Array(
                Type.Object({
                  shard: Type.String(),
                  epoch: count('Epoch of its numbering'),
                  seq: count('Its newest sequence number'),
                }),
                {
                  description: 'Of a server with shards; `seq` and `epoch` are 0 if it has several',
                },
              ),
            ),
          },
          { $id: 'Instruments' },
        ),
        example: { instruments: [exampleDefinition], ...exampleAt('live') },
      },
      errors: [],
      kept: ({ instruments }) => instruments,
    }),
    route({
      id: 'getInstrument',
      method: 'GET',
      path: '/v1/instruments/:symbol',
      summary: 'One definition, and its state',
      role: 'read',
      cost: 'memory',
      params: { symbol },
      answer: {
        schema: Instrument,
        example: { ...exampleDefinition, ...exampleOfMessage('live') },
      },
      errors: SYMBOL_ERRORS,
      handle: ({ params }, { queries }) => queries.instrument(params.symbol),
    }),
    route({
      id: 'getTick',
      method: 'GET',
      path: '/v1/tick/:symbol',
      summary: 'Newest tick: last, bid, ask, quantity, volume',
      role: 'read',
      cost: 'memory',
      params: { symbol },
      answer: {
        schema: message('tick', 'Tick', { ...positionOfMessage, state, mark }),
        example: { ...exampleTick, state: 'live', ...exampleOfMessage('l2') },
      },
      errors: [...SYMBOL_ERRORS, 'no-data'],
      handle: ({ params }, { queries }) => queries.tick(params.symbol),
    }),
    route({
      id: 'getOrderBook',
      method: 'GET',
      path: '/v1/orderbook/:symbol',
      summary: 'Best levels a side, now or at a time in the past',
      role: 'read',
      // The answer of the default depth is kept; other depths are written for each request.
      cost: ({ at, depth }) =>
        at !== undefined ? 'past' : depth === BOOK_DEPTH ? 'memory' : 'long',
      params: { symbol },
      query: {
        depth: Type.Integer({
          'description': `Levels a side; at most ${BOOK_DEPTH} of a past book`,
          'default': BOOK_DEPTH,
          'minimum': 1,
          'x-limit': 'bookDepthMax',
          'examples': [2],
        }),
        at: time('A time in the past'),
      },
      answer: {
        schema: OrderBook,
        example: {
          symbol: 'ACME',
          ...exampleAt('live'),
          eventTime: EXAMPLE_TIME,
          receiveTime: EXAMPLE_TIME,
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
      errors: [...PAST_ERRORS, 'no-data', 'book-incomplete', 'before-first-record'],
      handle: ({ params, query, effort }, { queries }) =>
        query.at === undefined
          ? queries.book(params.symbol, query.depth)
          : queries.history.book(params.symbol, query.at, query.depth, effort),
    }),
    route({
      id: 'getStats',
      method: 'GET',
      path: '/v1/stats/:symbol',
      summary:
        'Trading session so far: open, high, low, last, previous close, change, volume, turnover, VWAP',
      role: 'read',
      cost: 'memory',
      params: { symbol },
      answer: {
        schema: message('stats', 'Stats', positionOfMessage),
        example: {
          type: 'stats',
          ...exampleEvent,
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
          ...exampleOfMessage('live'),
        },
      },
      errors: SYMBOL_ERRORS,
      handle: ({ params }, { queries }) => queries.stats(params.symbol),
    }),
    ...PLAIN_CHANNELS.map(newestOf),
  ],
};
