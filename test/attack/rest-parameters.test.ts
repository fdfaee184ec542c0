/**
 * Characters with a meaning in SQL, paths or numbers, in every parameter of every route, in the fields of the
 * stream, and in options of the command line: the answer has a code and names the field, the journal is unharmed,
 * and nothing outside the data directory is touched.
 */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ERRORS } from '../../protocol/codes';
import type { Parameter } from '../../src/gateway/rest/openapi';
import { instrument, tape, trade } from '../support/feed';
import { OPERATIONS, type Operation } from '../support/routes';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { Scratch, ServerProcess, tapedeck, testKey } from '../support/tapedeck-process';
import { HOSTILE } from './rest-cases';

const ROLES = ['read', 'publish', 'trade', 'admin'] as const;
const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
const scratch = new Scratch();
const data = join(scratch.path, 'inner', 'data');
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: VENUE,
    data,
    keys: [{ name: 'all', roles: ROLES }],
    args: [],
  });
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

const headers = { authorization: `Bearer ${testKey('all')}` };
/** Field names as answers give them. */
const FIELDS: Record<string, string> = { id: 'orderId', name: 'session' };
/** Valid in form, and refused for another reason: an unknown symbol, an order that does not exist. */
const REFUSED_OTHERWISE = new Set([
  'unknown-symbol',
  'unknown-order',
  'before-first-record',
  'no-data',
  'wrong-market',
  'upgrade-required',
  'same-state',
  'market-closed',
]);

function targetWith({ path, parameters }: Operation, odd: Parameter, value: string): string {
  const query = new URLSearchParams();
  let target = path;
  for (const p of parameters) {
    const text = p === odd ? value : p.name === 'symbol' ? 'ACME' : String(p.example ?? '');
    if (p.in === 'path') target = target.replace(`:${p.name}`, encodeURIComponent(text));
    else if (text !== '' || p === odd) query.set(p.name, text);
  }
  return `${target}?${query.toString()}`;
}

const PARAMETERS = OPERATIONS.flatMap((operation) =>
  operation.parameters.map(
    (p) => [`${operation.method} ${operation.path}`, p.name, operation, p] as const,
  ),
);

/** A longer query is refused without parsing it. */
const QUERY_LENGTH_MAX = 2_048;

describe('over REST', () => {
  test.each(PARAMETERS)('%s: %s', async (_, name, operation, parameter) => {
    for (const value of HOSTILE) {
      const body = operation.path === '/v1/ingest' ? '' : '{"state":"open"}';
      const init = operation.method === 'POST' ? { body } : {};
      const target = targetWith(operation, parameter, value);
      const response = await server.get(target, {
        method: operation.method,
        headers,
        ...init,
      });
      if (response.status < 300) {
        await response.text();
        continue;
      }
      if (response.status === 431) continue; // Bun itself refuses a head of 10,000 characters and more
      const { error } = (await response.json()) as { error: { code: string; field?: string } };
      const { status } = ERRORS[error.code as keyof typeof ERRORS];
      expect([value, status as number]).toEqual([value, response.status]);
      expect([value, response.status >= 500]).toEqual([value, false]);
      // An empty parameter, or one that is a step in a path, makes it another route.
      if (error.code === 'not-found' || error.code === 'method-not-allowed') {
        expect(['', '.', '..', ' ']).toContain(value);
      } else if (!REFUSED_OTHERWISE.has(error.code)) {
        const isLong = new URL(target, server.url).search.length > QUERY_LENGTH_MAX;
        const field = isLong ? 'query' : (FIELDS[name] ?? name);
        expect([value, error.field]).toEqual([value, field]);
      }
    }
  });

  test('a repeated parameter is refused, even if both values are equal', async () => {
    for (const query of [
      'limit=1&limit=2',
      'limit=1&limit=1',
      'limit[]=1',
      'limit=1,2',
      'next=9&next=8',
    ]) {
      expect([query, (await server.get(`/v1/trades/ACME?${query}`)).status]).toEqual([query, 400]);
    }
    for (const query of ['from=0&from=2', 'next=a&next=b', 'to=0&t%6f=x']) {
      expect([query, (await server.get(`/v1/ticks/ACME?${query}`)).status]).toEqual([query, 400]);
    }
  });
});

