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
])('%j', (settings, words) => {
  const fault = check(settings);
  expect(fault).toBeInstanceOf(StartFault);
  expect((fault as StartFault).message).toContain(words);
});

test('settings that fit together are taken', () => {
  expect(
    check({ cluster: { ...MEMBER, hubDomain: 'hub', role: 'edge', replicas: 1 } }),
  ).toMatchObject({ cluster: { hubDomain: 'hub' } });
  const journal = { durability: 'replicated' };
  expect(check({ journal, cluster: MEMBER })).toMatchObject({ journal });
});
