/** Cases: the largest inputs that clients may send, for each route and each type of message. */

import {
  PUBLISH_EVENTS_MAX,
  SOURCE_LEVELS_MAX,
  TOPICS_MAX,
  type MessageType,
} from '../../protocol/messages';
import { DOCUMENTS } from '../../src/docs/documents';
import { book, instrument, tape, trade, type Levels } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { levels, order, symbolAt, type Json, type Stage } from './stage';

/** One input, at its limits. */
export interface Case {
  /** The type of message, the operation of REST, or another name. */
  readonly of: string;
  readonly name: string;
  /** Prepares the case; not timed. @returns what `act` is given */
  readonly prepare?: (stage: Stage, turn: number) => Promise<unknown>;
  /** The timed part; resolves when the server has done it. */
  readonly act: (stage: Stage, turn: number, prepared: never) => Promise<unknown>;
}

/** Pages of documents, the longest first. */
const LONG_DOCUMENTS = DOCUMENTS.toSorted((a, b) => b.text.length - a.text.length).map(
  ({ path }) => path,
);
const FRAME_MESSAGES = 10_000;
const START = 1_700_000_000_000_000_000n;

function client(stage: Stage): Promise<StreamClient> {
  return StreamClient.open(stage.url);
}

/** A case on its own connection, which is opened before and closed afterwards. */
function said(
  of: MessageType,
  name: string,
  act: (client: StreamClient, stage: Stage, turn: number) => Promise<unknown>,
): Case {
  return {
    of,
    name,
    prepare: client,
    act: async (stage, turn, own: StreamClient) => {
      await act(own, stage, turn);
      await own.settle();
      void own.close();
    },
  };
}

function published(name: string, events: (stage: Stage, turn: number) => Json[]): Case {
  return {
    of: 'publish',
    name,
    act: (stage, turn) => stage.publish(stage.source, events(stage, turn), PUBLISH_EVENTS_MAX),
  };
}

/** Messages that differ, since repetitions cost nothing. */
function markOf(symbol: string, index: number): Json {
  return {
    type: 'mark',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: (START + BigInt(index)).toString(),
    receiveTime: '0',
    price: '5000.00',
    index: '4999.98',
    fundingRate: '-0.0001',
    fundingTime: (START + 3_600_000_000_000n).toString(),
    openInterest: `${index}.000`,
    count: 1,
  };
}

function topicsOf(stage: Stage): string[] {
  const kinds = ['tick', 'trade', 'bbo', 'book'];
  const all = Array.from({ length: stage.sizes.instruments }, (_, i) =>
    kinds.map((kind) => `${kind}:${symbolAt(i)}`),
  );
  return all.flat().slice(0, TOPICS_MAX);
}

const STARS = ['tick:*', 'trade:*', 'bbo:*', 'book:*'];
/** The default setting. */
const TOPICS_OF_SESSION_MAX = 10_000;
/** About how many instruments there are besides the feed instruments of the stage. */
const OTHER_INSTRUMENTS = 500;

/** As many of them as one session may have. */
function starsOf({ sizes }: Stage): string[] {
  const each = sizes.instruments + OTHER_INSTRUMENTS;
  return STARS.slice(0, Math.max(1, Math.floor(TOPICS_OF_SESSION_MAX / each)));
}

const REQUESTED = { id: 7, topics: [] as string[], intervalMs: null };

