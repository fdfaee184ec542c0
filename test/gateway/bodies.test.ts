/** Bodies of requests: unknown members are refused by name, at any depth. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { toJson } from '../../protocol/json';
import { messageByType, MESSAGES, type Message } from '../../protocol/messages';
import { unknownMessageMember } from '../../src/base/members';
import { anyMessage, scalesOfSymbol } from '../support/arbitraries';
import { instrument, tape, trade } from '../support/feed';
import { readSeed } from '../support/seed';
import { ServerProcess, testKey } from '../support/tapedeck-process';

const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
let server: ServerProcess;

beforeAll(async () => {
  const roles = ['read', 'publish', 'trade', 'admin'] as const;
  server = await ServerProcess.start({ config: VENUE, args: [], keys: [{ name: 'all', roles }] });
});
afterAll(() => server.remove());

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${testKey('all')}` };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await server.get(path, { method: 'POST', headers, body: text });
  const answer = (await response.json()) as Record<string, unknown>;
  return { status: response.status, ...((answer['error'] as object | undefined) ?? answer) };
}

const order = { symbol: 'DESK', side: 'buy', price: '1.00', quantity: '1' };

describe('an unknown member', () => {
  // The reported case: the order rested as gtc.
  test('of an order', async () => {
    expect(await post('/v1/orders', { ...order, timeinforce: 'ioc' })).toMatchObject({
      status: 400,
      code: 'invalid-field',
      field: 'timeinforce',
      message: 'timeinforce is no known field; the nearest is timeInForce',
    });
    for (const [name, nearest] of [
      ['postonly', 'postOnly'],
      ['qty', 'quantity'],
      ['clOrdId', 'clientOrderId'],
      ['Price', 'price'],
      ['type', 'side'],
      ['id', 'side'],
      ['constructor', ''],
    ] as const) {
      const refused = await post('/v1/orders', { ...order, [name]: 'x' });
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: name });
      expect(refused['message'] as string).toContain(`; the nearest is ${nearest}`);
    }
    expect(await post('/v1/orders', `{"symbol":"DESK","__proto__":1}`)).toMatchObject({
      field: '__proto__',
    });
    const book = (await server.json('/v1/orderbook/DESK').catch(() => ({}))) as {
      bids?: unknown[];
    };
    expect(book.bids ?? []).toEqual([]);
  });

  test('of a state or of a definition', async () => {
    expect(
      await post('/v1/instruments/DESK/state', { state: 'halted', State: 'open' }),
    ).toMatchObject({
      status: 400,
      field: 'State',
      message: 'State is no known field; the nearest is state',
    });
    expect(
      await post('/v1/admin/instruments', { symbol: 'X', priceScale: 2, quantityscale: 2 }),
    ).toMatchObject({ status: 400, code: 'invalid-field', field: 'quantityscale' });
    expect(await server.json('/v1/instruments/DESK')).toMatchObject({ state: 'live' });
  });

  test('of a tape line, also nested: none of the lines is accepted', async () => {
    const good = [instrument('ACME'), trade('ACME', '1.00', '1')];
    const late = { ...trade('ACME', '2.00', '1'), eventtime: '1' };
    expect(await post('/v1/ingest', tape(...good, late))).toMatchObject({
      status: 400,
      code: 'invalid-field',
      field: 'lines[3].eventtime',
      message: 'lines[3].eventtime is no known field; the nearest is eventTime',
    });
    const rules = { selftrade: 'cancel-both' };
    expect(await post('/v1/ingest', tape({ ...instrument('ACME'), rules }))).toMatchObject({
      field: 'lines[1].rules.selftrade',
      message: expect.stringContaining('the nearest is selfTrade'),
    });
    expect((await server.get('/v1/instruments/ACME')).status).toBe(404);
    expect(await post('/v1/ingest', tape(...good))).toMatchObject({ status: 200, events: 2 });
  });

  test('of a line that is skipped anyway is ignored', async () => {
    const tick = { type: 'tick', symbol: 'ACME', newer: 1 };
    expect(await post('/v1/ingest', tape(tick))).toMatchObject({ status: 200, skipped: 1 });
  });
});

test('decimals must be strings: a JSON number may have been rounded by its sender', async () => {
  for (const [member, value] of [
    ['price', 150],
    ['price', 1.5],
    ['quantity', 2 ** 53],
  ] as const) {
    const refused = await post('/v1/orders', { ...order, [member]: value });
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: member });
    expect(refused['message'] as string).toContain('expected a decimal string such as "1.50"');
  }
});

test('faults of an order name the fields that were sent, in decimals', async () => {
  for (const [change, code, message] of [
    [
      { price: '90071992547409.92' },
      'out-of-range',
      'price is "90071992547409.92"; expected a value from -90071992547409.91 to 90071992547409.91',
    ],
    [
      { quantity: '9007199254740.992' },
      'out-of-range',
      'quantity is "9007199254740.992"; expected a value from -9007199254740.991 to 9007199254740.991',
    ],
    [{ price: '1.005' }, 'off-increment', 'price is "1.005"; expected no more decimals'],
    [
      { quantity: '-1' },
      'invalid-field',
      'quantity is "-1"; expected a decimal string that is not negative',
    ],
    [{ quantity: '0' }, 'invalid-quantity', 'quantity is 0.000: '],
    [{ price: '0' }, 'invalid-price', 'price is 0.00: '],
    [{ price: '-1' }, 'invalid-price', 'price is -1.00: '],
  ] as const) {
    const refused = await post('/v1/orders', { ...order, ...change });
    expect(refused).toMatchObject({ status: 400, code, field: Object.keys(change)[0]! });
    const text = `${String(refused['message'])} ${String(refused['hint'])}`;
    expect(text).toStartWith(message);
    expect(text).not.toMatch(/2\^|order\.|scaled/);
  }
});

test('every message accepts its own members and no other', () => {
  const known = fc.constantFrom(...Object.keys(MESSAGES));
  fc.assert(
    fc.property(anyMessage(), fc.oneof(fc.string(), known), (message: Message, name) => {
      const json = toJson(message, scalesOfSymbol);
      expect(unknownMessageMember(json)).toBeUndefined();
      const { names } = messageByType(message.type)!;
      if (name === 'type' || names.includes(name)) return;
      const more = Object.fromEntries([...Object.entries(json), [name, 1]]);
      const found = unknownMessageMember(more);
      expect(found).toMatchObject({
        code: 'invalid-field',
        field: name.slice(0, 80).toWellFormed(),
      });
    }),
    { seed: readSeed(), numRuns: 1_000 },
  );
});
