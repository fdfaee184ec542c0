/** Shards: two leaders of one cluster with numberings of their own, and an edge that serves both as one market. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { hasNats, NatsServers } from '../support/nats';
import {
  ADMIN_KEY,
  OTHER_PUBLISH_KEY,
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  tapedeck,
  testKey,
  TRADE_KEY,
} from '../support/tapedeck-process';
import { until } from '../support/until';
import { testDeep } from '../support/tier';

setDefaultTimeout(120_000);

const CLUSTER = 'replicas = 1\nlogBytesMax = 100000000\ncheckpointBytesMax = 50000000\n';

const BUYER = { name: 'buyer', roles: ['trade'] } as const;

const scratch = new Scratch();
let nats: NatsServers;
let clusters = 0;

beforeAll(async () => {
  if (hasNats) nats = await NatsServers.one();
});
afterAll(async () => {
  await nats?.remove();
  scratch.remove();
});

/** A venue and its shard: `fx` has EURX, `metals` has XAUX. */
const VENUES = { fx: 'EURX', metals: 'XAUX' } as const;
type ShardName = keyof typeof VENUES;

class Cluster {
  readonly name = `s${++clusters}`;

  core(shard: ShardName, role: 'leader' | 'standby', data?: string): Promise<ServerProcess> {
    const symbol = VENUES[shard];
    const venue = `[[instruments]]\nsymbol = "${symbol}"\nmarket = "venue"\npriceScale = 2\nquantityScale = 0\n`;
    const symbols = `symbols = ["${symbol.slice(0, 3)}*"]\n`;
    return this.start(role, `shard = "${shard}"\n${symbols}`, data, venue);
  }

  edge(shards: readonly ShardName[], data?: string): Promise<ServerProcess> {
    return this.start('edge', `shards = ${JSON.stringify(shards)}\n`, data);
  }

  private start(
    role: string,
    cluster: string,
    data: string | undefined,
    more = '',
  ): Promise<ServerProcess> {
    return ServerProcess.start({
      keys: [BUYER],
      config: `[cluster]\n${CLUSTER}${cluster}\n${more}`,
      args: ['--cluster', this.name, '--nats', nats.urls.join(','), '--role', role],
      ...(data !== undefined && { data }),
    });
  }
}

interface Listed {
  readonly seq: number;
  readonly epoch: number;
  readonly shards?: readonly { shard: string; epoch: number; seq: number }[];
  readonly instruments: readonly { symbol: string; shard: string | null }[];
}

async function listed(server: ServerProcess): Promise<Listed> {
  return (await (await fetch(`${server.url}/v1/instruments`)).json()) as Listed;
}

async function hasBoth(edge: ServerProcess): Promise<boolean> {
  return (await listed(edge)).instruments.length === 2;
}

/** A seller and a buyer: an owner does not trade with itself. */
class Traders {
  private readonly clients: readonly TapedeckClient[];

  static async at(url: string): Promise<Traders> {
    const keys = [TRADE_KEY, testKey(BUYER.name)];
    return new Traders(await Promise.all(keys.map((key) => TapedeckClient.connect(url, { key }))));
  }

  private constructor(clients: readonly TapedeckClient[]) {
    this.clients = clients;
  }

  /** One trade. */
  async trade(symbol: string, price: number): Promise<void> {
    const [seller, buyer] = this.clients;
    const order = { symbol, price: String(price), quantity: '1' };
    await seller!.order({ ...order, side: 'sell' });
    await buyer!.order({ ...order, side: 'buy' });
  }

  close(): void {
    for (const client of this.clients) client.close();
  }
}

/** Everything that a reader gets of trades, books and statuses, and what was announced. */
async function follow(url: string) {
  const client = await TapedeckClient.connect(url);
  const announced: string[] = [];
  client.on('epoch', ({ shard }) => announced.push(`epoch ${shard}`));
  for (const what of ['gap', 'chain-break', 'book-mismatch'] as const) {
    client.on(what, () => announced.push(what));
  }
  const items: Item[] = [];
  const subscription = client.subscribe(['trade:*', 'book:*', 'status', 'bar:*:1m']);
  void (async () => {
    for await (const item of subscription) {
      items.push(item);
      if (item.type === 'reset' || item.type === 'gap')
        announced.push(`${item.type} ${item.shard}`);
    }
  })();
  await subscription.ready;
  const prices = (symbol: string): number[] =>
    items.flatMap((i) => (i.type === 'trade' && i.symbol === symbol ? [i.price / 100] : []));
  return { client, items, announced, prices };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => 101 + i);