export const MESSAGE_CASES: readonly Case[] = [
  said('hello', 'ten thousand in a frame', async (c) => {
    c.send(
      ...times(FRAME_MESSAGES, () => ({
        type: 'hello',
        version: 1,
        client: 'x'.repeat(64),
        key: null,
      })),
    );
  }),
  said('subscribe', 'a thousand topics', async (c, stage) => c.subscribe(...topicsOf(stage))),
  said('subscribe', 'all instruments', async (c, stage) => c.subscribe(...starsOf(stage))),
  said('subscribe', 'ten thousand in a frame', async (c, stage) => {
    c.send(
      ...times(FRAME_MESSAGES, (i) => ({
        type: 'subscribe',
        ...REQUESTED,
        topics: [`book:${symbolAt(i % stage.sizes.instruments)}`],
      })),
    );
  }),
  said('unsubscribe', 'all instruments', async (c, stage) => {
    await c.subscribe(...starsOf(stage));
    await c.unsubscribe(...starsOf(stage));
  }),
  said('unsubscribe', 'a thousand topics', async (c, stage) => c.unsubscribe(...topicsOf(stage))),
  said('resume', 'a thousand topics, from the first', async (c, stage) => {
    const { epoch } = c.seen[0]!;
    c.send({ type: 'resume', id: 9, epoch, seq: 1, topics: topicsOf(stage), newest: null });
    await c.answer(9, 0);
  }),
  said('resume', 'all instruments, from the first', async (c, stage) => {
    const { epoch } = c.seen[0]!;
    c.send({ type: 'resume', id: 9, epoch, seq: 1, topics: starsOf(stage), newest: null });
    await c.answer(9, 0);
  }),
  said('replay', 'all instruments, as fast as it reads', async (c, stage) => {
    c.send({
      type: 'replay',
      id: 9,
      action: 'start',
      topics: starsOf(stage),
      from: null,
      to: null,
      fromSeq: 1,
      toSeq: null,
      speed: 0,
    });
    await c.answer(9, 0);
  }),
  said('ping', 'ten thousand in a frame', async (c) => {
    c.send(...times(FRAME_MESSAGES, (i) => ({ type: 'ping', id: i, time: '1' })));
  }),
  said('received', 'ten thousand in a frame', async (c) => {
    c.send(...times(FRAME_MESSAGES, () => ({ type: 'received', seq: 1 })));
  }),
  said('publish', 'ten thousand in a frame', async (c) => {
    c.send(
      ...times(FRAME_MESSAGES, (i) => ({ type: 'publish', id: i, events: [], continues: null })),
    );
  }),
  published('ten thousand trades of one instrument', (_stage, turn) =>
    times(PUBLISH_EVENTS_MAX, () => trade(`WIDE${turn}`, '5000.00', '1.000')),
  ),
  published('ten thousand marks of all instruments', (stage) =>
    times(PUBLISH_EVENTS_MAX, (i) => markOf(symbolAt(i % stage.sizes.instruments), i)),
  ),
  published('trades of all instruments', (stage) =>
    times(PUBLISH_EVENTS_MAX, (i) =>
      trade(symbolAt(i % stage.sizes.instruments), '5000.00', '1.000'),
    ),
  ),
  published('ten thousand small deltas', (_stage, turn) =>
    times(PUBLISH_EVENTS_MAX, (i) =>
      delta(`BEST${turn}`, [[(4_999 - (i % 9)).toFixed(2), `${i + 1}.000`]], []),
    ),
  ),
  published('a snapshot of all levels', (stage, turn) => [
    book(`NEW${turn}`, 'snapshot', levels(stage.sizes.levels, -1), levels(stage.sizes.levels, 1)),
  ]),
  published('a delta of all levels', (stage, turn) => [
    delta(
      `WIDE${turn}`,
      levels(stage.sizes.levels, -1, '2.000'),
      levels(stage.sizes.levels, 1, '2.000'),
    ),
  ]),
  published('a delta that removes all levels, the best first', (stage, turn) => [
    delta(`BEST${turn}`, levels(stage.sizes.levels, -1, '0'), levels(stage.sizes.levels, 1, '0')),
  ]),
  published('a delta that inserts as many levels before all others', (stage, turn) => [
    delta(`WORST${turn}`, [], prices(4_000, Math.min(stage.sizes.levels, SOURCE_LEVELS_MAX))),
  ]),
  published('definitions', (_stage, turn) => times(1_000, (i) => instrument(`D${turn}-${i}`))),
  {
    of: 'order',
    name: 'sweeps one side',
    act: (stage, turn) =>
      stage.enter([
        {
          symbol: `SWEEP${turn}`,
          side: 'buy',
          price: '9000.00',
          quantity: `${stage.sizes.orders}.000`,
        },
      ]),
  },
  {
    of: 'order',
    name: 'ten thousand in a frame',
    act: async ({ trader }) => {
      const from = trader.seen.length;
      trader.send(
        ...times(5_000, (i) =>
          order(i, { symbol: 'SWEEP0', side: 'buy', price: '1.00', quantity: '1.000' }),
        ),
      );
      await trader.answer(4_999, from);
    },
  },
  {
    of: 'cancel',
    name: 'five thousand in a frame',
    prepare: async (stage, turn) => {
      const orders = times(5_000, (i) => ({
        symbol: 'SWEEP0',
        side: 'buy',
        price: '2.00',
        quantity: '1.000',
        clientOrderId: `c${turn}-${i}`,
      }));
      await stage.enter(orders);
    },
    act: async ({ trader }, turn) => {
      const from = trader.seen.length;
      trader.send(
        ...times(5_000, (i) => ({
          type: 'cancel',
          id: i,
          symbol: 'SWEEP0',
          orderId: null,
          clientOrderId: `c${turn}-${i}`,
        })),
      );
      await trader.answer(4_999, from);
    },
  },
  {
    of: 'amend',
    name: 'five thousand in a frame',
    prepare: async (stage, turn) => {
      const orders = times(5_000, (i) => ({
        symbol: 'SWEEP0',
        side: 'buy',
        price: '2.00',
        quantity: '3.000',
        clientOrderId: `a${turn}-${i}`,
      }));
      await stage.enter(orders);
    },
    act: async ({ trader }, turn) => {
      const from = trader.seen.length;
      trader.send(
        ...times(5_000, (i) => ({
          type: 'amend',
          id: i,
          symbol: 'SWEEP0',
          orderId: null,
          clientOrderId: `a${turn}-${i}`,
          price: null,
          quantity: '2.000',
        })),
      );
      await trader.answer(4_999, from);
    },
  },
  {
    of: 'connection',
    name: 'a frame of 1 MB of JSON that is none of ours',
    prepare: (stage) => StreamClient.json(stage.url),
    act: async (_stage, _turn, c: StreamClient) => {
      c.raw(`[${'{"a":[1,2,3]},'.repeat(74_000)}0]`);
      await c.next('error');
    },
  },
  {
    of: 'connection',
    name: 'a hundred readers open and leave',
    act: async (stage) => {
      const made = await stage.connect(100);
      await Promise.all(
        made.map(
          (socket) => new Promise((resolve) => ((socket.onclose = resolve), socket.close())),
        ),
      );
      stage.crowd = stage.crowd.filter((socket) => !made.includes(socket));
    },
  },
  {
    of: 'connection',
    name: 'a reader of everything leaves',
    prepare: async (stage) => {
      const c = await client(stage);
      await c.subscribe(...starsOf(stage));
      return c;
    },
    act: (_stage, _turn, c: StreamClient) => c.close(),
  },
  {
    of: 'connection',
    name: 'a source of a thousand instruments leaves',
    prepare: async (stage, turn) => {
      const c = await client(stage);
      const symbols = times(1_000, (i) => `G${turn}-${i}`);
      await stage.publish(
        c,
        symbols.map((symbol) => instrument(symbol)),
      );
      await stage.publish(
        c,
        symbols.map((symbol) => book(symbol, 'snapshot', [['1.00', '1.000']], [['2.00', '1.000']])),
      );
      return c;
    },
    act: async (_stage, _turn, c: StreamClient) => {
      await c.close();
      await Bun.sleep(500);
    },
  },
  { of: 'connection', name: 'nothing, for longer than a heartbeat', act: () => Bun.sleep(5_500) },
];

