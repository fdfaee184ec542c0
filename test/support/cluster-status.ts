/** A status of a cluster, as a follower would give it, for tests of what is made of it. */

import type {
  ClusterLogFigures,
  ClusterStatus,
  KnownMember,
} from '../../src/base/contracts/cluster';

export function clusterStatus(
  own: Partial<KnownMember> = {},
  log: Partial<ClusterLogFigures> = {},
  others: readonly Partial<KnownMember>[] = [],
): ClusterStatus {
  const self = member({ instance: 'own', name: 'edge-1', ...own });
  return {
    name: 'demo',
    shard: null,
    self,
    members: [self, ...others.map(member)],
    log: {
      isConnected: true,
      behindMs: 91_000,
      silentMs: 92,
      unlogged: 93,
      queuedBytes: 94,
      takeovers: 95,
      checkpoints: 96,
      framesWritten: 97,
      framesRead: 98,
      resends: 99,
      failures: 100,
      repairs: 101,
      holes: 102,
      voided: 103,
      damaged: 104,
      appends: null,
      ...log,
    },
    publishes: {
      waiting: 105,
      taken: 106,
      refused: 107,
      unknown: 108,
      remoteSources: 109,
      remoteEntries: 110,
      remoteRepeated: 111,
      remoteExpired: 112,
    },
  };
}

function member(more: Partial<KnownMember>): KnownMember {
  return {
    instance: 'other',
    name: 'core-a',
    role: 'edge',
    state: 'following',
    url: '',
    version: '1.2.3',
    epoch: 7,
    seq: 50,
    behindMs: 0,
    silentMs: 0,
    isAway: false,
    ...more,
  };
}
