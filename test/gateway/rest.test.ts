/** REST against a real server: the body of every route, to the last digit. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';

const EVENT_TIME = '1700000000123456789';
const TIME = /^\d{19}$/;
let server: ServerProcess;
let epoch: number;

/** Publishes events, one batch after the other. */
async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  expect(await response.text()).toContain(`"events":${events.length},"skipped":0`);
}

beforeAll(async () => {
  server = await ServerProcess.start();
  epoch = (await server.json('/v1/instruments'))['epoch'] as number;
  await given(
    instrument('ACME', { previousClose: '99.90' }),
    book(
      'ACME',
      'snapshot',
      Array.from({ length: 12 }, (_, i) => [`${100 - i}.00`, `${i + 1}.5`] as const),
      [
        ['100.01', '1'],
        ['90071992547409.91', '9007199254740.991'],
      ],
      { seq: 5 },
    ),
  );
  await given(
    trade('ACME', '-0.01', '0.001', {
      seq: 7,
      prevSeq: 6,
      tradeId: 9_007_199_254_740_991,
      timing: null,
    }),
    trade('ACME', '0.00', '9007199254740.990', { seq: 8, prevSeq: 7, aggressor: 'none' }),
  );
  await given(instrument('QUIET', { previousClose: '12.30' }), instrument('BARE'));
  await given(
    instrument('BROKEN'),
    book('BROKEN', 'snapshot', [['1', '1']], [['2', '1']], { seq: 5 }),
    book('BROKEN', 'delta', [['1', '2']], [], { seq: 9, prevSeq: 8 }),
  );
});
afterAll(() => server.remove());

describe('instruments', () => {
  test('all of them, in the order of definition', async () => {
    const body = await server.json('/v1/instruments');
    expect(body).toMatchObject({ epoch, seq: expect.any(Number) });
    const list = body['instruments'] as Record<string, unknown>[];
    expect(list.map((i) => [i['symbol'], i['state']])).toEqual([
      ['ACME', 'live'],
      ['QUIET', 'live'],
      ['BARE', 'live'],
      ['BROKEN', 'incomplete'],
    ]);
    expect(list[0]).toEqual(
      expect.objectContaining({
        type: 'instrument',
        symbol: 'ACME',
        seq: 1,
        market: 'feed',
        priceScale: 2,
        quantityScale: 3,
        priceIncrement: '0.01',
        quantityIncrement: '0.001',
        previousClose: '99.90',
      }),
    );
  });

  test('one of them', async () => {
    const response = await server.get('/v1/instruments/ACME');
    expect(response.headers.get('content-type')).toBe('application/json;charset=utf-8');
    expect(await response.json()).toMatchObject({ symbol: 'ACME', state: 'live', epoch });
  });
});

describe('tick', () => {
  test('decimals with all digits of the scale, times as digits', async () => {
    const text = await (await server.get('/v1/tick/ACME')).text();
    const body = JSON.parse(text) as Record<string, unknown>;
    expect(body).toEqual({
      type: 'tick',
      symbol: 'ACME',
      seq: 8, // after the snapshot of the book
      prevSeq: 6,
      eventTime: EVENT_TIME,
      receiveTime: expect.stringMatching(TIME),
      last: '0.00',
      bid: '100.00',
      ask: '100.01',
      quantity: '9007199254740.990',
      volume: '9007199254740.991',
      count: 1,
      epoch,
      state: 'live',
      source: expect.stringMatching(/^(l2|l1)$/),
      ageMs: expect.any(Number),
    });
    expect(text).toMatch(/"ageMs":\d+\}$/);
  });

  test('L1 answers the second request with the same state, and expires with a new tick', async () => {
    await given(instrument('L1'), trade('L1', '1.00', '1'));
    const first = await server.json('/v1/tick/L1');
    const second = await server.json('/v1/tick/L1');
    expect([first['source'], second['source']]).toEqual(['l2', 'l1']);
    expect({ ...second, source: 0, ageMs: 0 }).toEqual({ ...first, source: 0, ageMs: 0 });
    await given(trade('L1', '1.01', '1'));
    expect(await server.json('/v1/tick/L1')).toMatchObject({ source: 'l2', last: '1.01' });
  });

  test('before the first trade it has the previous close', async () => {
    expect(await server.json('/v1/tick/QUIET')).toMatchObject({
      seq: 0,
      last: '12.30',
      bid: null,
      ask: null,
      quantity: '0.000',
      volume: '0.000',
      count: 0,
    });
  });

  test('before the first trade it follows the quotes at once', async () => {
    await given(instrument('OPENING', { previousClose: '5.00' }));
    expect(await server.json('/v1/tick/OPENING')).toMatchObject({ bid: null, ask: null });
    await given(book('OPENING', 'snapshot', [['4.99', '1']], [['5.01', '1']]));
    expect(await server.json('/v1/tick/OPENING')).toMatchObject({ bid: '4.99', ask: '5.01' });
  });
});

