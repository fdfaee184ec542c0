/** A server whose core is a replica: its readers see one numbering across leaders, and it can take the lead. */

import { afterAll, expect, test } from 'bun:test';

import type { ClusterMember } from '../../src/app/membership';
import type { Server } from '../../src/app/running';
import { startServer } from '../../src/app/server';
import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { check } from '../../src/config/config';
import { feed, venue } from '../orders/market-run';
import { trade } from '../support/market-events';
import { clusterStatus } from '../support/cluster-status';
import { ReplicaPair } from '../support/replica-pair';
import { StreamClient } from '../support/stream-client';
import { ScratchDirectory } from '../support/scratch-directory';
import { until } from '../support/until';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const SILENT = { info: () => {}, warn: () => {}, error: console.error };

function startMember(directory: string): { server: Server; member: ClusterMember } {
  const config = check({ server: { port: 0 }, journal: { directory } });
  if (config instanceof StartFault) throw new Error(config.message);
  let member: ClusterMember | undefined;
  const server = startServer(config, new SystemClock(), SILENT, {
    anonymousRoles: ['publish', 'trade', 'admin'],
    memberships: [
      {
        config,
        hooks: { following: { keepUpTo: Infinity } },
        begin: (given: ClusterMember) => (member = given),
        status: () => clusterStatus(),
        refuse: () => Promise.resolve(),
        stop: () => Promise.resolve(),
      },
    ],
  });
  if (server instanceof StartFault) throw new Error(server.message);
  return { server, member: member! };
}

function defineAll({ leader }: ReplicaPair): void {
  const { market, sequencer } = leader;
  for (const d of [venue('ACME'), feed('FEED')]) sequencer.act((out) => market.define(d, out));
  sequencer.drain();
}

let trades = 0;

function tradeOn({ sequencer }: ReplicaPair['leader']): void {
  trades += 1;
  const event = { ...trade({ symbol: 'FEED', seq: trades, prevSeq: trades - 1 }), tradeId: trades };
  sequencer.submit(1, [event], (result) => {
    if ('fault' in result) throw new Error(result.fault.message);
  });
  sequencer.drain();
}

test('readers keep their topics over two leaders, and this server as the third', async () => {
  const both = new ReplicaPair(scratch.fresh(), new SystemClock());
  const { server, member } = startMember(scratch.fresh());
  both.replica.close();
  both.replica = member.replica;
  defineAll(both);
  both.deliver();
  const client = await TapedeckClient.connect(server.url);
  const epochs: number[] = [];
  const resets: unknown[] = [];
  client.on('epoch', ({ epoch }) => epochs.push(epoch));
  client.on('reset', (reset) => resets.push(reset));
  const subscription = client.subscribe(['trade:FEED', 'status']);
  await subscription.ready;
  const items: Item[] = [];
  void (async () => {
    for await (const item of subscription) items.push(item);
  })();
  const ids = (): number[] => items.flatMap((i) => (i.type === 'trade' ? [i.tradeId] : []));

  expect(
    await failure(client.order({ symbol: 'ACME', side: 'buy', price: '1.00', quantity: '1' })),
  ).toBe('no-leader');
  tradeOn(both.leader);
  both.deliver();
  both.leader.close();
  await both.leader.closed;
  both.leader = both.openLeader();
  both.leader.sequencer.act((out) => both.leader.market.announceRecovered(out));
  tradeOn(both.leader);
  both.deliver();
  await until(() => ids().length === 2);
  expect(epochs).toEqual([both.leader.epoch]);

  const recorder = member.lead(4_711, {});
  tradeOn(recorder);
  await until(() => ids().length === 3);
  expect(epochs).toEqual([both.leader.epoch, 4_711]);
  const { seq } = await client.order({ symbol: 'ACME', side: 'buy', price: '1.00', quantity: '1' });
  expect(seq).toBeGreaterThan(both.leader.lastSeq);
  expect(ids()).toEqual([1, 2, 3]);
  expect(resets).toEqual([]);

  const state = (await (await fetch(`${server.url}/v1/instruments`)).json()) as { epoch: number };
  expect(state.epoch).toBe(4_711);
  client.close();
  both.leader.close();
  await both.leader.closed;
  expect(await server.stop()).toBeUndefined();
});

test('a reader that has more than this member waits for it here, and is not reset', async () => {
  const both = new ReplicaPair(scratch.fresh(), new SystemClock());
  const { server, member } = startMember(scratch.fresh());
  both.replica.close();
  both.replica = member.replica;
  defineAll(both);
  tradeOn(both.leader);
  both.deliver();
  tradeOn(both.leader);
  const seq = both.leader.lastSeq;
  // As if it came from another member, which had the second trade already.
  const client = await StreamClient.json(server.url);
  const epoch = both.leader.epoch;
  client.send({ type: 'resume', id: 7, epoch, seq, topics: ['trade:FEED'] });
  await client.settle();
  expect(client.seen.some(({ type, id }) => type === 'ack' && id === 7)).toBe(false);
  both.deliver();
  await client.find((m) => m.type === 'ack' && m['id'] === 7);
  tradeOn(both.leader);
  both.deliver();
  await client.find((m) => m.type === 'trade');
  expect(client.seen.filter(({ type }) => type === 'reset' || type === 'gap')).toEqual([]);

  // Nobody has so much, or it does not come: then the reader begins again.
  client.send({ type: 'resume', id: 8, epoch, seq: seq + 1_000, topics: ['tick:FEED'] });
  await client.find((m) => m.type === 'ack' && m['id'] === 8);
  expect(client.seen.findLast(({ type }) => type === 'reset')).toMatchObject({
    reason: 'from-the-future',
  });
  await client.close();
  both.leader.close();
  await both.leader.closed;
  expect(await server.stop()).toBeUndefined();
});

async function failure(asked: Promise<unknown>): Promise<unknown> {
  try {
    await asked;
    return undefined;
  } catch (e) {
    return (e as { code: string }).code;
  }
}
