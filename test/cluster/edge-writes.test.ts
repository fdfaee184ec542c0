/** Real servers of a cluster over a real broker: orders and administration at an edge. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { TapedeckClient } from '../../src/client/client';
import { hasNats, NatsServers } from '../support/nats';
import { ADMIN_KEY, PUBLISH_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const CONFIG = '[cluster]\nreplicas = 1\nlogBytesMax = 100000000\ncheckpointBytesMax = 50000000\n';

let nats: NatsServers;

beforeAll(async () => {
  if (hasNats) nats = await NatsServers.one();
});
afterAll(() => nats?.remove());

function member(name: string, role: 'leader' | 'standby' | 'edge'): Promise<ServerProcess> {
  const args = ['--cluster', name, '--nats', nats.urls.join(','), '--role', role];
  return ServerProcess.start({ config: CONFIG, args });
}

function asAdmin(url: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${url}${path}`, {
    method,
    headers: { 'authorization': `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

const VENUE = {
  symbol: 'OATS',
  market: 'venue',
  priceScale: 2,
  quantityScale: 0,
  priceIncrement: '0.01',
};

const TRADE_LINE =
  '{"type":"trade","symbol":"RYE","seq":1,"eventTime":"1700000000000000001","price":"10.01","quantity":"2","aggressor":"buy"}\n';

/** Retries while the leader is not yet known to the server. */
async function defineAt(url: string, definition: object): Promise<void> {
  await until(async () => {
    const { status } = await asAdmin(url, 'POST', '/v1/admin/instruments', definition);
    return status === 201;
  });
}

interface OpenOrder {
  readonly orderId: number;
  readonly clientOrderId: string;
  /** Of its command. */
  readonly seq: number;
}

async function openAt(url: string): Promise<OpenOrder[]> {
  const answer = await fetch(`${url}/v1/orders?limit=1000`, {
    headers: { authorization: `Bearer ${TRADE_KEY}` },
  });
  return ((await answer.json()) as { orders: OpenOrder[] }).orders;
}

function resting(clientOrderId: string) {
  return { symbol: 'OATS', side: 'buy', price: '1.00', quantity: '1', clientOrderId } as const;
}

/** Enters an order without a name; the SDK would give it one. */
async function withoutName(url: string): Promise<OpenOrder> {
  const { clientOrderId: _, ...order } = resting('');
  const answer = await fetch(`${url}/v1/orders`, {
    method: 'POST',
    headers: { 'authorization': `Bearer ${TRADE_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  expect(answer.status).toBe(201);
  return (await answer.json()) as OpenOrder;
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return 'done';
  } catch (e) {
    return (e as { code: string }).code;
  }
}

describe.skipIf(!hasNats)('writes at an edge', () => {
  test('definitions, orders, amendments, cancels and states are carried out by the leader, and can be read at the edge at once', async () => {
    const leader = await member('w1', 'leader');
    const edge = await member('w1', 'edge');
    await defineAt(edge.url, VENUE);
    expect((await fetch(`${edge.url}/v1/instruments/OATS`)).status).toBe(200);
    expect((await fetch(`${leader.url}/v1/instruments/OATS`)).status).toBe(200);

    const client = await TapedeckClient.connect(edge.url, { key: TRADE_KEY });
    const named = await client.order(resting('mine'));
    const orderId = named.orderId!;
    const nameless = await withoutName(edge.url);
    expect(nameless.clientOrderId).toStartWith('~');
    expect(await openAt(edge.url)).toMatchObject([{ orderId, clientOrderId: 'mine' }, nameless]);
    expect(await openAt(leader.url)).toEqual(await openAt(edge.url));
    expect(await client.order(resting('mine'))).toMatchObject({ seq: named.seq });
    expect(await codeOf(client.order(resting('~mine')))).toBe('invalid-field');
    expect(await codeOf(client.order({ ...resting('mine'), quantity: '2' }))).toBe(
      'duplicate-client-order-id',
    );
    await client.amend({ symbol: 'OATS', orderId, quantity: '5' });
    await client.cancel({ symbol: 'OATS', orderId: nameless.orderId });
    expect(await codeOf(client.cancel({ symbol: 'OATS', orderId: nameless.orderId }))).toBe(
      'unknown-order',
    );
    expect(await openAt(edge.url)).toMatchObject([{ orderId, open: '5' }]);
    client.close();

    const { url } = edge;
    const cancelled = await asAdmin(url, 'DELETE', '/v1/admin/owners/trader/orders');
    expect(await cancelled.json()).toMatchObject({ cancelled: 1, left: 0 });
    const halted = await asAdmin(url, 'POST', '/v1/instruments/OATS/state', { state: 'halted' });
    expect(halted.status).toBe(200);
    await defineAt(url, { ...VENUE, symbol: 'RYE', market: 'feed' });
    const publish = await fetch(`${url}/v1/ingest`, {
      method: 'POST',
      headers: { authorization: `Bearer ${PUBLISH_KEY}` },
      body: TRADE_LINE,
    });
    expect(await publish.json()).toMatchObject({ events: 1, repeated: 0, waiting: 0 });
    const past = await fetch(`${url}/v1/trades/RYE`);
    expect(((await past.json()) as { trades: unknown[] }).trades).toHaveLength(1);
    expect((await asAdmin(url, 'DELETE', '/v1/admin/instruments/RYE')).status).toBe(200);
    expect((await fetch(`${url}/v1/instruments/RYE`)).status).toBe(404);
    for (const server of [leader, edge]) await server.remove();
  });

  test('without a leader a command is refused in time, and nothing comes of it', async () => {
    const leader = await member('w2', 'leader');
    const edge = await member('w2', 'edge');
    await defineAt(edge.url, VENUE);
    await leader.stop();
    const client = await TapedeckClient.connect(edge.url, { key: TRADE_KEY });
    expect(await codeOf(client.order(resting('late')))).toBe('no-leader');
    client.close();
    for (const server of [leader, edge]) await server.remove();
  });

  test('orders that an edge acknowledges while its leader is killed are each in the books of the next one once', async () => {
    const leader = await member('w3', 'leader');
    const standby = await member('w3', 'standby');
    const edge = await member('w3', 'edge');
    await defineAt(edge.url, VENUE);
    const client = await TapedeckClient.connect(edge.url, { key: TRADE_KEY });
    const acknowledged = new Map<string, number>();
    const others: string[] = [];
    const over = new AbortController();
    const enter = async (worker: number): Promise<void> => {
      for (let n = 0; !over.signal.aborted; n++) {
        const name = `o${worker}-${n}`;
        try {
          const { seq } = await client.order(resting(name));
          acknowledged.set(name, seq);
        } catch (e) {
          others.push((e as { code: string }).code);
        }
        await Bun.sleep(10);
      }
    };
    const workers = [0, 1, 2, 3, 4, 5].map(enter);
    await until(() => acknowledged.size > 50);
    await leader.stop('SIGKILL');
    const { size } = acknowledged;
    await until(() => acknowledged.size > size + 50);
    over.abort();
    await Promise.all(workers);
    expect(others).toEqual([]);

    for (const { url } of [standby, edge]) {
      const open = await openAt(url);
      const found = new Map(open.map(({ clientOrderId, seq }) => [clientOrderId, seq]));
      expect(open).toHaveLength(found.size);
      expect(found).toEqual(acknowledged);
    }
    client.close();
    for (const server of [leader, standby, edge]) await server.remove();
  });
});
