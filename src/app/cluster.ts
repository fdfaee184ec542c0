/**
 * Cluster: a server's membership. It feeds the replica from the batch log, makes it lead when the leader is gone, and
 * ends the server when it has to begin again: deposed, or with events that the cluster does not have.
 */

import type { Clock } from '../base/clock';
import type { ClusterStatus, MemberReport } from '../base/contracts/cluster';
import { secretBytes } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import { Member, type Lost } from '../cluster/member';
import type { NatsBroker } from '../cluster/nats-broker';
import { Presence } from '../cluster/presence';
import type { Config } from '../config/config';
import { EventCursor } from '../journal/export/event-cursor';
import type { Following } from '../journal/recover/opening';
import type { Log } from '../log/contract';
import { FeedInstrument } from '../market/feed-instrument';
import { CheckpointUpload } from './checkpoint-upload';
import { logFigures, publishFigures, reportOf } from './cluster-status';
import { logNameOf, openBroker, prepareJournal, type Preparing } from './cluster-start';
import { LeaderPublishes } from './leader-publishes';
import { RemoteLeader, type RemoteLeaderParts } from './leader-remote';
import { writeServer } from './leader-writes';
import { LogFeed } from './log-feed';
import type { ClusterMember, Membership } from './membership';
import { Receipts } from './receipts';
import type { Recorder } from './recorder';
import { RemoteSources, type RemoteSourcesParts } from './remote-sources';
import type { Replica, ReplicaHooks } from './replica';

const LOOK_EVERY_MS = 10;
/** How long a leader that stops waits for the log. */
const STOP_MS = 3_000;
/** How long a follower that stops waits for the answers to what its sources have published. */
const SETTLE_MS = 1_000;
const QUEUE_BATCHES_MAX = 10_000;
const HELD_BYTES_MAX = 64 * 1_024 * 1_024;
/** Epochs of a log rise; by how much is drawn, so that no two logs have the same. */
const EPOCH_STEP = 2 ** 32;
const EPOCH_FIRST = 2 ** 48;

export interface Joining extends Preparing {
  /** Called once, when the server has to end and begin again. */
  readonly begins: (why: Lost) => void;
}

export class ClusterMembership implements Membership {
  readonly hooks: Pick<ReplicaHooks, 'following' | 'onRoom'>;
  readonly config: Config;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly broker: NatsBroker;
  private readonly begins: (why: Lost) => void;
  /** Names this process among all that ever write to the log. */
  private readonly instance = Buffer.from(secretBytes(8)).toString('hex');
  private server: ClusterMember | undefined;
  private member: Member | undefined;
  private feed: LogFeed | undefined;
  private cursor: EventCursor | undefined;
  private upload: CheckpointUpload | undefined;
  private remote: RemoteLeader | undefined;
  private sources: RemoteSources | undefined;
  private publishes: LeaderPublishes | undefined;
  private presence: Presence | undefined;
  /** Ends the answers to other members. */
  private serving: () => void = () => {};
  private timer: ReturnType<typeof setInterval> | undefined;

  /** Connects, and finds out how the journal is to be opened. @returns null: it was given up */
  static async join(
    config: Config,
    clock: Clock,
    log: Log,
    { begins, ...how }: Joining,
  ): Promise<ClusterMembership | StartFault | null> {
    const broker = await openBroker(config, clock);
    if (broker instanceof StartFault) return broker;
    const following = await prepareJournal(broker, config, clock, log, how);
    if (following !== null && !(following instanceof StartFault)) {
      return new ClusterMembership(config, clock, log, broker, following, begins);
    }
    await broker.close();
    return following;
  }

  private constructor(
    config: Config,
    clock: Clock,
    log: Log,
    broker: NatsBroker,
    following: Following,
    begins: (why: Lost) => void,
  ) {
    this.config = config;
    this.clock = clock;
    this.log = log;
    this.broker = broker;
    this.begins = begins;
    this.hooks = { following };
  }

