/** Cluster: which servers serve this market together, who leads, and who lags. */

import { Type, type TSchema } from '@sinclair/typebox';

import {
  MEMBER_ROLES,
  MEMBER_STATES,
  type ClusterStatus,
  type KnownMember,
} from '../../../base/contracts/cluster';
import { routesOf, type RouteGroup } from '../route';
import { count, literals, nullable } from '../schemas';

export interface ClusterServices {
  /** Of each shard; none: the server is no member of a cluster. */
  readonly cluster: () => readonly ClusterStatus[];
}

const ClusterMember = Type.Object(
  {
    name: Type.String(),
    role: literals(MEMBER_ROLES),
    state: literals(MEMBER_STATES, { description: 'lost: it begins again' }),
    url: nullable(Type.String({ description: 'Where clients reach it; null: it does not say' })),
    version: Type.String(),
    epoch: count('Of its newest event'),
    seq: count('Its newest event, as it last announced'),
    behindMs: count(
      'For how long it has lacked events; of the leader: how long its oldest event has waited for the log',
    ),
    silentMs: count('Since it last announced itself'),
    isAway: Type.Boolean({ description: 'It has announced nothing for several seconds' }),
    isSelf: Type.Boolean({ description: 'The server that answers' }),
    shard: nullable(Type.String({ description: 'Null: the cluster has no shards' })),
  },
  { $id: 'ClusterMember' },
);
const Cluster = Type.Object(
  {
    name: nullable(Type.String({ description: 'Null: the server belongs to no cluster' })),
    leader: nullable(
      Type.String({ description: 'Name of the member that leads; null: none, or several shards' }),
    ),
    shards: Type.Array(
      Type.Object(
        { shard: Type.String(), leader: nullable(Type.String()) },
        { $id: 'ClusterShard' },
      ),
      { description: 'The shards of this server, and who leads each; empty: it has none' },
    ),
    isConnected: Type.Boolean({ description: 'Whether this server has a connection to NATS' }),
    unlogged: count('Events of this leader that the batch log does not have; else 0'),
    members: Type.Array(ClusterMember, { description: 'By name, with this server' }),
  },
  { $id: 'Cluster' },
) satisfies TSchema;

const EXAMPLE_LEADER = {
  name: 'core-a',
  role: 'leader',
  state: 'leading',
  url: 'https://core-a.example.com',
  version: '0.9.0',
  epoch: 7_211_873_342_817,
  seq: 48_120,
  behindMs: 0,
  silentMs: 412,
  isAway: false,
  isSelf: false,
  shard: null,
};
const EXAMPLE_EDGE = {
  ...EXAMPLE_LEADER,
  name: 'edge-1',
  role: 'edge',
  state: 'following',
  url: 'https://edge-1.example.com',
  silentMs: 0,
  isSelf: true,
};

const { route } = routesOf<ClusterServices>();

export const CLUSTER: RouteGroup<ClusterServices> = {
  name: 'cluster',
  description: 'Servers that serve the market together',
  routes: [
    route({
      id: 'getCluster',
      method: 'GET',
      path: '/v1/cluster',
      summary: 'The members of the cluster, who leads, and who lags',
      role: 'read',
      cost: 'memory',
      answer: {
        schema: Cluster,
        example: {
          name: 'demo',
          leader: 'core-a',
          shards: [],
          isConnected: true,
          unlogged: 0,
          members: [EXAMPLE_LEADER, EXAMPLE_EDGE],
        },
      },
      errors: [],
      handle: (_, { cluster }) => JSON.stringify(answerOf(cluster())),
    }),
  ],
};

function answerOf(shards: readonly ClusterStatus[]): object {
  const leaders = shards.map(leaderOf);
  return {
    name: shards[0]?.name ?? null,
    leader: leaders.length === 1 ? leaders[0] : null,
    shards: shards.flatMap(({ shard }, i) =>
      shard === null ? [] : [{ shard, leader: leaders[i] }],
    ),
    isConnected: shards.length > 0 && shards.every(({ log }) => log.isConnected),
    unlogged: shards.reduce((sum, { log }) => sum + log.unlogged, 0),
    members: shards.flatMap(membersOf),
  };
}

function leaderOf({ members }: ClusterStatus): string | null {
  // A leader that was replaced may not know it yet; the newer epoch is the one that counts.
  const leader = members
    .filter(({ state, isAway }) => state === 'leading' && !isAway)
    .toSorted((a, b) => b.epoch - a.epoch)[0];
  return leader?.name ?? null;
}

function membersOf({ shard, self, members }: ClusterStatus): object[] {
  return members.map((member) => ({
    ...memberOf(member, member.instance === self.instance),
    shard,
  }));
}

function memberOf(member: KnownMember, isSelf: boolean): object {
  const { name, role, state, url, version, epoch, seq, behindMs, isAway } = member;
  return {
    name,
    role,
    state,
    url: url === '' ? null : url,
    version,
    epoch,
    seq,
    behindMs,
    silentMs: Math.round(member.silentMs),
    isAway,
    isSelf,
  };
}
