/**
 * A recorded market through a leader and two edges: readers of each edge are sent what those of a single server are,
 * message for message; across a takeover as well.
 */

import { afterAll, describe, expect, setDefaultTimeout } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { TapedeckClient, type Item } from '../../src/client/index';
import { tape, trade } from '../support/feed';
import { hasNats, NatsServers } from '../support/nats';
import { PUBLISH_KEY, ServerProcess, tapedeck } from '../support/tapedeck-process';
import { testDeep } from '../support/tier';
import { until } from '../support/until';

setDefaultTimeout(240_000);
const PATH = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
const present = existsSync(PATH);
if (!present) console.log(`NOT TESTED against a real market: ${PATH} is not there`);

const SYMBOL = 'BTCUSDT';
const TRADES = 9_757;
const NUMBERED = ['trade', 'tick', 'bbo', 'book'] as const;
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
const CLUSTER = `${SETTINGS}[cluster]\nreplicas = 1\nlogBytesMax = 268435456\n`;

interface Follower {
  readonly client: TapedeckClient;
  readonly items: Item[];
}

const closing: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closing.toReversed()) await close();
});

async function follow(urls: string | readonly string[]): Promise<Follower> {
  const reconnect = { baseMs: 20, maxMs: 200 };
  const client = await TapedeckClient.connect(urls, { timeoutMs: 5_000, reconnect });
  closing.push(() => client.close());
  const items: Item[] = [];
  const topics = [...NUMBERED, 'stats', 'bar'].map((channel) =>
    channel === 'bar' ? `bar:${SYMBOL}:1m` : `${channel}:${SYMBOL}`,
  );
  const subscription = client.subscribe(topics, { queueMax: 1_000_000 });
  void (async () => {
    for await (const item of subscription) items.push(item);
  })();
  await subscription.ready;
  return { client, items };
}

/** What a message says of the market, without what depends on its server: numbers, receipt, ends of batches. */
function contentOf(item: object): Record<string, unknown> {
  const {
    seq: _seq,
    prevSeq: _prevSeq,
    receiveTime: _receiveTime,
    crc: _crc,
    epoch: _epoch,
    ...content
  } = item as Record<string, unknown>;
  // A source that has gone has its time from the server.
  return content['mark'] === 'stale' ? { ...content, eventTime: null } : content;
}

const contents = ({ items }: Follower, channel: string): Record<string, unknown>[] =>
  items.filter(({ type }) => type === channel).map(contentOf);

async function bars(server: ServerProcess): Promise<unknown[]> {
  const answer = await server.get(`/v1/bars/${SYMBOL}?interval=1m&limit=1000`);
  const { bars: all } = (await answer.json()) as { bars: object[] };
  return all.map(contentOf);
}

async function replayTo(server: ServerProcess): Promise<void> {
  const args = ['replay', PATH, '--to', server.url, '--key', PUBLISH_KEY, '--speed', '100'];
  const { code, stderr } = await tapedeck(args, { timeoutMs: 120_000 });
  expect([code, stderr]).toMatchObject([0, expect.any(String)]);
}

describe.skipIf(!present || !hasNats)('a recorded market through a cluster', () => {
  testDeep('equals that of a single server, across a takeover', async () => {
    const nats = await NatsServers.one();
    closing.push(() => nats.remove());
    const start = async (role?: string): Promise<ServerProcess> => {
      const member = ['--cluster', 'recorded', '--nats', nats.urls.join(','), '--role', role ?? ''];
      const server = await ServerProcess.start({
        config: role === undefined ? SETTINGS : CLUSTER,
        args: role === undefined ? [] : member,
        timeoutMs: 240_000,
      });
      closing.push(() => server.remove());
      return server;
    };
    const [single, leader] = [await start(), await start('leader')];
    const [standby, one, two] = [await start('standby'), await start('edge'), await start('edge')];
    const wanted = await follow(single.url);
    const readers = [
      await follow(one.url),
      await follow(two.url),
      // It loses the leader, and goes on at an edge.
      await follow([leader.url, two.url]),
    ];
    const has = (count: number) => (follower: Follower) =>
      follower.items.filter(({ type }) => type === 'trade').length === count;

    await replayTo(single);
    await replayTo(one); // which passes it to the leader
    await until(() => [wanted, ...readers].every(has(TRADES)), 'all have the recording');
    for (const reader of readers) {
      expect(reader.items.filter(({ type }) => type === 'gap' || type === 'reset')).toEqual([]);
      for (const channel of NUMBERED) {
        const own = contents(reader, channel);
        expect([channel, own.length]).toEqual([channel, contents(wanted, channel).length]);
        expect(own).toEqual(contents(wanted, channel));
      }
    }

    await leader.stop('SIGKILL');
    await until(async () => (await standby.get('/v1/cluster')).ok && (await leads(standby)));
    const more = Array.from({ length: 50 }, (_, i) =>
      trade(SYMBOL, '61837.50', '0.001', { seq: 0, tradeId: 4_000_000_000 + i }),
    );
    for (const server of [single, two]) {
      expect((await server.ingest(tape(...more))).status).toBe(200);
    }
    await until(() => [wanted, ...readers].every(has(TRADES + 50)), 'all have what follows');
    for (const reader of readers) {
      expect(reader.items.filter(({ type }) => type === 'gap' || type === 'reset')).toEqual([]);
      const own = contents(reader, 'trade');
      expect(own.slice(0, TRADES)).toEqual(contents(wanted, 'trade').slice(0, TRADES));
      expect(own.length).toBe(TRADES + 50);
    }
    // Of the recording: what was published just now has its time from each server.
    const recorded = (await bars(single)).slice(0, -1);
    expect(recorded.length).toBeGreaterThan(3);
    for (const edge of [one, two]) expect((await bars(edge)).slice(0, -1)).toEqual(recorded);
  });
});

async function leads(server: ServerProcess): Promise<boolean> {
  const { members } = (await (await server.get('/v1/cluster')).json()) as {
    members: { isSelf: boolean; state: string }[];
  };
  return members.some(({ isSelf, state }) => isSelf && state === 'leading');
}
