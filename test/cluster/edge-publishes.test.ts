/** Real servers of a cluster over a real broker: sources that publish at an edge. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { TapedeckClient } from '../../src/client/client';
import { TapedeckError } from '../../src/client/errors';
import { hasNats, NatsServers } from '../support/nats';
import { SlowLine } from '../support/slow-line';
import { deep, testDeep } from '../support/tier';
import { OTHER_PUBLISH_KEY, PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const CONFIG =
  '[cluster]\nreplicas = 1\nlogBytesMax = 100000000\ncheckpointBytesMax = 50000000\nleaderWaitMs = 10000\n[push]\npongMs = 600000\n[market]\ntakeoverMs = 1500\n';

let nats: NatsServers;

beforeAll(async () => {
  if (hasNats) nats = await NatsServers.one();
});
afterAll(() => nats?.remove());

function member(
  name: string,
  role: 'leader' | 'standby' | 'edge',
  data?: string,
): Promise<ServerProcess> {
  const args = ['--cluster', name, '--nats', nats.urls.join(','), '--role', role];
  return ServerProcess.start({ config: CONFIG, args, ...(data !== undefined && { data }) });
}

function connect(url: string, key = PUBLISH_KEY): Promise<TapedeckClient> {
  return TapedeckClient.connect(url, { key });
}

function definition(symbol: string): SourceEvent {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 0,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
    shard: null,
  };
}

const common = { prevSeq: 0, eventTime: Nanos.ZERO, receiveTime: Nanos.ZERO };

/** Without a number of its source: nothing but the path that it takes keeps it from being taken twice. */
function trade(symbol: string, tradeId: number): SourceEvent {
  const eventTime = Nanos.fromMillis(Date.now());
  const amounts = { price: 100, quantity: 1, aggressor: 'buy', tradeId, timing: null } as const;
  return { type: 'trade', symbol, seq: 0, ...common, eventTime, ...amounts };
}

function book(symbol: string, levels: number): SourceEvent {
  const side = (first: number, step: number): number[] =>
    Array.from({ length: 2 * levels }, (_, i) => (i % 2 === 0 ? first + (step * i) / 2 : 5));
  const eventTime = Nanos.fromMillis(Date.now());
  const of = { form: 'snapshot', crc: null, count: 1, mark: null } as const;
  const bids = side(1_000_000, -1);
  const asks = side(1_000_001, 1);
  return { type: 'book', symbol, seq: 0, ...common, eventTime, ...of, bids, asks };
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return 'done';
  } catch (e) {
    return e instanceof TapedeckError ? `${e.code} ${e.field ?? ''}`.trim() : String(e);
  }
}

/** Retries while the leader is not yet known to the server. */
async function define(client: TapedeckClient, symbol: string): Promise<void> {
  await until(async () => (await codeOf(client.publish([definition(symbol)]))) === 'done');
}

interface PastTrade {
  readonly tradeId: number;
  readonly seq: number;
}

/** All trades of a symbol, oldest first. */
async function tradesAt(url: string, symbol: string): Promise<PastTrade[]> {
  const trades: PastTrade[] = [];
  let next = '';
  for (;;) {
    const answer = await fetch(`${url}/v1/trades/${symbol}?limit=1000${next}`);
    const page = (await answer.json()) as { trades: PastTrade[]; next: string | null };
    trades.push(...page.trades);
    if (page.next === null) return trades.reverse();
    next = `&next=${page.next}`;
  }
}

async function stateAt(url: string, symbol: string): Promise<string> {
  const answer = await fetch(`${url}/v1/instruments/${symbol}`);
  return ((await answer.json()) as { state: string }).state;
}

