/** A route that declares itself: what follows from the declaration alone. */

import { Type } from '@sinclair/typebox';
import { describe, expect, test } from 'bun:test';

import { ByteAccount } from '../../src/base/byte-account';
import { SystemClock } from '../../src/base/clock';
import { createApp } from '../../src/gateway/rest/app';
import { jsonBody } from '../../src/gateway/rest/body';
import { RestCounts } from '../../src/gateway/rest/counts';
import { limit, oneOf, symbol, time } from '../../src/gateway/rest/parameters';
import { routesOf, type RouteGroup } from '../../src/gateway/rest/route';
import { PAGES } from '../../src/gateway/rest/routes/pages';
import { literals } from '../../src/gateway/rest/schemas';
import { Hosts } from '../../src/gateway/auth/hosts';
import { Keyring } from '../../src/gateway/auth/auth';
import { storedKey, type Role } from '../../src/gateway/auth/stored-keys';
import { Shares } from '../../src/gateway/auth/shares';
import { WrongKeys } from '../../src/gateway/auth/wrong-keys';
import { settings } from '../bench/generated-market';
import { testKey } from '../support/tapedeck-process';

const { route } = routesOf<object>();

const id = Type.Integer({ 'minimum': 1, 'x-field': 'thingId', 'x-expected': 'the id of a thing' });

/** A file of a project that adds routes needs only this. */
const THINGS: RouteGroup<object> = {
  name: 'things',
  description: 'Made for this test',
  routes: [
    route({
      id: 'listThings',
      method: 'GET',
      path: '/v1/things/:symbol/:id',
      summary: 'Says what it was asked',
      role: 'read',
      cost: ({ size }) => (size === 'large' ? 'long' : 'memory'),
      params: { symbol, id },
      query: {
        size: oneOf(['small', 'large'], { default: 'small', examples: ['large'] }),
        since: time('Start'),
        limit: limit(10, 'tradesMax'),
        all: Type.Optional(Type.Boolean()),
      },
      answer: {
        schema: Type.Object(
          { symbol: Type.String() },
          { $id: 'Thing', additionalProperties: true },
        ),
        example: { symbol: 'ACME' },
      },
      errors: ['no-data'],
      handle: ({ params, query }) =>
        JSON.stringify({ ...params, ...query, since: query.since?.toString() }),
    }),
    route({
      id: 'makeThing',
      method: 'POST',
      path: '/v1/things',
      summary: 'Makes one',
      role: 'admin',
      cost: 'memory',
      body: jsonBody(
        Type.Object({
          colour: literals(['red', 'green', 'blue']),
          count: Type.Optional(Type.Integer()),
        }),
        { colour: 'red' },
      ),
      answer: { status: 201, schema: Type.Object({}, { $id: 'Made' }), example: {} },
      errors: [],
      handle: ({ body, who }) => JSON.stringify({ ...body, who: who.name }),
    }),
    route({
      id: 'breakThing',
      method: 'GET',
      path: '/v1/things/broken',
      summary: 'Fails late',
      role: 'read',
      cost: 'long',
      answer: { schema: Type.Object({}), example: {} },
      errors: [],
      handle: async () => {
        await Bun.sleep(0);
        throw new Error('a defect');
      },
    }),
  ],
};

function appFor(anonymousRoles: readonly Role[]) {
  const limits = { ...settings().limits };
  const clock = new SystemClock();
  const counts = new RestCounts(clock);
  const defects: unknown[] = [];
  const keys = new Keyring({
    anonymousRoles,
    origins: [],
    now: () => 0,
    wrongKeys: new WrongKeys(limits, () => 0),
  });
  const admin = { name: 'operator', roles: ['admin'] as const, symbols: ['*'], expiresAt: null };
  keys.load([storedKey(testKey('operator'), admin, 0, '0'.repeat(32))], null);
  const stages = {
    keys,
    counts,
    clock,
    connections: { ofKey: () => 0 },
    account: new ByteAccount(limits),
    shares: new Shares(limits, clock),
    metrics: { contentType: 'text/plain', text: async () => '' },
    version: '1.2.3',
    reportError: (error: unknown) => defects.push(error),
  } as unknown as Parameters<typeof createApp>[1];
  const options = {
    ...limits,
    limits,
    backlogBytesMax: 1,
    origins: [],
    hosts: new Hosts({ host: '127.0.0.1', names: [], isOpen: true }),
    isTls: false,
    sessionBoundary: 0,
  };
  const app = createApp(options, stages, [THINGS, PAGES]);
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await app.handle(new Request(`http://127.0.0.1${path}`, init));
    const body = (await response.json()) as Record<string, unknown>;
    return { status: response.status, body, ...(body['error'] as object | undefined) };
  };
  return { ask, counts, defects, limits };
}

const open = appFor(['read']);
const post = (body: string): RequestInit => ({
  method: 'POST',
  body,
  headers: { authorization: `Bearer ${testKey('operator')}` },
});

