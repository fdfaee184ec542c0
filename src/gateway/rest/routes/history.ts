/** History: what was. Answers come from memory if it has all of them, else from the journal. */

import { Type } from '@sinclair/typebox';

import { BAR_INTERVALS } from '../../../../protocol/messages';
import { from, limit, next, nextNumber, oneOf, symbol, to } from '../parameters';
import type { PastQueries } from '../queries';
import { routesOf, type RouteGroup } from '../route';
import {
  exampleAt,
  exampleEvent,
  exampleTick,
  gaps,
  message,
  nextPage,
  PAST_ERRORS,
  position,
} from '../schemas';

export interface HistoryServices {
  readonly queries: PastQueries;
}

/** Items of an answer, if the request does not say. */
const ITEMS = 100;

const exampleTrade = {
  type: 'trade',
  ...exampleEvent,
  price: '188.96',
  quantity: '28',
  aggressor: 'sell',
  tradeId: 17040,
  timing: null,
};
const exampleBar = {
  type: 'bar',
  ...exampleEvent,
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

const { route } = routesOf<HistoryServices>();

export const HISTORY: RouteGroup<HistoryServices> = {
  name: 'past',
  description: 'What was',
  routes: [
    route({
      id: 'listTrades',
      method: 'GET',
      path: '/v1/trades/:symbol',
      summary: 'Trades, newest first',
      role: 'read',
      cost: 'past',
      isTimed: true,
      params: { symbol },
      query: { limit: limit(ITEMS, 'tradesMax'), next: nextNumber },
      answer: {
        schema: Type.Object(
          {
            symbol: Type.String(),
            trades: Type.Array(message('trade', 'Trade'), { description: 'Newest first' }),
            next: nextPage,
            gaps,
            ...position,
          },
          { $id: 'Trades' },
        ),
        example: { symbol: 'ACME', trades: [exampleTrade], next: '1339664', ...exampleAt('l2') },
      },
      errors: PAST_ERRORS,
      handle: ({ params, query, effort }, { queries }) =>
        queries.trades(params.symbol, query.limit, query.next, effort),
    }),
    route({
      id: 'listTicks',
      method: 'GET',
      path: '/v1/ticks/:symbol',
      summary: 'Ticks of a time range, in the order of their sequence numbers',
      role: 'read',
      cost: 'past',
      isTimed: true,
      params: { symbol },
      query: { from, to, limit: limit(ITEMS, 'tradesMax'), next },
      answer: {
        schema: Type.Object(
          {
            symbol: Type.String(),
            ticks: Type.Array(message('tick', 'PastTick'), {
              description: 'In the order of their sequence numbers',
            }),
            next: nextPage,
            gaps,
            ...position,
          },
          { $id: 'Ticks' },
        ),
        example: {
          symbol: 'ACME',
          ticks: [exampleTick],
          next: 'WyJBQ01FIixudWxsLG51bGwsNDk2N10',
          ...exampleAt('l3'),
        },
      },
      errors: PAST_ERRORS,
      handle: ({ params, query, effort }, { queries }) =>
        queries.history.ticks(params.symbol, query, effort),
    }),
    route({
      id: 'listBars',
      method: 'GET',
      path: '/v1/bars/:symbol',
      summary: 'Bars by their open time, oldest first',
      role: 'read',
      cost: 'past',
      isTimed: true,
      params: { symbol },
      query: {
        interval: oneOf(BAR_INTERVALS, { description: 'Length of a bar', examples: ['1m'] }),
        from,
        to,
        limit: limit(ITEMS, 'barsMax'),
        next,
      },
      answer: {
        schema: Type.Object(
          {
            symbol: Type.String(),
            interval: Type.String(),
            bars: Type.Array(message('bar', 'Bar'), { description: 'Oldest first' }),
            next: nextPage,
            gaps,
            ...position,
          },
          { $id: 'Bars' },
        ),
        example: {
          symbol: 'ACME',
          interval: '1m',
          bars: [exampleBar],
          next: null,
          ...exampleAt('l3'),
        },
      },
      errors: PAST_ERRORS,
      handle: ({ params, query, effort }, { queries }) =>
        queries.history.bars(params.symbol, query, effort),
    }),
  ],
};
