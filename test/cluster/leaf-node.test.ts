/** An edge at a leaf node: it reads a mirror of the log there, through everything that happens to the line between. */

import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { SystemClock } from '../../src/base/clock';
import { ClusterFault } from '../../src/cluster/cluster-fault';
import { NatsBroker } from '../../src/cluster/nats-broker';
import { NATS_DEFAULTS } from '../../src/cluster/nats-settings';
import { hasNats, NatsServers } from '../support/nats';
import { ServerProcess, tapedeck, TRADE_KEY } from '../support/tapedeck-process';
import { testDeep } from '../support/tier';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const CONFIG = '[cluster]\nreplicas = 1\nlogBytesMax = 67108864\ncheckpointEveryMs = 1000\n';
const MIB = 1024 * 1024;

describe.skipIf(!hasNats)('an edge at a leaf node', () => {
  let nats: NatsServers;

  beforeAll(async () => {
    nats = await NatsServers.leaf();
  });
  afterEach(() => nats?.start()); // whatever a test has ended
  afterAll(() => nats?.remove());

  const start = (name: string, role: string, data?: string): Promise<ServerProcess> => {
    const isFar = role === 'edge';
    const { url } = nats.named(isFar ? 'far' : 'hub');
    return ServerProcess.start({
      config: `${CONFIG}${isFar ? 'hubDomain = "hub"\n' : ''}[journal]\ncheckpointEveryEvents = 1000\n`,
      args: ['--cluster', name, '--nats', url, '--role', role, ...(isFar ? [] : ['--demo'])],
      ...(data !== undefined && { data }),
    });
  };
  const seqOf = async (server: ServerProcess): Promise<number> =>
    ((await (await server.get('/v1/instruments')).json()) as { seq: number }).seq;

  /** Stops both; they have the same. */
  async function endAlike(leader: ServerProcess, edge: ServerProcess): Promise<void> {
    await leader.stop();
    const facts = async (server: ServerProcess): Promise<unknown> => {
      const { code, stdout } = await tapedeck(['verify', '--data', server.data]);
      const { seqLast, stateHash } = JSON.parse(stdout) as Record<string, unknown>;
      return { code, seqLast, stateHash };
    };
    const wanted = (await facts(leader)) as { seqLast: number };
    await until(async () => (await seqOf(edge)) === wanted.seqLast, 'the edge has everything');
    await edge.stop();
    expect(await facts(edge)).toEqual(wanted);
    for (const server of [leader, edge]) await server.remove();
  }

  /** The stream of a log at one of the brokers. */
  async function streamAt(broker: 'hub' | 'far', name: string) {
    const connection = await connect({ servers: nats.named(broker).url });
    try {
      return await (await jetstreamManager(connection)).streams.info(`TD_${name}`);
    } finally {
      await connection.close();
    }
  }

  testDeep('follows, passes orders on, and reads up when the line is there again', async () => {
    const leader = await start('far1', 'leader');
    await until(async () => (await seqOf(leader)) > 50);
    const edge = await start('far1', 'edge');
    await until(async () => (await seqOf(edge)) > 50);
    await until(async () => (await streamAt('far', 'far1')).state.messages > 0);
    expect((await streamAt('far', 'far1')).config.mirror?.name).toBe('TD_far1');
    const order = { symbol: 'ACME', side: 'buy', price: '1.00', quantity: '1' };
    const answer = await edge.get('/v1/orders', {
      method: 'POST',
      headers: { authorization: `Bearer ${TRADE_KEY}` },
      body: JSON.stringify(order),
    });
    expect(answer.status).toBe(201);

    await nats.named('far').kill();
    const seq = await seqOf(leader);
    await until(async () => (await seqOf(leader)) > seq + 500);
    await until(async () => (await edge.get('/readyz')).status === 503);
    await nats.start();
    await until(async () => (await seqOf(edge)) > seq + 500);
    await until(async () => (await edge.get('/readyz')).status === 200);
    await endAlike(leader, edge);
  });

  testDeep('begins with a checkpoint when the log was trimmed past its mirror', async () => {
    const leader = await start('far2', 'leader');
    await until(async () => (await seqOf(leader)) > 50);
    const edge = await start('far2', 'edge');
    await until(async () => (await seqOf(edge)) > 50);
    await nats.named('far').kill();
    const seq = await seqOf(leader);
    const checkpoints = async (): Promise<number> => {
      const text = await (await leader.get('/metrics')).text();
      return Number(/^tapedeck_cluster_checkpoints_total (\d+)$/m.exec(text)?.[1]);
    };
    const before = await checkpoints();
    await until(async () => (await seqOf(leader)) > seq + 200);
    await until(async () => (await checkpoints()) > before + 1, 'a checkpoint behind the cut');
    const connection = await connect({ servers: nats.named('hub').url });
    await (await jetstreamManager(connection)).streams.purge('TD_far2', { keep: 1 });
    await connection.close();
    await nats.start();
    await until(async () => (await seqOf(edge).catch(() => 0)) > seq + 200);
    await endAlike(leader, edge);
  });

  testDeep('the mirror answers reads while the brokers of the log are away', async () => {
    const leader = await start('far3', 'leader');
    await until(async () => (await seqOf(leader)) > 50);
    const far = await opened('far', 'far3', 'hub');
    if (far instanceof ClusterFault) throw new Error(far.message);
    const answered = async (): Promise<number> => {
      const read = await far.read(1, 5, MIB);
      return read.outcome === 'ok' ? read.value.length : 0;
    };
    await until(async () => (await streamAt('far', 'far3')).state.messages > 5);
    await nats.named('hub').kill();
    await until(async () => (await answered()) === 5);
    expect(await far.last()).toMatchObject({ outcome: 'unavailable' });
    await nats.start();
    await until(async () => (await far.last()).outcome === 'ok');
    await far.close();
    await leader.remove();
  });

  testDeep(
    'a leaf node without a domain of its own is refused, and so is a hub that is none',
    async () => {
      const leader = await start('far4', 'leader');
      await until(async () => (await seqOf(leader)) > 5);
      const atHub = await opened('hub', 'far4', 'hub');
      expect(atHub).toMatchObject({
        code: 'stream-foreign',
        message: expect.stringContaining('no mirror of'),
      });
      const nowhere = await opened('far', 'far4', 'elsewhere');
      expect(nowhere).toMatchObject({ code: 'broker-unreachable' });
      await leader.remove();
    },
  );

  function opened(at: string, shard: string, hubDomain: string) {
    const { url } = nats.named(at);
    const own = { name: 'test', shard, hubDomain, replicas: 1, mayCreate: false, openMs: 2_000 };
    return NatsBroker.open(
      { ...NATS_DEFAULTS, ...own, servers: [url], logBytesMax: 64 * MIB },
      new SystemClock(),
    );
  }
});
