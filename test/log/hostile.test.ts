/**
 * What clients can write into the log of a real server at its most verbose level: no secret, wherever it is placed;
 * and only a few lines for a flood.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';

import { SUBPROTOCOL_JSON } from '../../protocol/codec';
import { readSeed } from '../support/seed';
import { FORMS, StreamClient } from '../support/stream-client';
import { ADMIN_KEY, Scratch, ServerProcess, testKey, TRADE_KEY } from '../support/tapedeck-process';

setDefaultTimeout(120_000);
const scratch = new Scratch();
const TOKEN_SECRET = 'a-secret-of-the-login-service-0123456789';
const config = `[auth]\ntokenAlgorithm = "HS256"\ntokenKeyFile = "${scratch.write(TOKEN_SECRET)}"\n[limits]\nworkPerSecond = 1000000000\n`;
const servers: ServerProcess[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
  scratch.remove();
});

async function start(): Promise<ServerProcess> {
  const server = await ServerProcess.start({ config, logLevel: 'debug', timeoutMs: 120_000 });
  servers.push(server);
  return server;
}

function jwt(payload: object, key: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}`;
  return `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`;
}

const NEXT_YEAR = Math.floor(Date.now() / 1_000) + 31_536_000;
/** Secrets that open something, and texts that could be taken for one. */
const SECRETS: Readonly<Record<string, string>> = {
  known: TRADE_KEY,
  unknown: testKey('nobody'),
  good: jwt({ sub: 'desk', roles: ['read'], exp: NEXT_YEAR }, TOKEN_SECRET),
  forged: jwt(
    { sub: 'desk', roles: ['admin'], exp: NEXT_YEAR },
    'another-secret-0123456789-0123456789',
  ),
  over: jwt({ sub: 'desk', roles: ['admin'], exp: 1 }, TOKEN_SECRET),
};
const PASSWORD = 'correct-horse-battery-staple';

/** What must not appear of them: the secret part of a key, the payload and signature of a token. */
const PARTS = Object.values(SECRETS).flatMap((secret) =>
  secret.startsWith('tk_')
    ? [secret.slice(20, 40)]
    : secret
        .split('.')
        .slice(1)
        .map((p) => p.slice(0, 20)),
);

type Throw = (server: ServerProcess, secret: string) => Promise<unknown>;

const ROUTES = [
  '/v1/tick/ACME',
  '/v1/orders',
  '/v1/orders/1',
  '/v1/admin/sessions',
  '/v1/ingest',
  '/v1/bars/ACME',
  '/',
  '/metrics',
  '/nowhere',
];
const METHODS = ['GET', 'POST', 'DELETE', 'PUT'];