describe.each(FORMS)('over the stream, %s', (form) => {
  const target = { orderId: 1, clientOrderId: null };
  const order = {
    side: 'buy',
    kind: 'limit',
    price: '1.00',
    quantity: '1',
    timeInForce: 'gtc',
    postOnly: false,
    clientOrderId: '',
  };

  test('in topics and symbols', async () => {
    const open = (): Promise<StreamClient> => StreamClient.open(server.url, form, headers);
    for (const value of HOSTILE) {
      const client = await open(); // a client that makes many faults is closed
      const messages = [
        { type: 'subscribe', id: 1, topics: [`trade:${value}`], intervalMs: null },
        { type: 'subscribe', id: 2, topics: [value], intervalMs: null },
        { type: 'resume', id: 3, epoch: 1, seq: 1, topics: [`book:${value}`] },
        { type: 'cancel', id: 4, symbol: value, ...target },
        { type: 'order', id: 5, symbol: value, ...order },
        { type: 'publish', id: 6, events: [trade(value, '1.00', '1')], continues: null },
      ];
      for (const message of messages) {
        const from = client.seen.length;
        try {
          client.send(message);
        } catch {
          continue; // the codec of the client does not write this value
        }
        const isAnswer = (m: Seen): boolean => m.type === 'error' || m.type === 'ack';
        const answer = await client.find(isAnswer, from);
        if (value === '*' && message.id < 4) continue; // `*` is valid: all topics
        expect([value, message.type, answer.type]).toEqual([value, message.type, 'error']);
        expect(Object.keys(ERRORS)).toContain(answer['code'] as string);
        expect(answer['code']).not.toBe('internal');
      }
      await client.close();
    }
  }, 60_000);
});

describe('on the command line', () => {
  const NAMES = ["a'b", 'a"b', 'a;--b', 'a b', '%2e%2e', '💥', '$(touch x)', '-x', 'a\nb'];

  test('symbols and times of export', async () => {
    for (const value of [
      "'; DROP TABLE record;--",
      '../../x',
      '',
      '💥',
      '%00',
      'A'.repeat(10_000),
    ]) {
      for (const option of ['--symbol', '--from', '--to', '--kind', '--format']) {
        const given: Record<string, string> = {
          '--symbol': 'ACME',
          '--kind': 'trade',
          '--format': 'csv',
        };
        given[option] = value;
        const args = Object.entries(given).map(([name, text]) => `${name}=${text}`);
        const { code, stderr, stdout } = await tapedeck(['export', '--data', data, ...args]);
        expect([option, value, code === 0]).toEqual([option, value, false]);
        expect([code, stderr.length > 0, stdout]).toEqual([code, true, '']);
        expect(stderr).not.toContain('    at '); // stack traces are for defects only
      }
    }
  }, 120_000);

  test('names of data directories are checked', async () => {
    for (const name of NAMES) {
      const directory = join(scratch.path, 'names', name);
      const made = await tapedeck(['keys', 'make', 'desk', '--role', 'read', '--data', directory]);
      expect([name, made.code, made.stderr]).toEqual([name, 0, '']);
    }
    expect(readdirSync(join(scratch.path, 'names')).sort()).toEqual(NAMES.toSorted());
    const own = await ServerProcess.start({ data: join(scratch.path, 'names', NAMES[0]!) });
    await own.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
    expect((await own.get('/v1/bars/ACME?interval=1m')).status).toBe(200);
    expect((await own.stop()).code).toBe(0);
    expect((await tapedeck(['verify', '--data', own.data])).code).toBe(0);
    await own.remove();
  }, 60_000);

  test('topics of tail, symbols of book', async () => {
    for (const value of ["trade:'", '../../x', 'trade:%00', '💥', '']) {
      for (const args of [
        ['tail', '--url', server.url, value],
        ['book', '--url', server.url, value],
      ]) {
        const { code, stderr } = await tapedeck(args);
        expect([args, code === 0, stderr.includes('    at ')]).toEqual([args, false, false]);
      }
    }
  }, 120_000);
});

test('afterwards the journal is sound, no defect was logged, and no stray file was created', async () => {
  const { code, stderr } = await server.stop();
  expect([code, stderr]).toEqual([0, '']);
  const { code: verified, stdout } = await tapedeck(['verify', '--data', data]);
  expect([verified, stdout]).toEqual([0, expect.stringContaining('"records"')]);
  expect(readdirSync(join(scratch.path, 'inner'))).toEqual(['data']);
  const known = /^(journal\.sqlite(-wal|-shm)?|head|keys\.json|lock\.sqlite(-journal)?)$/;
  expect(readdirSync(data).filter((name) => !known.test(name))).toEqual([]);
});
