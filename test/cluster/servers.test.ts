/** Real servers of a cluster over real brokers: what readers of an edge get while leaders are killed. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { readdirSync } from 'node:fs';

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import type { Item } from '../../src/client/items';
import { TapedeckClient } from '../../src/client/client';
import { hasNats, NatsServers } from '../support/nats';
import { Scratch, ServerProcess, tapedeck, TRADE_KEY } from '../support/tapedeck-process';
import { testDeep } from '../support/tier';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const CONFIG = '[cluster]\nreplicas = 1\nlogBytesMax = 100000000\ncheckpointBytesMax = 50000000\n';

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

/** Starts members of one cluster, on data directories of their own. */
class Cluster {
  readonly name = `c${++clusters}`;

  start(
    role: 'leader' | 'standby' | 'edge',
    data?: string,
    { config = CONFIG, rate = 100 } = {},
  ): Promise<ServerProcess> {
    const cluster = ['--cluster', this.name, '--nats', nats.urls.join(','), '--role', role];
    const demo = role === 'edge' ? [] : ['--demo', '--rate', String(rate)];
    return ServerProcess.start({
      config,
      args: [...cluster, ...demo],
      ...(data !== undefined && { data }),
    });
  }
}

async function readyAt(server: ServerProcess): Promise<number> {
  const status = (await (await fetch(`${server.url}/v1/instruments`)).json()) as { seq: number };
  return status.seq;
}

/** Stops both, and compares what their journals have. */
async function endAlike(leader: ServerProcess, edge: ServerProcess): Promise<void> {
  await leader.stop();
  const { seqLast, stateHash } = await verified(leader);
  await until(async () => (await readyAt(edge)) === seqLast);
  await edge.stop();
  expect(await verified(edge)).toMatchObject({ seqLast, stateHash });
  for (const server of [leader, edge]) await server.remove();
}

/** Follows trades on a server; what it gets, and the announcements that came in between. */
async function follow(url: string) {
  const client = await TapedeckClient.connect(url);
  const announced: string[] = [];
  for (const what of ['epoch', 'reset', 'gap', 'chain-break', 'disconnected'] as const) {
    client.on(what, () => announced.push(what));
  }
  const subscription = client.subscribe(['trade:*', 'book:*'], { queueMax: 1_000_000 });
  const items: Item[] = [];
  void (async () => {
    for await (const item of subscription) items.push(item);
  })();
  await subscription.ready;
  return { client, items, announced };
}

/** A client with a key to trade, and the executions that it got: order, trade and amounts of each. */
async function trader(url: string) {
  const client = await TapedeckClient.connect(url, { key: TRADE_KEY });
  const executed: unknown[] = [];
  client.on('execution', (execution) => executed.push(execution));
  return { client, executed };
}

interface Verified {
  readonly seqLast: number;
  readonly stateHash: string;
}

async function verified(server: ServerProcess): Promise<Verified> {
  const { code, stdout } = await tapedeck(['verify', '--data', server.data]);
  expect(code).toBe(0);
  return JSON.parse(stdout) as Verified;
}

