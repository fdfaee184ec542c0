/** Cluster status: what this server knows of its cluster, put together from the parts of its membership. */

import { hostname } from 'node:os';

import type {
  ClusterLogFigures,
  ClusterPublishFigures,
  ClusterStatus,
  MemberReport,
} from '../base/contracts/cluster';
import type { ReaderFigures } from '../cluster/log-reader';
import type { WriterFigures } from '../cluster/log-writer';
import type { MemberFigures } from '../cluster/member';
import type { Config } from '../config/config';
import { VERSION } from '../version';
import type { LeaderPublishesFigures } from './leader-publishes';
import type { RemoteSourcesFigures } from './remote-sources';

/** A member that lacks events for longer is no good address for a reader. */
const BEHIND_MS = 2_000;
const NOTHING_WRITTEN = {
  queuedBytes: 0,
  framesWritten: 0,
  resends: 0,
  failures: 0,
  appends: null,
} as const;
const NOTHING_READ = { framesRead: 0, repairs: 0, holes: 0, voided: 0, damaged: 0 } as const;

/** What the figures of the log need besides those of the member. */
interface LogParts {
  readonly isConnected: boolean;
  readonly unlogged: number;
  readonly checkpoints: number;
}

export function logFigures(
  { reader, writer, takeovers }: MemberFigures,
  parts: LogParts,
): ClusterLogFigures {
  return {
    ...parts,
    behindMs: behindMs({ reader, writer }),
    silentMs: reader?.silentMs ?? 0,
    takeovers,
    ...(writer === null ? NOTHING_WRITTEN : written(writer)),
    ...(reader === null ? NOTHING_READ : read(reader)),
  };
}

function written({ queuedBytes, frames, resends, unavailables, refusals, acks }: WriterFigures) {
  const failures = unavailables + refusals;
  return { queuedBytes, framesWritten: frames, resends, failures, appends: acks };
}

function read({ frames, repairs, holes, voided, damaged }: ReaderFigures) {
  return { framesRead: frames, repairs, holes, voided, damaged };
}

export function publishFigures(
  own: RemoteSourcesFigures | undefined,
  leader: LeaderPublishesFigures | undefined,
): ClusterPublishFigures {
  const { waiting = 0, taken = 0, refused = 0, unknown = 0 } = own ?? {};
  return {
    waiting,
    taken,
    refused,
    unknown,
    remoteSources: leader?.sources ?? 0,
    remoteEntries: leader?.entries ?? 0,
    remoteRepeated: leader?.repeated ?? 0,
    remoteExpired: leader?.expired ?? 0,
  };
}

/** @param instance names this process among all members, ever */
export function reportOf(
  { cluster, server }: Config,
  instance: string,
  figures: MemberFigures,
  position: { readonly epoch: number; readonly seq: number },
): MemberReport {
  const { member, role, url } = cluster;
  // A port that the system chooses is not known, so the process gives the name.
  const own = `${hostname()}:${server.port === 0 ? instance.slice(0, 6) : server.port}`;
  return {
    instance,
    name: member === '' ? own.slice(-64) : member,
    role,
    state: figures.state,
    url,
    version: VERSION,
    ...position,
    behindMs: Math.round(behindMs(figures)),
  };
}

function behindMs({ reader, writer }: Pick<MemberFigures, 'reader' | 'writer'>): number {
  return writer?.queuedMs ?? reader?.behindMs ?? 0;
}

/** The addresses of the other members that are there and lack nothing, in each of these shards. */
export function addressesOfOthers(shards: readonly ClusterStatus[]): readonly string[] {
  const [first = [], ...others] = shards.map(addressesIn);
  return first.filter((url) => others.every((urls) => urls.includes(url)));
}

function addressesIn({ self, members }: ClusterStatus): readonly string[] {
  const serves = members.filter(
    ({ instance, url, state, isAway, behindMs }) =>
      instance !== self.instance &&
      url !== '' &&
      !isAway &&
      state !== 'lost' &&
      behindMs < BEHIND_MS,
  );
  return serves.map(({ url }) => url);
}
