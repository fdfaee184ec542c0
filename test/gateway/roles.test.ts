/**
 * Each role with each action, over REST and over WebSocket, on a server that requires a key. The actions are taken
 * from the document and the protocol, so that a new one cannot be forgotten.
 */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import type { MessageDef } from '../../protocol/define';
import { MESSAGES } from '../../protocol/messages';
import { instrument, tape, trade } from '../support/feed';
import { OPERATIONS } from '../support/routes';
import { FORMS, StreamClient } from '../support/stream-client';
import { ServerProcess, testKey, writeTestKeys, type TestKey } from '../support/tapedeck-process';
import { until } from '../support/until';

const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
const KEYS: readonly TestKey[] = [
  { name: 'reads', roles: ['read'] },
  { name: 'publishes', roles: ['publish'] },
  { name: 'trades', roles: ['trade'] },
  { name: 'rules', roles: ['admin'] },
  { name: 'all', roles: ['read', 'publish', 'trade', 'admin'] },
  { name: 'some', roles: ['publish'], symbols: ['SO*', 'X'] },
  { name: 'over', roles: ['read', 'publish', 'trade', 'admin'], expiresAt: 1 },
];
/** Valid when the server starts. */
const REVOKED: TestKey = { name: 'revoked', roles: ['read', 'publish', 'trade', 'admin'] };
const ROLE_OF: Record<string, string> = {
  reads: 'read',
  publishes: 'publish',
  trades: 'trade',
  rules: 'admin',
};
let server: ServerProcess;

beforeAll(async () => {
  const keys = [...KEYS, REVOKED];
  server = await ServerProcess.start({ config: `[auth]\nrequireKey = true\n${VENUE}`, keys });
  expect(
    (await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')), testKey('all')))
      .status,
  ).toBe(200);
  const ask = (): Promise<Response> =>
    server.get('/v1/tick/ACME', { headers: { authorization: `Bearer ${testKey('revoked')}` } });
  expect((await ask()).status).toBe(200);
  writeTestKeys(server.data, KEYS);
  await until(async () => (await ask()).status === 401);
});
afterAll(() => server.remove());

/** What an answer says about rights: the code that refuses, or `allowed`. */
type Right = 'allowed' | 'unauthorized' | 'forbidden';

function rightOf(code: unknown): Right {
  return code === 'unauthorized' || code === 'forbidden' ? code : 'allowed';
}

/** What each caller must be answered for an action that needs a role. */
function expected(caller: string | null, role: string | null): Right {
  if (role === null || caller === 'all' || (caller !== null && ROLE_OF[caller] === role))
    return 'allowed';
  // It may not publish these symbols, or any.
  if (caller === 'some') return 'forbidden';
  return caller === null || caller === 'over' || caller === 'revoked'
    ? 'unauthorized'
    : 'forbidden';
}

const CALLERS = [null, 'reads', 'publishes', 'some', 'trades', 'rules', 'all'] as const;
const ORDER = { symbol: 'DESK', side: 'buy', price: '1.00', quantity: '0.001' };

describe('REST', () => {
  interface Action {
    readonly method: string;
    readonly path: string;
    readonly role: string | null;
    readonly body: string | null;
  }
  const BODIES: Record<string, string> = {
    '/v1/ingest': tape(trade('ACME', '1.00', '1')),
    '/v1/orders': JSON.stringify(ORDER),
    '/v1/instruments/:symbol/state': '{"state":"open"}',
  };
  const described = OPERATIONS.map((operation): Action => {
    const { method, path, role, parameters } = operation;
    const query = parameters.filter(
      (p) => p.in === 'query' && p.example !== undefined && p.name !== 'depth',
    );
    const filled = path
      .replace(':symbol', path.endsWith('/state') ? 'DESK' : 'ACME')
      .replace(':id', '1')
      .replace(':name', 's0');
    return {
      method,
      path: `${filled}?${query.map(({ name, example }) => `${name}=${example}`).join('&')}`,
      role,
      body:
        method === 'POST' ? (BODIES[path] ?? JSON.stringify(operation.body?.example ?? {})) : null,
    };
  });
  const ACTIONS: readonly Action[] = [
    ...described,
    ...described
      .filter(({ method }) => method === 'GET')
      .map((a) => Object.assign({}, a, { method: 'HEAD' })),
    { method: 'GET', path: '/v1/orderbook/ACME?at=0', role: 'read', body: null },
    ...['/', '/docs', '/docs/guide/concepts', '/openapi.json', '/assets/none'].map((path) => ({
      method: 'GET',
      path,
      role: null,
      body: null,
    })),
  ];
  const rows = ACTIONS.flatMap((action) =>
    [...CALLERS, 'over', 'revoked'].map((caller) => Object.assign({ caller }, action)),
  );

  test.each(rows)('$caller: $method $path', async ({ method, path, role, body, caller }) => {
    const response = await server.get(path, {
      method,
      headers: caller === null ? {} : { authorization: `Bearer ${testKey(caller)}` },
      ...(body !== null && { body }),
    });
    const right = expected(caller, role);
    const status = { allowed: response.status, unauthorized: 401, forbidden: 403 }[right];
    expect(response.status).toBe(status);
    if (right === 'allowed') expect([401, 403]).not.toContain(status);
    if (method === 'HEAD' || !response.headers.get('content-type')!.includes('json')) return;
    const answer = (await response.json()) as { error?: { code: string } };
    expect(rightOf(answer.error?.code)).toBe(right);
  });

  test('each role has actions here, and each action a role that some caller has', () => {
    const roles = new Set(described.map(({ role }) => role));
    expect(roles).toEqual(new Set([null, 'read', 'publish', 'trade', 'admin']));
    for (const path of Object.keys(BODIES)) expect(OPERATIONS.map((o) => o.path)).toContain(path);
  });
});

describe.each(FORMS)('WebSocket, %s', (form) => {
  const target = { symbol: 'DESK', orderId: 1, clientOrderId: null };
  const order = { ...ORDER, kind: 'limit', timeInForce: 'gtc', postOnly: false, clientOrderId: '' };
  const ACTIONS: readonly [role: string | null, message: Record<string, unknown>][] = [
    ['read', { type: 'subscribe', topics: ['trade:ACME'], intervalMs: null }],
    ['read', { type: 'resume', epoch: 1, seq: 1, topics: ['trade:ACME'] }],
    // A caller that could not subscribe has nothing to unsubscribe.
    [null, { type: 'unsubscribe', topics: ['trade:ACME'] }],
    [
      'read',
      {
        type: 'replay',
        action: 'stop',
        topics: [],
        from: null,
        to: null,
        fromSeq: null,
        toSeq: null,
        speed: null,
      },
    ],
    ['publish', { type: 'publish', events: [trade('ACME', '1.00', '1')] }],
    ['trade', { type: 'order', ...order }],
    ['trade', { type: 'cancel', ...target }],
    ['trade', { type: 'amend', ...target, price: '1.00', quantity: null }],
  ];

  test('every request of a client is in the table', () => {
    const own: readonly MessageDef[] = Object.values(MESSAGES);
    const asking = own.filter(({ code, fields }) => code < 32 && 'id' in fields).map((m) => m.type);
    const here = new Set(ACTIONS.map(([, message]) => message['type']));
    // A ping requests nothing of the market.
    expect(new Set(asking)).toEqual(new Set([...here, 'ping']) as Set<never>);
  });

  test.each([...CALLERS])('%s', async (caller) => {
    // Half of them present their key with the upgrade, half with hello.
    const withHeader = form === FORMS[0];
    const headers: Record<string, string> =
      caller === null || !withHeader ? {} : { authorization: `Bearer ${testKey(caller)}` };
    const client = await StreamClient.open(server.url, form, headers);
    if (caller !== null && !withHeader) {
      client.send({ type: 'hello', version: 1, client: 'test', key: testKey(caller) });
    }
    for (const [i, [role, message]] of ACTIONS.entries()) {
      const from = client.seen.length;
      client.send({ ...message, id: i + 1 });
      const answer = await client.find(
        (m) => m['id'] === i + 1 && (m.type === 'ack' || m.type === 'error'),
        from,
      );
      expect([message['type'], rightOf(answer['code'])]).toEqual([
        message['type'],
        expected(caller, role),
      ]);
    }
    await client.close();
  });
});

describe('symbols of a key', () => {
  const lines = (symbol: string): string => tape(instrument('SOL'), instrument(symbol));
  const refused = { code: 'forbidden', message: expect.stringContaining('may not publish NO') };

  test('over REST the whole request is refused', async () => {
    const response = await server.ingest(lines('NO'), testKey('some'));
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      error: { ...refused, field: expect.stringContaining('2') },
    });
    const found = await server.get('/v1/instruments/SOL', {
      headers: { authorization: `Bearer ${testKey('all')}` },
    });
    expect(found.status).toBe(404);
    expect((await server.ingest(lines('X'), testKey('some'))).status).toBe(200);
  });

  test.each(FORMS)('the same over WebSocket: %s', async (form) => {
    const headers = { authorization: `Bearer ${testKey('some')}` };
    const client = await StreamClient.open(server.url, form, headers);
    expect(await client.publish(instrument('SOX'), instrument('NO'))).toMatchObject({
      ...refused,
      field: 'publish.events[1].symbol',
    });
    expect(await client.publish(instrument('SOX'))).toMatchObject({ type: 'ack' });
    await client.close();
  });
});

