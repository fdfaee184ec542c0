/** The document at /openapi.json: complete, and true for what a running server answers. */

import type { TSchema } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { Ajv2020 } from 'ajv/dist/2020';
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { PLAIN_CHANNELS } from '../../protocol/channels';
import { ErrorAnswer, openApiDocument } from '../../src/gateway/rest/openapi';
import { GROUPS } from '../../src/gateway/rest/routes/groups';
import { routeTable, withTable } from '../support/rest-table';
import { OPERATIONS, type Operation } from '../support/routes';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(60_000);

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ args: ['--demo'] });
  // A trade of ACME, so that the routes have data.
  await until(async () => (await server.get('/v1/tick/ACME')).status === 200);
});
afterAll(() => server.remove());

/** How a value differs from a schema. */
function faults(schema: TSchema | null | undefined, value: unknown): string[] {
  if (!schema) return ['there is no schema'];
  return [...Value.Errors(schema, value)].map(
    ({ path, message }) => `${schema.$id}${path}: ${message}`,
  );
}

/** The route of an operation id. */
function operation(id: string): Operation {
  return OPERATIONS.find((one) => one.id === id)!;
}

function titleOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

test('the document describes every route of the server, except those for browsers', async () => {
  const { paths } = (await server.json('/openapi.json')) as { paths: Record<string, object> };
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const declared = OPERATIONS.map((o) => titleOf(o).replaceAll(/:(\w+)/g, '{$1}'));
  expect(described.toSorted()).toEqual(declared.toSorted());
  expect(described.length).toBeGreaterThan(20);
  for (const { path } of OPERATIONS) {
    const response = await server.get(path.replaceAll(/:\w+/g, 'x'), { method: 'PATCH' });
    expect([path, response.status]).toEqual([path, 405]);
  }
});

test('the document: every reference resolves, every operation has errors and an example', async () => {
  const document = await server.json('/openapi.json');
  expect(document['openapi']).toBe('3.1.0');
  const text = JSON.stringify(document);
  for (const match of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    const { schemas } = document['components'] as { schemas: object };
    expect(Object.keys(schemas)).toContain(match[1]!);
  }
  for (const { path, method, answer } of OPERATIONS) {
    const name = path.replaceAll(/:(\w+)/g, '{$1}');
    const paths = document['paths'] as Record<string, Record<string, { responses: object }>>;
    const { responses } = paths[name]![method.toLowerCase()]!;
    expect(Object.keys(responses).length).toBeGreaterThan(1);
    if (answer.schema !== undefined) expect(answer.example).toBeDefined();
  }
});

/** What the most used linter (redocly with its recommended rules) would report. */
describe('the document as tools read it', () => {
  type Described = Record<string, unknown>;
  const document = JSON.parse(openApiDocument('1.2.3', GROUPS)) as {
    readonly info: Described;
    readonly servers: readonly object[];
    readonly tags: readonly { readonly name: string; readonly description: string }[];
    readonly paths: Record<string, Record<string, Described>>;
    readonly components: {
      readonly schemas: Record<string, object>;
      readonly securitySchemes: Record<string, object>;
    };
  };
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      Object.assign(operation, { path, method }),
    ),
  ) as (Described & { path: string; method: string })[];

  test('license, servers, tags', () => {
    expect(document.info).toMatchObject({
      title: 'Tapedeck',
      version: '1.2.3',
      license: { name: 'MIT', identifier: 'MIT' },
    });
    expect(document.servers).toEqual([{ url: '/', description: expect.any(String) }]);
    const used = new Set(operations.flatMap((o) => o['tags'] as string[]));
    expect(document.tags.map(({ name }) => name).toSorted()).toEqual([...used].toSorted());
    for (const { description } of document.tags) expect(description).not.toBe('');
  });

  test('every operation has a unique id, and says who may use it', () => {
    const ids = operations.map((o) => o['operationId'] as string);
    expect(new Set(ids).size).toBe(OPERATIONS.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z]+$/);
    const schemes = Object.keys(document.components.securitySchemes);
    for (const { path, security, description } of operations) {
      const names = (security as object[]).flatMap((one) => Object.keys(one));
      for (const name of names) expect(schemes).toContain(name);
      const needsRole = String(description).startsWith('Needs the role');
      expect([path, security]).toEqual([
        path,
        needsRole ? [{ key: [] }] : path.startsWith('/v1/') ? [{}, { key: [] }] : [],
      ]);
    }
  });

  test('every operation has a success answer and one for faults; /readyz has the answer of a server that is not ready', () => {
    for (const { path, responses } of operations) {
      const statuses = Object.keys(responses as object);
      expect([
        path,
        statuses.some((s) => s.startsWith('2')),
        statuses.some((s) => s.startsWith('4')),
      ]).toEqual([path, true, true]);
    }
    const ready = document.paths['/readyz']!['get']!['responses'] as Record<
      string,
      { content: Record<string, { schema: object; example: unknown }> }
    >;
    const { schema, example } = ready['503']!.content['application/json']!;
    expect(schema).toEqual({ $ref: '#/components/schemas/Ready' });
    expect(faults(operation('getReadiness').answer.schema, example)).toEqual([]);
  });

  test('parameters: those of the path are described, names are unique, examples match their schema', () => {
    const ajv = new Ajv2020({ strict: false });
    for (const { path, parameters } of operations) {
      const all = parameters as {
        name: string;
        in: string;
        required: boolean;
        schema: object;
        example?: unknown;
      }[];
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
      expect(all.filter((p) => p.in === 'path').map((p) => p.name)).toEqual(inPath);
      expect(new Set(all.map((p) => p.name)).size).toBe(all.length);
      for (const { name, example, schema } of all) {
        expect([path, name, example === undefined || ajv.validate(schema, example)]).toEqual([
          path,
          name,
          true,
        ]);
      }
    }
  });

  test('every schema is used by reference, and every reference resolves', () => {
    const text = JSON.stringify(document);
    const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((m) => m[1]!));
    expect([...used].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted());
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: 'document', ...document });
    for (const name of used) ajv.compile({ $ref: `document#/components/schemas/${name}` });
  });
});

