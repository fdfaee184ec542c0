/** REST against faulty or hostile callers: errors have a code and a text, and the server keeps running. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';

import { instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start();
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
});
afterAll(() => server.remove());
afterEach(async () => {
  expect(server.alive).toBe(true);
  expect(await server.json('/v1/tick/ACME')).toMatchObject({ last: '1.00' });
});

interface ErrorBody {
  error: { code: string; message: string; field?: string; hint: string };
}

async function refusal(path: string, init: RequestInit = {}) {
  const response = await server.get(path, init);
  const { error } = (await response.json()) as ErrorBody;
  expect(error.hint.length).toBeGreaterThan(0);
  expect(error.message.length).toBeLessThan(300);
  return { status: response.status, ...error };
}

/** Sends bytes directly to the port, because a client corrects what it sends. @returns everything received */
function exchange(text: string): Promise<string> {
  const { port } = new URL(server.url);
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.end(text));
    socket.on('data', (data) => (answer += data.toString('latin1')));
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
  });
}

describe('paths', () => {
  test.each([
    ["'; DROP TABLE record;--"],
    ['ACME%27%20OR%201=1'],
    ['..%2f..%2f..%2fetc%2fpasswd'],
    ['%2e%2e%2fjournal.sqlite'],
    ['%00'],
    ['ACME%00'],
    ['%E0%A4%A'],
    ['%25'],
    ['-ACME'],
    ['*'],
    ['ACME%0d%0aX-Injected:%20yes'],
    ['<script>alert(1)</script>'],
    ['💥'],
    ['A'.repeat(17)],
    ['__proto__'],
  ])('a symbol %p is refused by name on every route', async (symbol) => {
    const encoded = symbol.includes('%') ? symbol : encodeURIComponent(symbol);
    for (const route of ['instruments', 'tick', 'orderbook', 'trades']) {
      const refused = await refusal(`/v1/${route}/${encoded}`);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'symbol' });
    }
  });

  test('a symbol of 8,000 letters', async () => {
    const refused = await refusal(`/v1/tick/${'A'.repeat(8000)}`);
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'symbol' });
  });

  test.each(['NOBODY', 'acme', 'constructor', 'toString'])(
    'an unknown symbol %s',
    async (symbol) => {
      for (const route of ['instruments', 'tick', 'orderbook', 'trades']) {
        expect(await refusal(`/v1/${route}/${symbol}`)).toMatchObject({
          status: 404,
          code: 'unknown-symbol',
          message: `no instrument is named ${symbol}`,
        });
      }
    },
  );

  test.each(['/nope', '/v1', '/v1/tick', '/v1/tick/', '/v2/tick/ACME', '/v1/tick/ACME/more'])(
    'no route: %s',
    async (path) => {
      const refused = await refusal(path);
      expect(refused).toMatchObject({ status: 404, code: 'not-found' });
      expect(refused.message).toBe(`there is no GET ${path}`);
    },
  );
});

test.each(['a b', '[::', 'x:99999999', ''])('a Host header that is none: %p', async (host) => {
  const answer = await exchange(`GET /v1/nothing HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  expect(answer).toStartWith('HTTP/1.1 400 ');
  expect(answer).toContain(
    `Host is ${JSON.stringify(JSON.stringify(host)).slice(1, -1)}; expected`,
  );
});

test('a body that breaks off is no defect of the server, and is not logged as one', async () => {
  const own = await ServerProcess.start();
  const head = 'POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"a"';
  await new Promise<void>((resolve) => {
    const socket = connect(Number(new URL(own.url).port), '127.0.0.1', () => socket.write(head));
    setTimeout(() => socket.destroy(), 100);
    socket.on('close', () => resolve());
  });
  await own.json('/healthz');
  expect(await own.stop('SIGTERM')).toMatchObject({ code: 0, stderr: '' });
  await own.remove();
});

describe('queries', () => {
  test.each([
    '0',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '0x10',
    ' ',
    '',
    'ten',
    '5001',
    '9'.repeat(400),
    '%00',
  ])('depth=%s', async (depth) => {
    const refused = await refusal(`/v1/orderbook/ACME?depth=${depth}`);
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field: 'depth' });
    expect(refused.message).toContain('expected an integer from 1 to 5000');
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=many', 'limit'],
    ['next=0', 'next'],
    ['next=9007199254740992', 'next'],
    ['next=1;DELETE FROM record', 'next'],
  ])('trades with %s', async (query, field) => {
    const refused = await refusal(`/v1/trades/ACME?${query}`);
    expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
  });

  test('unknown parameters are refused, whatever their names', async () => {
    for (const name of ['__proto__[x]', 'constructor', 'toString', '__proto__', '%00', '💥']) {
      const refused = await refusal(`/v1/trades/ACME?limit=1&${name}=1`);
      const field = decodeURIComponent(name);
      expect(refused).toMatchObject({ status: 400, code: 'invalid-field', field });
    }
  });
});

describe('methods', () => {
  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    '%s on read-only routes',
    async (method) => {
      for (const path of ['/v1/tick/ACME', '/v1/instruments', '/healthz', '/v1/stream']) {
        const refused = await refusal(path, { method });
        expect(refused).toMatchObject({ status: 405, code: 'method-not-allowed' });
        const { headers } = await server.get(path, { method });
        expect(headers.get('allow')).toBe('GET, HEAD');
      }
      expect(await refusal('/nope', { method })).toMatchObject({ status: 404, code: 'not-found' });
    },
  );

  test('GET and HEAD on the route that is written', async () => {
    expect(await refusal('/v1/ingest')).toMatchObject({ status: 405, code: 'method-not-allowed' });
    const head = await server.get('/v1/ingest', { method: 'HEAD' });
    expect([head.status, head.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('HEAD has the status and headers of GET, and no body', async () => {
    const head = await server.get('/v1/tick/ACME', { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(head.headers.get('content-type')).toBe('application/json;charset=utf-8');
    expect((await server.get('/v1/tick/NOBODY', { method: 'HEAD' })).status).toBe(404);
  });
});

describe('the stream route without WebSocket', () => {
  test('a plain request', async () => {
    expect(await refusal('/v1/stream')).toMatchObject({ status: 426, code: 'upgrade-required' });
  });

  test.each([
    ['a handshake without a key', '', /^HTTP\/1.1 4\d\d/],
    [
      'a subprotocol that is not ours',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n',
      /^HTTP\/1.1 400/,
    ],
    [
      'a wrong key',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer nobody\r\n',
      /^HTTP\/1.1 401/,
    ],
  ])('%s', async (_name, headers, expected) => {
    const answer = await exchange(
      `GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${headers}\r\n`,
    );
    expect(answer).toMatch(expected);
    expect(answer).toContain('{"error":{"code":');
  });
});

describe('bytes that are no HTTP', () => {
  test.each([
    ['nonsense', 'hello\r\n\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['a header without end', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(300_000)}`],
    [
      'a negative length',
      'POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n',
    ],
    [
      'two lengths',
      'POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
    ],
    [
      'length and chunks',
      'POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a chunk that is none',
      'POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    ],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003'],
    ['nothing', ''],
  ])('%s', async (_name, bytes) => {
    const answer = await exchange(bytes);
    expect(answer === '' || /^HTTP\/1.1 [24]\d\d/.test(answer)).toBe(true);
    if (bytes !== '') expect(answer).not.toMatch(/^HTTP\/1.1 2/);
  });
});
