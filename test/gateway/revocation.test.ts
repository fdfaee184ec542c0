/**
 * Revocation: what was requested with a key ends with the key, even if the connection has presented another one
 * since; REST requests with it are no longer answered.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { SignJWT } from 'jose';
import { connect } from 'node:net';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import {
  Scratch,
  ServerProcess,
  testKey,
  writeTestKeys,
  type TestKey,
} from '../support/tapedeck-process';
import { until } from '../support/until';
import { deep } from '../support/tier';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes-0123456789';
const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
const STAYS: TestKey = { name: 'stays', roles: ['read', 'publish', 'trade'] };
const GOES: TestKey = { name: 'goes', roles: ['read', 'publish', 'trade'] };
const REVOKED = { code: 4002, reason: 'key-revoked' };
const scratch = new Scratch();
let server: ServerProcess;

beforeAll(async () => {
  const config = `[auth]
requireKey = true
tokenAlgorithm = "HS256"
tokenKeyFile = "${scratch.write(SECRET, '.key')}"
${VENUE}`;
  server = await ServerProcess.start({ config, keys: [STAYS, GOES] });
  const lines = tape(instrument('ACME'), trade('ACME', '1.00', '1'));
  expect((await server.ingest(lines, testKey('stays'))).status).toBe(200);
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});
beforeEach(async () => {
  writeTestKeys(server.data, [STAYS, GOES]);
  await until(async () => await isKnown('goes'));
});

async function isKnown(name: string): Promise<boolean> {
  const headers = { authorization: `Bearer ${testKey(name)}` };
  return (await server.get('/v1/tick/ACME', { headers })).status === 200;
}

async function token(seconds: number, claims: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT({ sub: 'ann', roles: ['read'], ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));
}

/** The memory that unfinished bodies hold, in bytes. */
async function bodyBytes(): Promise<number> {
  const headers = { authorization: `Bearer ${testKey('stays')}` };
  const text = await (await server.get('/metrics', { headers })).text();
  return Number(/^tapedeck_client_bytes\{kind="bodies"\} (\d+)$/m.exec(text)?.[1]);
}

let clients: StreamClient[] = [];
afterEach(async () => {
  for (const client of clients) await client.close();
  clients = [];
});

async function open(key: string, form = FORMS[0]): Promise<StreamClient> {
  const client = await StreamClient.open(server.url, form, { authorization: `Bearer ${key}` });
  clients.push(client);
  return client;
}

/** Presents another key, and waits until it is known. */
async function show(client: StreamClient, key: string): Promise<void> {
  client.send({ type: 'hello', version: 1, client: 'test', key });
  await client.settle();
}

const PLAY = { type: 'replay', id: 900, action: 'start', from: null, to: null, toSeq: null };
const ORDER = { symbol: 'DESK', side: 'buy', kind: 'limit', timeInForce: 'gtc', postOnly: false };

/** What a key can start on a connection that lasts longer than the request. */
const ASKED: readonly [what: string, ask: (client: StreamClient) => Promise<unknown>][] = [
  ['subscribed', (client) => client.subscribe('trade:ACME')],
  ['subscribed for all symbols', (client) => client.subscribe('trade:*')],
  [
    'resumed',
    async (client) => {
      const { epoch, seq } = client.seen[0] as Seen & { epoch: number; seq: number };
      client.send({ type: 'resume', id: 901, epoch, seq, topics: ['trade:ACME'] });
      await client.answer(901, 0);
    },
  ],
  [
    'replays',
    async (client) => {
      // At a hundredth of real time, so that it is still running when the test ends.
      client.send({ ...PLAY, topics: ['trade:ACME'], fromSeq: 1, speed: 1 });
      client.send({ ...PLAY, id: 902, action: 'pause', topics: [], fromSeq: null, speed: null });
      await client.answer(902, 0);
    },
  ],
  ['published', (client) => client.publish(trade('ACME', '1.01', '1'))],
  [
    'ordered',
    async (client) => {
      client.send({
        type: 'order',
        id: 903,
        ...ORDER,
        price: '1.00',
        quantity: '0.001',
        clientOrderId: `o${Date.now()}`,
      });
      await client.answer(903, 0);
    },
  ],
];

