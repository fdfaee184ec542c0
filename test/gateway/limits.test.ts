/** Limits: what is answered beyond each, that others do not notice, and what is still possible. */

import { afterAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';

import { SystemClock } from '../../src/base/clock';
import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { ServerProcess, testKey, TRADE_KEY, type TestKey } from '../support/tapedeck-process';
import { until } from '../support/until';
import { deep, testDeep } from '../support/tier';

const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
});

async function serverWith(limits: string, more: { auth?: string; keys?: TestKey[] } = {}) {
  const venue = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
  const config = `${more.auth ?? ''}\n[limits]\n${limits}\n${venue}`;
  const server = await ServerProcess.start({ config, keys: more.keys ?? [] });
  servers.push(server);
  return server;
}

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** The answer to a handshake that is refused. */
async function refusal(server: ServerProcess, headers: Record<string, string> = {}) {
  const response = await server.get('/v1/stream', {
    headers: {
      'upgrade': 'websocket',
      'connection': 'Upgrade',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
      ...headers,
    },
  });
  const { error } = (await response.json()) as { error: { code: string } };
  return [response.status, error.code, response.headers.get('retry-after')];
}

describe('connections', () => {
  test('in total', async () => {
    const server = await serverWith('sessionsMax = 2');
    const [first, second] = [
      await StreamClient.open(server.url),
      await StreamClient.open(server.url),
    ];
    expect(await refusal(server)).toEqual([503, 'overloaded', '1']);
    await second.close();
    const again = await StreamClient.open(server.url);
    await first.settle();
    await again.settle();
  });

  test('of one address', async () => {
    const server = await serverWith('sessionsPerAddressMax = 2');
    const first = await StreamClient.open(server.url);
    await StreamClient.open(server.url);
    expect(await refusal(server)).toEqual([429, 'limit-reached', '1']);
    await first.close();
    await (await StreamClient.open(server.url)).settle();
  });

  test('of one key, with the upgrade or with hello', async () => {
    const server = await serverWith('sessionsPerKeyMax = 1');
    const first = await StreamClient.open(server.url, undefined, bearer(TRADE_KEY));
    expect(await refusal(server, bearer(TRADE_KEY))).toEqual([429, 'limit-reached', '1']);
    const other = await StreamClient.json(server.url);
    other.send({ type: 'hello', version: 1, client: 'test', key: TRADE_KEY });
    expect(await other.next('error')).toMatchObject({ code: 'limit-reached' });
    expect(await other.closed).toEqual({ code: 4020, reason: 'limit-reached' });
    expect(other.seen.at(-1)).toMatchObject({ type: 'closing', reconnect: true, retryMs: 1_000 });
    // A counted connection stays counted once, also when it presents its key again.
    first.send({ type: 'hello', version: 1, client: 'test', key: TRADE_KEY });
    await first.settle();
    await first.close();
    const next = await StreamClient.json(server.url);
    next.send({ type: 'hello', version: 1, client: 'test', key: TRADE_KEY });
    await next.settle();
  });

  test('that present no key in time, where one is required', async () => {
    const server = await serverWith('helloMs = 500', {
      auth: '[auth]\nrequireKey = true',
      keys: [{ name: 'reader', roles: ['read'] }],
    });
    const good = await StreamClient.open(server.url, undefined, bearer(testKey('reader')));
    const silent = await StreamClient.json(server.url);
    expect(await silent.closed).toEqual({ code: 4001, reason: 'unauthorized' });
    await good.settle();
  });
});