  begin(server: ClusterMember): void {
    const { clock, config, log, broker, instance: writer } = this;
    const { cluster, limits } = config;
    const { replica } = server;
    this.server = server;
    const asking = { leaderWaitMs: cluster.leaderWaitMs, writer };
    const { waitingEventsMax } = limits;
    const sources = remoteSources(broker, clock, replica, { ...asking, waitingEventsMax });
    this.sources = sources;
    this.remote = remoteLeader(broker, clock, replica, asking, sources);
    replica.leader = this.remote;
    const options = {
      broker,
      clock,
      log,
      shard: logNameOf(cluster),
      writer,
      mayLead: cluster.role !== 'edge',
      mayBegin: cluster.role === 'leader',
      silenceMs: cluster.silenceMs,
      epochAbove: (epoch: number) => epochAbove(epoch),
      queueBytesMax: cluster.queueBytesMax,
      queueBatchesMax: QUEUE_BATCHES_MAX,
      heldBytesMax: HELD_BYTES_MAX,
    };
    this.member = new Member(options, {
      position: () => ({ epoch: replica.epoch, seq: replica.lastSeq }),
      batch: (batch) => {
        replica.take(batch);
        if (batch.receipts !== undefined) sources.logged(batch.epoch, batch.receipts);
      },
      epoch: (epoch) => {
        replica.beginEpoch(epoch);
        this.remote?.epochBegan();
        sources.epochBegan();
      },
      caughtUp: () => log.info({ seq: replica.lastSeq }, 'this member has read up the batch log'),
      leading: (epoch, loggedSeq) => this.lead(epoch, loggedSeq),
      acknowledged: (seq) => this.feed?.acknowledged(seq),
      lost: (why) => {
        this.rest();
        this.begins(why);
      },
    });
    this.presence = new Presence(broker.presence, clock, () => this.report());
    this.timer = clock.turns.every('cluster', LOOK_EVERY_MS, () => this.look());
  }

  async refuse(): Promise<void> {
    const isLeading = (): boolean => this.member?.state === 'leading';
    if (!isLeading()) await this.sources?.settle(SETTLE_MS);
    if (isLeading()) return;
    this.member?.stop();
    this.remote?.end();
    this.sources?.end();
  }

  async stop(): Promise<void> {
    const { member, clock } = this;
    const untilMs = clock.monotonicMs() + STOP_MS;
    member?.stop();
    const isWriting = (): boolean => member?.state === 'leading' && clock.monotonicMs() < untilMs;
    while (isWriting()) await Bun.sleep(LOOK_EVERY_MS); // the timer goes on until `rest`
    this.rest();
    await this.broker.close();
  }

  status(): ClusterStatus {
    const log = logFigures(this.member!.figures(), {
      isConnected: this.broker.isConnected,
      unlogged: this.feed?.lag ?? 0,
      checkpoints: this.upload?.stored ?? 0,
    });
    const { name, shard } = this.config.cluster;
    const publishes = publishFigures(this.sources?.figures(), this.publishes?.figures());
    const members = this.presence!.members();
    return { name, shard: shard || null, self: this.report(), members, log, publishes };
  }

  private report(): MemberReport {
    const { epoch, lastSeq: seq } = this.server!.replica;
    return reportOf(this.config, this.instance, this.member!.figures(), { epoch, seq });
  }

  private look(): void {
    this.member?.look();
    this.feed?.look();
    this.publishes?.look();
    this.upload?.look();
    this.presence?.look();
  }

  private rest(): void {
    clearInterval(this.timer);
    this.presence?.stop();
    this.serving();
    this.remote?.end();
    this.sources?.end();
    this.upload?.stop();
    this.cursor?.close();
    this.cursor = undefined;
  }