describe.skipIf(!hasNats)('publishes at an edge', () => {
  test('are taken, refused and numbered by the leader as those of its own connections; symbols belong to one source of the cluster', async () => {
    const leader = await member('p1', 'leader');
    const edge = await member('p1', 'edge');
    const far = await connect(edge.url);
    await define(far, 'WOOL');
    const seq = await far.publish([trade('WOOL', 1), trade('WOOL', 2)]);
    expect(await tradesAt(edge.url, 'WOOL')).toMatchObject([{ tradeId: 1 }, { tradeId: 2 }]);
    const [, last] = await tradesAt(leader.url, 'WOOL');
    expect(last!.seq).toBeLessThanOrEqual(seq);

    const near = await connect(leader.url, OTHER_PUBLISH_KEY);
    expect(await codeOf(near.publish([trade('WOOL', 3)]))).toBe(
      'symbol-in-use publish.events[0].symbol',
    );
    const wrong = [trade('WOOL', 4), trade('NONE', 5)];
    expect(await codeOf(far.publish(wrong))).toBe('unknown-symbol publish.events[1].symbol');
    const other = { ...definition('WOOL'), priceScale: 3 } as SourceEvent;
    expect(await codeOf(far.publish([other]))).toBe(
      'definition-conflict publish.events[0].priceScale',
    );
    expect(await codeOf(far.publish([trade('WOOL', 6)]))).toBe(
      'definition-conflict publish.events[0].symbol',
    );
    await far.publish([definition('WOOL'), trade('WOOL', 7)]);

    // Much larger than a message to the leader, and taken in several turns.
    await far.publish([book('WOOL', 4_000)]);
    const depth = await fetch(`${edge.url}/v1/orderbook/WOOL`);
    expect(((await depth.json()) as { bids: unknown[] }).bids).toHaveLength(10);
    far.close();
    await until(async () => (await stateAt(edge.url, 'WOOL')) === 'stale');
    await near.publish([trade('WOOL', 8)]);
    await until(async () => (await tradesAt(edge.url, 'WOOL')).length === 4);
    expect((await tradesAt(leader.url, 'WOOL')).map(({ tradeId }) => tradeId)).toEqual([
      1, 2, 7, 8,
    ]);
    near.close();
    for (const server of [leader, edge]) await server.remove();
  });

  testDeep('an edge that is killed gives its symbols back', async () => {
    const leader = await member('p2', 'leader');
    const edge = await member('p2', 'edge');
    const far = await connect(edge.url);
    await define(far, 'RICE');
    await far.publish([trade('RICE', 1)]);
    await edge.stop('SIGKILL');
    const near = await connect(leader.url, OTHER_PUBLISH_KEY);
    expect(await codeOf(near.publish([trade('RICE', 2)]))).toStartWith('symbol-in-use');
    await until(async () => (await codeOf(near.publish([trade('RICE', 3)]))) === 'done');
    far.close();
    near.close();
    for (const server of [leader, edge]) await server.remove();
  });

  test('an edge that is stopped answers what is under way, and gives its symbols back at once', async () => {
    const leader = await member('p5', 'leader');
    const edge = await member('p5', 'edge');
    const feeds = new Feeds({ AA: edge.url, BB: edge.url });
    await feeds.more(200);
    await edge.stop();
    await feeds.end();
    await feeds.check(leader.url);
    const near = await connect(leader.url, OTHER_PUBLISH_KEY);
    await near.publish([trade('AA', 1_000_000)]);
    near.close();
    for (const server of [leader, edge]) await server.remove();
  });

  testDeep(
    'a silent connection gives its symbols to its key at another member, and to no other key',
    async () => {
      const leader = await member('p4', 'leader');
      const edge = await member('p4', 'edge');
      for (const [from, to, symbol] of [
        [edge, leader, 'OATS'],
        [leader, edge, 'BEAN'],
        [edge, edge, 'CORN'],
      ] as const) {
        const line = await SlowLine.to(from.url);
        const silent = await connect(line.url);
        await define(silent, symbol);
        await silent.publish([trade(symbol, 1)]);
        line.isStalled = true;
        const other = await connect(to.url, OTHER_PUBLISH_KEY);
        expect(await codeOf(other.publish([trade(symbol, 2)]))).toStartWith('symbol-in-use');
        const next = await connect(to.url);
        await until(async () => (await codeOf(next.publish([trade(symbol, 3)]))) === 'done');
        const ids = (await tradesAt(to.url, symbol)).map(({ tradeId }) => tradeId);
        expect(ids).toEqual([1, 3]);
        next.close();
        silent.close();
        other.close();
        line.close();
      }
      for (const server of [leader, edge]) await server.remove();
    },
  );

  const ENDS = [
    ['is killed', 'SIGKILL'],
    ['stands still and goes on behind its successor', 'SIGSTOP'],
  ] as const;
  test.each(deep(ENDS, 1))(
    'a leader that %s: each publish is in the market of the next one once if it was acknowledged, and not if it was refused',
    async (_, signal) => {
      const leader = await member(signal, 'leader');
      const standby = await member(signal, 'standby');
      const edge = await member(signal, 'edge');
      // The standby publishes what it has on its way to its own market when it leads.
      const feeds = new Feeds({ AA: edge.url, BB: edge.url, CC: standby.url });
      await feeds.more(300);
      process.kill(leader.pid, signal);
      await feeds.more(300);
      if (signal === 'SIGSTOP') process.kill(leader.pid, 'SIGCONT');
      await feeds.more(300);
      await feeds.end();
      for (const { url } of [standby, edge]) await feeds.check(url);
      for (const server of [leader, standby, edge]) await server.remove();
    },
  );

  testDeep(
    'the same with a leader that is killed and started again with its journal, which may have more than the log',
    async () => {
      const leader = await member('again', 'leader');
      const edge = await member('again', 'edge');
      const feeds = new Feeds({ AA: edge.url, BB: edge.url });
      await feeds.more(300);
      await leader.stop('SIGKILL');
      const next = await member('again', 'leader', leader.data);
      await feeds.more(300);
      await feeds.end();
      for (const { url } of [next, edge]) await feeds.check(url);
      for (const server of [next, leader, edge]) await server.remove();
    },
  );
});

