/**
 * The stream against faulty or hostile clients. After each of them the server still runs, and another session has
 * received every message of its topic.
 */

import { encode } from '@msgpack/msgpack';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';

import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { clientFrame, OPCODE, upgradeRequest } from '../bench/ws-frames';
import { instrument, tape, trade } from '../support/feed';
import { StreamClient, type Seen } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const FRAME_BYTES_MAX = 65_536;
const LARGE_BYTES_MAX = 1_048_576;
const TOPICS_MAX = 50;
let server: ServerProcess;
let witness: StreamClient;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: `[limits]\nframeBytesMax = ${FRAME_BYTES_MAX}\ntopicsMax = ${TOPICS_MAX}`,
  });
  await server.ingest(tape(instrument('ACME')));
  witness = await StreamClient.open(server.url);
  await witness.subscribe('trade:ACME');
});
afterAll(async () => {
  const trades = witness.seen.filter((m) => m.type === 'trade');
  let last = trades[0]!['prevSeq'];
  for (const message of trades) {
    expect(message['prevSeq']).toBe(last as number);
    last = message['seq'];
  }
  await server.remove();
});
afterEach(async () => {
  const at = witness.seen.length;
  await server.ingest(tape(trade('ACME', '1.00', '0.001')));
  await witness.next('trade', at);
  expect(server.alive).toBe(true);
});

const json = (): Promise<StreamClient> => StreamClient.open(server.url, SUBPROTOCOL_JSON);
const binary = (): Promise<StreamClient> => StreamClient.open(server.url, SUBPROTOCOL_MSGPACK);

/** The answers to a frame, without the pong that proves that the connection is still open. */
async function answersTo(
  client: StreamClient,
  data: string | Uint8Array<ArrayBuffer>,
): Promise<Seen[]> {
  const at = client.seen.length;
  client.raw(data);
  await client.settle();
  return client.seen.slice(at).filter((m) => m.type !== 'pong' && m.type !== 'heartbeat');
}

const bytes = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);
const packed = (value: unknown): Uint8Array<ArrayBuffer> => encode(value);

describe('JSON [E3]', () => {
  test.each([
    ['', 'malformed-json'],
    ['{', 'malformed-json'],
    ['[{"type":"ping","id":1,"time":"1"},]', 'malformed-json'],
    ['NaN', 'malformed-json'],
    ['\u0000', 'malformed-json'],
    ['null', 'invalid-field'],
    ['17', 'invalid-field'],
    ['{"type":"hello","version":1,"client":"half a pair: \\ud83d"}', 'invalid-field'],
    ['"subscribe"', 'invalid-field'],
    ['[[]]', 'invalid-field'],
    ['{}', 'unknown-message'],
    ['{"type":null}', 'unknown-message'],
    ['{"type":"weather"}', 'unknown-message'],
    ['{"type":"__proto__"}', 'unknown-message'],
    ['{"type":"constructor"}', 'unknown-message'],
    ['{"type":"ping","id":"1","time":"1"}', 'invalid-field'],
    ['{"type":"ping","id":1.5,"time":"1"}', 'invalid-field'],
    ['{"type":"ping","id":-1,"time":"1"}', 'invalid-field'],
    ['{"type":"ping","id":4294967296,"time":"1"}', 'invalid-field'],
    ['{"type":"ping","id":1,"time":1}', 'invalid-field'],
    ['{"type":"ping","id":1,"time":"9223372036854775808"}', 'invalid-field'],
    ['{"type":"subscribe","id":1,"topics":null}', 'invalid-field'],
    ['{"type":"subscribe","id":1,"topics":{"length":3}}', 'invalid-field'],
    ['{"type":"subscribe","id":1,"topics":[["tick:ACME"]]}', 'invalid-field'],
    ['{"type":"hello","version":1,"client":7}', 'invalid-field'],
    ['{"type":"ack","id":1,"seq":1}', 'unexpected-message'],
    ['{"type":"heartbeat","time":"1","seq":1,"heads":[]}', 'unexpected-message'],
    ['{"type":"subscribe","id":1,"topics":["tick:ACME"],"__proto__":{"a":1}}', undefined],
  ])('%j', async (text, code) => {
    const client = await json();
    const answers = (await answersTo(client, text)).filter((m) => m.type === 'error');
    expect(answers.map((m) => m['code'])).toEqual(code === undefined ? [] : [code]);
    await client.close();
  });

  test('[W11] unlimited nesting is refused before it is parsed', async () => {
    const client = await json();
    for (const text of ['['.repeat(60_000), '{"a":'.repeat(10_000), `[${'{"a":['.repeat(4)}`]) {
      expect(await answersTo(client, text)).toMatchObject([{ code: 'too-deep', id: null }]);
    }
    await client.close();
  });
});