describe('parameters', () => {
  test('are parsed, and have defaults', async () => {
    expect((await open.ask('/v1/things/ACME/7')).body).toEqual({
      symbol: 'ACME',
      id: 7,
      size: 'small',
      limit: 10,
    });
    const path = '/v1/things/ACME/7?size=large&since=2024-08-09T00:35:00.5Z&limit=3&all=true';
    expect((await open.ask(path)).body).toEqual({
      symbol: 'ACME',
      id: 7,
      size: 'large',
      since: '1723163700500000000',
      limit: 3,
      all: true,
    });
  });

  test.each([
    ['/v1/things/ACME/x', 'thingId', 'thingId is "x"; expected the id of a thing'],
    ['/v1/things/ACME/7?size=huge', 'size', 'size is "huge"; expected small or large'],
    ['/v1/things/ACME/7?since=soon', 'since', 'expected nanoseconds since 1970, or a time such as'],
    ['/v1/things/ACME/7?all=1', 'all', 'all is "1"; expected true or false'],
    [
      '/v1/things/ACME/7?limits=1',
      'limits',
      'the nearest known one is limit; it takes size, since',
    ],
    ['/v1/things/ACME/7?all=true&all=true', 'all', 'all is given twice; expected once'],
  ])('%s is refused', async (path, field, words) => {
    const refused = await open.ask(path);
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
    expect(refused).toHaveProperty('message', expect.stringContaining(words));
    expect(refused).toHaveProperty('hint', 'Correct the field that is named.');
  });

  test('a maximum that is a setting follows a reload', async () => {
    const own = appFor(['read']);
    expect((await own.ask('/v1/things/ACME/7?limit=900')).status).toBe(200);
    (own.limits as { tradesMax: number }).tradesMax = 20;
    const refused = await own.ask('/v1/things/ACME/7?limit=900');
    expect(refused).toHaveProperty('message', 'limit is "900"; expected an integer from 1 to 20');
  });
});

describe('a body', () => {
  test('is parsed, and the answer is 201', async () => {
    const made = await open.ask('/v1/things', post('{"colour":"red","count":2}'));
    expect(made).toMatchObject({
      status: 201,
      body: { colour: 'red', count: 2, who: 'operator' },
    });
  });

  test.each([
    ['{', 'malformed-json', undefined, ''],
    ['[]', 'invalid-field', 'body', 'expected a JSON object'],
    ['{"color":"red"}', 'invalid-field', 'color', 'color is no known field; the nearest is colour'],
    [
      '{"colour":"pink"}',
      'invalid-field',
      'colour',
      'colour is "pink"; expected one of red, green',
    ],
    ['{"colour":"red","count":"2"}', 'invalid-field', 'count', 'count is "2"; expected'],
    ['{}', 'invalid-field', 'colour', 'colour is missing; expected one of red, green, blue'],
  ])('%s is refused', async (body, code, field, words) => {
    const refused = await open.ask('/v1/things', post(body));
    expect(refused).toMatchObject({ status: 400, code, ...(field !== undefined && { field }) });
    expect(refused).toHaveProperty('message', expect.stringContaining(words));
  });
});

test('the role is checked before anything else', async () => {
  const closed = appFor(['read']);
  for (const body of ['{"colour":"red"}', '{']) {
    const refused = await closed.ask('/v1/things?x=1', { method: 'POST', body });
    expect(refused).toMatchObject({ status: 401, code: 'unauthorized' });
  }
  const nobody = appFor([]);
  expect(await nobody.ask('/v1/things/ACME/7?x=1')).toMatchObject({ status: 401 });
});

test('requests are counted by route; a defect is reported and answered as such', async () => {
  const own = appFor(['read']);
  await own.ask('/v1/things/ACME/7');
  await own.ask('/v1/things/ACME/7?x=1');
  const statuses = own.counts.requests.get('GET /v1/things/:symbol/:id')!;
  expect([...statuses]).toEqual([
    [200, 1],
    [400, 1],
  ]);
  expect(await own.ask('/v1/things/broken')).toMatchObject({ status: 500, code: 'internal' });
  expect(own.defects).toEqual([new Error('a defect')]);
});

test('the document describes it, and omits a group that was not added', async () => {
  const { body } = await open.ask('/openapi.json');
  const { paths, components, tags } = body as {
    paths: Record<string, Record<string, Record<string, unknown>>>;
    components: { schemas: object };
    tags: object[];
  };
  expect(Object.keys(paths)).toEqual([
    '/v1/things/{symbol}/{id}',
    '/v1/things',
    '/v1/things/broken',
  ]);
  expect(tags).toEqual([{ name: 'things', description: 'Made for this test' }]);
  expect(Object.keys(components.schemas).sort()).toEqual(['Error', 'Made', 'Thing']);
  const { get } = paths['/v1/things/{symbol}/{id}']!;
  expect(get!['parameters']).toContainEqual({
    name: 'limit',
    in: 'query',
    required: false,
    description: 'Largest number of items in the answer',
    schema: { type: 'integer', default: 10, minimum: 1, maximum: open.limits.tradesMax },
    example: 100,
  });
  expect(Object.keys(get!['responses'] as object)).toContain('404');
  expect(paths['/v1/things']!['post']).toMatchObject({
    description: 'Needs the role admin.',
    security: [{ key: [] }],
  });
  expect(await open.ask('/v1/tick/ACME')).toMatchObject({ status: 404, code: 'not-found' });
});
