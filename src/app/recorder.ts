/**
 * Recorder: the core of a server that has a sequencer of its own, and of an offline import.
 *
 *     submissions ─► sequencer ─► market ─► batch ─► journal ─► follower
 */

import { fault, type Fault } from '../../protocol/codes';
import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type {
  Core,
  CoreFigures,
  CorePast,
  InstrumentAdministration,
  SourceEntry,
} from '../base/contracts/core';

import type { PastEpoch } from '../base/contracts/past';
import type { Durations } from '../base/durations';
import type { Replication } from '../base/contracts/replication';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import {
  isAsync,
  type Durability,
  type GapNote,
  type JournalNotices,
  type JournalWarning,
} from '../journal/journal';
import type { SnapshotPolicy } from '../journal/write/snapshot-policy';
import type { SqliteJournal } from '../journal/write/sqlite-journal';
import { MarketCapture } from '../market/capture';
import type { MarketInstrument } from '../market/instrument';
import type { Market } from '../market/market';
import { Sequencer } from '../sequencer/sequencer';
import { beginJournal, diskNotices, figuresOf, pastOf, type DiskHooks } from './core-parts';
import { administrationOf } from './instruments';
import type { LocalMarket } from './local-market';
import { LocalOrders } from './order-stage';
import { restore, type Recovery, type Restored, type RestoreHooks } from './restoring';
import { snapshotPolicy, withSnapshots } from './snapshots';
import { createSourceEntry } from './source-entry';
import type { Statistics } from './statistics';

export interface RecorderHooks extends RestoreHooks, DiskHooks {
  /** With durability `replicated`: what is published was stored there before. */
  readonly replication?: Replication | undefined;
  /** Where to count how long submissions wait for their turn. */
  readonly waited?: Durations;
  readonly onHole?: (gap: GapNote) => void;
}

const SHUTTING_DOWN = fault('shutting-down', 'the server is being stopped');

/** Opens the journal of the settings, rebuilds the market from it, and begins an epoch. */
export function openRecorder(
  config: Config,
  clock: Clock,
  hooks: RecorderHooks = {},
): Recorder | StartFault {
  const restored = restore(config, clock, hooks);
  if (restored instanceof StartFault) return restored;
  restored.follower.end();
  const recorder = new Recorder(restored, config, clock, hooks);
  return beginJournal(recorder.journal, config) ?? recorder;
}

export class Recorder implements Core<MarketInstrument>, LocalMarket {
  readonly market: Market;
  readonly sequencer: Sequencer;
  readonly journal: SqliteJournal;
  readonly statistics: Statistics;
  readonly recovery: Recovery;
  readonly epoch: number;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly warnings: readonly JournalWarning[];
  readonly entry: SourceEntry;
  readonly orders: LocalOrders;
  readonly administration: InstrumentAdministration;
  readonly past: CorePast;
  readonly figures: CoreFigures;
  private readonly config: Config;
  private readonly hooks: RecorderHooks;
  private readonly snapshots: SnapshotPolicy;
  private follower: (batch: Batch) => void = () => {};
  private isStopping = false;

  constructor(restored: Restored, config: Config, clock: Clock, hooks: RecorderHooks) {
    const { journal, market, statistics, recovery, recovered } = restored;
    this.journal = journal;
    this.market = market;
    this.statistics = statistics;
    this.recovery = recovery;
    this.epoch = recovered.epoch;
    this.pastEpochs = recovered.pastEpochs;
    this.warnings = recovered.warnings;
    this.config = config;
    this.hooks = hooks;
    this.snapshots = snapshotPolicy(config);
    journal.checkpoints.source = new MarketCapture(market, (symbol) => statistics.stateOf(symbol));
    journal.notices = this.noticesOfJournal();
    this.sequencer = this.createSequencer(recovered.lastSeq, clock);
    this.entry = createSourceEntry(this);
    this.orders = new LocalOrders(this, config.limits.waitingEventsMax);
    this.administration = administrationOf(this);
    this.past = pastOf(journal, config);
    this.figures = figuresOf(journal, recovery, this.sequencer.waited);
  }

  /** Nobody has more than the server that numbers. */
  arrival(): undefined {
    return undefined;
  }

  get lastSeq(): number {
    return this.sequencer.lastSeq;
  }

  get instruments(): Market {
    return this.market;
  }

  get closed(): Promise<Error | undefined> {
    return this.journal.closed;
  }

  follow(accept: (batch: Batch) => void): void {
    this.follower = accept;
  }

  refuse(): Promise<void> {
    this.isStopping = true;
    this.sequencer.drain();
    const { replication } = this.hooks;
    const journaled = this.journal.flush();
    if (replication === undefined) return journaled;
    return journaled.then(() => new Promise((resolve) => replication.behind(resolve)));
  }

  close(): void {
    this.sequencer.drain();
    this.journal.close();
  }

  private createSequencer(lastSeq: number, clock: Clock): Sequencer {
    const { config, journal, statistics, hooks } = this;
    const { replication } = hooks;
    return new Sequencer(
      {
        epoch: this.epoch,
        lastSeq,
        waitingEventsMax: config.limits.waitingEventsMax,
        batchEventsMax: config.limits.batchEventsMax,
        schedule: (turn) => clock.turns.soon('batch', turn),
        waited: hooks.waited,
        hasRoom: () => journal.hasRoom && replication?.hasRoom !== false,
        refusal: () =>
          this.isStopping
            ? SHUTTING_DOWN
            : (refusalOf(journal, config.journal.durability) ?? replication?.refusal()),
      },
      withSnapshots(this.market, this.snapshots),
      clock,
      (batch, answer) => {
        const replicated = (done: () => void): void => {
          if (replication === undefined) done();
          else if (batch === null) replication.behind(done);
          else replication.append(batch, done);
        };
        if (batch === null) return journal.behind(() => replicated(answer));
        statistics.accept(batch.events); // before the journal, which may take a checkpoint now
        hooks.recent?.accept(batch.events);
        journal.append(batch, () =>
          replicated(() => {
            this.follower(batch);
            answer();
          }),
        );
      },
    );
  }

  private noticesOfJournal(): JournalNotices {
    const { hooks, snapshots } = this;
    return {
      ...diskNotices(hooks, this.config.journal.directory),
      onHole: (gap) => {
        snapshots.renewAll(); // changes within the gap must be readable behind it
        this.writeRenewed();
        hooks.onHole?.(gap);
      },
      onBookless: (symbols) => {
        snapshots.renew(symbols);
        this.writeRenewed();
      },
      onRoom: () => this.sequencer.resume(),
    };
  }

  /** Has the due snapshots written at the end of turns, in as many turns as they take. */
  private writeRenewed(): void {
    this.sequencer.act(
      () => {},
      () => {
        if (this.snapshots.isRenewing && !this.isStopping) this.writeRenewed();
      },
    );
  }
}

/** `commit` and `fsync` take nothing while it cannot be stored; `async` does, and declares what it did not store. */
function refusalOf(journal: SqliteJournal, durability: Durability): Fault | undefined {
  if (isAsync(durability)) return undefined;
  const { failing } = journal;
  return failing === null
    ? undefined
    : fault('journal-failing', `the journal cannot be written: ${failing}`);
}