  private lead(epoch: number, loggedSeq: number): void {
    const { config, clock, log, broker } = this;
    const server = this.server!;
    const { replica } = server;
    const { path } = replica.past;
    const receipts = new Receipts(replica.lastSeq);
    this.feed = new LogFeed(
      {
        member: this.member!,
        clock,
        epoch,
        lastSeq: () => replica.lastSeq,
        receipts,
        isReplicated: config.journal.durability === 'replicated',
        recent: (after) => server.recent(after),
        committed: (after) => (this.cursor ??= new EventCursor(path)).read(after),
        isFirst: ({ type, symbol }) =>
          type === 'command' ||
          type === 'instrument' ||
          replica.instruments.known(symbol) instanceof FeedInstrument,
        onRoom: () => replica.sequencer?.resume(),
      },
      loggedSeq,
    );
    this.upload = new CheckpointUpload({
      store: broker.checkpoints,
      clock,
      log,
      path,
      directory: config.journal.directory,
      everyMs: config.cluster.checkpointEveryMs,
      cycles: () => replica.figures.checkpoints().cycles,
      logged: (position) => {
        if (position.seq <= loggedSeq) return 'yes';
        // The log has what was behind that as events of this epoch.
        if (position.epoch !== epoch) return 'never';
        return position.seq <= this.feed!.acknowledgedSeq ? 'yes' : 'not-yet';
      },
    });
    const base = replica.lastSeq;
    const recorder = server.lead(epoch, { replication: this.feed });
    this.serveOthers(recorder, base, receipts);
    this.remote!.lead(recorder);
    this.sources!.lead(recorder.entry);
    log.info({ epoch, seq: replica.lastSeq, loggedSeq }, 'this server leads the cluster');
  }

  /** Answers what other members ask of this leader. @param base the events up to this one were there when it began */
  private serveOthers(recorder: Recorder, base: number, receipts: Receipts): void {
    const { broker, clock } = this;
    const { replica, sources, slices } = this.server!;
    const { epoch } = recorder;
    const isProven = (): Promise<boolean> => this.member!.proven(replica.lastSeq);
    const publishes = new LeaderPublishes({
      entry: recorder.entry,
      epoch,
      lastSeq: () => replica.lastSeq,
      base,
      receipts,
      isProven,
      addSource: (client) => sources.add(client),
      endSource: (source) => sources.delete(source),
      clientOf: (source) => sources.of(source),
      challenge: (source) => replica.entry.challenge?.(source),
      slices,
      nowMs: () => clock.monotonicMs(),
    });
    this.publishes = publishes;
    replica.entry.claim = (client, symbol) => publishes.claim(client, symbol);
    const ends = [
      broker.writes.serve(epoch, writeServer(recorder, isProven)),
      broker.publishes.serve(epoch, (bytes) => publishes.handle(bytes)),
    ];
    this.serving = () => {
      for (const end of ends) end();
    };
  }
}

/** @param epoch of the log so far; 0: it has none */
function epochAbove(epoch: number): number {
  const draw = secretBytes(6).readUIntBE(0, 6);
  return epoch === 0 ? 1 + (draw % EPOCH_FIRST) : epoch + 1 + (draw % EPOCH_STEP);
}

/** What both of these need of the replica and of time. */
function basicsOf(replica: Replica, clock: Clock) {
  return {
    epoch: () => replica.epoch,
    has: (epoch: number, seq: number) => replica.has(epoch, seq),
    nowMs: () => clock.monotonicMs(),
    later: (ms: number, act: () => void) => {
      const timer = clock.turns.later('cluster', ms, act);
      return () => clearTimeout(timer);
    },
  };
}

function remoteLeader(
  { writes: transport }: NatsBroker,
  clock: Clock,
  replica: Replica,
  options: Pick<RemoteLeaderParts, 'leaderWaitMs' | 'writer'>,
  sources: RemoteSources,
): RemoteLeader {
  return new RemoteLeader({ transport, ...basicsOf(replica, clock), ...options }, sources);
}

function remoteSources(
  { publishes: transport }: NatsBroker,
  clock: Clock,
  replica: Replica,
  options: Pick<RemoteSourcesParts, 'leaderWaitMs' | 'writer' | 'waitingEventsMax'>,
): RemoteSources {
  return new RemoteSources({
    transport,
    ...basicsOf(replica, clock),
    epochBase: () => replica.epochBase,
    endOf: (epoch) => replica.endOf(epoch),
    now: () => clock.now(),
    challenge: (source) => replica.entry.challenge?.(source),
    ...options,
  });
}
