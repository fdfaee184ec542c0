/** The outcome of orders: their fills, and those that have ended, in process and over REST. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { join } from 'node:path';

import { Prng } from '../../src/base/prng';
import { readFills, withFill, type FillsOfOrder } from '../../src/market/fills';
import { Nanos } from '../../protocol/time';
import { fetchEndedOrders, fetchOrders } from '../../src/client/index';
import { readSeed } from '../support/seed';
import { Scratch } from '../support/tapedeck-process';
import { OrderServer, faultOf, KEYS, type Json } from './order-server';
import { MarketRun, venue, type Outcome } from './market-run';

const OWNERS = ['ada', 'bob', 'cyd'];

function randomCommand(run: MarketRun, random: Prng, i: number): Outcome {
  const owner = OWNERS[random.int(0, OWNERS.length - 1)]!;
  const resting = run.market.router.restingOrders('ACME');
  const any = resting[random.int(0, Math.max(0, resting.length - 1))];
  if (any !== undefined && random.chance(0.1)) return run.cancel(any.owner, any.orderId);
  if (any !== undefined && random.chance(0.1))
    return run.amend(any.owner, any.orderId, random.int(90, 110), random.int(1, 20));
  return run.submit(owner, {
    clientOrderId: `n${i}`,
    side: random.chance(0.5) ? 'buy' : 'sell',
    price: random.chance(0.02) ? 500 : random.int(90, 110),
    quantity: random.int(1, 40),
    timeInForce: random.chance(0.2) ? 'ioc' : 'gtc',
  });
}

interface Counted {
  count: number;
  turnover: bigint;
  times: Nanos[];
}

test('the fills of an order equal those of its executions, also after a checkpoint', () => {
  const seed = readSeed();
  const random = new Prng(seed);
  let run = new MarketRun([venue('ACME', { priceMin: 80, priceMax: 120 })], 100);
  const executed = new Map<string, Counted>();
  for (let i = 0; i < 3_000; i++) {
    for (const { owner, message } of randomCommand(run, random, i).executions) {
      if (message.event !== 'traded') continue;
      const name = `${owner}/${message.clientOrderId}`;
      const own = executed.get(name) ?? { count: 0, turnover: 0n, times: [] };
      own.count += 1;
      own.turnover += BigInt(message.tradePrice!) * BigInt(message.tradeQuantity!);
      own.times.push(message.receiveTime);
      executed.set(name, own);
    }
    if (i % 500 === 250) run = run.restored();
  }
  const { orders } = run.market.checkpoint().desk;
  let filled = 0;
  for (const { owner, clientOrderId } of orders) {
    const { fills, traded } = run.market.router.clientOrders.named(owner, clientOrderId)!;
    const own = executed.get(`${owner}/${clientOrderId}`);
    const expected = own && {
      count: own.count,
      turnover: own.turnover,
      firstTime: own.times[0],
      lastTime: own.times.at(-1),
    };
    expect([seed, clientOrderId, fills]).toEqual([
      seed,
      clientOrderId,
      (expected ?? null) as FillsOfOrder,
    ]);
    expect(traded > 0).toBe(own !== undefined);
    filled += own === undefined ? 0 : 1;
  }
  expect(filled).toBeGreaterThan(50);
});

test('open and ended orders page without gap or repetition, for each owner separately', () => {
  const seed = readSeed();
  const random = new Prng(seed);
  let run = new MarketRun([venue('ACME', { priceMin: 80, priceMax: 120 })], 300);
  for (let i = 0; i < 2_000; i++) {
    randomCommand(run, random, i);
    if (i % 400 !== 399) continue;
    if (random.chance(0.5)) run = run.restored();
    const { clientOrders } = run.market.router;
    const { orders } = clientOrders.checkpoint();
    for (const owner of OWNERS) {
      const own = orders
        .filter((o) => o.owner === owner)
        .map(({ seq, status }) => ({ seq, status }));
      const limit = random.int(1, 50);
      const open: number[] = [];
      for (
        let page = clientOrders.openOf(owner, 0, limit);
        page.length > 0;
        page = clientOrders.openOf(owner, open.at(-1)!, limit)
      )
        open.push(...page.map((o) => o.seq));
      expect([seed, open]).toEqual([
        seed,
        own.filter((o) => o.status === 'open').map((o) => o.seq),
      ]);
      const ended: number[] = [];
      for (let page = clientOrders.endedOf(owner, null, limit); page.length > 0;) {
        ended.push(...page.map((o) => o.seq));
        page = clientOrders.endedOf(owner, page.at(-1)!.endedAs!, limit);
      }
      expect([seed, ended]).toEqual([
        seed,
        own
          .filter((o) => o.status !== 'open')
          .map((o) => o.seq)
          .toReversed(),
      ]);
    }
    expect(clientOrders.endedOf('ada', 0, 10)).toEqual([]);
    expect(clientOrders.endedOf('nobody', null, 10)).toEqual([]);
  }
});

test('an order that traded before fills were recorded has no known fills', () => {
  expect(readFills(undefined, 5)).toBe('unknown');
  expect(readFills(undefined, 0)).toBeNull();
  expect(withFill('unknown', 100, 1, Nanos.ZERO)).toBe('unknown');
});

describe('over REST', () => {
  let server: OrderServer;
  const scratch = new Scratch();
  const data = join(scratch.path, 'data');
  const start = async (): Promise<void> => {
    server = await OrderServer.start({ data, config: '[limits]\nendedOrdersMax = 100\n' });
  };
  beforeAll(start);
  afterAll(async () => {
    await server.process.remove();
    scratch.remove();
  });
  const limit = { symbol: 'ACME', side: 'buy', price: '90.00', quantity: '1.000' };
  const get = async (path: string, who: 'trader' | 'rival' = 'trader'): Promise<Json> =>
    (await server.request(who, 'GET', path)).body;

  test('a filled order has its fills and its average price', async () => {
    const sell = { ...limit, side: 'sell' };
    await server.order('rival', { ...sell, price: '100.00', quantity: '0.300' });
    await server.order('rival', { ...sell, price: '100.05', quantity: '0.300' });
    const bought = await server.order('trader', {
      ...limit,
      price: '101.00',
      quantity: '1.000',
      clientOrderId: 'f-1',
    });
    const first = {
      open: '0.400',
      traded: '0.600',
      fills: 2,
      turnover: '60.01500',
      averagePrice: '100.025000',
      status: 'open',
    };
    expect(bought.body).toMatchObject(first);
    expect(bought.body['firstFillTime']).toBe(bought.body['time']);
    await server.order('rival', { ...sell, price: '101.00', quantity: '0.400' });
    const path = `/v1/orders/${String(bought.body['orderId'])}`;
    const filled = await get(path);
    expect(filled).toMatchObject({
      open: '0.000',
      traded: '1.000',
      fills: 3,
      turnover: '100.41500',
      averagePrice: '100.415000',
      firstFillTime: bought.body['firstFillTime'],
      status: 'filled',
    });
    expect(BigInt(filled['lastFillTime'] as string)).toBeGreaterThan(
      BigInt(filled['firstFillTime'] as string),
    );
    expect(await get('/v1/orders?clientOrderId=f-1')).toEqual({ orders: [filled], next: null });
    // A repetition is answered as the first time.
    const again = await server.order('trader', {
      ...limit,
      price: '101.00',
      quantity: '1.000',
      clientOrderId: 'f-1',
    });
    expect(again).toEqual(bought);
    expect((await server.process.stop()).code).toBe(0);
    await start();
    expect(await get(path)).toEqual(filled);
    expect(await get(path, 'rival')).toMatchObject({ error: { code: 'unknown-order' } });
  });

  test('a resting order has no fills yet; an average is rounded to the nearest', async () => {
    const none = {
      fills: 0,
      turnover: '0.00000',
      averagePrice: null,
      firstFillTime: null,
      lastFillTime: null,
    };
    const rests = await server.order('trader', { ...limit, clientOrderId: 'f-2' });
    expect(rests.body).toMatchObject(none);
    const sell = { ...limit, side: 'sell' };
    await server.order('rival', { ...sell, price: '100.05', quantity: '0.020' });
    await server.order('rival', { ...sell, price: '100.00', quantity: '0.040' });
    const bought = await server.order('trader', { ...limit, price: '101.00', quantity: '0.060' });
    expect(bought.body).toMatchObject({ averagePrice: '100.016667', status: 'filled' });
  });

  test('ended orders are listed, the newest end first; only those of the caller, in pages', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `e-${i}`);
    for (const clientOrderId of names) {
      const { body } = await server.order('rival', { ...limit, clientOrderId });
      await server.request('rival', 'DELETE', `/v1/orders/${String(body['orderId'])}`);
    }
    await server.order('rival', { ...limit, quantity: '0.001', clientOrderId: 'refused' });
    const seen: unknown[] = [];
    for (let next: string | null = ''; next !== null;) {
      const on: string = next === '' ? '' : `&next=${next}`;
      const page = await get(`/v1/orders?status=ended&limit=3${on}`, 'rival');
      seen.push(...(page['orders'] as Json[]));
      next = page['next'] as string | null;
    }
    const newest = seen.slice(0, 9).map((o) => (o as Json)['clientOrderId']);
    expect(newest).toEqual(['refused', ...names.toReversed()]);
    expect(seen[0]).toMatchObject({ status: 'rejected', code: 'quantity-off-increment' });
    expect(new Set(seen.map((o) => (o as Json)['seq'])).size).toBe(seen.length);
    const own = (await get('/v1/orders?status=ended'))['orders'] as Json[];
    expect(own.map((o) => o['clientOrderId'])).not.toContain('e-0');
    const { orders } = await fetchEndedOrders(server.url, { limit: 2 }, KEYS.rival);
    expect(orders.map((o) => o.clientOrderId)).toEqual(['refused', 'e-7']);
  });

  test('the SDK gets all open orders at once, others get pages; each owner its own', async () => {
    for (let i = 0; i < 5; i++) await server.order('trader', { ...limit, clientOrderId: `o-${i}` });
    const all = await fetchOrders(server.url, KEYS.trader);
    expect(all.map((o) => o.clientOrderId)).toEqual(['f-2', 'o-0', 'o-1', 'o-2', 'o-3', 'o-4']);
    const page = await get('/v1/orders?limit=4');
    expect((page['orders'] as Json[]).map((o) => o['clientOrderId'])).toEqual([
      'f-2',
      'o-0',
      'o-1',
      'o-2',
    ]);
    const rest = await get(`/v1/orders?limit=4&next=${String(page['next'])}`);
    expect(rest).toMatchObject({
      orders: [{ clientOrderId: 'o-3' }, { clientOrderId: 'o-4' }],
      next: null,
    });
    expect(await get('/v1/orders?clientOrderId=e-0')).toEqual({ orders: [], next: null });
  });

  test.each([
    ['status=filled', 'status', 'status is "filled"; expected open or ended'],
    ['state=ended', 'state', 'the nearest known one is status'],
    ['limit=0', 'limit', 'expected an integer from 1 to 1000'],
    ['limit=1001', 'limit', 'expected an integer from 1 to 1000'],
    ['next=x', 'next', 'next is "x"'],
    ['clientOrderId=a&limit=1', 'clientOrderId', 'expected a name without limit'],
  ])('%s', async (query, field, words) => {
    const refused = faultOf(await server.request('trader', 'GET', `/v1/orders?${query}`));
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
    expect(refused['message'] as string).toContain(words);
  });

  test('no more are kept than allowed, and nobody loses any to an owner that has more', async () => {
    const others = (await get('/v1/orders?status=ended'))['orders'] as Json[];
    expect(others.length).toBeGreaterThan(0);
    for (let i = 0; i < 110; i++) {
      const { body } = await server.order('rival', { ...limit, clientOrderId: `k-${i}` });
      await server.request('rival', 'DELETE', `/v1/orders/${String(body['orderId'])}`);
    }
    const kept = (await get('/v1/orders?status=ended', 'rival'))['orders'] as Json[];
    expect(kept).toHaveLength(100 - others.length);
    expect((await get('/v1/orders?status=ended'))['orders']).toEqual(others);
  });
});
