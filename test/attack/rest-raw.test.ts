/**
 * Malformed requests, and bytes that are no requests, sent directly to the port. Each is answered correctly or its
 * connection ends; requests of others are not affected, and nothing in a body is read as a request. Most of this is
 * done by Bun; the table says what holds, so that a change in another version is noticed.
 */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';

import { instrument, tape, trade } from '../support/feed';
import { PUBLISH_KEY, ServerProcess, tapedeck, TRADE_KEY } from '../support/tapedeck-process';
import { readAnswer } from './raw-http';
import { testDeep } from '../support/tier';

const VENUE = '[[instruments]]\nsymbol = "DESK"\npriceScale = 2\nquantityScale = 3\n';
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: `${VENUE}[limits]\nrequestSeconds = 10\n` });
  await server.ingest(tape(instrument('ACME'), trade('ACME', '1.00', '1')));
});
afterAll(() => server.remove());

interface Exchange {
  /** Statuses of the answers, in order. */
  readonly statuses: readonly number[];
  readonly bodies: readonly string[];
  /** Whether the server closed the connection. */
  readonly isClosed: boolean;
}

/** Sends pieces one by one, and reads until the server closes or is silent for a while. */
function exchange(...pieces: (string | Buffer)[]): Promise<Exchange> {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  let received: Buffer = Buffer.alloc(0);
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const end = (isClosed: boolean): void => {
    clearTimeout(silence);
    socket.destroy();
    const answers = [];
    for (
      let found = readAnswer(received, false);
      found !== undefined;
      found = readAnswer(received, false)
    ) {
      answers.push(found.answer);
      received = received.subarray(found.length);
    }
    resolve({
      statuses: answers.map((a) => a.status),
      bodies: answers.map((a) => a.body),
      isClosed,
    });
  };
  const listen = (): ReturnType<typeof setTimeout> => setTimeout(() => end(false), 1_500);
  let silence = listen();
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    clearTimeout(silence);
    silence = listen();
  });
  socket.on('error', () => {});
  socket.on('close', () => end(true));
  void (async () => {
    for (const piece of pieces) {
      socket.write(piece);
      await Bun.sleep(30);
    }
  })();
  return promise;
}

const HOST = 'Host: 127.0.0.1\r\n';
const KEY = `Authorization: Bearer ${TRADE_KEY}\r\n`;
/** A request that must not be served: an order, which needs the key of the request before it. */
const ORDER = '{"symbol":"DESK","side":"buy","price":"1.00","quantity":"0.001"}';
const SMUGGLED = `POST /v1/orders HTTP/1.1\r\n${HOST}Content-Length: ${ORDER.length}\r\n\r\n${ORDER}`;
const post = (headers: string, body: string): string =>
  `POST /v1/orders HTTP/1.1\r\n${HOST}${KEY}${headers}\r\n${body}`;
const get = (headers: string, path = '/healthz', version = 'HTTP/1.1'): string =>
  `GET ${path} ${version}\r\n${headers}\r\n`;

/** The server has no order that was not entered properly, and still answers. */
async function judge(): Promise<void> {
  const headers = { authorization: `Bearer ${TRADE_KEY}` };
  const response = await server.get('/v1/orders', { headers });
  expect(await response.json()).toEqual({ orders: [], next: null });
  expect(await server.json('/v1/tick/ACME')).toMatchObject({ last: '1.00' });
}

const CLOSED = 'closed';
const OPEN = 'open';

