/** Hostile resume and replay requests: bounded, answered, and harmless to others. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { connect } from 'node:net';

import { encodeTextFrame } from '../../protocol/codec';
import { book, instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';
import { deep } from '../support/tier';

setDefaultTimeout(60_000);

const SYMBOL = 'ACME';
const TOPIC = `trade:${SYMBOL}`;
const NONE = { from: null, to: null, fromSeq: null, toSeq: null, speed: null };

let server: ServerProcess;
let last = 0;

beforeAll(async () => {
  const config = `
[cache]
memtableEventsMax = 1000
[push]
heartbeatMs = 500
pongMs = 4000
[limits]
playbacksMax = 2
workPerSecond = 10000000
topicsMax = 20
`;
  server = await ServerProcess.start({ config });
  await given(
    instrument(SYMBOL),
    book(SYMBOL, 'snapshot', [['9.00', '1.000']], [['11.00', '1.000']], { seq: 1 }),
  );
  for (let i = 0; i < 4; i++)
    await given(...Array.from({ length: 10_000 }, () => trade(SYMBOL, '10.00', '0.001')));
  last = Number((await server.json(`/v1/tick/${SYMBOL}`))['seq']);
});
afterAll(() => server.remove());

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (response.status !== 200) throw new Error(await response.text());
}

function act(id: number, action: string, more: Record<string, unknown> = {}) {
  const topics = action === 'start' ? [TOPIC] : [];
  return { type: 'replay', id, action, topics, ...NONE, ...more, shard: null };
}

/** The answers to these requests, in the form `7 ack`, `8 no-replay`. */
async function answers(client: StreamClient, ids: readonly number[]): Promise<string[]> {
  for (const id of ids) await client.answer(id, 0);
  const brief = (m: Seen): string =>
    `${String(m['id'])} ${m.type === 'ack' ? 'ack' : String(m['code'])}`;
  const isAnswer = (m: Seen): boolean => m.type === 'ack' || m.type === 'error';
  return client.seen.filter((m) => isAnswer(m) && ids.includes(m['id'] as number)).map(brief);
}

