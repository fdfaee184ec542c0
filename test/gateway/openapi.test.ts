/** The document at /openapi.json: complete, and true of what a running server answers. */

import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { OPERATIONS, type Operation } from '../../src/gateway/openapi-operations';
import { SCHEMAS, type SchemaName } from '../../src/gateway/openapi-schemas';
import { ServerProcess } from '../support/tapedeck-process';

setDefaultTimeout(60_000);

/** What is for browsers. */
const PAGES = new Set(['/', '/assets/:name', '/docs', '/openapi.json']);

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ args: ['--demo'] });
  // A trade of ACME, so that there is something to ask for.
  for (let i = 0; i < 400; i++) {
    if ((await server.get('/v1/tick/ACME')).status === 200) break;
    await Bun.sleep(50);
  }
});
afterAll(() => server.remove());

/** What is wrong with a value, in words. */
function faults(name: SchemaName, value: unknown): string[] {
  const schema: TSchema = SCHEMAS[name];
  return [...Value.Errors(schema, value)].map(({ path, message }) => `${name}${path}: ${message}`);
}

function titleOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

test('every route is described, and nothing else', () => {
  const source = readFileSync(join(import.meta.dir, '../../src/gateway/app.ts'), 'utf8');
  const routes = [...source.matchAll(/\.(get|post|delete|put|patch)\(\s*'(\/[^']*)'/g)]
    .filter((match) => !PAGES.has(match[2]!))
    .map((match) => `${match[1]} ${match[2]}`);
  expect(routes.length).toBeGreaterThan(15);
  expect(OPERATIONS.map(titleOf).toSorted()).toEqual(routes.toSorted());
});

test('the document: every reference leads somewhere, every operation has errors and an example', async () => {
  const document = await server.json('/openapi.json');
  expect(document['openapi']).toBe('3.1.0');
  const text = JSON.stringify(document);
  for (const match of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(Object.keys(SCHEMAS)).toContain(match[1]!);
  }
  for (const { path, method, answer } of OPERATIONS) {
    const shown = path.replaceAll(/:(\w+)/g, '{$1}');
    const paths = document['paths'] as Record<string, Record<string, { responses: object }>>;
    const { responses } = paths[shown]![method]!;
    expect(Object.keys(responses).length).toBeGreaterThan(1);
    if ('schema' in answer) expect(answer.example).toBeDefined();
  }
});

describe('examples', () => {
  test.each(OPERATIONS.map((operation) => [titleOf(operation), operation] as const))(
    '%s',
    (_, { answer, body }) => {
      if ('schema' in answer) expect(faults(answer.schema, answer.example)).toEqual([]);
      if (body?.schema !== undefined) expect(faults(body.schema, body.example)).toEqual([]);
    },
  );
});

describe('what a server answers', () => {
  const readable = OPERATIONS.filter(
    ({ method, path, answer }) =>
      method === 'get' && 'schema' in answer && !/:(id|name)/.test(path),
  );

  test.each(readable.map((operation) => [titleOf(operation), operation] as const))(
    '%s',
    async (_, { path, parameters = [], answer }) => {
      if (!('schema' in answer)) throw new Error('it was chosen for its schema');
      const query = new URLSearchParams();
      for (const { in: place, name, example } of parameters) {
        if (place === 'query' && example !== undefined) query.set(name, String(example));
      }
      const response = await server.get(`${path.replace(':symbol', 'ACME')}?${query.toString()}`);
      expect(response.status).toBe(200);
      expect(faults(answer.schema, await response.json())).toEqual([]);
    },
  );

  test('an order by its example, asked for and cancelled; a state; a fault', async () => {
    const { body } = OPERATIONS.find((o) => titleOf(o) === 'post /v1/orders')!;
    const entered = await server.get('/v1/orders', {
      method: 'POST',
      body: JSON.stringify(body!.example),
    });
    expect(entered.status).toBe(201);
    const order = (await entered.json()) as { orderId: number };
    expect(faults('Order', order)).toEqual([]);
    expect(faults('Order', await server.json(`/v1/orders/${order.orderId}`))).toEqual([]);
    const gone = await server.get(`/v1/orders/${order.orderId}`, { method: 'DELETE' });
    expect(faults('Order', await gone.json())).toEqual([]);
    const halted = await server.get('/v1/instruments/ACME/state', {
      method: 'POST',
      body: '{"state":"halted"}',
    });
    expect(faults('StateChanged', await halted.json())).toEqual([]);
    expect(faults('Error', await server.json('/v1/tick/NOPE'))).toEqual([]);
    expect(faults('Error', { error: { code: 'no-such-code', message: '', hint: '' } })).not.toEqual(
      [],
    );
  });
});

test('/docs is a page that needs nothing from elsewhere', async () => {
  const response = await server.get('/docs');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(await response.text()).toContain('<title>Tapedeck · API</title>');
});
