/** Query strings: unknown parameters are refused by name, on every route; pages are continued by `next`. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { OPERATIONS } from '../support/routes';
import { ServerProcess, testKey } from '../support/tapedeck-process';

let server: ServerProcess;
const headers = { authorization: `Bearer ${testKey('all')}` };
const START = 1_700_000_000n * 1_000_000_000n;
const second = (n: number): string => (START + BigInt(n) * 1_000_000_000n).toString();

beforeAll(async () => {
  const roles = ['read', 'publish', 'trade', 'admin'] as const;
  server = await ServerProcess.start({ args: [], keys: [{ name: 'all', roles }] });
  const trades = Array.from({ length: 7 }, (_, i) =>
    trade('ACME', `${i + 1}.00`, '1', { eventTime: second(i), seq: i + 1 }),
  );
  const body = tape(instrument('ACME'), ...trades);
  expect((await server.get('/v1/ingest', { method: 'POST', headers, body })).status).toBe(200);
});
afterAll(() => server.remove());

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly field: string;
  readonly message: string;
}

async function json(path: string): Promise<Record<string, unknown>> {
  return (await (await server.get(path, { headers })).json()) as Record<string, unknown>;
}

async function refusal(path: string, method = 'GET'): Promise<Refusal> {
  const body = method === 'POST' ? '{}' : null;
  const response = await server.get(path, { method, headers, ...(body !== null && { body }) });
  const { error } = (await response.json()) as { error: Omit<Refusal, 'status'> };
  return { status: response.status, ...error };
}

describe('a parameter that the route does not have', () => {
  test.each(OPERATIONS.map((o) => [`${o.method} ${o.path}`, o] as const))(
    '%s',
    async (title, { method, path, parameters }) => {
      const target = path.replace(':symbol', 'ACME').replace(/:(id|name)/, '1');
      const refused = await refusal(`${target}?liimit=1`, method);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'liimit' });
      expect(refused.message).toStartWith(`${title} has no query parameter "liimit": `);
      const known = parameters.filter((p) => p.in === 'query').map((p) => p.name);
      const expected = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`;
      expect(refused.message).toEndWith(expected);
    },
  );

  // The reported case: the newest trades were returned as if they were of that time.
  test.each([
    ['/v1/trades/ACME?from=1700000000000000000', 'from', 'it takes limit, next'],
    ['/v1/trades/ACME?Limit=1', 'Limit', 'the nearest known one is limit'],
    ['/v1/trades/ACME?LIMIT=1', 'LIMIT', 'the nearest known one is limit'],
    ['/v1/ticks/ACME?form=0', 'form', 'the nearest known one is from'],
    ['/v1/orderbook/ACME?dept=5', 'dept', 'the nearest known one is depth'],
    ['/v1/orderbook/ACME?at=0&dept=5', 'dept', 'the nearest known one is depth'],
    ['/v1/bars/ACME?interval=1m&start=0', 'start', 'it takes interval, from, to, limit, next'],
    ['/v1/trades/ACME?before=9', 'before', 'it is now next'],
    ['/v1/ticks/ACME?cursor=x', 'cursor', 'it is now next'],
    ['/v1/admin/sessions?after=s1', 'after', 'it is now next'],
    ['/v1/tick/ACME?x=1', 'x', 'GET /v1/tick/:symbol has no query parameter "x": it takes none'],
    ['/v1/trades/ACME?limit=1&=2', '', 'has no query parameter ""'],
    ['/openapi.json?x', 'x', 'it takes none'],
  ])('%s', async (path, field, words) => {
    const refused = await refusal(path);
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
    expect(refused.message).toContain(words);
  });

  test('a long name is shortened in the message; HEAD behaves like GET', async () => {
    const name = '💥'.repeat(150);
    const refused = await refusal(`/v1/tick/ACME?${encodeURIComponent(name)}=1`);
    expect(refused.status).toBe(400);
    expect(refused.message.length).toBeLessThan(200);
    expect(name).toStartWith(refused.field);
    for (const path of ['/v1/tick/ACME?x=1', '/v1/trades/ACME?x=1']) {
      expect((await server.get(path, { method: 'HEAD', headers })).status).toBe(400);
    }
  });

  test('is counted under its route', async () => {
    const metrics = await (await server.get('/metrics')).text();
    expect(metrics).toMatch(
      /rest_requests_total\{route="GET \/v1\/tick\/:symbol",status="400"\} [1-9]/,
    );
  });
});

test('an empty query is accepted; the page ignores unknown parameters', async () => {
  for (const path of ['/v1/tick/ACME?', '/v1/trades/ACME?', '/?symbol=ACME', '/docs?x=1']) {
    expect([path, (await server.get(path, { headers })).status]).toEqual([path, 200]);
  }
});

test.each([
  ['/v1/trades/ACME?limit=1&limit=2', 'limit'],
  ['/v1/trades/ACME?limit=1&limit=1', 'limit'],
  ['/v1/orderbook/ACME?depth=1&%64epth=1', 'depth'],
  ['/v1/bars/ACME?interval=1m&interval=5m', 'interval'],
])('given twice: %s', async (path, field) => {
  const refused = await refusal(path);
  expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
  expect(refused.message).toBe(`${field} is given twice; expected once`);
});

describe('times in another unit', () => {
  const at = (unit: bigint): string => (START / unit).toString();
  test.each([
    ['/v1/ticks/ACME', 'from'],
    ['/v1/ticks/ACME', 'to'],
    ['/v1/bars/ACME', 'from'],
    ['/v1/bars/ACME', 'to'],
    ['/v1/orderbook/ACME', 'at'],
  ])('%s?%s=', async (path, field) => {
    const more = path.includes('bars') ? '&interval=1m' : '';
    for (const [unit, value] of [
      ['seconds', at(1_000_000_000n)],
      ['milliseconds', at(1_000_000n)],
      ['microseconds', at(1_000n)],
    ] as const) {
      const refused = await refusal(`${path}?${field}=${value}${more}`);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
      expect(refused.message).toContain(value);
      expect(refused.message).toContain(unit);
    }
  });

  test('the beginning of time, and a calendar date, have clear messages', async () => {
    for (const from of ['0', '1970-01-01T00:00:00Z', '1972-05-05T00:00:00Z']) {
      const answer = await json(`/v1/ticks/ACME?from=${from}`);
      expect(answer['ticks']).toHaveLength(7);
    }
  });

  test('a time in the future is refused', async () => {
    for (const at of ['9223372036854775807', '2250-01-01T00:00:00Z']) {
      const refused = await refusal(`/v1/orderbook/ACME?at=${at}`);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'at' });
      expect(refused.message).toContain('expected a time in the past; here it is ');
    }
  });
});

describe('pages are continued by next, for every list', () => {
  async function all(path: string, list: string): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = [];
    let next: string | null = '';
    for (let pages = 0; next !== null; pages++) {
      expect(pages).toBeLessThan(20);
      const on: string = next === '' ? '' : `&next=${next}`;
      const page = await json(`${path}&limit=2${on}`);
      expect(page).toHaveProperty('next');
      items.push(...(page[list] as Record<string, unknown>[]));
      next = page['next'] as string | null;
      expect(next === null || typeof next === 'string').toBe(true);
    }
    return items;
  }

  test('trades, ticks, bars, sessions', async () => {
    const trades = await all('/v1/trades/ACME?', 'trades');
    expect(trades.map((t) => t['price'])).toEqual([
      '7.00',
      '6.00',
      '5.00',
      '4.00',
      '3.00',
      '2.00',
      '1.00',
    ]);
    const ticks = await all('/v1/ticks/ACME?', 'ticks');
    expect(ticks.map((t) => t['last'])).toEqual([
      '1.00',
      '2.00',
      '3.00',
      '4.00',
      '5.00',
      '6.00',
      '7.00',
    ]);
    const range = `interval=1s&from=${second(0)}&to=${second(7)}`;
    const bars = await all(`/v1/bars/ACME?${range}`, 'bars');
    expect(bars.map((b) => b['openTime'])).toEqual(Array.from({ length: 7 }, (_, i) => second(i)));
    expect(await all('/v1/admin/sessions?', 'sessions')).toEqual([]);
  });

  test('a next of another range is refused', async () => {
    for (const next of [second(9), second(2), 'x', '']) {
      const range = `interval=1s&from=${second(3)}&to=${second(5)}`;
      const refused = await refusal(`/v1/bars/ACME?${range}&next=${next}`);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'next' });
    }
  });
});

test('an overlong query is refused without parsing it', async () => {
  const refused = await refusal(`/v1/trades/ACME?${'a&'.repeat(2_000)}`);
  expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'query' });
  const path = `/v1/${'/'.repeat(10_000)}`;
  expect((await server.get(path, { headers })).status).toBe(404);
});