describe.each(deep(FORMS, 1))('a connection, %s', (form) => {
  test.each(deep(ASKED, 4))(
    'what a key %s ends with it, even if another key was presented since',
    async (_, ask) => {
      const client = await open(testKey('goes'), form);
      const other = await open(testKey('stays'), form);
      await ask(client);
      await ask(other);
      await show(client, testKey('stays'));
      writeTestKeys(server.data, [STAYS]);
      expect(await client.closed).toEqual(REVOKED);
      expect(client.seen.at(-1)).toMatchObject({ type: 'closing', ...REVOKED, reconnect: false });
      await other.settle();
      expect(other.ended).toBeUndefined();
    },
  );

  test('a key that requested nothing ends nothing', async () => {
    const client = await open(testKey('goes'), form);
    await show(client, testKey('stays'));
    await client.subscribe('trade:ACME');
    // One sweep ends all that a key requested: where this one has ended, the other would have, too.
    const control = await open(testKey('goes'), form);
    await control.subscribe('trade:ACME');
    writeTestKeys(server.data, [STAYS]);
    expect(await control.closed).toEqual(REVOKED);
    await client.settle();
    expect(client.ended).toBeUndefined();
  });
});

test.each([
  ['of a role', { ...GOES, roles: ['read', 'publish'] }],
  ['of symbols', { ...GOES, symbols: ['ACM'] }],
] as const)('a key that loses rights, %s, ends what was requested with it', async (_, less) => {
  const client = await open(testKey('goes'));
  await client.subscribe('trade:ACME');
  await show(client, testKey('stays'));
  writeTestKeys(server.data, [STAYS, less]);
  expect(await client.closed).toEqual(REVOKED);
});

test('an expired token ends what it requested, unless it was renewed', async () => {
  const [left, renewed] = [await open(await token(2)), await open(await token(2))];
  for (const client of [left, renewed]) await client.subscribe('trade:ACME');
  await show(left, testKey('stays'));
  await show(renewed, await token(600));
  await show(renewed, testKey('stays'));
  expect(await left.closed).toEqual({ code: 4005, reason: 'key-expired' });
  await renewed.settle();
  expect(renewed.ended).toBeUndefined();
});

test('a connection may present a few other keys, then no more', async () => {
  const client = await open(await token(600, { sub: 'u0' }));
  for (let i = 1; i < 9; i++) {
    await client.subscribe('trade:ACME');
    await show(client, await token(600, { sub: `u${i}` }));
  }
  await client.subscribe('trade:ACME');
  client.send({ type: 'hello', version: 1, client: 'test', key: await token(600, { sub: 'u9' }) });
  expect(await client.next('error')).toMatchObject({ code: 'limit-reached' });
  expect(await client.closed).toEqual({ code: 4020, reason: 'limit-reached' });
});

test('a body that arrives after the revocation has no effect', async () => {
  const body = JSON.stringify({ ...ORDER, price: '1.00', quantity: '0.001' });
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const chunks: string[] = [];
  const ended = new Promise((resolve) => socket.on('close', resolve));
  socket.on('data', (data) => chunks.push(String(data)));
  socket.write(
    `POST /v1/orders HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nauthorization: Bearer ${testKey('goes')}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
  );
  await until(async () => (await bodyBytes()) > 0); // the head, and the key in it, has been read
  writeTestKeys(server.data, [STAYS]);
  await until(async () => !(await isKnown('goes')));
  socket.write(body.slice(10));
  await ended;
  expect(chunks.join('')).toMatch(/^HTTP\/1.1 401 [^]*"unauthorized"/);
});

test('tokens end with the key that signed them', async () => {
  const file = scratch.write(SECRET, '.key');
  const config = `[auth]\nrequireKey = true\ntokenAlgorithm = "HS256"\ntokenKeyFile = "${file}"\n`;
  const other = await ServerProcess.start({ config, keys: [STAYS] });
  try {
    const bearer = { authorization: `Bearer ${await token(600)}` };
    const client = await StreamClient.open(other.url, FORMS[0], bearer);
    await client.settle();
    await Bun.write(file, `${SECRET}, another`);
    other.signal('SIGHUP');
    expect(await client.closed).toEqual(REVOKED);
  } finally {
    await other.remove();
  }
});
