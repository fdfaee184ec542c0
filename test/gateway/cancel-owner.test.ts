/** An operator cancels the open orders of an owner: who may, which orders go, which stay, and what is recorded. */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { StreamClient } from '../support/stream-client';
import {
  ADMIN_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  testKey,
  TRADE_KEY,
  type TestKey,
} from '../support/tapedeck-process';

const VENUES = ['ACME', 'BETA'];
const CONFIG = `[journal]\ndurability = "commit"\n[auth]\nrequireKey = true\n${VENUES.map((symbol) => `[[instruments]]\nsymbol = "${symbol}"\npriceScale = 2\nquantityScale = 0\n`).join('')}`;
const DESK: TestKey = { name: 'desk', roles: ['read', 'trade'] };
/** More than one turn cancels. */
const ORDERS = 100;

const scratch = new Scratch();
const data = scratch.fresh();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ data, config: CONFIG, keys: [DESK] });
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

type Json = Record<string, unknown>;

async function ask(path: string, key: string, method = 'GET', body?: object) {
  const headers = { authorization: `Bearer ${key}` };
  const response = await server.get(path, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

async function enter(key: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const price = `${10 + (i % 7)}.00`;
    const order = { symbol: VENUES[i % 2], side: 'buy', price, quantity: '5' };
    expect((await ask('/v1/orders', key, 'POST', order)).status).toBe(201);
  }
}

async function levels(): Promise<string> {
  const books = await Promise.all(
    VENUES.map((symbol) => ask(`/v1/orderbook/${symbol}`, ADMIN_KEY)),
  );
  return JSON.stringify(books.map(({ body }) => body['bids']));
}

const OF_DESK = '/v1/admin/owners/desk/orders';

test('only an operator may, and an owner without orders is not found', async () => {
  await enter(testKey('desk'), 1);
  for (const key of [testKey('desk'), TRADE_KEY]) {
    expect((await ask(OF_DESK, key, 'DELETE')).status).toBe(403);
  }
  expect((await server.get(OF_DESK, { method: 'DELETE' })).status).toBe(401);
  const unknown = await ask('/v1/admin/owners/nobody/orders', ADMIN_KEY, 'DELETE');
  expect(unknown).toMatchObject({
    status: 400,
    body: {
      error: { code: 'invalid-field', field: 'owner', message: expect.stringContaining('nobody') },
    },
  });
  expect((await ask('/v1/orders', testKey('desk'))).body['orders']).toHaveLength(1);
  expect(await ask(OF_DESK, ADMIN_KEY, 'DELETE')).toMatchObject({
    status: 200,
    body: { owner: 'desk', cancelled: 1, left: 0 },
  });
  expect(await ask(OF_DESK, ADMIN_KEY, 'DELETE')).toEqual({
    status: 200,
    body: { owner: 'desk', cancelled: 0, left: 0, seq: null },
  });
});

test('orders outlive a revocation until an operator cancels them; orders of others stay; the cancel is recorded', async () => {
  await enter(TRADE_KEY, 6);
  const others = await levels();
  await enter(testKey('desk'), ORDERS);
  const all = await levels();
  const trader = await StreamClient.json(server.url, {
    authorization: `Bearer ${testKey('desk')}`,
  });
  expect(await tapedeck(['keys', 'revoke', 'desk', '--data', data])).toMatchObject({ code: 0 });
  expect(await trader.closed).toMatchObject({ code: 4002 });
  expect(await levels()).toBe(all);

  const { code, stdout } = await tapedeck([
    'cancel-orders',
    'desk',
    '--url',
    server.url,
    '--key',
    ADMIN_KEY,
  ]);
  expect([code, stdout]).toEqual([0, `${ORDERS} orders of desk are cancelled\n`]);
  expect(await levels()).toBe(others);

  await server.stop('SIGKILL');
  const verified = await tapedeck(['verify', '--data', data, '--replay']);
  expect(verified).toMatchObject({ code: 0 });
  server = await ServerProcess.start({ data, config: CONFIG, keys: [DESK] });
  expect(await levels()).toBe(others);
  expect((await ask('/v1/orders', testKey('desk'))).body['orders']).toEqual([]);
  const ended = await ask('/v1/orders?status=ended&limit=1000', testKey('desk'));
  const states = (ended.body['orders'] as Json[]).map(({ status }) => status);
  expect(states).toEqual(Array<string>(ORDERS + 1).fill('cancelled'));
  expect((await ask('/v1/orders', TRADE_KEY)).body['orders']).toHaveLength(6);
});

test('the command says why it failed', async () => {
  const refused = await tapedeck([
    'cancel-orders',
    'desk',
    '--url',
    server.url,
    '--key',
    TRADE_KEY,
  ]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('(forbidden)');
});
