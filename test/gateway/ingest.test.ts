/** `POST /v1/ingest`: tape lines are accepted all together or not at all. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';

import { book, instrument, tape, trade } from '../support/feed';
import {
  ADMIN_KEY,
  OTHER_PUBLISH_KEY,
  PUBLISH_KEY,
  ServerProcess,
  TRADE_KEY,
} from '../support/tapedeck-process';

const BODY_BYTES_MAX = 200_000;
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: `[limits]\nbodyBytesMax = ${BODY_BYTES_MAX}` });
  await server.ingest(tape(instrument('ACME')));
});
afterAll(() => server.remove());

async function post(body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>) {
  const authorization = `Bearer ${PUBLISH_KEY}`;
  const init = { method: 'POST', body, headers: headers ?? { authorization } };
  const response = await server.get('/v1/ingest', init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function lastSeq(): Promise<number> {
  return (await server.json('/v1/instruments'))['seq'] as number;
}

describe('keys', () => {
  test.each([
    ['none', {}, 401, 'unauthorized'],
    ['a wrong one', { authorization: 'Bearer nobody-has-this' }, 401, 'unauthorized'],
    ['another scheme', { authorization: `Basic ${PUBLISH_KEY}` }, 401, 'unauthorized'],
    ['an empty header', { authorization: '' }, 401, 'unauthorized'],
    ['one that may only trade', { authorization: `Bearer ${TRADE_KEY}` }, 403, 'forbidden'],
  ])('%s', async (_name, headers: Record<string, string>, status, code) => {
    const before = await lastSeq();
    const refused = await post(tape(trade('ACME', '1.00', '1')), headers);
    expect(refused).toMatchObject({ status, body: { error: { code } } });
    expect(await lastSeq()).toBe(before);
  });

  test('the right key is accepted, in any spelling of the scheme', async () => {
    const headers = { authorization: `bearer  ${PUBLISH_KEY}` };
    expect(await post(tape(trade('ACME', '1.00', '1')), headers)).toMatchObject({ status: 200 });
  });

  test('[P5] only one key at a time may feed a symbol', async () => {
    expect((await post(tape(instrument('OWNED'), trade('OWNED', '1', '1')))).status).toBe(200);
    const other = { authorization: `Bearer ${OTHER_PUBLISH_KEY}` };
    expect(await post(tape(trade('OWNED', '2', '1')), other)).toMatchObject({
      status: 409,
      body: { error: { code: 'symbol-in-use' } },
    });
    expect((await post(tape(trade('OWNED', '3', '1')))).status).toBe(200);
  });
});

describe('accepted lines', () => {
  test('the answer has the last seq, and how many lines were accepted and skipped', async () => {
    const before = await lastSeq();
    const lines = `${tape(instrument('COUNTED'))}\n  \r\n${tape(
      trade('COUNTED', '1', '1'),
      { type: 'heartbeat', time: '1', seq: 1, heads: [] },
      book('COUNTED', 'snapshot', [['1', '1']], []),
    )}`;
    const { status, body } = await post(lines);
    expect([status, body]).toEqual([
      200,
      { seq: before + 5, events: 3, skipped: 3, repeated: 0, waiting: 0 },
    ]);
    expect(await lastSeq()).toBe(before + 6); // a snapshot of the book follows
  });

  test('a source may omit what the server fills in [P6]', async () => {
    const line =
      '{"type":"trade","symbol":"ACME","eventTime":"1700000000000000005","price":"7","quantity":"1","aggressor":"sell"}';
    expect(await post(line)).toMatchObject({ status: 200, body: { events: 1, skipped: 0 } });
    expect(await server.json('/v1/tick/ACME')).toMatchObject({
      last: '7.00',
      eventTime: '1700000000000000005',
    });
  });

  test('Windows line ends, a byte order mark, and no line end at the end', async () => {
    const lines = `\uFEFF${tape(trade('ACME', '8', '1'), trade('ACME', '9', '1')).replaceAll('\n', '\r\n')}`;
    expect(await post(lines.trimEnd())).toMatchObject({ status: 200, body: { events: 2 } });
    expect(await server.json('/v1/tick/ACME')).toMatchObject({ last: '9.00' });
  });

  test.each(['', '\n', '\n\n\n'])('nothing to take: %j', async (text) => {
    const seq = await lastSeq();
    expect(await post(text)).toEqual({
      status: 200,
      body: { seq, events: 0, skipped: text.length, repeated: 0, waiting: 0 },
    });
  });
});

describe('all or nothing', () => {
  const good = tape(trade('ACME', '1.00', '1'));
  // After a refused event its source may send nothing of the instrument until an event of it is accepted.
  beforeEach(async () => {
    await post(tape(instrument('ACME')));
  });
  test.each([
    ['not JSON', 'nonsense', 'malformed-json', 400, 'lines[3]'],
    ['cut short', '{"type":"trade","symbol":"ACME"', 'malformed-json', 400, 'lines[3]'],
    ['no object', '[1,2]', 'invalid-field', 400, 'lines[3].message'],
    ['null', 'null', 'invalid-field', 400, 'lines[3].message'],
    ['unknown type', '{"type":"weather"}', 'unknown-message', 400, 'lines[3].type'],
    ['unknown symbol', tape(trade('NOBODY', '1', '1')), 'unknown-symbol', 404, 'lines[3].symbol'],
    [
      'a price off its scale',
      tape(trade('ACME', '1.005', '1')),
      'off-increment',
      400,
      'lines[3].price',
    ],
    [
      'a number for a decimal',
      tape(trade('ACME', '1', '1', { price: 1 })),
      'invalid-field',
      400,
      'lines[3].price',
    ],
    [
      'a number for a time',
      tape(trade('ACME', '1', '1', { eventTime: 1 })),
      'invalid-field',
      400,
      'lines[3].eventTime',
    ],
    [
      'beyond 2^53',
      tape(trade('ACME', '90071992547409.92', '1')),
      'out-of-range',
      400,
      'lines[3].price',
    ],
    [
      'a negative quantity',
      tape(trade('ACME', '1', '-1')),
      'invalid-field',
      400,
      'lines[3].quantity',
    ],
    [
      'other scales',
      tape(instrument('ACME', { priceScale: 3 })),
      'definition-conflict',
      409,
      'lines[3].priceScale',
    ],
    [
      'an increment of zero',
      tape(instrument('ZERO', { priceIncrement: '0' })),
      'invalid-field',
      400,
      'lines[3].priceIncrement',
    ],
    ['too deep', '['.repeat(50_000), 'too-deep', 400, 'lines[3]'],
  ])('%s', async (_name, line, code, status, field) => {
    const before = await lastSeq();
    const refused = await post(`${good}\n${line.trimEnd()}\n${good}`);
    expect(refused).toMatchObject({ status, body: { error: { code, field } } });
    const { message } = refused.body['error'] as { message: string };
    expect(message).toMatch(/line 3|lines\[3\]/);
    expect(await lastSeq()).toBe(before);
  });

  test('bytes that are not UTF-8', async () => {
    const before = await lastSeq();
    const refused = await post(new Uint8Array([...Buffer.from(good), 0xff, 0xfe]));
    expect(refused).toMatchObject({
      status: 400,
      body: { error: { code: 'malformed-json', field: 'lines[2]' } },
    });
    expect(await lastSeq()).toBe(before);
  });
});

describe('size', () => {
  test('the largest allowed body is accepted; one byte more is refused with its code', async () => {
    expect((await post('\n'.repeat(BODY_BYTES_MAX))).status).toBe(200);
    expect(await post('\n'.repeat(BODY_BYTES_MAX + 1))).toMatchObject({
      status: 413,
      body: { error: { code: 'frame-too-large', field: 'body' } },
    });
  });

  test('bodies of orders and states must be small; without the role nothing of a body is read', async () => {
    for (const [path, key] of [
      ['/v1/orders', TRADE_KEY],
      ['/v1/instruments/ACME/state', ADMIN_KEY],
    ] as const) {
      const init = { method: 'POST', body: ' '.repeat(16_385) };
      const headers = { authorization: `Bearer ${key}` };
      const response = await server.get(path, { ...init, headers });
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ error: { code: 'frame-too-large' } });
      expect((await server.get(path, init)).status).toBe(401);
    }
  });

  test('a body far over the limit is cut off with the same status', async () => {
    const response = await server.ingest('\n'.repeat(BODY_BYTES_MAX * 20));
    expect(response.status).toBe(413);
  });

  test('a body without a length is bounded too', async () => {
    const chunk = Buffer.alloc(50_000, '\n');
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(chunk);
      },
    });
    const headers = { authorization: `Bearer ${PUBLISH_KEY}` };
    const status = await server
      .get('/v1/ingest', { method: 'POST', body, headers })
      .then((response) => response.status)
      .catch(() => 'cut off');
    expect([413, 'cut off']).toContain(status);
    expect(await server.json('/healthz')).toEqual({ status: 'ok' });
  });

  test('a body shorter than its declared length is refused', async () => {
    const before = await lastSeq();
    const line = tape(trade('ACME', '1.00', '1'));
    const { port } = new URL(server.url);
    const head = `POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PUBLISH_KEY}\r\nContent-Length: ${line.length + 10}\r\n\r\n`;
    await new Promise((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(head + line));
      socket.on('close', resolve);
      setTimeout(() => socket.destroy(), 200);
    });
    expect(await lastSeq()).toBe(before);
  });

  test('of a body longer than its declared length, the rest is not read as a request', async () => {
    const before = await lastSeq();
    const { port } = new URL(server.url);
    const head = `POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${PUBLISH_KEY}\r\nContent-Length: 1\r\n\r\n`;
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.write(`${head}\nnonsense\r\n\r\n`),
      );
      socket.on('data', (data) => (text += data.toString()));
      socket.on('close', () => resolve(text));
      setTimeout(() => socket.destroy(), 300);
    });
    expect(answer).toContain('400 Bad Request');
    expect(await lastSeq()).toBe(before);
  });
});
