/** Orders: trading at the venues of this server. Each answer comes when the journal has the command. */

import { Type } from '@sinclair/typebox';

import { MESSAGES } from '../../../../protocol/messages';
import { jsonBody, jsonMembers } from '../body';
import { ORDERS_MAX, type Orders } from '../orders';
import { limit, nextNumber, oneOf, symbol } from '../parameters';
import { routesOf, type RouteGroup } from '../route';
import {
  count,
  decimal,
  EXAMPLE_TIME,
  literals,
  nextPage,
  nullable,
  SYMBOL_ERRORS,
  time,
  WRITE_ERRORS,
} from '../schemas';

export interface OrderServices {
  readonly orders: Orders;
}

const TRADING_STATES = ['pre-open', 'open', 'halted', 'closed'] as const;

/** The fields of an order message; those with a default may be left out. */
const { id: _id, type: _type, ...orderFields } = MESSAGES.order.schema.properties;
const OPTIONAL = new Set(['kind', 'timeInForce', 'postOnly', 'price', 'clientOrderId']);
const OrderRequest = Type.Object(
  Object.fromEntries(
    Object.entries(orderFields).map(([name, schema]) => [
      name,
      OPTIONAL.has(name) ? Type.Optional(schema) : schema,
    ]),
  ),
  { $id: 'OrderRequest' },
);

const Order = Type.Object(
  {
    orderId: count('Id given by Tapedeck'),
    clientOrderId: Type.String({ description: "The client's own name of the order" }),
    symbol: Type.String(),
    side: literals(['buy', 'sell']),
    kind: literals(['limit', 'market']),
    timeInForce: literals(['gtc', 'ioc', 'fok']),
    postOnly: Type.Boolean(),
    price: nullable(decimal('Limit; null of a market order')),
    quantity: decimal('As entered'),
    open: decimal('Still open'),
    traded: decimal('Traded so far'),
    fills: nullable(
      count('Trades that filled it; null: not counted, as of orders entered before 0.2'),
    ),
    turnover: nullable(decimal('Sum of price times quantity over the fills')),
    averagePrice: nullable(
      decimal('Turnover divided by traded quantity, with four decimals more than a price'),
    ),
    firstFillTime: nullable(time('Of the first fill')),
    lastFillTime: nullable(time('Of the last fill')),
    status: Type.String({ description: 'open, filled, cancelled, expired or rejected' }),
    code: nullable(Type.String({ description: 'Code of a rejection' })),
    seq: count('Sequence number of the command'),
    time: time('When it was entered'),
  },
  { $id: 'Order' },
);

const exampleOrder = {
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
  time: EXAMPLE_TIME,
};

const id = Type.Integer({
  'description': 'The orderId of the answer',
  'examples': [2571042820],
  'x-field': 'orderId',
  'x-expected': 'the id of an order',
});

/** Codes with which a venue refuses an order. */
const ORDER_ERRORS = [
  ...SYMBOL_ERRORS,
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
  'shutting-down',
  ...WRITE_ERRORS,
] as const;

const { route } = routesOf<OrderServices>();

export const ORDERS: RouteGroup<OrderServices> = {
  name: 'orders',
  description: 'Trading at the venues of this server',
  routes: [
    route({
      id: 'submitOrder',
      method: 'POST',
      path: '/v1/orders',
      summary: 'Enters an order; answered when the journal has it',
      role: 'trade',
      cost: 'order',
      isTimed: true,
      body: jsonMembers(OrderRequest, {
        symbol: 'ACME',
        side: 'buy',
        price: '150.00',
        quantity: '10',
        clientOrderId: 'my-1',
      }),
      answer: { status: 201, schema: Order, example: exampleOrder },
      errors: ORDER_ERRORS,
      handle: ({ who, body }, { orders }) => orders.submit(who.name, body),
    }),
    route({
      id: 'listOrders',
      method: 'GET',
      path: '/v1/orders',
      summary: 'Your orders: open, ended, or the one of a name',
      role: 'trade',
      cost: 'long',
      query: {
        status: Type.Optional(
          oneOf(['open', 'ended'], {
            description:
              'open (the default): oldest first; ended: the last to end first, as far as limits.endedOrdersMax keeps them',
            examples: ['open'],
          }),
        ),
        clientOrderId: Type.Optional(
          Type.String({
            description: 'The one order of this name, open or ended; not with other parameters',
          }),
        ),
        // Without a default, since a `clientOrderId` excludes it.
        limit: Type.Optional(limit(undefined, ORDERS_MAX)),
        next: nextNumber,
      },
      answer: {
        schema: Type.Object({ orders: Type.Array(Order), next: nextPage }, { $id: 'Orders' }),
        example: { orders: [exampleOrder], next: null },
      },
      errors: [],
      handle: ({ who, query }, { orders }) => orders.list(who.name, query),
    }),
    route({
      id: 'getOrder',
      method: 'GET',
      path: '/v1/orders/:id',
      summary: 'One of your orders',
      role: 'trade',
      cost: 'memory',
      params: { id },
      answer: { schema: Order, example: exampleOrder },
      errors: ['unknown-order'],
      handle: ({ who, params }, { orders }) => orders.get(who.name, params.id),
    }),
    route({
      id: 'cancelOrder',
      method: 'DELETE',
      path: '/v1/orders/:id',
      summary: 'Cancels an order',
      role: 'trade',
      cost: 'order',
      isTimed: true,
      params: { id },
      answer: { schema: Order, example: { ...exampleOrder, status: 'cancelled', open: '0' } },
      errors: ['unknown-order', 'auction-under-way', ...WRITE_ERRORS],
      handle: ({ who, params }, { orders }) => orders.cancel(who.name, params.id),
    }),
    route({
      id: 'setInstrumentState',
      method: 'POST',
      path: '/v1/instruments/:symbol/state',
      summary: 'Opens, halts or closes a venue',
      role: 'admin',
      cost: 'memory',
      params: { symbol },
      body: jsonBody(Type.Object({ state: literals(TRADING_STATES) }, { $id: 'StateRequest' }), {
        state: 'halted',
      }),
      answer: {
        schema: Type.Object(
          { symbol: Type.String(), state: Type.String(), seq: count('Its sequence number') },
          { $id: 'StateChanged' },
        ),
        example: { symbol: 'ACME', state: 'halted', seq: 1340021 },
      },
      errors: [
        ...SYMBOL_ERRORS,
        'same-state',
        'auction-under-way',
        'wrong-market',
        ...WRITE_ERRORS,
      ],
      handle: ({ who, params, body }, { orders }) =>
        orders.setState(who.name, params.symbol, body.state),
    }),
    route({
      id: 'cancelOrdersOfOwner',
      method: 'DELETE',
      path: '/v1/admin/owners/:owner/orders',
      summary: 'Cancels all open orders of an owner, also of one whose key is revoked',
      role: 'admin',
      cost: 'memory',
      params: {
        owner: Type.String({ description: 'Name of a key', examples: ['market-maker'] }),
      },
      answer: {
        schema: Type.Object(
          {
            owner: Type.String(),
            cancelled: count('How many orders were cancelled'),
            left: count('How many are still open, since their venues take no cancel now'),
            seq: nullable(count('Sequence number of the last cancel')),
          },
          { $id: 'OwnerCancelled' },
        ),
        example: { owner: 'market-maker', cancelled: 12, left: 0, seq: 1340036 },
      },
      errors: ['shutting-down', ...WRITE_ERRORS],
      handle: ({ who, params }, { orders }) => orders.cancelAll(who.name, params.owner),
    }),
  ],
};