describe('how long a body is', () => {
  test.each([
    [
      'shorter than it is: the rest is a request of its own, without the key',
      post('Content-Length: 2\r\n', `{}${SMUGGLED}`),
      [400, 401],
      OPEN,
    ],
    [
      'shorter, and the rest is none',
      post('Content-Length: 2\r\n', '{}{"more":1}\r\n\r\n'),
      [400, 400],
      CLOSED,
    ],
    ['longer than what comes', post('Content-Length: 50\r\n', '{}'), [], OPEN],
    ['given twice, equal', post('Content-Length: 2\r\nContent-Length: 2\r\n', '{}'), [400], OPEN],
    [
      'given twice, different',
      post('Content-Length: 2\r\nContent-Length: 40\r\n', `{}${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    [
      'as a length and as chunks',
      post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    [
      'as chunks and as a length',
      post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    [
      'chunks of an unknown kind',
      post('Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    [
      'chunks that are not the last coding',
      post('Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    [
      'a space before the colon',
      post('Transfer-Encoding : chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${SMUGGLED}`),
      [400],
      CLOSED,
    ],
    ['chunks, good', post('Transfer-Encoding: chunked\r\n', '2\r\n{}\r\n0\r\n\r\n'), [400], OPEN],
    [
      'a chunk of no size',
      post('Transfer-Encoding: chunked\r\n', 'zz\r\n{}\r\n0\r\n\r\n'),
      [400],
      CLOSED,
    ],
    [
      'a chunk of more than there is',
      post('Transfer-Encoding: chunked\r\n', 'ffffffffffffffffff\r\n{}\r\n0\r\n\r\n'),
      [400],
      CLOSED,
    ],
    [
      'a chunk of less',
      post('Transfer-Encoding: chunked\r\n', '1\r\n{}\r\n0\r\n\r\n'),
      [400],
      CLOSED,
    ],
    [
      'a chunk below nothing',
      post('Transfer-Encoding: chunked\r\n', '-2\r\n{}\r\n0\r\n\r\n'),
      [400],
      CLOSED,
    ],
    [
      'fields after the chunks',
      post('Transfer-Encoding: chunked\r\n', `2\r\n{}\r\n0\r\nX: y\r\n\r\n${SMUGGLED}`),
      [400, 400],
      CLOSED,
    ],
    ...['-1', '+2', '0x2', '', '99999999999999999999', '2, 2', '2 2', '1e1'].map(
      (length) =>
        [
          `of ${JSON.stringify(length)}`,
          post(`Content-Length: ${length}\r\n`, `{}${SMUGGLED}`),
          [400],
          CLOSED,
        ] as const,
    ),
    [
      'of a GET, which has one',
      get(`${HOST}Content-Length: ${SMUGGLED.length}\r\n`) + SMUGGLED,
      [200],
      OPEN,
    ],
  ] as const)('%s', async (_, text, statuses, end) => {
    const { isClosed, ...got } = await exchange(text);
    expect([got.statuses, isClosed ? CLOSED : OPEN]).toEqual([[...statuses], end]);
    await judge();
  });
});

