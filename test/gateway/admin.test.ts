/** Sessions over REST: who may see them, what is listed for each, and how one is closed. */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient } from '../support/stream-client';
import { ADMIN_KEY, PUBLISH_KEY, ServerProcess, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';

let server: ServerProcess;

beforeAll(async () => {
  // On a busy machine a reader may be late without being slow.
  server = await ServerProcess.start({ config: '[push]\nlagMs = 20000\nstaleMs = 20000\n' });
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
});
afterAll(() => server.remove());

type Json = Record<string, unknown>;

async function ask(
  path: string,
  { key = ADMIN_KEY, method = 'GET' }: { key?: string | null; method?: string } = {},
): Promise<{ status: number; body: Json }> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await server.get(`/v1/admin/sessions${path}`, { method, headers });
  return { status: response.status, body: (await response.json()) as Json };
}

async function sessions(query = ''): Promise<Json[]> {
  return (await ask(query)).body['sessions'] as Json[];
}

function nameOf(client: StreamClient): string {
  return client.seen[0]!['session'] as string;
}

test('each session is listed, with its owner and its state', async () => {
  const before = BigInt(Date.now()) * 1_000_000n;
  const [binary, text] = await Promise.all(
    FORMS.map((form) => StreamClient.open(server.url, form)),
  );
  binary!.send({ type: 'hello', version: 1, client: 'reader/1.0', key: TRADE_KEY });
  await binary!.subscribe('trade:ACME', 'book:ACME');
  await text!.subscribe('trade:ACME');
  await server.ingest(tape(...Array.from({ length: 300 }, () => trade('ACME', '1.00', '1'))));
  await binary!.findCount((m) => m.type === 'trade', 300);
  await text!.findCount((m) => m.type === 'trade', 300);
  const of = async (client: StreamClient): Promise<Json> =>
    (await sessions()).find(({ name }) => name === nameOf(client))!;
  const common = { lane: 'express', address: '127.0.0.1', waitingBytes: 0, lagMs: 0 };
  const none = { conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 };
  const first = await of(binary!);
  expect(first).toMatchObject({ ...common, ...none, form: 'msgpack', topics: 2 });
  expect(first).toMatchObject({ client: 'reader/1.0', key: 'trader' });
  expect(BigInt(first['connectedAt'] as string)).toBeGreaterThanOrEqual(before - 1_000_000_000n);
  const second = await of(text!);
  expect(second).toMatchObject({
    ...common,
    ...none,
    form: 'json',
    topics: 1,
    client: null,
    key: null,
  });
  // Native messages are included in the sum: 300 trades take more than 200 bytes each as text.
  expect(second['sentBytes']).toBeGreaterThan(300 * 150);
  expect(first['sentBytes']).toBeGreaterThan(300 * 30);
  expect(second['sentBytes']).toBeGreaterThan(first['sentBytes'] as number);
  expect(first['sentFrames']).toBeGreaterThan(2); // welcome, the answer to subscribe, the trades
  expect(first['ageMs']).toBeGreaterThanOrEqual(0);
  // Two frames with two and one messages; nothing was refused.
  expect(first).toMatchObject({ receivedFrames: 2, receivedMessages: 2, refused: 0 });
  expect(second).toMatchObject({ receivedFrames: 1, receivedMessages: 1, refused: 0 });
  expect(second['receivedBytes']).toBeGreaterThan(40);
  // 16 KiB were sent to the second session, so it was sent a ping.
  await until(async () => (await of(text!))['rttMs'] !== null);

  const { status, body } = await ask(`/${nameOf(binary!)}`);
  expect(status).toBe(200);
  expect(body).toMatchObject({ name: nameOf(binary!), topicNames: ['trade:ACME', 'book:ACME'] });

  // What was sent stays in the sum when a topic is left.
  const sentBytes = (await of(text!))['sentBytes'] as number;
  await text!.unsubscribe('trade:ACME');
  expect((await of(text!))['sentBytes']).toBeGreaterThanOrEqual(sentBytes);
  expect((await of(text!))['topics']).toBe(0);
  await Promise.all([binary!.close(), text!.close()]);
});

test('a reset is counted, for the session and in total', async () => {
  const client = await StreamClient.json(server.url);
  client.send({ type: 'resume', id: 1, epoch: 1, seq: 1, topics: ['trade:ACME'] });
  await client.next('reset');
  expect((await ask(`/${nameOf(client)}`)).body).toMatchObject({ resets: 1, topics: 1 });
  await client.close();
  const metrics = await (await server.get('/metrics')).text();
  expect(metrics).toMatch(/^tapedeck_push_resets_total\{kind="trade"\} [1-9]/m);
});

test('they are listed in pages, in the order of their connection', async () => {
  const clients: StreamClient[] = [];
  for (let i = 0; i < 5; i++) clients.push(await StreamClient.json(server.url));
  const names: string[] = [];
  for (let after = 's0'; ;) {
    const page = await sessions(`?limit=2&next=${after}`);
    if (page.length === 0) break;
    names.push(...page.map(({ name }) => name as string));
    after = names.at(-1)!;
  }
  expect(names.slice(-5)).toEqual(clients.map(nameOf));
  expect(new Set(names).size).toBe(names.length);
  expect((await ask('?limit=1')).body['total']).toBe(names.length);
  for (const query of ['?limit=0', '?limit=10001', '?limit=x', '?next=x', "?next=s1'--"]) {
    expect((await ask(query)).body).toMatchObject({ error: { code: 'invalid-field' } });
  }
  await Promise.all(clients.map((client) => client.close()));
});

test.each(FORMS)('an operator closes one, and the session is notified: %s', async (form) => {
  const [client, other] = [
    await StreamClient.open(server.url, form),
    await StreamClient.json(server.url),
  ];
  const name = nameOf(client);
  const closing = { code: 4004, reason: 'closed-by-operator', reconnect: false };
  expect(await ask(`/${name}`, { method: 'DELETE' })).toEqual({
    status: 200,
    body: { name, ...closing },
  });
  expect(await client.closed).toEqual({ code: 4004, reason: 'closed-by-operator' });
  expect(client.seen.at(-1)).toMatchObject({ type: 'closing', ...closing });
  for (const method of ['DELETE', 'GET']) {
    expect(await ask(`/${name}`, { method })).toMatchObject({
      status: 404,
      body: { error: { code: 'unknown-session', field: 'session' } },
    });
  }
  expect((await sessions()).map((session) => session['name'])).toContain(nameOf(other));
  await other.settle();
  await other.close();
});

test('the role admin is required', async () => {
  const client = await StreamClient.json(server.url);
  for (const path of ['', `/${nameOf(client)}`]) {
    for (const method of path === '' ? ['GET'] : ['GET', 'DELETE']) {
      for (const [key, status, code] of [
        [null, 401, 'unauthorized'],
        ['no-key-of-this-server', 401, 'unauthorized'],
        [PUBLISH_KEY, 403, 'forbidden'],
        [TRADE_KEY, 403, 'forbidden'],
      ] as const) {
        expect(await ask(path, { key, method })).toMatchObject({
          status,
          body: { error: { code } },
        });
      }
    }
  }
  await client.settle();
  await client.close();
});

test('unknown session names are not found', async () => {
  for (const name of ['s', 's0', 's999999999', '..%2f..%2fetc', "s1'%20OR%201=1", '%00', '*']) {
    const { status, body } = await ask(`/${name}`, { method: 'DELETE' });
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'unknown-session' } });
  }
});
