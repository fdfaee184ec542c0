/** Instruments defined over REST: who may, what is accepted and refused, and that definitions are kept. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import {
  ADMIN_KEY,
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  TRADE_KEY,
} from '../support/tapedeck-process';

const INSTRUMENTS_MAX = 12;

const CONFIG = `[limits]\ninstrumentsMax = ${INSTRUMENTS_MAX}\n[journal]\ndurability = "commit"\n`;

const scratch = new Scratch();
const data = scratch.fresh();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ data, config: CONFIG });
  await server.ingest(tape(instrument('FED'), trade('FED', '1.00', '1')));
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

type Json = Record<string, unknown>;

async function send(
  to: ServerProcess,
  path: string,
  body: unknown,
  key: string | null,
): Promise<{ status: number; body: Json }> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await to.get(path, { method: 'POST', headers, body: text });
  return { status: response.status, body: (await response.json()) as Json };
}

const define = (body: unknown, key: string | null = ADMIN_KEY, to = server) =>
  send(to, '/v1/admin/instruments', body, key);

const BARLEY = {
  symbol: 'BARLEY',
  priceScale: 2,
  quantityScale: 0,
  priceIncrement: '0.25',
  priceMin: '100.00',
  priceMax: '900.00',
  initialState: 'pre-open',
};

test('a venue: sent to connected sessions, opened, traded; defining it again changes nothing; it survives kill -9', async () => {
  const reader = await StreamClient.json(server.url);
  const made = await define(BARLEY);
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    symbol: 'BARLEY',
    market: 'venue',
    priceIncrement: '0.25',
    state: 'pre-open',
    rules: { priceMin: '100.00', priceMax: '900.00', ordersMax: 1_000_000 },
  });
  const received = await reader.find((m) => m.type === 'instrument' && m['symbol'] === 'BARLEY');
  expect(received).toMatchObject({ market: 'venue', priceScale: 2 });

  const again = await define(BARLEY);
  expect([again.status, again.body['seq']]).toEqual([201, made.body['seq']]);
  expect((await server.json('/v1/instruments/BARLEY'))['seq']).toBe(made.body['seq']);

  const opened = await send(server, '/v1/instruments/BARLEY/state', { state: 'open' }, ADMIN_KEY);
  expect(opened.status).toBe(200);
  const order = { symbol: 'BARLEY', side: 'buy', price: '200.25', quantity: '3' };
  expect((await send(server, '/v1/orders', order, TRADE_KEY)).status).toBe(201);
  await reader.close();

  await server.stop('SIGKILL');
  server = await ServerProcess.start({ data, config: CONFIG });
  const known = await server.json('/v1/instruments/BARLEY');
  expect(known).toMatchObject({ market: 'venue', state: 'live', seq: made.body['seq'] });
  expect(await server.json('/v1/orderbook/BARLEY')).toMatchObject({ bids: [['200.25', '3']] });
});

test('a feed accepts new increments, and then the events of its publisher', async () => {
  const feed = { symbol: 'RYE', market: 'feed', priceScale: 2, quantityScale: 0 };
  expect((await define(feed)).body).toMatchObject({
    symbol: 'RYE',
    rules: null,
    priceIncrement: '0.01',
  });
  const finer = await define({ ...feed, priceIncrement: '0.05' });
  expect(finer.body).toMatchObject({ priceIncrement: '0.05' });
  const taken = await server.ingest(tape(trade('RYE', '1.05', '2')));
  expect(taken.status).toBe(200);
});

describe('refused', () => {
  test.each([
    ['no object', [], 400, 'invalid-field', 'body'],
    ['not JSON', '{', 400, 'malformed-json', undefined],
    ['nothing', {}, 400, 'invalid-field', 'symbol'],
    ['an unknown field', { ...BARLEY, scale: 2 }, 400, 'invalid-field', 'scale'],
    [
      'what only the settings say',
      { ...BARLEY, snapshotEveryMs: 5 },
      400,
      'invalid-field',
      'snapshotEveryMs',
    ],
    ['a prototype', '{"__proto__": {"symbol": "X"}}', 400, 'invalid-field', '__proto__'],
    ['a symbol that is none', { ...BARLEY, symbol: "A'--" }, 400, 'invalid-field', 'symbol'],
    ['a long symbol', { ...BARLEY, symbol: 'A'.repeat(17) }, 400, 'invalid-field', 'symbol'],
    ['a scale out of range', { ...BARLEY, priceScale: 99 }, 400, 'invalid-field', 'priceScale'],
    ['a number for a decimal', { ...BARLEY, priceMin: 5 }, 400, 'invalid-field', 'priceMin'],
    ['too many decimals', { ...BARLEY, priceMin: '1.001' }, 400, 'invalid-field', 'priceMin'],
    [
      'a band the wrong way round',
      { ...BARLEY, priceMin: '901.00' },
      400,
      'invalid-field',
      'priceMin',
    ],
    [
      'other rules of a venue',
      { ...BARLEY, priceMax: '901.00' },
      409,
      'definition-conflict',
      'symbol',
    ],
    [
      'a venue of the name of a feed',
      { ...BARLEY, symbol: 'FED' },
      409,
      'definition-conflict',
      'symbol',
    ],
    [
      'a feed of the name of a venue',
      { ...BARLEY, market: 'feed', priceMin: '1.00' },
      409,
      'wrong-market',
      'symbol',
    ],
    [
      'other scales of a feed',
      { symbol: 'FED', market: 'feed', priceScale: 7, quantityScale: 0 },
      409,
      'definition-conflict',
      'priceScale',
    ],
  ] as const)('%s', async (_, body, status, code, field) => {
    const answer = await define(body);
    expect([answer.status, answer.body['error']]).toMatchObject([status, { code }]);
    expect((answer.body['error'] as Json)['field']).toBe(field as string);
  });

  test.each([
    ['without a key', null, 401],
    ['to who publishes', PUBLISH_KEY, 403],
    ['to who trades', TRADE_KEY, 403],
  ] as const)('%s', async (_, key, status) => {
    expect((await define({ ...BARLEY, symbol: 'OATS' }, key)).status).toBe(status);
    expect((await server.get('/v1/instruments/OATS')).status).toBe(404);
  });

  test('definitions beyond the limit of venues or feeds', async () => {
    const { instruments } = (await server.json('/v1/instruments')) as { instruments: Json[] };
    for (let i = instruments.length; i < INSTRUMENTS_MAX; i++) {
      expect((await define({ ...BARLEY, symbol: `FILL-${i}` })).status).toBe(201);
    }
    for (const market of ['feed', 'venue']) {
      const over = { symbol: 'OVER', market, priceScale: 2, quantityScale: 0 };
      expect(await define(over)).toMatchObject({
        status: 409,
        body: { error: { code: 'too-many-instruments', field: 'symbol' } },
      });
    }
    expect((await define(BARLEY)).status).toBe(201); // an existing one may be defined again
  });
});
