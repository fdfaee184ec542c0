/** Each role against each action, over REST and over WebSocket, on a server that asks for a key. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient } from '../support/stream-client';
import { ServerProcess, testKey, type TestKey } from '../support/tapedeck-process';

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
const ROLE_OF: Record<string, string> = {
  reads: 'read',
  publishes: 'publish',
  trades: 'trade',
  rules: 'admin',
};
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: `[auth]\nrequireKey = true\n${VENUE}`, keys: KEYS });
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
});
afterAll(() => server.remove());

/** What an answer says of rights: the code that refuses, or `allowed`. */
type Right = 'allowed' | 'unauthorized' | 'forbidden';

function rightOf(code: unknown): Right {
  return code === 'unauthorized' || code === 'forbidden' ? code : 'allowed';
}

/** What each caller is to be told of an action that takes a role. */
function expected(caller: string | null, role: string | null): Right {
  if (role === null || caller === 'all' || (caller !== null && ROLE_OF[caller] === role))
    return 'allowed';
  return caller === null ? 'unauthorized' : 'forbidden';
}

const CALLERS = [null, 'reads', 'publishes', 'trades', 'rules', 'all'] as const;
const ORDER = { symbol: 'DESK', side: 'buy', price: '1.00', quantity: '0.001' };

describe('REST', () => {
  const ACTIONS: readonly [method: string, path: string, role: string | null, body?: string][] = [
    ['GET', '/', null],
    ['GET', '/healthz', null],
    ['GET', '/readyz', null],
    ['GET', '/metrics', null],
    ['GET', '/v1/instruments', 'read'],
    ['HEAD', '/v1/instruments', 'read'],
    ['GET', '/v1/instruments/ACME', 'read'],
    ['GET', '/v1/tick/ACME', 'read'],
    ['GET', '/v1/orderbook/ACME', 'read'],
    ['GET', '/v1/orderbook/ACME?at=1', 'read'],
    ['GET', '/v1/trades/ACME', 'read'],
    ['GET', '/v1/ticks/ACME', 'read'],
    ['GET', '/v1/bars/ACME?interval=1m', 'read'],
    ['GET', '/v1/stats/ACME', 'read'],
    ['POST', '/v1/ingest', 'publish', tape(trade('ACME', '1.00', '1'))],
    ['POST', '/v1/orders', 'trade', JSON.stringify(ORDER)],
    ['GET', '/v1/orders', 'trade'],
    ['GET', '/v1/orders/1', 'trade'],
    ['DELETE', '/v1/orders/1', 'trade'],
    ['POST', '/v1/instruments/DESK/state', 'admin', '{"state":"open"}'],
    ['GET', '/v1/admin/sessions', 'admin'],
    ['GET', '/v1/admin/sessions/s0', 'admin'],
    ['DELETE', '/v1/admin/sessions/s0', 'admin'],
  ];

  const rows = ACTIONS.flatMap(([method, path, role, body]) =>
    CALLERS.map((caller) => ({ method, path, role, body, caller })),
  );

  test.each(rows)('$caller: $method $path', async ({ method, path, role, body, caller }) => {
    const response = await server.get(path, {
      method,
      headers: caller === null ? {} : { authorization: `Bearer ${testKey(caller)}` },
      ...(body !== undefined && { body }),
    });
    const right = expected(caller, role);
    const status = { allowed: response.status, unauthorized: 401, forbidden: 403 }[right];
    expect(response.status).toBe(status);
    if (right === 'allowed') expect([401, 403]).not.toContain(status);
    if (method === 'HEAD' || !response.headers.get('content-type')!.includes('json')) return;
    const answer = (await response.json()) as { error?: { code: string } };
    expect(rightOf(answer.error?.code)).toBe(right);
  });

  test('every route of the server stands in this table', async () => {
    const asked = new Set(ACTIONS.map(([, path]) => path.split('?')[0]!));
    const front = await (await server.get('/')).text();
    const paths = front.matchAll(/(\/[a-z0-9/]+)(?:\/(?:SYMBOL|ID))?/g);
    for (const [, path] of paths) {
      const bare = path!.replace(/\/$/, '');
      const isThere = [...asked].some((one) => one.startsWith(bare)) || bare === '/v1/stream';
      if (bare.startsWith('/v1') || bare.endsWith('z'))
        expect([bare, isThere]).toEqual([bare, true]);
    }
  });
});

describe.each(FORMS)('WebSocket, %s', (form) => {
  const target = { symbol: 'DESK', orderId: 1, clientOrderId: null };
  const order = { ...ORDER, kind: 'limit', timeInForce: 'gtc', postOnly: false, clientOrderId: '' };
  const ACTIONS: readonly [role: string, message: Record<string, unknown>][] = [
    ['read', { type: 'subscribe', topics: ['trade:ACME'], intervalMs: null }],
    ['read', { type: 'resume', epoch: 1, seq: 1, topics: ['trade:ACME'] }],
    ['publish', { type: 'publish', events: [trade('ACME', '1.00', '1')] }],
    ['trade', { type: 'order', ...order }],
    ['trade', { type: 'cancel', ...target }],
    ['trade', { type: 'amend', ...target, price: '1.00', quantity: null }],
  ];

  test.each([...CALLERS])('%s', async (caller) => {
    // Half of them show their key with the upgrade, half with hello.
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

  test('over REST all of a request is refused', async () => {
    const response = await server.ingest(lines('NO'), testKey('some'));
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error: { ...refused, field: expect.stringContaining('2') } }); // prettier-ignore
    const found = await server.get('/v1/instruments/SOL', {
      headers: { authorization: `Bearer ${testKey('all')}` },
    });
    expect(found.status).toBe(404);
    expect((await server.ingest(lines('X'), testKey('some'))).status).toBe(200);
  });

  test.each(FORMS)('over WebSocket too: %s', async (form) => {
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

describe('keys that are none', () => {
  const good = testKey('all');
  const tampered = `${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.at(-1)}`;
  const ROWS = [
    ['of another id', good.replace(/^tk_./, (head) => (head === 'tk_0' ? 'tk_1' : 'tk_0'))],
    ['tampered with', tampered],
    ['cut short', good.slice(0, -1)],
    ['with more behind it', `${good}A`],
    ['another secret for a known id', `${good.slice(0, 16)}${testKey('reads').slice(16)}`],
    ['expired', testKey('over')],
    ['a word', 'let-me-in-please-1234'],
    ['the name', 'all'],
  ] as const;

  test.each(ROWS)('%s', async (_, key) => {
    const headers = { authorization: `Bearer ${key}` };
    for (const path of ['/v1/tick/ACME', '/v1/orders', '/v1/admin/sessions', '/v1/stream']) {
      const upgrade = path === '/v1/stream' ? { upgrade: 'websocket', connection: 'upgrade' } : {};
      const response = await server.get(path, { headers: { ...headers, ...upgrade } });
      expect([path, response.status]).toEqual([path, 401]);
      expect(await response.json()).toMatchObject({ error: { code: 'unauthorized', field: 'Authorization' } }); // prettier-ignore
    }
    const client = await StreamClient.json(server.url);
    client.send({ type: 'hello', version: 1, client: 'test', key });
    expect(await client.next('error')).toMatchObject({ code: 'unauthorized', field: 'hello.key' });
    expect(await client.closed).toEqual({ code: 4001, reason: 'unauthorized' });
  });

  test('a key in the address is none', async () => {
    const response = await server.get(`/v1/tick/ACME?key=${good}&authorization=Bearer%20${good}`);
    expect(response.status).toBe(401);
  });
});
