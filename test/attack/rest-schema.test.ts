/**
 * Every route against its own description: random requests, each answer checked against `/openapi.json`. For a long
 * run by hand: `bun test/attack/rest-fuzz.ts --cases 100000`.
 */

import { expect, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { RestDocument } from './rest-document';
import { fuzzRest } from './rest-fuzz';

const STATUSES = [200, 201, 400, 401, 403, 404, 405, 409, 426];
const PARTS_MAX = 8;

test('every answer conforms to the OpenAPI document', async () => {
  const seed = readSeed();
  const seen: Record<number, number> = {};
  const missing = (): number[] => STATUSES.filter((status) => (seen[status] ?? 0) === 0);
  // Requests must reach the routes and not only be refused at the entry; some answers are rare.
  for (let part = 0; part < PARTS_MAX && (part === 0 || missing().length > 0); part++) {
    const { requests, statuses, faults } = await fuzzRest(2_000, seed + part);
    expect({ seed: seed + part, faults }).toEqual({ seed: seed + part, faults: {} });
    expect(Object.values(statuses).reduce((sum, count) => sum + count, 0)).toBe(requests);
    for (const [status, count] of Object.entries(statuses)) {
      seen[Number(status)] = (seen[Number(status)] ?? 0) + count;
    }
  }
  expect({ seed, missing: missing() }).toEqual({ seed, missing: [] });
}, 180_000);

test('the checker finds what is wrong', () => {
  const path = {
    get: {
      parameters: [],
      responses: {
        200: {
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Health' } } },
        },
      },
    },
  };
  const Health = { type: 'object', properties: { status: { type: 'string' } } };
  const judge = new RestDocument({ paths: { '/x': path }, components: { schemas: { Health } } });
  const headers = new Map([
    ['content-type', 'application/json;charset=utf-8'],
    ['x-content-type-options', 'nosniff'],
    ['referrer-policy', 'no-referrer'],
    ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
    ['cache-control', 'no-store'],
  ]);
  const faults = (status: number, body: string, of = headers): string[] =>
    judge.faults('GET', '/x?y=1', { status, headers: of, body });
  expect(faults(200, '{"status":"ok"}')).toEqual([]);
  expect(faults(200, '{"status":1}')).toEqual([expect.stringContaining('/status must be string')]);
  expect(faults(200, '{"more":1}')).toEqual([expect.stringContaining('additional properties')]);
  expect(faults(200, '{')).toEqual([expect.stringContaining('no JSON')]);
  expect(faults(201, '{}')).toEqual([expect.stringContaining('not described')]);
  expect(faults(500, '{}')).toEqual([expect.stringContaining('status 500')]);
  expect(faults(200, '{}', new Map()).length).toBeGreaterThan(3);
  const error = {
    code: 'not-found',
    message: 'no',
    hint: 'GET /docs lists the routes.',
  };
  const other = (body: object): string[] =>
    judge.faults('GET', '/y', { status: 404, headers, body: JSON.stringify(body) });
  expect(other({ error })).toEqual([]);
  expect(other({ error: { ...error, code: 'no-such-code' } })).not.toEqual([]);
  expect(other({ error: { ...error, stack: 'at' } })).not.toEqual([]);
});