describe.skipIf(!hasNats)('an edge of two shards', () => {
  test('serves both as one market; each keeps its numbers across a takeover and a restart of the edge', async () => {
    const cluster = new Cluster();
    const fx = await cluster.core('fx', 'leader');
    const metals = await cluster.core('metals', 'leader');
    const standby = await cluster.core('fx', 'standby');
    const edge = await cluster.edge(['fx', 'metals']);
    await until(() => hasBoth(edge));
    expect((await listed(edge)).instruments).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ symbol: 'EURX', shard: 'fx' }),
        expect.objectContaining({ symbol: 'XAUX', shard: 'metals' }),
      ]),
    );
    expect((await listed(edge)).shards?.map(({ shard }) => shard)).toEqual(['fx', 'metals']);
    expect((await listed(fx)).shards?.map(({ shard }) => shard)).toEqual(['fx']);

    const traders = await Traders.at(edge.url);
    const reader = await follow(edge.url);
    for (const price of upTo(5)) {
      await traders.trade('EURX', price);
      await traders.trade('XAUX', price);
    }
    await until(() => reader.prices('EURX').length === 5 && reader.prices('XAUX').length === 5);
    expect(reader.announced).toEqual([]);

    // Another leader in one shard changes nothing in the other.
    await fx.stop('SIGKILL');
    await traders.trade('XAUX', 106);
    await until(async () => {
      const done = await traders.trade('EURX', 106).then(
        () => true,
        () => false,
      );
      return done;
    });
    await until(() => reader.prices('EURX').includes(106) && reader.prices('XAUX').length === 6);
    expect(reader.announced).toEqual(['epoch fx']);

    // The edge ends; what happens meanwhile comes after its return, without a reset.
    const { port } = new URL(edge.url);
    await edge.stop('SIGKILL');
    const direct = await Traders.at(metals.url);
    await direct.trade('XAUX', 107);
    direct.close();
    const again = await ServerProcess.start({
      config: `[cluster]\n${CLUSTER}shards = ["fx", "metals"]\n`,
      args: [
        '--cluster',
        cluster.name,
        '--nats',
        nats.urls.join(','),
        '--role',
        'edge',
        '--port',
        port,
      ],
      keys: [BUYER],
      data: edge.data,
    });
    expect(again.url).toBe(edge.url);
    await until(() => reader.prices('XAUX').includes(107));
    await until(
      async () => (await traders.trade('XAUX', 108).catch(() => 'not yet')) === undefined,
    );
    await until(() => reader.prices('XAUX').includes(108));
    expect(reader.announced).toEqual(['epoch fx']);
    expect(reader.prices('XAUX').filter((price) => price <= 107)).toEqual(upTo(7));
    reader.client.close();
    traders.close();

    const history = await fetch(`${again.url}/v1/trades/XAUX?limit=100`);
    expect(((await history.json()) as { trades: unknown[] }).trades.length).toBeGreaterThan(7);
    const known = (await (await fetch(`${again.url}/v1/cluster`)).json()) as {
      shards: { shard: string; leader: string | null }[];
    };
    expect(known.shards.map(({ shard }) => shard)).toEqual(['fx', 'metals']);
    expect(known.shards.every(({ leader }) => leader !== null)).toBe(true);
    await again.stop();
    for (const shard of ['fx', 'metals']) {
      const { code } = await tapedeck(['verify', '--data', `${again.data}/${shard}`]);
      expect(code).toBe(0);
    }
    await standby.stop();
    await metals.stop();
    for (const server of [fx, metals, standby, edge]) await server.remove();
  });

  testDeep(
    'publishes go to the shard of their symbols; a client that knows no shards begins again',
    async () => {
      const cluster = new Cluster();
      const fx = await cluster.core('fx', 'leader');
      const metals = await cluster.core('metals', 'leader');
      const edge = await cluster.edge(['fx', 'metals']);
      await until(() => hasBoth(edge));
      const source = await TapedeckClient.connect(edge.url, { key: PUBLISH_KEY });
      const definition = (symbol: string, shard: string | null) =>
        ({
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
          shard,
        }) as const;
      const code = (e: { code: string }): string => e.code;
      expect(await source.publish([definition('EURF', null)]).catch(code)).toBe('invalid-field');
      expect(await source.publish([definition('EURF', 'oil')]).catch(code)).toBe('invalid-field');
      await until(async () => {
        const done = await source.publish([definition('EURF', 'fx')]).catch(code);
        return typeof done === 'number';
      });
      // The leader of a shard takes its own symbols only.
      expect(await source.publish([definition('OIL', 'fx')]).catch(code)).toBe('invalid-field');
      const other = await TapedeckClient.connect(edge.url, { key: OTHER_PUBLISH_KEY });
      await other.publish([definition('XAUF', 'metals')]);
      await until(async () => (await listed(edge)).instruments.length === 4);
      source.close();
      other.close();

      const VENUE = { symbol: 'EURV', market: 'venue', priceScale: 2, quantityScale: 0 };
      const define = (more: object): Promise<Response> =>
        fetch(`${edge.url}/v1/admin/instruments`, {
          method: 'POST',
          headers: { 'authorization': `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
          body: JSON.stringify({ ...VENUE, ...more }),
        });
      expect(await (await define({})).json()).toMatchObject({
        error: { code: 'invalid-field', field: 'shard' },
      });
      const defined = await define({ shard: 'fx' });
      expect([defined.status, await defined.json()]).toEqual([
        201,
        expect.objectContaining({ symbol: 'EURV', shard: 'fx' }),
      ]);

      // As a client of an earlier version resumes: one position.
      const socket = new WebSocket(
        `${edge.url.replace('http', 'ws')}/v1/stream`,
        'tapedeck.v1.json',
      );
      const messages: { type: string; [name: string]: unknown }[] = [];
      socket.onmessage = ({ data }) => messages.push(...(JSON.parse(String(data)) as []));
      await until(() => messages.length > 0);
      expect(messages[0]).toMatchObject({ type: 'welcome', epoch: 0, seq: 0 });
      const { epoch } = (await listed(fx)).shards![0]!;
      const resume = { type: 'resume', id: 1, epoch, seq: 1, topics: ['status', 'trade:EURX'] };
      socket.send(JSON.stringify([resume]));
      await until(() => messages.some(({ type }) => type === 'ack'));
      const resets = messages.filter(({ type }) => type === 'reset');
      expect(resets.map(({ shard, topics, reason }) => [shard, topics, reason])).toEqual([
        ['fx', ['status', 'trade:EURX'], 'other-epoch'],
        ['metals', ['status'], 'other-epoch'],
      ]);
      socket.close();
      for (const server of [fx, metals, edge]) {
        await server.stop();
        await server.remove();
      }
    },
  );

  testDeep('an instrument in two shards ends the edge, and it does not start again', async () => {
    const cluster = new Cluster();
    const fx = await cluster.core('fx', 'leader');
    // The settings of this leader are wrong: its symbols are not those of the shard alone.
    const wrong = await ServerProcess.start({
      config: `[cluster]\n${CLUSTER}shard = "metals"\nsymbols = ["*"]\n[[instruments]]\nsymbol = "EURX"\nmarket = "venue"\npriceScale = 2\nquantityScale = 0\n`,
      args: ['--cluster', cluster.name, '--nats', nats.urls.join(','), '--role', 'leader'],
    });
    const config = scratch.write(
      `[cluster]\n${CLUSTER}shards = ["fx", "metals"]\n[server]\nport = 0\n`,
      '.toml',
    );
    const serve = ['serve', '--config', config, '--data', scratch.fresh(), '--role', 'edge'];
    const where = ['--cluster', cluster.name, '--nats', nats.urls.join(',')];
    const ended = await tapedeck([...serve, ...where]);
    expect([ended.code, ended.stderr]).toEqual([78, expect.stringContaining('shard-conflict')]);
    for (const server of [fx, wrong]) {
      await server.stop();
      await server.remove();
    }
  });
});