describe('invalid keys', () => {
  const good = testKey('all');
  const tampered = `${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.at(-1)}`;
  const ROWS = [
    ['of another id', good.replace(/^tk_./, (head) => (head === 'tk_0' ? 'tk_1' : 'tk_0'))],
    ['tampered with', tampered],
    ['cut short', good.slice(0, -1)],
    ['with more characters after it', `${good}A`],
    ['another secret for a known id', `${good.slice(0, 16)}${testKey('reads').slice(16)}`],
    ['expired', testKey('over')],
    ['revoked', testKey('revoked')],
    ['a word', 'let-me-in-please-1234'],
    ['the name', 'all'],
  ] as const;

  test.each(ROWS)('%s', async (_, key) => {
    const headers = { authorization: `Bearer ${key}` };
    for (const path of ['/v1/tick/ACME', '/v1/orders', '/v1/admin/sessions', '/v1/stream']) {
      const upgrade = path === '/v1/stream' ? { upgrade: 'websocket', connection: 'upgrade' } : {};
      const response = await server.get(path, { headers: { ...headers, ...upgrade } });
      expect([path, response.status]).toEqual([path, 401]);
      expect(await response.json()).toMatchObject({
        error: { code: 'unauthorized', field: 'Authorization' },
      });
    }
    const client = await StreamClient.json(server.url);
    client.send({ type: 'hello', version: 1, client: 'test', key });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', field: 'hello.key' });
    expect(await client.closed).toEqual({ code: 4001, reason: 'unauthorized' });
  });

  test('a key in the URL does not count', async () => {
    const response = await server.get(`/v1/tick/ACME?key=${good}&authorization=Bearer%20${good}`);
    expect(response.status).toBe(401);
  });
});