describe('MessagePack [E3]', () => {
  test.each([
    ['nothing', bytes(), 'malformed-msgpack'],
    ['no array', bytes(0xc0), 'malformed-msgpack'],
    ['a map', bytes(0x80), 'malformed-msgpack'],
    ['a byte that MessagePack does not use', bytes(0x91, 0xc1), 'malformed-msgpack'],
    ['a frame cut short', bytes(0x92, 0x93, 0x06, 0x01), 'malformed-msgpack'],
    ['bytes after the frame', bytes(0x90, 0x00), 'malformed-msgpack'],
    ['a length of four billion', bytes(0xdd, 0xff, 0xff, 0xff, 0xff), 'malformed-msgpack'],
    ['such a message', bytes(0x91, 0xdd, 0xff, 0xff, 0xff, 0xff), 'malformed-msgpack'],
    ['such a string', bytes(0x91, 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff), 'malformed-msgpack'],
    ['an empty message', packed([[]]), 'invalid-field'],
    ['a message that is none', packed([7]), 'invalid-field'],
    ['a map for a message', packed([{ type: 'ping' }]), 'invalid-field'],
    ['an unknown code', packed([[99]]), 'unknown-message'],
    ['a negative code', packed([[-1]]), 'unknown-message'],
    ['a text for a code', packed([['ping', 1, 1]]), 'unknown-message'],
    ['a wrong type', packed([[6, 'one', 1]]), 'invalid-field'],
    ['a time before 1970', packed([[6, 1, -1]]), 'invalid-field'],
    ['fields that are missing', packed([[2, 1]]), 'invalid-field'],
    ['a message of the server', packed([[33, 1, 1]]), 'unexpected-message'],
    ['a tick', packed([[49, 'ACME', 1, 0, 0, 0, 1, null, null, 1, 1, 1]]), 'unexpected-message'],
  ])('%s', async (_name, data, code) => {
    const client = await binary();
    expect(await answersTo(client, data)).toMatchObject([{ type: 'error', code }]);
    await client.close();
  });

  test('[W11] unlimited nesting', async () => {
    const client = await binary();
    const deep = new Uint8Array(60_000).fill(0x91);
    expect(await answersTo(client, deep)).toMatchObject([{ code: 'too-deep' }]);
    await client.close();
  });

  test('[W14] the other messages of a frame with a faulty one are executed', async () => {
    const client = await binary();
    const at = client.seen.length;
    client.raw(packed([[6, 101, 1], [99], [6, 102, 2], [2, 103, ['x']], [6, 104, 3]]));
    await client.settle();
    const answers = client.seen.slice(at, -1).map((m) => m['code'] ?? m['time']);
    expect(answers).toEqual(['1', 'unknown-message', '2', 'unknown-topic', '3']);
    await client.close();
  });
});

test('[W2] a frame of the other kind (text or binary)', async () => {
  const [text, packs] = await Promise.all([json(), binary()]);
  expect(await answersTo(text, bytes(0x90))).toMatchObject([{ code: 'wrong-frame' }]);
  expect(await answersTo(packs, '[]')).toMatchObject([{ code: 'wrong-frame' }]);
  await Promise.all([text.close(), packs.close()]);
});