describe('order book', () => {
  test('ten levels a side by default', async () => {
    const body = await server.json('/v1/orderbook/ACME');
    const bids = Array.from({ length: 12 }, (_, i) => [`${100 - i}.00`, `${i + 1}.500`]);
    const asks = [
      ['100.01', '1.000'],
      ['90071992547409.91', '9007199254740.991'],
    ];
    expect(body).toEqual({
      symbol: 'ACME',
      seq: 2,
      epoch,
      eventTime: EVENT_TIME,
      receiveTime: expect.stringMatching(TIME),
      bids: bids.slice(0, 10),
      asks,
      depthKnown: null,
      state: 'live',
      source: expect.stringMatching(/^(live|l1)$/),
      ageMs: expect.any(Number),
    });
    for (const depth of [1, 2, 10, 11, 12, 5000]) {
      expect(await server.json(`/v1/orderbook/ACME?depth=${depth}`)).toMatchObject({
        bids: bids.slice(0, depth),
        asks: asks.slice(0, depth),
      });
    }
  });

  test('L1 answers a second request', async () => {
    await server.get('/v1/orderbook/ACME');
    expect(await server.json('/v1/orderbook/ACME')).toMatchObject({ source: 'l1' });
  });
});

describe('trades', () => {
  test('newest first, with exact times and ids', async () => {
    const body = await server.json('/v1/trades/ACME');
    const common = {
      type: 'trade',
      symbol: 'ACME',
      eventTime: EVENT_TIME,
      receiveTime: expect.stringMatching(TIME),
    };
    expect(body).toEqual({
      symbol: 'ACME',
      trades: [
        {
          ...common,
          seq: 7,
          prevSeq: 5,
          price: '0.00',
          quantity: '9007199254740.990',
          aggressor: 'none',
          tradeId: 0,
          timing: null,
        },
        {
          ...common,
          seq: 5,
          prevSeq: 0,
          price: '-0.01',
          quantity: '0.001',
          aggressor: 'buy',
          tradeId: 9_007_199_254_740_991,
          timing: null,
        },
      ],
      next: null,
      seq: expect.any(Number),
      epoch,
      source: 'l2',
      ageMs: expect.any(Number),
    });
  });

  test('pages continue without gap or repetition, beyond what is kept in memory', async () => {
    await given(instrument('PAGES'));
    const all = Array.from({ length: 1_200 }, (_, i) => trade('PAGES', `${i}.00`, '1'));
    await given(...all);
    const prices: string[] = [];
    const sources = new Set<unknown>();
    for (let next: string | null | undefined; next !== null;) {
      const query = next === undefined ? 'limit=250' : `limit=250&next=${next}`;
      const page = await server.json(`/v1/trades/PAGES?${query}`);
      prices.push(...(page['trades'] as { price: string }[]).map((t) => t.price));
      sources.add(page['source']);
      next = page['next'] as string | null;
    }
    expect(prices).toEqual(all.map((t) => t['price'] as string).toReversed());
    expect([...sources]).toEqual(['l2', 'l3']);
  });

  test('an instrument without trades has an empty list', async () => {
    expect(await server.json('/v1/trades/BARE')).toMatchObject({ trades: [], next: null });
  });
});

test('health, readiness and the page', async () => {
  expect(await server.json('/healthz')).toEqual({ status: 'ok' });
  expect(await server.json('/readyz')).toEqual({ ready: true });
  expect(await (await server.get('/')).text()).toContain('<title>Tapedeck</title>');
});

describe('known instruments without an answer', () => {
  test.each([
    ['/v1/tick/BARE', 404, 'no-data'],
    ['/v1/orderbook/BARE', 404, 'no-data'],
    ['/v1/orderbook/BROKEN', 503, 'book-incomplete'],
  ])('%s: %d %s', async (path, status, code) => {
    const response = await server.get(path);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, hint: expect.any(String) } });
  });
});