describe.each(deep(FORMS, 1))('%s', (form) => {
  const open = (): Promise<StreamClient> => StreamClient.open(server.url, form);

  test('[R6] steering a replay that does not exist', async () => {
    const client = await open();
    const actions = ['pause', 'continue', 'seek', 'stop'];
    client.send(...actions.map((action, i) => act(i, action, { fromSeq: 1 })));
    expect(await answers(client, [0, 1, 2, 3])).toEqual([
      '0 no-replay',
      '1 no-replay',
      '2 no-replay',
      '3 no-replay',
    ]);
    await client.close();
  });

  test('[R6] an invalid seek is refused, and the replay continues', async () => {
    const client = await open();
    client.send(
      act(1, 'start', { speed: 1, toSeq: 100 }),
      act(2, 'seek'),
      act(3, 'seek', { fromSeq: 1e12 }),
      act(4, 'seek', { fromSeq: 1, from: '1' }),
      act(5, 'start'),
      act(6, 'pause'),
      { type: 'subscribe', id: 7, topics: [TOPIC], intervalMs: null },
      { type: 'unsubscribe', id: 8, topics: [TOPIC] },
      { type: 'resume', id: 9, epoch: 1, seq: 0, topics: [TOPIC], positions: null },
      act(10, 'stop'),
    );
    expect((await answers(client, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toSorted()).toEqual([
      '1 ack',
      '10 ack',
      '2 invalid-field',
      '3 invalid-field',
      '4 invalid-field',
      '5 replay-under-way',
      '6 ack',
      '7 replay-under-way',
      '8 not-subscribed',
      '9 replay-under-way',
    ]);
    await client.close();
  });

  test('[R2] requests during a resume wait for it, and are answered in order', async () => {
    const client = await open();
    const { epoch } = (await client.next('welcome')) as unknown as { epoch: number };
    const resume = { type: 'resume', epoch, seq: 1, topics: [TOPIC, TOPIC], positions: null };
    client.send(
      { ...resume, id: 1 },
      act(2, 'start'),
      { type: 'unsubscribe', id: 3, topics: [TOPIC] },
      act(4, 'start', { fromSeq: last - 1 }),
      { ...resume, id: 5, seq: last },
      act(6, 'pause'),
      act(7, 'stop'),
    );
    expect(await answers(client, [1, 2, 3, 4, 5, 6, 7])).toMatchObject({ length: 7 });
    expect(client.seen.find((m) => m['id'] === 2)).toMatchObject({ code: 'replay-under-way' });
    // The same topic twice counts once.
    const trades = client.seen
      .slice(
        0,
        client.seen.findIndex((m) => m['id'] === 1),
      )
      .filter((m) => m.type === 'trade');
    expect(trades).toHaveLength(40_000);
    expect(new Set(trades.map((m) => m['seq'])).size).toBe(40_000);
    await client.close();
  });

  test('more than a thousand requests during a resume are refused, and the connection is closed', async () => {
    const client = await open();
    const { epoch } = (await client.next('welcome')) as unknown as { epoch: number };
    const resume = { type: 'resume', id: 1, epoch, seq: 5, topics: [TOPIC], positions: null };
    client.send(resume, ...Array.from({ length: 1_200 }, (_, i) => act(i + 2, 'pause')));
    expect(await client.closed).toMatchObject({ code: 4003 });
  });

  test('topics over the limits of a request and of a session', async () => {
    const client = await open();
    const topics = (count: number): string[] => Array.from({ length: count }, () => TOPIC);
    const many = {
      type: 'resume',
      id: 1,
      epoch: 1,
      seq: 1,
      topics: topics(1_001),
      positions: null,
    };
    if (form === FORMS[1]) client.send(many);
    else client.raw(packed(1_001));
    expect(await client.next('error')).toMatchObject({
      code: 'invalid-field',
      field: expect.stringContaining('topics'),
    });
    const { epoch } = (await client.next('welcome')) as unknown as { epoch: number };
    client.send({ ...many, id: 2, epoch, seq: last, topics: topics(1_000) });
    expect(await client.answer(2, 0)).toMatchObject({ type: 'ack', shards: null });
    if (form === FORMS[1]) client.raw(JSON.stringify([{ ...many, topics: topics(1_000_000) }]));
    else client.raw(packed(1_000_000));
    expect(await client.closed).toMatchObject({ code: 1009 });
  });

  test('a flood of seeks and pauses: each is answered, and others are served meanwhile', async () => {
    const [client, other] = [await open(), await open()];
    client.send(act(1, 'start', { speed: 1 }));
    const ids = Array.from({ length: 4_000 }, (_, i) => i + 2);
    client.send(
      ...ids.map((id) =>
        act(id, ['seek', 'pause', 'continue'][id % 3]!, { fromSeq: (id % 50) + 1 }),
      ),
    );
    other.send(act(1, 'start', { fromSeq: last - 200 }));
    expect(await other.answer(1, 0)).toMatchObject({ type: 'ack', seq: last - 1, shards: null });
    await client.answer(4_001, 0);
    client.send(act(5_000, 'stop'));
    await client.answer(5_000, 0);
    const answered = client.seen.filter((m) => m.type === 'ack').map((m) => m['id'] as number);
    expect(answered).toHaveLength(4_002);
    expect(new Set(answered).size).toBe(4_002);
    await Promise.all([client.close(), other.close()]);
  });

  test('at the limit of replays one more is refused, and a resume does not wait for them', async () => {
    const clients = await Promise.all([open(), open(), open()]);
    for (const client of clients.slice(0, 2)) {
      client.send(act(1, 'start', { speed: 1 }));
      await client.next('trade');
    }
    const [first, , third] = clients;
    third.send(act(1, 'start'));
    expect(await third.answer(1, 0)).toMatchObject({ code: 'overloaded' });
    const { epoch } = (await third.next('welcome')) as unknown as { epoch: number };
    third.send({ type: 'resume', id: 2, epoch, seq: 5, topics: [TOPIC], positions: null });
    expect(await third.answer(2, 0)).toMatchObject({ type: 'ack', shards: null });
    await first.close();
    for (let id = 3; ; id++) {
      third.send({ type: 'unsubscribe', id: 1_000 + id, topics: [TOPIC] }, act(id, 'start'));
      if ((await third.answer(id, 0)).type === 'ack') break;
      await Bun.sleep(20); // the server has not noticed its end yet
    }
    await Promise.all(clients.slice(1).map((client) => client.close()));
  });
});

/** A resume of a number of topics in the binary form, which the encoders of this project refuse to make. */
function packed(count: number): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(TOPIC);
  const head = [
    0x91,
    0x95,
    0x04,
    0x01,
    0x01,
    0x01,
    0xdd,
    count >>> 24,
    (count >> 16) & 255,
    (count >> 8) & 255,
    count & 255,
  ];
  const bytes = new Uint8Array(head.length + count * (name.length + 1));
  bytes.set(head);
  for (let i = 0, at = head.length; i < count; i++, at += name.length + 1) {
    bytes[at] = 0xa0 | name.length;
    bytes.set(name, at + 1);
  }
  return bytes;
}

test('clients that never read: the memory held for them is bounded, and their slots become free again', async () => {
  const { port, hostname } = new URL(server.url);
  const before = await residentBytes();
  const sockets = Array.from({ length: 2 }, () => connect(Number(port), hostname));
  for (const socket of sockets) {
    socket.on('error', () => {});
    socket.write(
      `GET /v1/stream HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: tapedeck.v1.json\r\n\r\n`,
    );
    await new Promise((resolve) => socket.once('data', resolve));
    socket.pause();
    const start = encodeTextFrame(
      [{ type: 'replay', id: 1, action: 'start', topics: [TOPIC], ...NONE, shard: null }],
      () => undefined,
    );
    socket.write(masked(start));
  }
  await Bun.sleep(500);
  expect((await residentBytes()) - before).toBeLessThan(64 * 1_048_576);
  // They send no pongs, so they are cut off; a reader that reads gets its replay.
  const client = await StreamClient.open(server.url);
  for (let id = 1; ; id++) {
    client.send(act(id, 'start', { fromSeq: last - 10 }));
    const answer = await client.answer(id, 0);
    if (answer.type === 'ack') break;
    expect(answer).toMatchObject({ code: 'overloaded' });
    expect(id).toBeLessThan(900);
    await Bun.sleep(100);
  }
  for (const socket of sockets) socket.destroy();
  await client.close();
});

/** Masked, as a client must send it. */
function masked(text: string): Uint8Array {
  const payload = new TextEncoder().encode(text);
  return new Uint8Array([
    0x81,
    0x80 | 126,
    payload.length >> 8,
    payload.length & 255,
    0,
    0,
    0,
    0,
    ...payload,
  ]);
}

async function residentBytes(): Promise<number> {
  const status = await Bun.file(`/proc/${server.pid}/status`).text();
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1_024;
}
