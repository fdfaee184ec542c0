/** Settings of a cluster that contradict each other are refused, and the message names them. */

import { expect, test } from 'bun:test';

import { StartFault } from '../src/base/start-fault';
import { check } from '../src/config/config';

const MEMBER = { name: 'demo', servers: ['nats://127.0.0.1:4222'] };

test.each([
  [{ cluster: { name: 'demo' } }, 'cluster.servers is empty'],
  [{ cluster: { ...MEMBER, tlsKey: 'key.pem' } }, 'cluster.tlsCertificate and cluster.tlsKey'],
  [
    { cluster: { ...MEMBER, hubDomain: 'hub', role: 'standby' } },
    'cluster.hubDomain is hub and cluster.role standby; expected an edge',
  ],
  [{ journal: { durability: 'replicated' } }, 'expected cluster.name to be set'],
  [
    { journal: { durability: 'replicated' }, cluster: { ...MEMBER, replicas: 1 } },
    'cluster.replicas is 1; expected 3 or 5',
  ],
  [{ cluster: { ...MEMBER, shards: ['a'] } }, 'cluster.shards is of an edge'],
  [
    { cluster: { ...MEMBER, role: 'edge', shard: 'a', shards: ['b'] } },
    'takes the place of cluster.shard',
  ],
  [{ cluster: { ...MEMBER, role: 'edge', shards: ['a', 'a'] } }, 'cluster.shards names a twice'],
  [{ cluster: { ...MEMBER, shard: 'fx' } }, 'cluster.symbols is empty'],
  [
    { cluster: { ...MEMBER, role: 'edge', shards: ['fx', 'm'.repeat(28)] } },
    'more than 31 characters together',
  ],
  [
    { cluster: { ...MEMBER, role: 'edge', shards: ['a', 'b'] }, ipc: { ring: { enabled: true } } },
    'expected no ipc at an edge of several cluster.shards',
  ],
])('%j', (settings, words) => {
  const fault = check(settings);
  expect(fault).toBeInstanceOf(StartFault);
  expect((fault as StartFault).message).toContain(words);
});

test('settings that fit together are taken', () => {
  expect(
    check({ cluster: { ...MEMBER, hubDomain: 'hub', role: 'edge', replicas: 1 } }),
  ).toMatchObject({ cluster: { hubDomain: 'hub' } });
  const edge = { ...MEMBER, role: 'edge', shards: ['fx', 'metals'] };
  expect(check({ cluster: edge })).toMatchObject({ cluster: { shards: ['fx', 'metals'] } });
  const journal = { durability: 'replicated' };
  expect(check({ journal, cluster: MEMBER })).toMatchObject({ journal });
});