function asked(
  of: string,
  path: (stage: Stage, turn: number) => string,
  init: RequestInit = {},
  name = '',
): Case {
  return {
    of,
    name,
    act: async (stage, turn) => {
      const response = await stage.get(path(stage, turn), init);
      await response.arrayBuffer();
    },
  };
}

function posted(
  of: string,
  name: string,
  path: (turn: number) => string,
  body: (stage: Stage, turn: number) => string,
): Case {
  return {
    of,
    name,
    prepare: async (stage, turn) => body(stage, turn),
    act: async (stage, turn, text: string) => {
      const response = await stage.get(path(turn), { method: 'POST', body: text });
      await response.text();
    },
  };
}

export const REST_CASES: readonly Case[] = [
  asked('listInstruments', () => '/v1/instruments'),
  asked('getInstrument', () => '/v1/instruments/WIDE0'),
  asked('getTick', () => `/v1/tick/${symbolAt(0)}`),
  asked('getOrderBook', (_, turn) => `/v1/orderbook/WORST${turn}?depth=5000`),
  asked(
    'getOrderBook',
    () => `/v1/orderbook/WIDE0?depth=10&at=${Date.now() - 500}000000`,
    {},
    'of the past',
  ),
  asked('getStats', () => '/v1/stats/WIDE0'),
  asked('getMark', () => `/v1/mark/${symbolAt(0)}`),
  asked('listTrades', () => '/v1/trades/WIDE0?limit=1000'),
  asked('listTicks', () => '/v1/ticks/WIDE0?limit=1000'),
  asked('listBars', () => '/v1/bars/WIDE0?interval=1s&limit=1000'),
  asked('listOrders', () => '/v1/orders?status=open&limit=1000', {}, 'open'),
  asked('listOrders', () => '/v1/orders?status=ended&limit=1000', {}, 'ended'),
  asked('listOrders', () => '/v1/orders?clientOrderId=nobody', {}, 'by name'),
  asked('getOrder', () => '/v1/orders/1'),
  asked('cancelOrder', () => '/v1/orders/1', { method: 'DELETE' }),
  posted(
    'submitOrder',
    'one',
    () => '/v1/orders',
    () => JSON.stringify({ symbol: 'SWEEP0', side: 'buy', price: '1.00', quantity: '1' }),
  ),
  posted(
    'setInstrumentState',
    'opens crossed orders',
    (turn) => `/v1/instruments/EARLY${turn}/state`,
    () => '{"state":"open"}',
  ),
  posted(
    'ingest',
    '16 MB of line feeds',
    () => '/v1/ingest',
    () => '\n'.repeat(16 * 1_048_576),
  ),
  posted(
    'ingest',
    'trades up to 16 MB',
    () => '/v1/ingest',
    () => trades(16 * 1_048_576),
  ),
  posted(
    'ingest',
    'one line of 16 MB',
    () => '/v1/ingest',
    () => `{"type":"trade","symbol":"${'x'.repeat(16_700_000)}"}\n`,
  ),
  posted(
    'ingest',
    'trades of which the last is wrong',
    () => '/v1/ingest',
    () => `${trades(8 * 1_048_576)}{}\n`,
  ),
  posted(
    'defineInstrument',
    'one',
    () => '/v1/admin/instruments',
    (_, turn) =>
      JSON.stringify({ symbol: `ADM${turn}`, market: 'venue', priceScale: 2, quantityScale: 0 }),
  ),
  posted(
    'renumberInstrument',
    'one',
    () => '/v1/admin/instruments/WIDE0/renumber',
    () => '',
  ),
  {
    of: 'deleteInstrument',
    name: 'with all its levels',
    prepare: async (stage, turn) => {
      const c = await client(stage);
      const all = (side: -1 | 1): Levels => levels(stage.sizes.levels, side);
      await stage.publish(c, [instrument(`GONE${turn}`)]);
      await stage.publish(c, [book(`GONE${turn}`, 'snapshot', all(-1), all(1))]);
      await c.close();
      await Bun.sleep(100);
    },
    act: (stage, turn) => stage.get(`/v1/admin/instruments/GONE${turn}`, { method: 'DELETE' }),
  },
  {
    of: 'cancelOrdersOfOwner',
    name: 'of 5,000 orders',
    prepare: async (stage, turn) => {
      const orders = times(5_000, (i) => ({
        symbol: 'SWEEP0',
        side: 'buy',
        price: '2.00',
        quantity: '1.000',
        clientOrderId: `o${turn}-${i}`,
      }));
      await stage.enter(orders);
    },
    act: (stage) => stage.get('/v1/admin/owners/trader/orders', { method: 'DELETE' }),
  },
  asked('listSessions', () => '/v1/admin/sessions?limit=1000'),
  {
    of: 'getSession',
    name: 'of all instruments',
    prepare: async (stage) => {
      const c = await client(stage);
      await c.subscribe(...starsOf(stage));
      return c;
    },
    act: async (stage, _turn, c: StreamClient) => {
      await stage.json(`/v1/admin/sessions/${String(c.seen[0]!['session'])}`);
      await c.close();
    },
  },
  {
    of: 'closeSession',
    name: 'of all instruments',
    prepare: async (stage) => {
      const c = await client(stage);
      await c.subscribe(...starsOf(stage));
      return c;
    },
    act: async (stage, _turn, c: StreamClient) => {
      await stage.get(`/v1/admin/sessions/${String(c.seen[0]!['session'])}`, { method: 'DELETE' });
      await c.closed;
    },
  },
  asked('getCluster', () => '/v1/cluster'),
  asked('getHealth', () => '/healthz'),
  asked('getReadiness', () => '/readyz'),
  asked('getMetrics', () => '/metrics'),
  asked('openStream', () => '/v1/stream'),
  asked('page', () => '/', { headers: { 'accept-encoding': 'identity' } }),
  asked('page', () => '/docs'),
  // A page is rendered once, so each repetition asks for another long one.
  asked('page', (_, turn) => LONG_DOCUMENTS[turn % LONG_DOCUMENTS.length]!, {}, 'of a document'),
  asked('page', () => '/openapi.json'),
  asked('page', () => `/${'x/'.repeat(7_000)}`, {}, 'a long path'),
];

function times<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function delta(symbol: string, bids: Levels, asks: Levels): Json {
  return book(symbol, 'delta', bids, asks);
}

/** Levels above a price, the worst first. */
function prices(from: number, count: number): [string, string][] {
  return times(count, (i) => [(from + (count - i) / 100).toFixed(2), '3.000']);
}

function trades(bytes: number): string {
  const one = tape(trade('TAPE', '5000.00', '1.000'));
  const count = Math.min(PUBLISH_EVENTS_MAX * 20, Math.floor(bytes / one.length));
  return one.repeat(count);
}