describe('size [W10]', () => {
  test('the largest allowed frame is accepted', async () => {
    const client = await json();
    const padding = ' '.repeat(FRAME_BYTES_MAX - 2);
    expect(await answersTo(client, `[${padding}]`)).toEqual([]);
    await client.close();
  });

  test.each([1, FRAME_BYTES_MAX])(
    '%d bytes over the limit: an error, closing, and 1009',
    async (over) => {
      for (const client of await Promise.all([json(), binary()])) {
        const size = FRAME_BYTES_MAX + over;
        client.raw(client.text ? ' '.repeat(size) : new Uint8Array(size));
        expect(await client.closed).toEqual({ code: 1009, reason: 'frame-too-large' });
        expect(client.seen.slice(1)).toMatchObject([
          { type: 'error', code: 'frame-too-large' },
          { type: 'closing', code: 1009, reconnect: false },
        ]);
      }
    },
  );

  test('endless fragments: held up to the largest frame, then cut off', async () => {
    const large = await ServerProcess.start({
      config: `[limits]\nframeBytesMax = ${LARGE_BYTES_MAX}`,
    });
    const socket = connect(Number(new URL(large.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_JSON));
    await new Promise((resolve) => socket.once('data', resolve));
    let pongs = 0;
    socket.on(
      'data',
      (data) => (pongs += data.toString('latin1').split('\x8a\x04pong').length - 1),
    );
    let isFirst = true;
    const more = (bytes: number): void => {
      const piece = clientFrame(OPCODE.text, new Uint8Array(bytes).fill(0x20));
      piece[0] = isFirst ? OPCODE.text : 0; // none of them has the final bit
      isFirst = false;
      socket.write(piece);
    };
    for (let sent = 0; sent < LARGE_BYTES_MAX; sent += 65_535) more(65_535);
    const ping = clientFrame(OPCODE.ping, Buffer.from('pong'));
    socket.write(ping);
    await until(() => pongs === 1);
    for (let sent = 0; sent <= 131_072; sent += 32_768) more(32_768);
    socket.write(ping);
    await until(() => socket.closed || pongs === 2);
    expect(pongs).toBe(1);
    await large.remove();
  });

  test('the size of text is counted in bytes, not characters', async () => {
    const client = await json();
    client.raw(`"${'é'.repeat(FRAME_BYTES_MAX / 2)}"`);
    expect(await client.closed).toEqual({ code: 1009, reason: 'frame-too-large' });
  });

  test('far over the limit: cut off with 1009', async () => {
    for (const client of await Promise.all([json(), binary()])) {
      const size = FRAME_BYTES_MAX * 20;
      client.raw(client.text ? ' '.repeat(size) : new Uint8Array(size));
      expect((await client.closed).code).toBe(1009);
    }
  });

  test('10,001 messages are refused as a whole, 10,000 faults close the connection', async () => {
    const client = await binary();
    const frame = new Uint8Array(3 + 10_001).fill(0x90);
    frame.set([0xdc, 10_001 >> 8, 10_001 & 0xff]);
    expect(await answersTo(client, frame)).toMatchObject([
      { code: 'malformed-msgpack', message: '10001 messages; at most 10000' },
    ]);
    frame.set([0xdc, 10_000 >> 8, 10_000 & 0xff]);
    client.raw(frame.subarray(0, 3 + 10_000));
    expect((await client.closed).code).toBe(4003);
    const text = await json();
    expect(await answersTo(text, `[${'0,'.repeat(10_000)}0]`)).toMatchObject([
      { code: 'malformed-json', message: '10001 messages; at most 10000' },
    ]);
    await text.close();
  });
});

describe('topics [S2]', () => {
  test.each([
    'trade',
    'trade:',
    ':ACME',
    'trade:ACME:',
    'trade:ACME:1m',
    'TRADE:ACME',
    'trade:AC ME',
    'trade:**',
    'trade:A*',
    'status:ACME',
    'bar:ACME',
    'bar:ACME:2m',
    'b:trade:ACME',
    't:instrument',
    'trade:\u0000',
    '💥',
    '',
  ])('%j is no topic', async (topic) => {
    for (const client of await Promise.all([json(), binary()])) {
      for (const answer of [await client.subscribe(topic), [await client.unsubscribe(topic)]]) {
        expect(answer).toMatchObject([{ type: 'error', code: 'unknown-topic' }]);
      }
      await client.close();
    }
  });

  test('lists and texts over their maximum length', async () => {
    const client = await json();
    const many = Array.from({ length: 1_001 }, () => 'trade:ACME');
    expect(await client.subscribe(...many)).toMatchObject([
      { code: 'invalid-field', field: 'subscribe.topics' },
    ]);
    expect(await client.subscribe(`trade:${'A'.repeat(60)}`)).toMatchObject([
      { code: 'invalid-field', field: 'subscribe.topics[0]' },
    ]);
    expect(await client.subscribe(...many.slice(0, 1_000))).toMatchObject([
      { type: 'instrument' },
      { type: 'ack' },
    ]);
    await client.close();
  });

  test('more than a session may have; a wildcard counts as the number of its topics', async () => {
    const symbols = Array.from({ length: TOPICS_MAX }, (_, i) => `MANY${i}`);
    await server.ingest(tape(...symbols.map((symbol) => instrument(symbol))));
    const client = await binary();
    expect(await client.subscribe('book:*')).toMatchObject([{ code: 'too-many-topics' }]);
    const topics = symbols.map((symbol) => `book:${symbol}`);
    expect((await client.subscribe(...topics)).at(-1)).toMatchObject({ type: 'ack' });
    expect(await client.subscribe('status')).toMatchObject([{ code: 'too-many-topics' }]);
    expect((await client.subscribe(...topics)).at(-1)).toMatchObject({ type: 'ack' });
    await client.unsubscribe(topics[0]!);
    expect((await client.subscribe('status')).at(-1)).toMatchObject({ type: 'ack' });
    await client.close();
  });
});

test('[E2] after a hundred faults the connection is closed with 4003', async () => {
  for (const client of await Promise.all([json(), binary()])) {
    for (let i = 0; i < 99; i++) client.raw(client.text ? 'x' : bytes(0xc0));
    await client.settle();
    expect(client.ended).toBeUndefined();
    for (let i = 0; i < 50; i++) client.raw(client.text ? 'x' : bytes(0xc0));
    expect(await client.closed).toEqual({ code: 4003, reason: 'too-many-errors' });
    expect(client.seen.filter((m) => m.type === 'error')).toHaveLength(100);
    expect(client.seen.at(-1)).toMatchObject({ type: 'closing', code: 4003, reconnect: false });
  }
});

test('a publisher that disconnects in the middle of a large publish leaves nothing behind', async () => {
  const client = await StreamClient.json(server.url, { authorization: `Bearer ${PUBLISH_KEY}` });
  const before = (await server.json('/v1/instruments'))['seq'];
  const events = Array.from({ length: 400 }, () => trade('ACME', '1.00', '0.001'));
  client.raw(
    JSON.stringify([{ type: 'publish', id: 1, events, continues: null }]).slice(0, 60_000),
  );
  await client.close();
  expect((await server.json('/v1/instruments'))['seq']).toBe(before as number);
});
