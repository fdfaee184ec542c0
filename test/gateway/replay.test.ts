/** Replay over real sockets: the journal in the live format, at the original times or as fast as it can be read. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';

import { book, instrument, tape, trade } from '../support/feed';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

let server: ServerProcess;
let count = 0;

beforeAll(async () => {
  server = await ServerProcess.start();
});
afterAll(() => server.remove());

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (response.status !== 200) throw new Error(await response.text());
}

const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;

/** A feed instrument with a book and some trades, a second apart. @returns what a live reader received */
async function recorded(
  trades: number,
): Promise<{ symbol: string; topics: string[]; live: Seen[] }> {
  const symbol = `P${++count}`;
  await given(instrument(symbol));
  const topics = ['tick', 'trade', 'bbo', 'book'].map((channel) => `${channel}:${symbol}`);
  const reader = await StreamClient.open(server.url);
  await reader.subscribe(...topics);
  const from = reader.seen.length;
  await given(
    book(symbol, 'snapshot', [['9.00', '1.000']], [['11.00', '1.000']], {
      seq: 1,
      eventTime: String(START),
    }),
  );
  for (let n = 1; n <= trades; n++) {
    const eventTime = String(START + BigInt(n) * SECOND);
    await given(
      trade(symbol, `${10 + (n % 50)}.00`, '1.000', { seq: n, eventTime }),
      book(symbol, 'delta', [['9.00', `${n + 1}.000`]], [], { seq: n + 1, prevSeq: n, eventTime }),
    );
  }
  await reader.find(
    (m) =>
      m.type === 'book' && BigInt(m['eventTime'] as string) === START + BigInt(trades) * SECOND,
  );
  await reader.settle();
  await reader.close();
  return { symbol, topics, live: ofTopics(reader.seen.slice(from)) };
}

function ofTopics(seen: readonly Seen[]): Seen[] {
  const of = seen.filter((m) => ['tick', 'trade', 'bbo', 'book', 'gap'].includes(m.type));
  return of.toSorted((a, b) => Number(a['seq']) - Number(b['seq']));
}

const NONE = { from: null, to: null, fromSeq: null, toSeq: null, speed: null };

async function replay(client: StreamClient, request: Record<string, unknown>): Promise<Seen[]> {
  const from = client.seen.length;
  client.send({ type: 'replay', id: 7, action: 'start', ...NONE, ...request });
  await client.answer(7, from);
  return client.seen.slice(from);
}

