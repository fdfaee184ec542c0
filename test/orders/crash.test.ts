/** A server killed under load: every order that was acknowledged is recorded exactly once. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { Prng } from '../../src/base/prng';
import { readSeed } from '../support/seed';
import { Scratch, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { ask, OrderServer, orderMessage, type Json } from './order-server';
import { until } from '../support/until';

const scratch = new Scratch();
const started: OrderServer[] = [];
afterAll(async () => {
  for (const server of started) await server.process.remove();
  scratch.remove();
});

/** Starts a server that is removed after these tests, however they end. */
async function start(options: { data: string; config?: string }): Promise<OrderServer> {
  const server = await OrderServer.start(options);
  started.push(server);
  return server;
}

interface Kept {
  readonly message: Json;
  /** Its answer over the stream, once it has arrived. */
  answer?: Json;
}

/** Sends orders, many at a time, until the connection is gone. */
async function load(server: OrderServer, who: 'trader' | 'rival', random: Prng, kept: Kept[]) {
  const client = await server.stream(who, SUBPROTOCOL_MSGPACK);
  for (let sent = 0; client.ended === undefined && sent < 20_000; sent += 20) {
    const frame: Kept[] = Array.from({ length: 20 }, (_, i) => {
      const id = sent + i + 1;
      const price = (95 + random.int(0, 100) / 10).toFixed(2);
      const side = random.chance(0.5) ? 'buy' : 'sell';
      return { message: { ...orderMessage({ clientOrderId: `${who}-${id}`, side, price }), id } };
    });
    kept.push(...frame);
    const from = client.seen.length;
    client.send(...frame.map(({ message }) => message));
    const last = frame.at(-1)!.message['id'];
    await client.find((m) => m['id'] === last, from).catch(() => undefined);
  }
  const answers = new Map(
    client.seen.filter((m) => m.type === 'ack' || m.type === 'error').map((m) => [m['id'], m]),
  );
  for (const order of kept) {
    const answer = answers.get(order.message['id']);
    if (answer !== undefined) order.answer = answer;
  }
}

test('after SIGKILL under load and a restart, the same names get the same answers, and no order exists twice', async () => {
  const seed = readSeed();
  const data = scratch.fresh();
  const config = '[journal]\ncheckpointEveryEvents = 1000\n';
  const first = await start({ data, config });
  const orders: Record<'trader' | 'rival', Kept[]> = { trader: [], rival: [] };
  const loads = [
    load(first, 'trader', new Prng(seed), orders.trader),
    load(first, 'rival', new Prng(seed + 1), orders.rival),
  ];
  // Each sends twenty at a time, and waits for their answers before the next.
  await until(() => orders.trader.length > 400 && orders.rival.length > 400);
  await first.process.stop('SIGKILL');
  await Promise.all(loads);

  const again = await start({ data, config });
  for (const who of ['trader', 'rival'] as const) {
    const acknowledged = orders[who].filter(({ answer }) => answer !== undefined);
    expect([seed, acknowledged.length > 100]).toEqual([seed, true]);
    const client = await again.stream(who);
    const before = await again.book('ACME');
    const open = await again.request(who, 'GET', '/v1/orders');
    const names = (open.body['orders'] as Json[]).map((o) => o['clientOrderId']);
    expect(new Set(names).size).toBe(names.length);
    client.send(...acknowledged.map(({ message }) => message));
    await client.find((m) => m['id'] === acknowledged.at(-1)!.message['id']);
    const answers = client.seen.filter((m) => m.type === 'ack' || m.type === 'error');
    expect([seed, answers]).toEqual([
      seed,
      acknowledged.map(({ answer }) => answer!) as typeof answers,
    ]);
    // Repetitions changed nothing, so each of them was recorded.
    expect(client.seen.filter((m) => m.type === 'execution')).toEqual([]);
    expect(await again.book('ACME')).toEqual(before);
    await client.close();
  }
  await again.process.stop();
}, 60_000);

test('after a restart a new subscriber is sent the status of a venue', async () => {
  const data = scratch.fresh();
  const first = await start({ data });
  await first.state('ACME', 'halted');
  await first.process.stop('SIGKILL');
  const again = await start({ data });
  const reader = await again.stream(null);
  const state = await reader.subscribe('status');
  const halted = { type: 'status', symbol: 'ACME', state: 'halted' };
  expect(state).toContainEqual(expect.objectContaining(halted));
  await reader.close();
  await again.process.stop();
  const third = await start({ data });
  const late = await third.stream(null);
  expect(await late.subscribe('status')).toContainEqual(expect.objectContaining(halted));
  await late.close();
}, 30_000);

describe('serve --demo', () => {
  let demo: ServerProcess;
  beforeAll(async () => {
    demo = await ServerProcess.start({ args: ['--demo', '--rate', '500'] });
  });
  afterAll(() => demo.remove());

  test('on this machine trading needs no key, and markets move', async () => {
    const { bids } = (await demo.json('/v1/orderbook/ACME')) as { bids: [string, string][] };
    expect(bids.length).toBe(10);
    const order = {
      symbol: 'ACME',
      side: 'buy',
      price: '1.00',
      quantity: '5',
      clientOrderId: 'me',
    };
    const entered = await demo.get('/v1/orders', { method: 'POST', body: JSON.stringify(order) });
    expect(entered.status).toBe(201);
    const { orderId } = (await entered.json()) as { orderId: number };
    const gone = await demo.get(`/v1/orders/${orderId}`, { method: 'DELETE' });
    expect(await gone.json()).toMatchObject({ orderId, status: 'cancelled' });
    const market = { symbol: 'ACME', side: 'buy', kind: 'market', quantity: '5' };
    const taken = await demo.get('/v1/orders', { method: 'POST', body: JSON.stringify(market) });
    expect(await taken.json()).toMatchObject({ status: 'filled', traded: '5', code: null });
    const halt = { method: 'POST', body: '{"state":"halted"}' };
    expect((await demo.get('/v1/instruments/GOLD/state', halt)).status).toBe(200);
    const before = (await demo.json('/v1/instruments'))['seq'] as number;
    await until(async () => ((await demo.json('/v1/instruments'))['seq'] as number) > before);
  });

  test('a wrong key is still refused', async () => {
    const headers = { authorization: 'Bearer wrong' };
    expect((await demo.get('/v1/orders', { headers })).status).toBe(401);
  });

  test('after SIGKILL it continues where it was, and without --demo nobody trades', async () => {
    const data = demo.data;
    await demo.stop('SIGKILL');
    const verified = await tapedeck([
      'serve',
      '--port',
      '0',
      '--data',
      data,
      '--durability',
      'nope',
    ]);
    expect(verified.code).toBe(78);
    const plain = await ServerProcess.start({ data });
    expect((await plain.get('/v1/orders', { method: 'POST', body: '{}' })).status).toBe(401);
    const book = (await plain.json('/v1/orderbook/BTC-USD')) as { bids: unknown[] };
    expect(book.bids).toHaveLength(10);
    await plain.remove();
  });
});

test('an acknowledgement over the stream is sent when the journal has it', async () => {
  const data = scratch.fresh();
  const server = await start({ data });
  const client = await server.stream('trader');
  const answer = await ask(client, orderMessage({ clientOrderId: 'last', price: '90.00' }));
  await server.process.stop('SIGKILL');
  const again = await start({ data });
  const { body } = await again.request('trader', 'GET', '/v1/orders');
  expect(body['orders']).toMatchObject([{ clientOrderId: 'last', seq: answer['seq'] }]);
}, 20_000);
