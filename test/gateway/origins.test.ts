/** Browsers: which pages may use the server, and which headers every answer has. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { Hosts } from '../../src/gateway/auth/hosts';
import { instrument, tape } from '../support/feed';
import { ServerProcess, TRADE_KEY } from '../support/tapedeck-process';

const LISTED = 'https://desk.example';
const FOREIGN = 'https://evil.example';
let server: ServerProcess;
let own: string;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: `[server]\norigins = ["${LISTED}"]\nhosts = ["md.example"]`,
    args: ['--demo', '--rate', '1'],
  });
  own = new URL(server.url).origin;
  await server.ingest(tape(instrument('FED')));
});
afterAll(() => server.remove());

/** A handshake by hand, because WebSocket clients do not let the origin be chosen. @returns its status */
async function handshake(headers: Record<string, string>): Promise<number> {
  const response = await server.get('/v1/stream', {
    headers: {
      'upgrade': 'websocket',
      'connection': 'Upgrade',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version': '13',
      ...headers,
    },
  });
  await response.body?.cancel();
  return response.status;
}

test.each([
  [undefined, 101],
  ['own', 101],
  [LISTED, 101],
  [FOREIGN, 403],
  ['null', 403],
  [`${LISTED}.evil.example`, 403],
  ['https://DESK.example', 403],
])('a WebSocket for a page of %s is answered with %d', async (origin, status) => {
  const headers: Record<string, string> =
    origin === undefined ? {} : { origin: origin === 'own' ? own : origin };
  expect(await handshake(headers)).toBe(status);
  // A key does not make a page trusted.
  expect(await handshake({ ...headers, authorization: `Bearer ${TRADE_KEY}` })).toBe(status);
});

describe('trading without a key, as the demo allows on this machine', () => {
  const enter = async (headers: Record<string, string>): Promise<number> => {
    const body = '{"symbol":"ACME","side":"buy","price":"100.00","quantity":"1"}';
    return (await server.get('/v1/orders', { method: 'POST', headers, body })).status;
  };

  test.each([
    [{}, 201],
    [{ origin: LISTED }, 201],
    [{ origin: FOREIGN }, 401],
    [{ origin: 'null' }, 401],
    // Another host name for the address of this machine.
    [{ host: 'evil.example' }, 400],
    [{ host: 'evil.example', origin: 'http://evil.example' }, 400],
    [{ host: '127.0.0.1.evil.example' }, 400],
    // A proxy on this machine that passes the host name on.
    [{ 'x-forwarded-for': '192.0.2.1' }, 401],
    [{ 'x-forwarded-host': 'localhost' }, 401],
    [{ forwarded: 'for=127.0.0.1' }, 401],
    [{ via: '1.1 proxy' }, 401],
    [{ 'x-real-ip': '127.0.0.1' }, 401],
  ])('%j: %d', async (headers, status) => {
    expect(await enter(headers as Record<string, string>)).toBe(status);
  });
});

describe('CORS', () => {
  test.each([
    [LISTED, LISTED],
    [FOREIGN, null],
    [`${LISTED}.evil.example`, null],
  ])('%s is allowed: %s', async (origin, allowed) => {
    for (const path of [
      '/v1/instruments',
      '/v1/instruments/FED',
      '/v1/instruments/NONE',
      '/v1/no',
    ]) {
      const { headers } = await server.get(path, { headers: { origin } });
      expect(headers.get('access-control-allow-origin')).toBe(allowed);
      expect(headers.get('vary')?.toLowerCase()).toContain('origin');
    }
    const asked = {
      origin,
      'access-control-request-method': 'DELETE',
      'access-control-request-headers': 'authorization',
    };
    const preflight = await server.get('/v1/orders/1', { method: 'OPTIONS', headers: asked });
    expect(preflight.headers.get('access-control-allow-origin')).toBe(allowed);
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
  });
});

