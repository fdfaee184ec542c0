/** A leader and its replica, each with its own journal; batches are passed from one to the other as bytes. */

import { join } from 'node:path';

import { BatchEncoder, decodeBatch } from '../../protocol/batch';
import { Nanos } from '../../protocol/time';
import { leaderPortOf } from '../../src/app/leader-port';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import { openReplica, type Replica } from '../../src/app/replica';
import type { Clock } from '../../src/base/clock';
import type { Batch } from '../../src/base/contracts/batch';
import { StartFault } from '../../src/base/start-fault';
import type { Config } from '../../src/config/config';
import { testConfig } from './test-recorder';

const encoder = new BatchEncoder();

/** A batch of the leader, or the beginning of an epoch. */
export type LogEntry =
  { readonly lastSeq: number; readonly bytes: Uint8Array } | { readonly epoch: number };

export class ReplicaPair {
  leader: Recorder;
  replica: Replica;
  /** Everything that the leader has made, in order. */
  readonly log: LogEntry[] = [];
  /** Batches that the leader and the replica have handed out. */
  readonly led: Batch[] = [];
  readonly followed: Batch[] = [];
  readonly leaderDirectory: string;
  replicaDirectory: string;
  private readonly clock: Clock;
  private readonly journal: Partial<Config['journal']>;
  private delivered = 0;

  /** @param journal settings of the leader's journal */
  constructor(directory: string, clock: Clock, journal: Partial<Config['journal']> = {}) {
    this.journal = journal;
    this.leaderDirectory = join(directory, 'leader');
    this.replicaDirectory = join(directory, 'replica');
    this.clock = clock;
    this.leader = this.openLeader();
    this.replica = this.openReplica();
  }

  openLeader(): Recorder {
    const leader = openRecorder(testConfig(this.leaderDirectory, this.journal), this.clock);
    if (leader instanceof StartFault) throw new Error(leader.message);
    this.log.push({ epoch: leader.epoch });
    leader.follow((batch) => {
      this.led.push(batch);
      this.log.push({
        lastSeq: batch.lastSeq,
        bytes: encoder.encode({ ...batch, time: Nanos.ZERO }),
      });
    });
    return leader;
  }

  /** @param keepUpTo as in `Following` */
  openReplica(keepUpTo = Infinity): Replica {
    const config = testConfig(this.replicaDirectory);
    const replica = openReplica(config, this.clock, { following: { keepUpTo } });
    if (replica instanceof StartFault) throw new Error(replica.message);
    replica.follow((batch) => this.followed.push(batch));
    replica.leader = leaderPortOf(this.leader);
    return replica;
  }

  /** Gives the replica up to this many more entries of the log. */
  deliver(most = Infinity): void {
    const { log, replica } = this;
    for (let left = most; left > 0 && this.delivered < log.length; left--) {
      const entry = log[this.delivered++]!;
      if ('epoch' in entry) {
        replica.beginEpoch(entry.epoch);
        continue;
      }
      const batch = decodeBatch(entry.bytes);
      if ('code' in batch) throw new Error(batch.message);
      replica.take(batch);
    }
  }

  /** Restarts the replica from its journal; the log is delivered from where the journal ends. */
  restartReplica(directory: string, keepUpTo = Infinity): void {
    this.replicaDirectory = directory;
    this.replica = this.openReplica(keepUpTo);
    const { lastSeq, epoch } = this.replica;
    const next = this.log.findIndex((entry) => 'lastSeq' in entry && entry.lastSeq > lastSeq);
    this.delivered = next < 0 ? this.log.length : next;
    const begun = this.log.slice(0, this.delivered).findLastIndex((entry) => 'epoch' in entry);
    // An epoch that begins exactly here may not have reached the journal.
    if (begun >= 0 && (this.log[begun] as { epoch: number }).epoch !== epoch) {
      this.delivered = begun;
    }
  }

  async close(): Promise<void> {
    this.replica.close();
    this.leader.close();
    await Promise.all([this.replica.closed, this.leader.closed]);
  }
}
