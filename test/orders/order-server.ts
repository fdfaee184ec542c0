/** A server with venues, and callers with every kind of key, for the tests of order entry. */

import { SUBPROTOCOL_MSGPACK, type Subprotocol } from '../../protocol/codec';
import { StreamClient, type Seen } from '../support/stream-client';
import {
  ServerProcess,
  testKey,
  TRADE_KEY,
  type ServerOptions,
  type TestKey,
} from '../support/tapedeck-process';

export const KEYS = {
  trader: TRADE_KEY,
  rival: testKey('rival'),
  boss: testKey('boss'),
  feeder: testKey('feeder'),
};
export type Caller = keyof typeof KEYS;

const MORE_KEYS: readonly TestKey[] = [
  { name: 'rival', roles: ['trade'] },
  { name: 'boss', roles: ['admin'] },
  { name: 'feeder', roles: ['publish'] },
];

/** Two decimals of a price, three of a quantity, as `StreamClient` takes them. */
const SCALES = 'priceScale = 2\nquantityScale = 3';
const CONFIG = `
[[instruments]]
symbol = "ACME"
${SCALES}
priceIncrement = "0.05"
quantityIncrement = "0.010"
quantityMin = "0.020"
quantityMax = "9000000000000.000"
priceMin = "1.00"
priceMax = "500.00"
previousClose = "100.00"
[[instruments]]
symbol = "FEW"
${SCALES}
ordersPerOwnerMax = 3
[[instruments]]
symbol = "EARLY"
${SCALES}
initialState = "pre-open"
[[instruments]]
symbol = "FEED"
market = "feed"
${SCALES}
`;

export type Json = Record<string, unknown>;

export class OrderServer {
  readonly process: ServerProcess;

  private constructor(process: ServerProcess) {
    this.process = process;
  }

  static async start(options: ServerOptions = {}): Promise<OrderServer> {
    const config = `${CONFIG}${options.config ?? ''}`;
    return new OrderServer(await ServerProcess.start({ ...options, config, keys: MORE_KEYS }));
  }

  get url(): string {
    return this.process.url;
  }

  /** A request of a caller; null: without a key. */
  async request(
    who: Caller | null,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Json }> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: who === null ? {} : { authorization: `Bearer ${KEYS[who]}` },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Json };
  }

  order(who: Caller | null, body: unknown): Promise<{ status: number; body: Json }> {
    return this.request(who, 'POST', '/v1/orders', body);
  }

  async book(symbol: string): Promise<{ bids: unknown; asks: unknown; seq: unknown }> {
    const { bids, asks, seq } = await this.process.json(`/v1/orderbook/${symbol}`);
    return { bids, asks, seq };
  }

  state(symbol: string, state: string): Promise<{ status: number; body: Json }> {
    return this.request('boss', 'POST', `/v1/instruments/${symbol}/state`, { state });
  }

  stream(who: Caller | null, form: Subprotocol = SUBPROTOCOL_MSGPACK): Promise<StreamClient> {
    const headers = who === null ? {} : { authorization: `Bearer ${KEYS[who]}` };
    return StreamClient.open(this.url, form, headers);
  }
}

/** The fault in a REST answer. */
export function faultOf({ status, body }: { status: number; body: Json }): Json {
  return { status, ...(body['error'] as Json | undefined) };
}

let ids = 1_000_000;

/** Sends a request of a trader, and waits for its answer. */
export function ask(client: StreamClient, message: Json): Promise<Seen> {
  const id = ++ids;
  const from = client.seen.length;
  client.send({ ...message, id });
  return client.find((m) => m['id'] === id && (m.type === 'ack' || m.type === 'error'), from);
}

/** An order message in its JSON form, without its id. */
export function orderMessage(given: Json): Json {
  return {
    type: 'order',
    symbol: 'ACME',
    clientOrderId: '',
    side: 'buy',
    kind: 'limit',
    timeInForce: 'gtc',
    postOnly: false,
    price: '100.00',
    quantity: '1.000',
    ...given,
  };
}

/** Executions that a session was sent, in short form. */
export function executionsOf(client: StreamClient, from = 0): string[] {
  return client.seen
    .slice(from)
    .filter((m) => m.type === 'execution')
    .map((m) => {
      const { clientOrderId, event, open, tradeQuantity, tradePrice, code } = m as unknown as Short;
      const parts = [clientOrderId, event, open, tradeQuantity, tradePrice, code];
      return parts.filter((part) => part !== null).join(' ');
    });
}

/** The texts of an execution in its JSON form. */
type Short = Record<
  'clientOrderId' | 'event' | 'open' | 'tradeQuantity' | 'tradePrice' | 'code',
  string | null
>;