describe('examples', () => {
  test.each(OPERATIONS.map((operation) => [titleOf(operation), operation] as const))(
    '%s',
    (_, { answer, body }) => {
      if (answer.schema !== undefined) expect(faults(answer.schema, answer.example)).toEqual([]);
      if (body !== null && body.schema !== null) {
        expect(faults(body.schema, body.example)).toEqual([]);
      }
    },
  );
});

describe('what a server answers', () => {
  // What only sources send, a venue has none of (test/client/every-channel.test.ts asks for it).
  const ofSources = new Set(PLAIN_CHANNELS.map((channel) => `/v1/${channel}/:symbol`));
  const readable = OPERATIONS.filter(
    ({ method, path, answer }) =>
      method === 'GET' &&
      answer.schema !== undefined &&
      !/:(id|name)/.test(path) &&
      !ofSources.has(path),
  );

  test.each(readable.map((operation) => [titleOf(operation), operation] as const))(
    '%s',
    async (_, { path, parameters, answer }) => {
      const query = new URLSearchParams();
      for (const { in: where, name, example } of parameters) {
        if (where === 'query' && example !== undefined) query.set(name, String(example));
      }
      const response = await server.get(`${path.replace(':symbol', 'ACME')}?${query.toString()}`);
      expect(response.status).toBe(200);
      expect(faults(answer.schema, await response.json())).toEqual([]);
    },
  );

  test('an order by its example is found and cancelled; a state; a fault', async () => {
    const { body, answer } = operation('submitOrder');
    const entered = await server.get('/v1/orders', {
      method: 'POST',
      body: JSON.stringify(body!.example),
    });
    expect(entered.status).toBe(201);
    const order = (await entered.json()) as { orderId: number };
    expect(faults(answer.schema, order)).toEqual([]);
    expect(faults(answer.schema, await server.json(`/v1/orders/${order.orderId}`))).toEqual([]);
    const gone = await server.get(`/v1/orders/${order.orderId}`, { method: 'DELETE' });
    expect(faults(answer.schema, await gone.json())).toEqual([]);
    const halted = await server.get('/v1/instruments/ACME/state', {
      method: 'POST',
      body: '{"state":"halted"}',
    });
    expect(faults(operation('setInstrumentState').answer.schema, await halted.json())).toEqual([]);
    expect(faults(ErrorAnswer, await server.json('/v1/tick/NOPE'))).toEqual([]);
    expect(
      faults(ErrorAnswer, { error: { code: 'no-such-code', message: '', hint: '' } }),
    ).not.toEqual([]);
  });
});

test('/docs is a page that loads nothing from other servers', async () => {
  const response = await server.get('/docs');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(await response.text()).toContain('<title>Tapedeck · API</title>');
});

test('the table of the reference equals the declarations of the routes (bun test/support/rest-table.ts)', async () => {
  const document = await Bun.file(`${import.meta.dir}/../../src/docs/reference/rest.md`).text();
  const plain = (text: string): string => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
  expect(plain(document)).toBe(plain(withTable(document, routeTable())));
});
