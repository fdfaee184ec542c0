/**
 * Replica: the core of a server whose batches come from a leader. Readers cannot tell it from the leader: it has the
 * same definitions, state, numbers and orders, and a journal of its own.
 *
 *     batches of the leader ─► market ─► journal ─► follower
 *     submissions ─► leader
 *
 * When its process becomes the leader, `lead` makes the recorder that continues with the same market and journal, and the
 * replica passes everything to it.
 */

import type { WireBatch } from '../../protocol/batch';
import { fault, type Fault } from '../../protocol/codes';
import { assert } from '../base/assert';
import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type {
  Core,
  CoreFigures,
  CorePast,
  InstrumentAdministration,
  SourceEntry,
} from '../base/contracts/core';
import type { LeaderPort } from '../base/contracts/leader';
import type { OrderStage } from '../base/contracts/order-entry';
import type { PastEpoch } from '../base/contracts/past';
import type { SubmitResult } from '../base/contracts/submission';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import type { GapNote } from '../journal/journal';
import type { Following } from '../journal/recover/opening';
import { MarketCapture } from '../market/capture';
import type { MarketInstrument } from '../market/instrument';
import type { Market } from '../market/market';
import type { Sequencer } from '../sequencer/sequencer';
import { Arrivals } from './arrivals';
import { beginJournal, diskNotices, figuresOf, pastOf, type DiskHooks } from './core-parts';
import { leaderPortOf } from './leader-port';
import { NO_LEADER } from './no-leader';
import { Recorder, type RecorderHooks } from './recorder';
import { ReplicaOrders } from './replica-orders';
import { restore, type Restored, type RestoreHooks } from './restoring';

export interface ReplicaHooks extends RestoreHooks, DiskHooks {
  readonly following: Following;
  readonly onHole?: (gap: GapNote) => void;
  /** The journal has room again after `hasRoom` was false. */
  readonly onRoom?: () => void;
}

const SHUTTING_DOWN = fault('shutting-down', 'the server is being stopped');

/** Opens the journal of the settings as that of a replica, and rebuilds the market from it. */
export function openReplica(
  config: Config,
  clock: Clock,
  hooks: ReplicaHooks,
): Replica | StartFault {
  const restored = restore(config, clock, hooks);
  if (restored instanceof StartFault) return restored;
  const replica = new Replica(restored, config, clock, hooks);
  return beginJournal(restored.journal, config) ?? replica;
}

export class Replica implements Core<MarketInstrument> {
  /** The leader as far as it is known. */
  leader: LeaderPort = NO_LEADER;
  readonly past: CorePast;
  readonly figures: CoreFigures;
  readonly entry: SourceEntry;
  readonly orders: OrderStage;
  readonly administration: InstrumentAdministration;
  private readonly restored: Restored;
  private readonly config: Config;
  private readonly clock: Clock;
  private readonly hooks: ReplicaHooks;
  private readonly epochs: Map<number, PastEpoch>;
  private follower: (batch: Batch) => void = () => {};
  /** The newest sequence number of the market, and of what the follower has. */
  private seq: number;
  /** The last number before the epoch that was begun here; -1: none was. */
  epochBase = -1;
  private followedSeq: number;
  /** Callbacks that wait for a sequence number. */
  private readonly waiting = new Map<() => void, number>();
  /** Those that also want to know when the number does not come, since another leader continues before it. */
  private readonly doubtful = new Map<() => void, number>();
  private readonly arrivals: Arrivals;
  private isStopping = false;
  private isClosed = false;
  /** Once this process leads. */
  private recorder: Recorder | undefined;

  constructor(restored: Restored, config: Config, clock: Clock, hooks: ReplicaHooks) {
    const { journal, market, statistics, recovery, recovered } = restored;
    this.restored = restored;
    this.config = config;
    this.clock = clock;
    this.hooks = hooks;
    this.seq = this.followedSeq = recovered.lastSeq;
    this.arrivals = new Arrivals((ms, act) => {
      const timer = clock.turns.later('cluster', ms, act);
      return () => clearTimeout(timer);
    });
    this.epochs = new Map(recovered.pastEpochs);
    this.epochs.delete(recovered.epoch);
    journal.checkpoints.source = new MarketCapture(market, (symbol) => statistics.stateOf(symbol));
    journal.notices = {
      ...diskNotices(hooks, config.journal.directory),
      onHole: (gap) => hooks.onHole?.(gap),
      onRoom: () => hooks.onRoom?.(),
    };
    this.past = pastOf(journal, config);
    this.figures = figuresOf(journal, recovery);
    this.entry = this.entryToLeader();
    this.orders = new ReplicaOrders({
      market,
      leader: () => this.leader,
      reached: (seq) => new Promise((resolve) => this.reached(seq, resolve)),
    });
    this.administration = this.administrationOfLeader();
  }

  get epoch(): number {
    return this.restored.journal.epoch;
  }

  get lastSeq(): number {
    return this.recorder?.lastSeq ?? this.seq;
  }

  get pastEpochs(): ReadonlyMap<number, PastEpoch> {
    return this.epochs;
  }

  get warnings(): Core['warnings'] {
    return this.restored.recovered.warnings;
  }

  get instruments(): Market {
    return this.restored.market;
  }

  get statistics(): Restored['statistics'] {
    return this.restored.statistics;
  }

  get closed(): Promise<Error | undefined> {
    return this.restored.journal.closed;
  }

  /** Whether the journal can take more; see `onRoom`. */
  get hasRoom(): boolean {
    return this.restored.journal.hasRoom;
  }

  /** Once this process leads. */
  get sequencer(): Sequencer | undefined {
    return this.recorder?.sequencer;
  }

  follow(accept: (batch: Batch) => void): void {
    this.follower = accept;
  }

