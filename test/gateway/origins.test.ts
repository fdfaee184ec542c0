/** Browsers: for which pages they may speak, and what every answer tells them. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { instrument, tape } from '../support/feed';
import { ServerProcess, TRADE_KEY } from '../support/tapedeck-process';

const LISTED = 'https://desk.example';
const FOREIGN = 'https://evil.example';
let server: ServerProcess;
let own: string;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: `[server]\norigins = ["${LISTED}"]`,
    args: ['--demo', '--rate', '1'],
  });
  own = new URL(server.url).origin;
  await server.ingest(tape(instrument('FED')));
});
afterAll(() => server.remove());

/** A handshake by hand, since no WebSocket client lets an origin be chosen. @returns its status */
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

describe('trading without a key, as the demo lets this machine', () => {
  const enter = async (headers: Record<string, string>): Promise<number> => {
    const body = '{"symbol":"ACME","side":"buy","price":"100.00","quantity":"1"}';
    return (await server.get('/v1/orders', { method: 'POST', headers, body })).status;
  };

  test.each([
    [{}, 201],
    [{ origin: LISTED }, 201],
    [{ origin: FOREIGN }, 401],
    [{ origin: 'null' }, 401],
    // A name of its own for this machine's address.
    [{ host: 'evil.example' }, 401],
    [{ host: 'evil.example', origin: 'http://evil.example' }, 401],
    [{ host: '127.0.0.1.evil.example' }, 401],
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
    const asked = { origin, 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'authorization' }; // prettier-ignore
    const preflight = await server.get('/v1/orders/1', { method: 'OPTIONS', headers: asked });
    expect(preflight.headers.get('access-control-allow-origin')).toBe(allowed);
    expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
  });
});

test('every answer tells a browser to keep to what it is', async () => {
  for (const path of [
    '/',
    '/healthz',
    '/readyz',
    '/metrics',
    '/v1/instruments',
    '/v1/tick/FED',
    '/v1/no',
    '/v1/stream',
  ]) {
    // prettier-ignore
    const { headers } = await server.get(path);
    expect([path, headers.get('x-content-type-options')]).toEqual([path, 'nosniff']);
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
    expect(headers.get('referrer-policy')).toBe('no-referrer');
    expect(headers.get('cache-control')).toBe('no-store');
  }
});
