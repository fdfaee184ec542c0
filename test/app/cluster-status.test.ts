/** Cluster status: which other members a server names to readers that it has to send away. */

import { expect, test } from 'bun:test';

import { addressesOfOthers } from '../../src/app/cluster-status';
import { clusterStatus } from '../support/cluster-status';

test('readers are sent to members that are there, lack nothing and say where they are', () => {
  const others = [
    { instance: 'a', url: 'http://a' },
    { instance: 'b', url: '' },
    { instance: 'c', url: 'http://c', isAway: true },
    { instance: 'd', url: 'http://d', state: 'lost' },
    { instance: 'e', url: 'http://e', behindMs: 5_000 },
    { instance: 'f', url: 'http://f', state: 'leading', behindMs: 20 },
  ] as const;
  expect(addressesOfOthers([clusterStatus({ url: 'http://own' }, {}, others)])).toEqual([
    'http://a',
    'http://f',
  ]);
});
