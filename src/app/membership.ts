/** Membership: what connects a server to the other members of its cluster. */

import type { BatchEvent } from '../../protocol/records';
import type { ClusterStatus } from '../base/contracts/cluster';
import type { Config } from '../config/config';
import type { SliceQueue } from '../base/slice-queue';
import type { Recorder, RecorderHooks } from './recorder';
import type { Replica, ReplicaHooks } from './replica';
import type { SourceClients } from './sources';

/** A server as its membership sees it. */
export interface ClusterMember {
  /** Takes the batches of the leader. */
  readonly replica: Replica;
  /** Runs of events behind a number, out of memory; undefined: they are no longer there. */
  recent(after: number): Iterable<readonly BatchEvent[]> | undefined;
  /** Where long work is done. */
  readonly slices: SliceQueue;
  /** The numbers of sources in this process. */
  readonly sources: Pick<SourceClients, 'add' | 'of' | 'delete'>;
  /** The server numbers events from now on, under this epoch. */
  lead(epoch: number, hooks: Pick<RecorderHooks, 'replication'>): Recorder;
}

export interface Membership {
  /** The settings of its shard, with the directory of its journal. */
  readonly config: Config;
  readonly hooks: Pick<ReplicaHooks, 'following' | 'onRoom'>;
  /** Called once, when the server is built. */
  begin(member: ClusterMember): void;
  /** What is known of the cluster; from `begin` on. */
  status(): ClusterStatus;
  /**
   * Called when the server begins to stop: a follower takes nothing more, a leader goes on. Resolves when what its
   * sources have published is answered, or cannot be.
   */
  refuse(): Promise<void>;
  /** Called when the server has stopped. */
  stop(): Promise<void>;
}