/** Sources that publish trades with rising ids, as fast as they are answered, and keep what became of each. */
class Feeds {
  private readonly acknowledged = new Map<string, number[]>();
  private readonly others = new Map<number, string>();
  private readonly over = new AbortController();
  private readonly running: Promise<void>[];
  private count = 0;
  private newest = 0;

  /** @param urls where the source of each symbol publishes */
  constructor(urls: Readonly<Record<string, string>>) {
    this.running = Object.entries(urls).map(([symbol, url]) => this.run(symbol, url));
  }

  /** Waits for so many more acknowledgements. */
  async more(count: number): Promise<void> {
    const before = this.count;
    await until(() => this.count >= before + count);
  }

  async end(): Promise<void> {
    this.over.abort();
    await Promise.all(this.running);
    const codes: Record<string, number> = {};
    for (const code of this.others.values()) codes[code] = (codes[code] ?? 0) + 1;
    console.log({ acknowledged: this.count, ...codes });
  }

  /** What a server has of each symbol: what was acknowledged, in order, and nothing that was refused. */
  async check(url: string): Promise<void> {
    for (const [symbol, acknowledged] of this.acknowledged) {
      const newest = acknowledged.at(-1)!;
      await until(async () => (await tradesAt(url, symbol)).some((one) => one.tradeId === newest));
      const ids = (await tradesAt(url, symbol)).map(({ tradeId }) => tradeId);
      expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
      const sure = ids.filter((id) => this.others.get(id) !== 'unknown-outcome');
      expect(sure).toEqual(acknowledged);
    }
  }

  private async run(symbol: string, url: string): Promise<void> {
    const client = await connect(url);
    await define(client, symbol);
    const acknowledged: number[] = [];
    this.acknowledged.set(symbol, acknowledged);
    const all: Promise<void>[] = [];
    while (!this.over.signal.aborted) {
      const ids = [++this.newest, ++this.newest, ++this.newest];
      const taken = (): void => {
        this.count += 1;
        acknowledged.push(...ids);
      };
      const refused = (e: unknown): void => {
        for (const id of ids) this.others.set(id, e instanceof TapedeckError ? e.code : String(e));
      };
      all.push(client.publish(ids.map((id) => trade(symbol, id))).then(taken, refused));
      await Bun.sleep(3);
    }
    await Promise.all(all);
    client.close();
  }
}
