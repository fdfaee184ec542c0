/**
 * Slow connections to a real server: the states, resumes and replays of readers that are slower than the server
 * arrive complete, and neither side considers the other dead meanwhile. The figures are those of a connection of 20
 * kB/s and a heartbeat of 5 s, scaled down: sending takes nine heartbeats, and a client that receives nothing for
 * two and a half of them ends its connection.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import type { Message } from '../../protocol/messages';
import { TapedeckClient } from '../../src/client/client';
import { Connection } from '../../src/client/connection';
import type { Item } from '../../src/client/items';
import { book, instrument, tape, trade, type Levels } from '../support/feed';
import { SlowLine } from '../support/slow-line';
import { StreamClient } from '../support/stream-client';
import { ADMIN_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';
import { deep, testDeep } from '../support/tier';

setDefaultTimeout(120_000);

const BOOKS = deep(500, 250);
/** Each also makes a tick; twice this number is still in memory. */
const MISSED = 2_400;
const LINES = deep(8, 3);
/** Bytes a second at which a connection needs nine heartbeats for what the tests send. */
const PACE = { msgpack: 40_000, json: 140_000 } as const;
const FORMS = ['msgpack', 'json'] as const;

let server: ServerProcess;
let trades = 0;

beforeAll(async () => {
  server = await ServerProcess.start({
    config:
      '[push]\nheartbeatMs = 500\npongMs = 3000\ncontrolMs = 3000\n[cache]\nmemtableEventsMax = 5100\n',
  });
  const levels = (from: number, step: number): Levels =>
    Array.from({ length: 10 }, (_, i) => [`${from + i * step}.25`, `${1_000 + i}.125`] as const);
  const symbols = Array.from({ length: BOOKS }, (_, i) => `BOOK${i}`);
  await given(...symbols.map((symbol) => instrument(symbol)), instrument('ACME'));
  await given(
    ...symbols.map((symbol) =>
      book(symbol, 'snapshot', levels(20_000, -1), levels(20_001, 1), { seq: 1 }),
    ),
  );
});
afterAll(() => server.remove());

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (response.status !== 200) throw new Error(await response.text());
}

async function traded(count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, i) =>
    trade('ACME', `${1 + ((trades + i) % 1_000)}.00`, '0.001', { seq: trades + i + 1 }),
  );
  trades += count;
  await given(...events);
}

test.each(deep(FORMS, 1))(
  '[S3] readers on slow connections each get the state of all books (%s)',
  async (form) => {
    const lines = await Promise.all(
      Array.from({ length: LINES }, () => SlowLine.to(server.url, { bytesPerSecond: PACE[form] })),
    );
    const readers = await Promise.all(
      lines.map(async (line) => {
        const seen: Message[] = [];
        const ended: string[] = [];
        const connection = await Connection.connect(line.url, {
          form,
          liveness: true,
          onMessage: (m) => seen.push(m),
          onClose: ({ reason }) => ended.push(reason),
        });
        return { connection, seen, ended };
      }),
    );
    await Promise.all(readers.map(({ connection }) => connection.subscribe(['book:*'])));
    for (const { connection, seen, ended } of readers) {
      const books = seen.filter((m) => m.type === 'book');
      expect(new Set(books.map(({ symbol }) => symbol)).size).toBe(BOOKS);
      expect(books.every(({ bids, asks }) => bids.length + asks.length === 40)).toBe(true);
      expect(ended).toEqual([]);
      connection.close();
    }
    for (const line of lines) line.close();
  },
);

/** A reader that has the trades so far over a fast connection, is cut off, misses some, and resumes over a slow one. */
async function comeBack(missed: number): Promise<void> {
  const line = await SlowLine.to(server.url);
  const client = await TapedeckClient.connect(line.url, { form: 'json' });
  const resets: unknown[] = [];
  client.on('reset', (reset) => resets.push(reset));
  const seqs: number[] = [];
  const subscription = client.subscribe(['trade:ACME']);
  void (async () => {
    for await (const item of subscription) if (item.type === 'trade') seqs.push(item.seq);
  })();
  await subscription.ready;
  await traded(1);
  await until(() => seqs.length > 0);
  line.isStalled = true;
  line.bytesPerSecond = PACE.json;
  line.cutAll();
  await traded(missed);
  line.isStalled = false;
  await until(() => seqs.length > missed);
  await traded(1);
  await until(() => seqs.length === missed + 2);
  expect(resets).toEqual([]);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  expect(line.connections).toBe(2);
  client.close();
  line.close();
}

describe('[R2] the SDK misses nothing on a connection that became slow while it was disconnected', () => {
  test.each(
    deep(
      [
        ['memory', MISSED],
        ['the journal', 5_000],
      ] as const,
      1,
    ),
  )('out of %s', (_, missed) => comeBack(missed));
});

test.each(deep(FORMS, 1))('[R6] a replay over a slow connection (%s)', async (form) => {
  const line = await SlowLine.to(server.url, { bytesPerSecond: PACE[form] / 2 });
  const client = await TapedeckClient.connect(line.url, { form });
  const items: Item[] = [];
  for await (const item of client.replay({ topics: ['book:*', 'status'] })) items.push(item);
  expect(items.filter(({ type }) => type === 'book')).toHaveLength(BOOKS);
  expect(line.connections).toBe(2); // a replay has its own connection
  client.close();
  line.close();
});

testDeep(
  'a reader whose connection gets a longer delay is live again, while the market continues',
  async () => {
    const line = await SlowLine.to(server.url, { delayMs: 1 });
    const reader = await StreamClient.json(line.url);
    await reader.subscribe('trade:ACME');
    const name = (await reader.next('welcome'))['session'] as string;
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    const displayed = async (): Promise<Record<string, unknown>> => {
      const response = await server.get(`/v1/admin/sessions/${name}`, { headers });
      return (await response.json()) as Record<string, unknown>;
    };
    const market = { isOpen: true };
    const closed = (async () => {
      for (; market.isOpen; await Bun.sleep(20)) await traded(20);
    })();
    await until(async () => (await displayed())['rttMs'] !== null);
    line.delayMs = 200;
    await until(async () => (await displayed())['lane'] === 'lagging');
    await until(async () => {
      const { lane, rttMs } = await displayed();
      return lane === 'express' && (rttMs as number) > 350;
    });
    market.isOpen = false;
    await closed;
    await reader.close();
    line.close();
  },
);