const REST: Throw[] = ROUTES.flatMap((route) => [
  (server, secret) => server.get(route, { headers: { authorization: `Bearer ${secret}` } }),
  (server, secret) =>
    server.get(route, { headers: { authorization: secret, cookie: `key=${secret}` } }),
  (server, secret) =>
    server.get(`${route}?key=${secret}&limit=${secret}&from=${secret}&depth=${secret}`),
  (server, secret) => server.get(`${route}/${secret}`, { method: METHODS[secret.length % 4]! }),
  (server, secret) =>
    server.get(route, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}` },
      body: JSON.stringify({ key: secret, symbol: secret, [secret]: secret }),
    }),
  (server, secret) =>
    server.get(route, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
      body: `{"type":"${secret}" ${secret}`,
    }),
]);

async function overStream(
  server: ServerProcess,
  act: (client: StreamClient) => void,
  form = SUBPROTOCOL_JSON,
): Promise<void> {
  const client = await StreamClient.open(server.url, form as (typeof FORMS)[number]);
  act(client);
  await Promise.race([client.settle().catch(() => {}), client.closed]);
  await client.close();
}

const hello = (key: unknown, client = 'reader'): object => ({
  type: 'hello',
  version: 1,
  client,
  key,
});

const STREAM: Throw[] = [
  (server, secret) => overStream(server, (c) => c.send(hello(secret))),
  (server, secret) => overStream(server, (c) => c.send(hello([secret]))),
  (server, secret) => overStream(server, (c) => c.send(hello({ secret }))),
  (server, secret) => overStream(server, (c) => c.send(hello(null, secret))),
  (server, secret) => overStream(server, (c) => c.send({ ...hello(secret), version: secret })),
  (server, secret) => overStream(server, (c) => c.send({ type: secret, key: secret })),
  (server, secret) =>
    overStream(server, (c) =>
      c.send({ type: 'subscribe', id: 1, topics: [secret], intervalMs: null }),
    ),
  (server, secret) =>
    overStream(server, (c) =>
      c.send({ type: 'subscribe', id: secret, topics: secret, [secret]: 1 }),
    ),
  (server, secret) =>
    overStream(server, (c) =>
      c.send({ type: 'order', id: 1, symbol: secret, clientOrderId: secret }),
    ),
  (server, secret) => overStream(server, (c) => c.raw(`[{"type":"hello","key":"${secret}"`)),
  (server, secret) => overStream(server, (c) => c.raw(Buffer.from(secret))),
  (server, secret) => overStream(server, (c) => c.raw(Buffer.from(secret)), FORMS[0]),
  (server, secret) => overStream(server, (c) => c.raw(secret), FORMS[0]),
  (server, secret) => server.get(`/v1/stream?key=${secret}`),
  (server, secret) =>
    StreamClient.start(server.url, [], { authorization: `Bearer ${secret}` }).closed.catch(
      () => {},
    ),
];
// The last one has a valid secret, and its session is ended by its client.
STREAM[STREAM.length - 1] = async (server, secret) => {
  const headers = {
    'authorization': `Bearer ${secret}`,
    'sec-websocket-protocol': SUBPROTOCOL_JSON,
  };
  const client = StreamClient.start(server.url, [SUBPROTOCOL_JSON], headers);
  await Promise.race([client.next('welcome').catch(() => {}), client.closed]);
  await client.close();
};

test('no key, token or password of any client reaches the log', async () => {
  const server = await start();
  const thrown = fc.record({
    how: fc.constantFrom(...REST, ...STREAM, ...STREAM, ...STREAM),
    secret: fc.constantFrom(...Object.values(SECRETS)),
  });
  const seed = readSeed();
  for (const { how, secret } of fc.sample(thrown, { seed, numRuns: 300 }))
    await how(server, secret);
  // A password without a recognisable form is known by its position alone.
  for (const bearer of [`Bearer ${PASSWORD}`, `Basic ${PASSWORD}`, PASSWORD]) {
    for (const route of ROUTES) await server.get(route, { headers: { authorization: bearer } });
  }
  for (const wrong of [PASSWORD, [PASSWORD], { PASSWORD }]) {
    await overStream(server, (client) => client.send(hello(wrong)));
    await overStream(server, (client) => client.send({ ...hello(wrong), version: PASSWORD }));
  }
  const { code, stderr } = await server.stop('SIGTERM');
  expect(code).toBe(0);
  expect(stderr).toContain('session refused'); // there was something to report
  for (const part of [...PARTS, PASSWORD])
    expect([part, stderr.includes(part)]).toEqual([part, false]);
});

test('logs of the program itself are redacted at every level, including errors and objects', async () => {
  const log = join(import.meta.dir, '../../src/log/log.ts');
  const { known, good } = SECRETS as { known: string; good: string };
  const script = `
    import { createLog } from ${JSON.stringify(log)};
    const log = createLog('debug');
    const error = new Error(${JSON.stringify(`it failed with ${known}`)}, { cause: new Error(${JSON.stringify(good)}) });
    for (const level of ['debug', 'info', 'warn', 'error', 'fatal']) {
      log[level]({ error, err: error, hint: ${JSON.stringify(`Bearer ${PASSWORD}`)}, a: { b: { token: ${JSON.stringify(PASSWORD)} } } }, ${JSON.stringify(`failed: ${good}`)});
      log[level](error);
    }`;
  const child = Bun.spawn([process.execPath, '-e', script], { stderr: 'pipe' });
  const stderr = await new Response(child.stderr).text();
  expect(stderr.trim().split('\n')).toHaveLength(10);
  for (const part of [...PARTS, PASSWORD])
    expect([part, stderr.includes(part)]).toEqual([part, false]);
});

const CONNECTIONS = 1_000;
const FRAMES_EACH = 100;

test('a hundred thousand bad frames give a few lines, and are all counted', async () => {
  const server = await start();
  for (let i = 0; i < CONNECTIONS; i += 50) {
    const clients = await Promise.all(
      Array.from({ length: 50 }, () => StreamClient.json(server.url)),
    );
    for (const client of clients) for (let n = 0; n < FRAMES_EACH; n++) client.raw('{');
    for (const { code } of await Promise.all(clients.map(({ closed }) => closed)))
      expect(code).toBe(4003);
  }
  const metrics = await (await server.get('/metrics')).text();
  expect(metrics).toContain(
    `tapedeck_stream_refusals_total{code="malformed-json"} ${CONNECTIONS * FRAMES_EACH}\n`,
  );
  expect(metrics).toContain(`tapedeck_stream_closed_total{code="4003"} ${CONNECTIONS}\n`);
  expect(metrics).toContain(`tapedeck_stream_opened_total ${CONNECTIONS}\n`);
  const { code, stderr } = await server.stop('SIGTERM');
  const lines = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect([code, lines.length < 60]).toEqual([0, true]);
  // The first refusal of each session is logged; this many were not written.
  const counted = (start: string): number =>
    lines
      .filter(({ msg }) => String(msg).startsWith(start))
      .reduce((sum, { repeated }) => sum + ((repeated as number | undefined) ?? 1), 0);
  expect(counted('session refused')).toBe(CONNECTIONS);
  expect(counted('session closed')).toBe(CONNECTIONS);
});
