/** The client with the journal of a real server: replay at the pace of its consumer, and intervals after a cut. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import type { Tick } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { TapedeckClient } from '../../src/client/client';
import type { SocketConstructor } from '../../src/client/environment';
import type { Item } from '../../src/client/items';
import { book, instrument, tape, trade } from '../support/feed';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';
import { CuttingProxy } from './cutting-proxy';

setDefaultTimeout(90_000);

const SYMBOL = 'ACME';
const TOPICS = ['tick', 'trade', 'book'].map((channel) => `${channel}:${SYMBOL}`);
const TRADES = 80_000;
const START = 1_700_000_000_000_000_000n;

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: '[cache]\nmemtableEventsMax = 1000\n' });
  await given(
    instrument(SYMBOL),
    book(SYMBOL, 'snapshot', [['9.00', '1.000']], [['11.00', '1.000']], { seq: 1 }),
  );
  for (let from = 1; from <= TRADES; from += 10_000) {
    await given(...Array.from({ length: 10_000 }, (_, i) => tradeOf(from + i)));
  }
});
afterAll(() => server.remove());

/** One a millisecond; its price identifies it. */
function tradeOf(n: number): Record<string, unknown> {
  const eventTime = String(START + BigInt(n) * 1_000_000n);
  return trade(SYMBOL, `${1 + (n % 1_000)}.00`, '0.001', { seq: n, eventTime });
}

async function given(...events: Record<string, unknown>[]): Promise<void> {
  const response = await server.ingest(tape(...events));
  if (response.status !== 200) throw new Error(await response.text());
}

/** Sockets that count what is received. */
function counting(): { WebSocket: SocketConstructor; received: () => number } {
  let bytes = 0;
  class Counting extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.addEventListener('message', ({ data }) => {
        bytes += typeof data === 'string' ? data.length : (data as ArrayBuffer).byteLength;
      });
    }
  }
  return { WebSocket: Counting as unknown as SocketConstructor, received: () => bytes };
}

async function all(source: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of source) items.push(item);
  return items;
}

describe.each(['msgpack', 'json'] as const)('[R6] a replay (%s)', (form) => {
  test('a consumer that does not read stops the server, and misses nothing', async () => {
    const { WebSocket, received } = counting();
    const client = await TapedeckClient.connect(server.url, { form, environment: { WebSocket } });
    const replay = client.replay({ topics: TOPICS });
    const first = await replay.next();
    expect(first.value).toMatchObject({ type: 'book', form: 'snapshot' });
    // It continues for a while, and then waits for its reader.
    let before = -1;
    await until(async () => {
      const isStill = received() === before;
      before = received();
      await Bun.sleep(400);
      return isStill && received() === before;
    });
    const held = received();
    const seqs: number[] = [];
    for await (const item of replay) if (item.type === 'trade') seqs.push(item.seq);
    expect(seqs).toHaveLength(TRADES);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(held).toBeLessThan(received() * 0.6);
    client.close();
  });

  test('paused, moved and stopped', async () => {
    const client = await TapedeckClient.connect(server.url, { form });
    const replay = client.replay({ topics: [`trade:${SYMBOL}`], speed: 100 });
    const { value } = await replay.next();
    expect(value).toMatchObject({ type: 'trade', price: 200 });
    await replay.pause();
    await replay.seek({ fromSeq: 100_000 });
    await replay.continue();
    const next = (await replay.next()).value as { seq: number };
    expect(next.seq).toBeGreaterThanOrEqual(100_000);
    expect(next.seq).toBeLessThan(100_010);
    await replay.stop();
    expect((await replay.next()).done).toBe(true);
    await replay.stop();
    await replay.pause();
    expect(await replay.seek({ fromSeq: 1 }).catch((e: unknown) => e)).toMatchObject({
      code: 'no-replay',
    });
    client.close();
  });

  test('moved and steered at its very end: it ends without an error', async () => {
    const client = await TapedeckClient.connect(server.url, { form });
    for (let i = 0; i < 20; i++) {
      const replay = client.replay({ topics: [`trade:${SYMBOL}`], fromSeq: 159_900 + i });
      const items = all(replay);
      if (i % 2 === 0) await Bun.sleep(i / 4);
      await replay.pause();
      await replay.continue();
      expect((await items).length).toBeGreaterThan(10);
    }
    client.close();
  });
});

test('[S9] [R2] a consumer with an interval: conflated, complete after a cut, conflated again', async () => {
  const proxy = await CuttingProxy.to(server.url, new Prng(1));
  const client = await TapedeckClient.connect(proxy.url, { reconnect: { baseMs: 10 } });
  const ticks: Tick[] = [];
  const subscription = client.subscribe([`tick:${SYMBOL}`], { intervalMs: 100 });
  let connected = 0;
  client.on('connected', () => (connected += 1));
  void (async () => {
    for await (const item of subscription) {
      if (item.type !== 'tick') throw new Error(`${item.type} ${JSON.stringify(item)}`);
      ticks.push(item);
    }
  })();
  await subscription.ready;
  let n = TRADES;
  const run = async (ms: number): Promise<void> => {
    for (const end = performance.now() + ms; performance.now() < end;) {
      await given(...Array.from({ length: 10 }, () => tradeOf(++n)));
    }
  };
  await run(500);
  proxy.cutAll();
  await run(500);
  await until(() => connected === 1);
  const resumedAt = ticks.length;
  await run(500);
  await until(() => ticks.at(-1)!.volume === n);
  // The first is the state; each later one continues the one before, and all are accounted for.
  const [state, ...rest] = ticks;
  expect(rest.map(({ prevSeq }) => prevSeq)).toEqual(ticks.slice(0, -1).map(({ seq }) => seq));
  const counts = rest.map(({ count }) => count);
  expect(counts.some((count) => count === 1)).toBe(true); // of the resume
  expect(Math.max(...ticks.slice(resumedAt).map(({ count }) => count))).toBeGreaterThan(9);
  expect(n - Number(state!.volume)).toBeGreaterThanOrEqual(counts.reduce((a, b) => a + b, 0));
  client.close();
  proxy.close();
});