describe.each(FORMS)('%s', (form) => {
  const open = (): Promise<StreamClient> => StreamClient.open(server.url, form);

  test('[R6] what was pushed is sent again, message by message, in the order of seq', async () => {
    const { symbol, topics, live } = await recorded(40);
    const client = await open();
    const replayed = await replay(client, { topics });
    expect(replayed[0]).toMatchObject({ type: 'instrument', symbol });
    expect(replayed.at(-1)).toMatchObject({ type: 'ack', id: 7, seq: live.at(-1)!['seq'] });
    const seqs = replayed.slice(1, -1).map((m) => Number(m['seq']));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(ofTopics(replayed)).toEqual(live);
    await client.close();
  });

  test('[R6] by seq: a book begins with its previous state', async () => {
    const { topics, live } = await recorded(20);
    const fromSeq = Number(live[30]!['seq']);
    const toSeq = Number(live[60]!['seq']);
    const client = await open();
    const replayed = await replay(client, { topics, fromSeq, toSeq });
    const [, opening] = replayed;
    const before = live.findLast((m) => m.type === 'book' && Number(m['seq']) < fromSeq)!;
    expect(opening).toMatchObject({
      type: 'book',
      form: 'snapshot',
      prevSeq: 0,
      seq: before['seq'],
      crc: before['crc'],
    });
    expect(replayed.slice(2, -1)).toEqual(live.slice(30, 61));
    await client.close();
  });

  test('[R6] by time: from the first record at or after the start to the last at or before the end', async () => {
    const { topics, live } = await recorded(10);
    const at = (m: Seen): bigint => BigInt(m['eventTime'] as string) - START;
    const client = await open();
    const replayed = await replay(client, {
      topics,
      from: String(START + 4n * SECOND),
      to: String(START + 6n * SECOND),
    });
    const wanted = live.filter((m) => at(m) >= 4n * SECOND && at(m) <= 6n * SECOND);
    expect(wanted.length).toBeGreaterThan(6);
    expect(replayed.slice(2, -1)).toEqual(wanted);
    const nothing = await replay(client, { topics, from: String(START + 1_000_000n * SECOND) });
    expect(nothing.map((m) => m.type)).toEqual(['instrument', 'book', 'ack']);
    await client.close();
  });

  test('[R6] paused, moved and stopped: each is answered, and the start at the end', async () => {
    const { topics, live } = await recorded(30);
    const client = await open();
    const steer = async (id: number, action: string, more: Record<string, unknown> = {}) => {
      const from = client.seen.length;
      client.send({ type: 'replay', id, action, topics: [], ...NONE, ...more });
      return client.answer(id, from);
    };
    // At ten times real time some messages have been sent, and most are still to come.
    client.send({ type: 'replay', id: 1, action: 'start', topics, ...NONE, speed: 1000 });
    await client.find((m) => m.type === 'tick' && m['volume'] === '3.000');
    expect(await steer(2, 'pause')).toMatchObject({ type: 'ack' });
    const paused = client.seen.length;
    await Bun.sleep(300);
    expect(ofTopics(client.seen.slice(paused))).toEqual([]);
    const to = live.findIndex((m) => m['volume'] === '27.000');
    const seq = Number(live[to]!['seq']);
    const seekFrom = client.seen.length;
    client.send({ type: 'replay', id: 3, action: 'seek', topics: [], ...NONE, fromSeq: seq });
    expect(await client.answer(3, seekFrom)).toEqual({
      type: 'ack',
      id: 3,
      seq,
      repeated: null,
      waiting: null,
      shards: null,
    });
    expect(await steer(4, 'continue')).toMatchObject({ type: 'ack' });
    await client.answer(1, paused);
    const behind = client.seen.slice(
      client.seen.findIndex((m) => m.type === 'ack' && m['id'] === 3) + 1,
    );
    expect(ofTopics(behind).filter((m) => Number(m['seq']) >= seq)).toEqual(live.slice(to));
    expect(await steer(5, 'pause')).toMatchObject({ type: 'error', code: 'no-replay' });

    client.send({ type: 'replay', id: 6, action: 'start', topics, ...NONE, speed: 1 });
    const before = client.seen.length;
    client.send({ type: 'replay', id: 8, action: 'stop', topics: [], ...NONE });
    await client.answer(8, before);
    expect(client.seen.filter((m) => m['id'] === 6 && m.type === 'ack')).toHaveLength(1);
    // The session can subscribe again.
    expect((await client.subscribe(topics[0]!)).map((m) => m.type)).toEqual([
      'instrument',
      'tick',
      'ack',
    ]);
    await client.close();
  });

  test('wrong fields are refused by name', async () => {
    const { topics } = await recorded(2);
    const client = await open();
    const refused = async (request: Record<string, unknown>): Promise<Seen> =>
      (await replay(client, { topics, ...request })).at(-1)!;
    expect(await refused({ topics: [] })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.topics',
    });
    expect(await refused({ topics: ['bar:X:1m'] })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.topics[0]',
    });
    expect(await refused({ topics: ['trade:NOBODY'] })).toMatchObject({ code: 'unknown-symbol' });
    expect(await refused({ topics: ['nothing'] })).toMatchObject({ code: 'unknown-topic' });
    expect(await refused({ from: '2', to: '1' })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.to',
    });
    expect(await refused({ fromSeq: 2, toSeq: 1 })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.toSeq',
    });
    expect(await refused({ from: '2', fromSeq: 1 })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.fromSeq',
    });
    expect(await refused({ fromSeq: 1e12 })).toMatchObject({
      code: 'invalid-field',
      field: 'replay.fromSeq',
    });
    await client.subscribe(topics[0]!);
    expect(await refused({})).toMatchObject({ code: 'replay-under-way' });
    await client.close();
  });

  test('while one is open no other and no topic is accepted', async () => {
    const { topics } = await recorded(5);
    const client = await open();
    client.send({ type: 'replay', id: 1, action: 'start', topics, ...NONE, speed: 1 });
    expect((await replay(client, { topics })).at(-1)).toMatchObject({ code: 'replay-under-way' });
    expect((await client.subscribe('status')).at(-1)).toMatchObject({
      type: 'error',
      code: 'replay-under-way',
    });
    await client.close();
  });
});