describe.each(deep(FORMS, 1))('%s: messages that arrive too fast', (form) => {
  test('are refused one by one, and the connection is kept', async () => {
    const server = await serverWith('messagesPerSecond = 50');
    const [flood, other] = [
      await StreamClient.open(server.url, form),
      await StreamClient.open(server.url),
    ];
    const pings = Array.from({ length: 90 }, (_, i) => ({ type: 'ping', id: i, time: '1' }));
    flood.send(...pings);
    await flood.find((m) => m['id'] === 89);
    const answers = flood.seen.filter((m) => m.type === 'pong' || m.type === 'error');
    // Each is answered once, in order.
    expect(answers.map((m) => m['id'])).toEqual(pings.map(({ id }) => id));
    expect(answers.slice(0, 50).every((m) => m.type === 'pong')).toBe(true);
    expect(answers.filter((m) => m['code'] === 'limit-reached').length).toBeGreaterThan(20);
    await other.settle();
    const served = async (): Promise<boolean> => {
      flood.send({ type: 'ping', id: 1_000, time: '1' });
      const answer = await flood.find((m) => m['id'] === 1_000, flood.seen.length);
      return answer.type === 'pong';
    };
    await until(async () => await served());
  });

  test('end the connection if it does not slow down, and no other connection', async () => {
    const server = await serverWith('messagesPerSecond = 10');
    const [flood, other] = [
      await StreamClient.open(server.url, form),
      await StreamClient.open(server.url),
    ];
    flood.send(...Array.from({ length: 500 }, (_, i) => ({ type: 'ping', id: i, time: '1' })));
    expect(await flood.closed).toEqual({ code: 4020, reason: 'limit-reached' });
    expect(flood.seen.at(-1)).toMatchObject({ type: 'closing', reconnect: true, retryMs: 1_000 });
    expect(flood.seen.filter((m) => m.type === 'error').length).toBeLessThan(150);
    await other.settle();
  });

  test('a client that reconnects at once has no new allowance; others at its address are served', async () => {
    const server = await serverWith('messagesPerSecond = 500');
    const flood = async (): Promise<number> => {
      const client = await StreamClient.open(server.url, form);
      client.send(...Array.from({ length: 1_000 }, (_, i) => ({ type: 'ping', id: i, time: '1' })));
      expect(await client.closed).toEqual({ code: 4020, reason: 'limit-reached' });
      return client.seen.filter((m) => m.type === 'error').length;
    };
    const first = await flood();
    expect(first).toBeGreaterThan(0);
    expect(await flood()).toBeLessThan(15);
    const other = await StreamClient.open(server.url, form);
    await other.settle();
  });

  test('too many bytes are refused by the frame, unread', async () => {
    const server = await serverWith('bytesPerSecond = 2048', {
      keys: [{ name: 'source', roles: ['publish', 'read'] }],
    });
    const client = await StreamClient.open(server.url, form);
    const topics = Array.from({ length: 300 }, (_, i) => `trade:S${i}`);
    const subscribe = { type: 'subscribe', id: 1, topics, intervalMs: null };
    client.send(subscribe);
    expect(await client.next('error')).toMatchObject({ id: 1, code: 'unknown-symbol' });
    client.send({ ...subscribe, id: 2 });
    const second = (m: Seen): boolean => m.type === 'error' && m['id'] !== 1;
    expect(await client.find(second)).toMatchObject({ id: null, code: 'limit-reached' });
    expect(client.ended).toBeUndefined();
    // A source sends more: publishing needs much, and its key is trusted with it.
    const source = await StreamClient.open(server.url, form, bearer(testKey('source')));
    source.send({ ...subscribe, id: 3 }, { ...subscribe, id: 4 });
    source.send({ ...subscribe, id: 5 });
    expect(await source.find((m) => m['id'] === 5)).toMatchObject({ code: 'unknown-symbol' });
    expect(source.seen.filter((m) => m['code'] === 'limit-reached')).toEqual([]);
  });
});

describe('orders', () => {
  test('of one key, over REST and WebSocket together; those of another key continue', async () => {
    const server = await serverWith('ordersPerSecond = 5', {
      keys: [{ name: 'rival', roles: ['trade'] }],
    });
    const enter = (key: string): Promise<Response> =>
      server.get('/v1/orders', {
        method: 'POST',
        headers: bearer(key),
        body: '{"symbol":"DESK","side":"buy","price":"1.00","quantity":"0.001"}',
      });
    const client = await StreamClient.json(server.url, bearer(TRADE_KEY));
    const responses = await Promise.all(Array.from({ length: 40 }, () => enter(TRADE_KEY)));
    const statuses = responses.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBeGreaterThanOrEqual(5);
    const refused = responses.find(({ status }) => status === 429)!;
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { code: 'limit-reached' } });
    for (let i = 0; i < 20; i++) {
      client.send({ type: 'cancel', id: i, symbol: 'DESK', orderId: 999, clientOrderId: null });
    }
    expect(await client.find((m) => m['code'] === 'limit-reached')).toMatchObject({
      type: 'error',
    });
    // A refusal by a market or a rate limit is no fault of the client: the connection is kept.
    await client.settle();
    expect((await enter(testKey('rival'))).status).toBe(201);
  });
});

describe('requests', () => {
  test('bodies that are being read, in total', async () => {
    const server = await serverWith('bodyBytesMax = 65536\nbodiesBytesMax = 65536');
    await server.ingest(tape(instrument('ACME')));
    const port = Number(new URL(server.url).port);
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    const head = `POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${testKey('feed')}\r\nContent-Length: 65536\r\n\r\n`;
    socket.write(head + ' '.repeat(60_000));
    const lines = tape(...Array.from({ length: 60 }, () => trade('ACME', '1.00', '1')));
    expect(lines.length).toBeGreaterThan(6_000);
    // Alone, so that it is not the refused one.
    let refused: Response;
    for (let i = 0; ; i++) {
      await Bun.sleep(500);
      refused = await server.ingest(lines);
      if (refused.status !== 200 || i === 20) break;
    }
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ error: { code: 'overloaded', field: 'body' } });
    expect((await server.get('/v1/instruments/ACME')).status).toBe(200);
    // When the other has ended there is room again.
    socket.destroy();
    await until(async () => (await server.ingest(lines)).status === 200);
  });

  testDeep(
    'a head that does not end, or a body that stalls, is cut off',
    async () => {
      const server = await serverWith('requestSeconds = 4');
      const port = Number(new URL(server.url).port);
      const clock = new SystemClock();
      const cut = (text: string): Promise<number> =>
        new Promise((resolve) => {
          const startMs = clock.monotonicMs();
          const socket = connect(port, '127.0.0.1', () => socket.write(text));
          const drip = setInterval(() => socket.write('X-A: b\r\n'), 500);
          socket.on('error', () => {});
          socket.on('data', () => {});
          socket.on('close', () => {
            clearInterval(drip);
            resolve(clock.monotonicMs() - startMs);
          });
        });
      const body = `POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${testKey('feed')}\r\nContent-Length: 9999\r\n\r\n`;
      const ends = [cut('GET / HTTP/1.1\r\nHost: localhost\r\n'), cut(body)];
      expect((await Promise.all(ends)).length).toBe(2);
      expect((await server.get('/healthz')).status).toBe(200);
    },
    60_000,
  );
});