describe.skipIf(!hasNats)('servers of a cluster', () => {
  test('a killed leader is replaced by the standby; readers of an edge miss nothing; all end in one state', async () => {
    const cluster = new Cluster();
    const leader = await cluster.start('leader');
    await until(async () => (await readyAt(leader)) > 50);
    const standby = await cluster.start('standby');
    const edge = await cluster.start('edge');
    await until(async () => (await readyAt(edge)) > 50 && (await readyAt(standby)) > 50);
    const reader = await follow(edge.url);
    await until(() => reader.items.length > 50);

    await leader.stop('SIGKILL');
    await until(() => reader.announced.includes('epoch'));
    const { length } = reader.items;
    await until(() => reader.items.length > length + 50);
    expect(reader.announced).toEqual(['epoch']);

    const again = await cluster.start('leader', leader.data);
    await until(async () => (await readyAt(again)) >= (await readyAt(edge)) - 200);
    await standby.stop();
    await until(() => reader.announced.length === 2);
    await until(() => reader.items.length > length + 200);
    expect(reader.announced).toEqual(['epoch', 'epoch']);
    const seqs = reader.items.flatMap((i) => (i.type === 'trade' ? [i.seq] : []));
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
    reader.client.close();

    await again.stop();
    const last = (await verified(again)).seqLast;
    await until(async () => (await readyAt(edge)) === last);
    await edge.stop();
    expect(await verified(edge)).toEqual(await verified(again));
    for (const server of [leader, standby, edge]) await server.remove();
  });

  testDeep(
    'an edge without a journal begins with a checkpoint of a leader that has long been there',
    async () => {
      const alone = await ServerProcess.start({ args: ['--demo', '--rate', '400'] });
      await until(async () => (await readyAt(alone)) > 500);
      await alone.stop();
      const cluster = new Cluster();
      const leader = await cluster.start('leader', alone.data);
      const edge = await cluster.start('edge');
      await until(async () => (await readyAt(edge)) > 600);
      const refused = await fetch(`${edge.url}/v1/orders`, { method: 'POST', body: '{}' });
      expect(refused.status).toBeGreaterThanOrEqual(400);
      await endAlike(leader, edge);
    },
  );

  testDeep('members know each other: who leads, who lags, who is away', async () => {
    const cluster = new Cluster();
    const leader = await cluster.start('leader', undefined, { config: `${CONFIG}member = "a"\n` });
    await until(async () => (await readyAt(leader)) > 20);
    const standby = await cluster.start('standby', undefined, {
      config: `${CONFIG}member = "b"\nurl = "http://b.example:7070"\n`,
    });
    const edge = await cluster.start('edge');
    const known = async (at: ServerProcess): Promise<string[]> => {
      const { members } = (await (await at.get('/v1/cluster')).json()) as {
        members: { name: string; state: string; isAway: boolean; isSelf: boolean }[];
      };
      return members.map(
        ({ name, state, isAway, isSelf }) =>
          `${isSelf ? 'self' : name}: ${isAway ? 'away' : state}`,
      );
    };
    await until(async () => (await known(standby)).length === 3);
    await until(async () => (await known(edge)).length === 3);
    expect((await known(standby)).slice(0, 2)).toEqual(['a: leading', 'self: following']);
    expect(await (await edge.get('/v1/cluster')).json()).toMatchObject({
      name: cluster.name,
      leader: 'a',
      isConnected: true,
      unlogged: 0,
      members: [
        { name: 'a', role: 'leader', state: 'leading', url: null },
        { name: 'b', role: 'standby', state: 'following', url: 'http://b.example:7070' },
        { role: 'edge', state: 'following', isSelf: true },
      ],
    });
    const metrics = await (await standby.get('/metrics')).text();
    expect(metrics).toContain('tapedeck_cluster_members{presence="here"} 3');
    await leader.stop('SIGKILL');
    await until(async () => (await known(edge))[0] === 'a: away');
    expect((await known(edge))[1]).toBe('b: leading');
    expect((await known(standby))[1]).toBe('self: leading');
    await standby.stop();
    await until(async () => (await known(edge)).length === 2);
    await until(async () => (await (await edge.get('/readyz')).text()).includes('no-leader'));
    const [broker] = nats.all;
    await broker!.kill();
    await until(async () => (await edge.get('/readyz')).status === 503);
    expect(await (await edge.get('/readyz')).json()).toMatchObject({
      reasons: [{ code: 'cluster-behind' }],
      warnings: [{ code: 'cluster-disconnected' }],
    });
    await nats.start();
    await until(async () => (await edge.get('/readyz')).status === 200);
    for (const server of [leader, standby, edge]) await server.remove();
  });

  test('a follower that is ended in order ends: it does not take what it leaves for a hole', async () => {
    const cluster = new Cluster();
    const leader = await cluster.start('leader');
    await until(async () => (await readyAt(leader)) > 20);
    for (let i = 0; i < 3; i++) {
      const edge = await cluster.start('edge');
      await until(async () => (await readyAt(edge)) > 20);
      const { code, stderr } = await edge.stop();
      expect([code, stderr]).toEqual([0, '']);
      await edge.remove();
    }
    await leader.remove();
  });

  testDeep(
    'after some seconds without a broker the log catches up out of the journal: commands, and executions at an edge',
    async () => {
      const cluster = new Cluster();
      const small = `${CONFIG}queueBytesMax = 1048576\n[cache]\nmemtableEventsMax = 1000\n[journal]\ndurability = "async"\n`;
      const leader = await cluster.start('leader', undefined, { config: small, rate: 3_000 });
      await until(async () => (await readyAt(leader)) > 1_000);
      const edge = await cluster.start('edge');
      await until(async () => (await readyAt(edge)) > 1_000);
      const [owner, elsewhere] = [await trader(leader.url), await trader(edge.url)];

      const [broker] = nats.all;
      await broker!.kill();
      const before = await readyAt(edge);
      // More than the queue and the memory hold.
      for (let i = 0; i < 20; i++) {
        const { length } = owner.executed;
        await owner.client.order({ symbol: 'ACME', side: 'buy', kind: 'market', quantity: '1' });
        await until(() => owner.executed.length > length);
        const seq = await readyAt(leader);
        await until(async () => (await readyAt(leader)) > seq + 2_000);
      }
      expect(await readyAt(edge)).toBeLessThan(before + 5_000);
      await nats.start();

      const seq = await readyAt(leader);
      await until(async () => (await readyAt(edge)) > seq);
      await until(() => elsewhere.executed.length === owner.executed.length);
      expect(elsewhere.executed).toEqual(owner.executed);
      for (const { client } of [owner, elsewhere]) client.close();
      await endAlike(leader, edge);
    },
  );

  test('a member that waits for a checkpoint to begin again can be stopped', async () => {
    const cluster = new Cluster();
    const leader = await cluster.start('leader');
    const edge = await cluster.start('edge');
    await until(async () => (await readyAt(edge)) > 20);
    await edge.stop('SIGKILL');
    const seq = await readyAt(leader);
    await until(async () => (await readyAt(leader)) > seq + 20);
    // The log no longer has what the edge lacks, and there is no checkpoint yet.
    const connection = await connect({ servers: nats.urls });
    await (await jetstreamManager(connection)).streams.purge(`TD_${cluster.name}`);
    await connection.close();
    const again = await cluster.start('edge', edge.data);
    await until(() => readdirSync(edge.data).some((file) => file.startsWith('journal-left')));
    const { code, stderr } = await again.stop();
    expect([code, stderr.includes('a hole in the batch log')]).toEqual([0, true]);
    for (const server of [again, edge, leader]) await server.remove();
  });

  test('a journal of another history is refused, and named', async () => {
    const cluster = new Cluster();
    const leader = await cluster.start('leader');
    await until(async () => (await readyAt(leader)) > 20);
    const other = await ServerProcess.start({ args: ['--demo'] });
    await other.stop();
    const config = scratch.write(CONFIG, '.toml');
    const args = ['serve', '--port', '0', '--data', other.data, '--config', config];
    args.push('--cluster', cluster.name, '--nats', nats.urls.join(','), '--role', 'standby');
    const { code, stderr } = await tapedeck(args);
    expect([code, stderr.includes('cluster-other-journal')]).toEqual([65, true]);
    await leader.remove();
    await other.remove();
  });
});