describe('a host name that does not belong to this server', () => {
  const PATHS = [
    '/',
    '/docs',
    '/assets/none',
    '/openapi.json',
    '/healthz',
    '/readyz',
    '/metrics',
    '/v1/instruments',
    '/v1/tick/FED',
    '/v1/trades/FED',
    '/v1/orders',
    '/v1/no',
    '/v1/stream',
  ];

  test.each([
    'evil.example',
    'evil.example:7070',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '127.0.0.1@evil.example',
    'a{b.evil.example',
    'a_b.evil.example',
    '192.0.2.1',
    '[2001:db8::1]',
    'localhost.',
  ])('%s gets nothing, with a key either', async (host) => {
    for (const path of PATHS) {
      const response = await server.get(path, { headers: { host } });
      expect([path, response.status]).toEqual([path, 400]);
      expect(await response.json()).toMatchObject({
        error: { code: 'invalid-field', field: 'Host' },
      });
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
    expect(await handshake({ host })).toBe(400);
    expect(await handshake({ host, authorization: `Bearer ${TRADE_KEY}` })).toBe(400);
  });

  test.each([
    'localhost',
    'LOCALHOST:1',
    '127.0.0.1',
    '127.8.8.8:80',
    '[::1]',
    '[::1]:7070',
    'md.example',
    'MD.example:443',
  ])('%s is one', async (host) => {
    for (const path of ['/', '/v1/tick/FED', '/v1/instruments']) {
      const { status } = await server.get(path, { headers: { host } });
      expect([path, status === 400]).toEqual([path, false]);
    }
    expect(await handshake({ host })).toBe(101);
  });

  test.each([
    // On a foreign address: allowed by address, and by listed names.
    [
      { isOpen: true, names: [] },
      { '192.0.2.1': true, '[2001:db8::1]:7': true, 'localhost': true, 'a.example': false },
    ],
    [
      { isOpen: true, names: ['a.example'] },
      { 'a.example:7070': true, 'b.example': false },
    ],
    // Where all need a key, a site that uses its own host name gains nothing.
    [{ isOpen: false, names: [] }, { 'a.example': true }],
    [
      { isOpen: false, names: ['b.example'] },
      { 'a.example': false, 'b.example': true },
    ],
  ])('%j', (options, hosts) => {
    for (const [host, taken] of Object.entries(hosts)) {
      const rule = new Hosts({ host: '0.0.0.0', ...options });
      for (let i = 0; i < 2; i++) {
        const refused = rule.refusal(new Request(`http://${host}/v1/instruments`));
        expect([host, refused === undefined]).toEqual([host, taken]);
      }
    }
  });
});

test('every answer has headers that restrict what a browser does with it', async () => {
  const page = await (await server.get('/')).text();
  const assets = [...page.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  expect(assets.length).toBeGreaterThan(1);
  const asked = { 'origin': LISTED, 'access-control-request-method': 'DELETE' };
  const rows: readonly [path: string, options: RequestInit, status: number][] = [
    ...[
      '/',
      '/docs',
      '/openapi.json',
      '/healthz',
      '/readyz',
      '/metrics',
      '/v1/instruments',
      ...assets,
    ].map((path) => [path, {}, 200] as [string, RequestInit, number]),
    ['/v1/tick/FED', {}, 404],
    ['/assets/none', {}, 404],
    ['/v1/no', {}, 404],
    ['/v1/instruments', { method: 'POST', body: '{' }, 405],
    ['/v1/orders', { method: 'POST', body: '{' }, 400],
    ['/v1/tick/FED?odd=1', {}, 400],
    ['/v1/tick/FED', { headers: { authorization: 'Bearer none' } }, 404],
    ['/v1/orders', { headers: { authorization: 'Bearer none' } }, 401],
    ['/v1/stream', {}, 426],
    ['/v1/stream', { headers: { upgrade: 'websocket', origin: FOREIGN } }, 403],
    ['/v1/orders/1', { method: 'OPTIONS', headers: asked }, 204],
    ['/v1/no', { method: 'OPTIONS', headers: asked }, 204],
  ];
  for (const [path, options, status] of rows) {
    const { headers, status: found } = await server.get(path, options);
    const at = [path, options.method];
    expect([...at, found]).toEqual([...at, status]);
    expect([...at, headers.get('x-content-type-options')]).toEqual([...at, 'nosniff']);
    expect([...at, headers.get('content-security-policy')]).toEqual([
      ...at,
      expect.stringContaining("frame-ancestors 'none'"),
    ]);
    expect([...at, headers.get('referrer-policy')]).toEqual([...at, 'no-referrer']);
    expect([...at, headers.get('cross-origin-resource-policy')]).toEqual([...at, 'same-origin']);
    // The page is cached but revalidated each time; files that never change are cached for ever.
    const kept = assets.includes(path)
      ? 'immutable'
      : ['/', '/docs'].includes(path)
        ? 'no-cache'
        : 'no-store';
    expect([...at, headers.get('cache-control')]).toEqual([...at, expect.stringContaining(kept)]);
    // It would force all other servers on this machine to use TLS.
    expect(headers.get('strict-transport-security')).toBeNull();
  }
});