describe('heads', () => {
  const many = Array.from({ length: 300 }, (_, i) => `X-${i}: y\r\n`).join('');
  test.each([
    ['300 fields', get(HOST + many), [431], CLOSED],
    ['a field of 100 kB', get(`${HOST}X: ${'y'.repeat(100_000)}\r\n`), [431], CLOSED],
    ['an address of 100 kB', get(HOST, `/${'a'.repeat(100_000)}`), [431], CLOSED],
    ['HTTP/1.0', get('', '/healthz', 'HTTP/1.0'), [200], CLOSED],
    ['HTTP/2.0', get(HOST, '/healthz', 'HTTP/2.0'), [505], CLOSED],
    ['HTTP/9.9', get(HOST, '/healthz', 'HTTP/9.9'), [505], CLOSED],
    ['no version', 'GET /healthz\r\n\r\n', [505], CLOSED],
    ['no Host', get(''), [400], CLOSED],
    ['a whole address', get(HOST, 'http://127.0.0.1/healthz'), [200], OPEN],
    ['a whole address of another machine', get(HOST, 'http://evil.example/v1/orders'), [401], OPEN],
    ['CONNECT', `CONNECT evil.example:80 HTTP/1.1\r\n${HOST}\r\n`, [404], OPEN],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, [400], CLOSED],
    ['a field of two lines', get(`${HOST}X: a\r\n b\r\n`), [400], CLOSED],
    ['a zero byte in a field', get(`${HOST}X: a\0b\r\n`), [400], CLOSED],
    ['a space in a name', get(`${HOST}X Y: a\r\n`), [400], CLOSED],
    [
      'lines without a carriage return',
      'GET /healthz HTTP/1.1\nHost: 127.0.0.1\n\n',
      [505],
      CLOSED,
    ],
    ['nothing of HTTP', '\0\u0001\u0002 garbage\r\n\r\n', [400], CLOSED],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400], CLOSED],
    [
      'a TLS hello',
      Buffer.from(`160301020001000001fc0303${'aa'.repeat(500)}`, 'hex'),
      [400],
      CLOSED,
    ],
    ['a way out of the folder', get(HOST, '/assets/../../etc/passwd'), [404], OPEN],
    ['the same, encoded', get(HOST, '/assets/..%2f..%2fpackage.json'), [404], OPEN],
  ] as const)('%s', async (_, text, statuses, end) => {
    const { isClosed, bodies, ...got } = await exchange(text);
    expect([got.statuses, isClosed ? CLOSED : OPEN]).toEqual([[...statuses], end]);
    expect(bodies.join('')).not.toMatch(/root:|"dependencies"/);
    await judge();
  });

  test('a request in pieces of a few bytes is the same request', async () => {
    const pieces = get(HOST).match(/[^]{1,5}/g)!;
    expect((await exchange(...pieces)).statuses).toEqual([200]);
  });

  test('a request with two Host headers does not count as local: nothing is done without a key', async () => {
    for (const [hosts, status] of [
      [`${HOST}Host: evil.example\r\n`, 401],
      [`Host: evil.example\r\n${HOST}`, 400],
    ] as const) {
      expect((await exchange(get(hosts, '/v1/orders'))).statuses).toEqual([status]);
    }
  });
});

describe('several requests on one connection', () => {
  test('each is answered in order, with the rights of its own key', async () => {
    const all = [
      get(HOST + KEY, '/v1/orders'),
      get(HOST, '/v1/orders'),
      get(HOST),
      get(HOST + KEY, '/v1/orders'),
    ];
    const { statuses } = await exchange(all.join(''));
    expect(statuses).toEqual([200, 401, 200, 200]);
  });

  test('requests sent while one waits for the journal end the connection, and none is answered wrongly', async () => {
    const past = get(HOST, '/v1/bars/ACME?interval=1m');
    const { statuses, isClosed } = await exchange(past + get(HOST, '/v1/orders'));
    // Bun does not accept a request while an answer is pending; if a later version does, answers must be in order.
    expect([JSON.stringify(statuses), isClosed]).toBeOneOf([
      ['[]', true],
      ['[200]', true],
      ['[200,401]', false],
    ]);
    await judge();
  });
});

testDeep(
  'a body that trickles is cut off, and then no part of it was taken in',
  async () => {
    const before = await server.json('/v1/tick/ACME');
    const line = tape(trade('ACME', '2.00', '1'));
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => resolve());
    socket.write(
      `POST /v1/ingest HTTP/1.1\r\n${HOST}Authorization: Bearer ${PUBLISH_KEY}\r\nContent-Length: 100000\r\n\r\n${line}`,
    );
    const drip = setInterval(() => socket.write('\n'), 400);
    await promise;
    clearInterval(drip);
    expect(await server.json('/v1/tick/ACME')).toMatchObject({ seq: before['seq'] });
  },
  60_000,
);

test('afterwards the server ends in order, has logged no defect, and its journal is sound', async () => {
  await judge();
  const { code, stderr } = await server.stop();
  expect([code, stderr]).toEqual([0, '']);
  expect((await tapedeck(['verify', '--data', server.data])).code).toBe(0);
});