  /**
   * Takes the next batch of the leader.
   * @throws Error if the market here does not make of its commands what the leader made
   */
  take({ epoch, firstSeq, lastSeq, events }: WireBatch): void {
    if (this.isStopping) return;
    assert(epoch === this.epoch, 'a batch is of the epoch that was begun');
    assert(firstSeq === this.seq + 1, 'a batch follows the one before it');
    const { journal, follower, statistics } = this.restored;
    const executions = follower.apply(events); // as those of the leader, which its journal does not have
    statistics.accept(events); // before the journal, which may take a checkpoint now
    this.hooks.recent?.accept(events);
    this.seq = lastSeq;
    const arrivedMs = this.clock.monotonicMs();
    const batch: Batch = { epoch, firstSeq, lastSeq, events, executions, arrivedMs };
    journal.append(batch, () => this.publish(batch));
  }

  private publish(batch: Batch): void {
    this.follower(batch);
    this.followedSeq = batch.lastSeq;
    release(this.waiting, (seq) => seq <= batch.lastSeq);
    release(this.doubtful, (seq) => seq <= batch.lastSeq);
    this.arrivals.reached(batch.epoch, batch.lastSeq);
  }

  /**
   * Whether the follower has everything up to a number of an epoch. Resolves once that is certain: with false if
   * another leader continued without it, or this replica ends before.
   */
  async has(epoch: number, seq: number): Promise<boolean> {
    if (seq > this.endOf(epoch)) return false;
    if (seq > this.followedSeq && !this.isClosed) {
      await new Promise<void>((resolve) => this.doubtful.set(resolve, seq));
    }
    return seq <= this.followedSeq && seq <= this.endOf(epoch);
  }

  arrival(epoch: number, seq: number): Promise<void> | undefined {
    if (this.recorder !== undefined || this.isStopping) return undefined;
    // Epochs of a cluster rise: one above this one has begun elsewhere, and is on its way here.
    const isAhead = epoch === this.epoch ? seq > this.followedSeq : epoch > this.epoch;
    return isAhead ? this.arrivals.wait(epoch, seq) : undefined;
  }

  /** Another leader continues after the newest batch. */
  beginEpoch(epoch: number): void {
    this.endEpoch();
    this.epochBase = this.seq;
    this.restored.journal.beginEpoch(epoch, false);
    this.arrivals.reached(epoch, this.followedSeq);
  }

  /** The last number of the log under an epoch, as far as it has come; Infinity: of the present one. */
  endOf(epoch: number): number {
    return epoch === this.epoch ? Infinity : (this.epochs.get(epoch)?.kept ?? -1);
  }

  /** This process is the leader from now on: the recorder continues where this replica ends. */
  lead(epoch: number, hooks: RecorderHooks): Recorder {
    this.endEpoch();
    const { restored, seq: lastSeq } = this;
    restored.journal.beginEpoch(epoch, true);
    restored.follower.end();
    const recovered = { ...restored.recovered, epoch, lastSeq, pastEpochs: this.epochs };
    const { waited } = this.figures;
    const parts = { ...hooks, waited, recent: this.hooks.recent };
    const recorder = new Recorder({ ...restored, recovered }, this.config, this.clock, parts);
    recorder.follow((batch) => {
      this.seq = batch.lastSeq;
      this.publish(batch);
    });
    this.recorder = recorder;
    this.arrivals.end();
    this.leader = leaderPortOf(recorder);
    return recorder;
  }

  refuse(): Promise<void> {
    this.isStopping = true;
    this.arrivals.end();
    return this.recorder?.refuse() ?? this.restored.journal.flush();
  }

  close(): void {
    if (this.recorder === undefined) this.restored.journal.close();
    else this.recorder.close();
    this.isClosed = true;
    release(this.waiting, () => true);
    release(this.doubtful, () => true);
  }

  private endEpoch(): void {
    const { epoch, seq } = this;
    if (epoch !== 0) this.epochs.set(epoch, { kept: seq, pushed: seq });
    release(this.doubtful, (awaited) => awaited > seq);
  }

  /** Calls back once the follower has everything up to a sequence number. */
  private reached(seq: number, act: () => void): void {
    if (seq <= this.followedSeq) act();
    else this.waiting.set(act, seq);
  }

  private refusal(): Fault | undefined {
    return this.isStopping ? SHUTTING_DOWN : this.leader.entry.refusal();
  }

  private entryToLeader(): SourceEntry {
    return {
      refusal: () => this.refusal(),
      submit: (source, events, done, options) => {
        const refused = this.refusal();
        if (refused !== undefined) return done({ index: -1, fault: refused });
        const answer = (result: SubmitResult): void => {
          if ('fault' in result) done(result);
          else this.reached(result.seq, () => done(result));
        };
        this.leader.entry.submit(source, events, answer, options);
      },
      behind: (source) => this.leader.entry.behind(source),
      yield: (source, owner) => this.leader.entry.yield(source, owner),
      release: (source, owner) => this.leader.entry.release(source, owner),
      holderOf: (symbol) => this.leader.entry.holderOf(symbol),
      isCrowded: (client) => this.leader.entry.isCrowded(client),
    };
  }

  private administrationOfLeader(): InstrumentAdministration {
    return {
      define: (fields) => this.leader.administration.define(fields),
      renumber: (symbol) => this.leader.administration.renumber(symbol),
      delete: (symbol) => this.leader.administration.delete(symbol),
    };
  }
}

/** Calls and removes the callbacks whose numbers are meant. */
function release(waiting: Map<() => void, number>, isMeant: (seq: number) => boolean): void {
  for (const [act, seq] of waiting) {
    if (!isMeant(seq)) continue;
    waiting.delete(act);
    act();
  }
}
