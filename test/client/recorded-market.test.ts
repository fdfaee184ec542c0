/**
 * A recorded market at many times its speed, through a proxy that cuts the connection every few hundred
 * milliseconds: a reader that resumes gets the same messages as one that was never cut.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { Prng } from '../../src/base/prng';
import { TapedeckClient, type ClientOptions } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { PUBLISH_KEY, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { deep } from '../support/tier';
import { until } from '../support/until';
import { CuttingProxy } from './cutting-proxy';

const PATH = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
const SYMBOL = 'BTCUSDT';
const CHANNELS = ['tick', 'trade', 'bbo', 'book'];
const present = existsSync(PATH);
if (!present) console.log(`NOT TESTED against a real market: ${PATH} is not there`);
setDefaultTimeout(120_000);

/** No reader here is slow, and a busy machine must not cause conflation. */
const SETTINGS = `
[push]
lagMs = 20000
staleMs = 20000
tradeAgeMs = 20000
outboxBytesMax = 33554432
backlogBytesMax = 268435456
[[instruments]]
symbol = "${SYMBOL}"
market = "feed"
priceScale = 8
quantityScale = 8
`;

const opened: { close(): unknown }[] = [];
afterAll(() => Promise.all(opened.map((one) => one.close())));

interface Follower {
  readonly client: TapedeckClient;
  readonly items: Item[];
  /** How many seqs it was behind at each reconnect. */
  readonly missed: number[];
  newest: number;
}

async function follow(url: string, options: ClientOptions, topics: string[]): Promise<Follower> {
  const client = await TapedeckClient.connect(url, { timeoutMs: 5_000, ...options });
  opened.push(client);
  const follower: Follower = { client, items: [], missed: [], newest: 0 };
  client.on('connected', ({ seq }) => follower.missed.push(seq - follower.newest));
  const subscription = client.subscribe(topics, { queueMax: 1_000_000 });
  void (async () => {
    for await (const item of subscription) {
      follower.items.push(item);
      if (item.type !== 'gap') follower.newest = Math.max(follower.newest, item.seq);
    }
  })();
  await subscription.ready;
  return follower;
}

function ofChannel({ items }: Follower, channel: string): Item[] {
  return items.filter(({ type }) => type === channel);
}

describe.skipIf(!present)('[R2] a stream that is cut and resumed', () => {
  const CASES = [
    ['little memory, so out of the journal', 'msgpack', 1_000, 400, CHANNELS.map((c) => `${c}:*`)],
    ['much memory', 'msgpack', 50_000, 10, CHANNELS.map((c) => `${c}:${SYMBOL}`)],
    ['little memory, one instrument', 'msgpack', 1_000, 400, CHANNELS.map((c) => `${c}:${SYMBOL}`)],
    ['little memory, as text', 'json', 1_000, 400, CHANNELS.map((c) => `${c}:${SYMBOL}`)],
  ] as const;
  test.each(deep(CASES, 1))(
    '%s (%s) equals the one that was not',
    async (_, form, memtableEventsMax, baseMs, topics) => {
      const config = `[cache]\nmemtableEventsMax = ${memtableEventsMax}\n${SETTINGS}`;
      const server = await ServerProcess.start({ config });
      opened.push({ close: () => server.remove() });
      const proxy = await CuttingProxy.to(server.url, new Prng(7));
      opened.push(proxy);
      const whole = await follow(server.url, {}, [...topics]);
      const environment = { random: () => 0.9 }; // of the longest wait
      const cut = await follow(
        proxy.url,
        { form, reconnect: { baseMs, maxMs: baseMs }, environment },
        [...topics],
      );
      proxy.connectionMs = [150, 450];
      proxy.cutAll();
      const replayed = await tapedeck(
        ['replay', PATH, '--to', server.url, '--key', PUBLISH_KEY, '--speed', '60'],
        { timeoutMs: 90_000 },
      );
      expect([replayed.code, replayed.stderr]).toMatchObject([0, expect.any(String)]);
      proxy.connectionMs = null;
      await until(() => ofChannel(whole, 'trade').length === 9_757);
      await until(() => whole.newest === cut.newest);

      expect(proxy.cuts).toBeGreaterThan(5);
      for (const { items } of [whole, cut]) {
        expect(items.filter(({ type }) => type === 'gap' || type === 'reset')).toEqual([]);
      }
      for (const channel of CHANNELS) {
        const wanted = ofChannel(whole, channel);
        expect(wanted.length).toBeGreaterThan(3_000);
        expect(ofChannel(cut, channel)).toEqual(wanted);
      }
      // More was missed than is in memory, so it came from the journal.
      const longest = Math.max(...cut.missed);
      if (memtableEventsMax === 1_000) expect(longest).toBeGreaterThan(memtableEventsMax);
      // Both hold the book of the server.
      const book = await server.json(`/v1/orderbook/${SYMBOL}?depth=10`);
      for (const { client } of [whole, cut]) {
        expect(client.book(SYMBOL)!.trusted).toBe(true);
        const best = Number((book['bids'] as string[][])[0]![0]!.replace('.', ''));
        expect(client.book(SYMBOL)!.bids[0]).toBe(best);
      }
      expect(cut.client.book(SYMBOL)!.asks).toEqual(whole.client.book(SYMBOL)!.asks);
      expect(cut.client.book(SYMBOL)!.bids).toEqual(whole.client.book(SYMBOL)!.bids);
      whole.client.close();
      cut.client.close();
      await server.remove();
    },
  );
});
