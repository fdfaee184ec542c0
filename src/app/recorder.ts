/**
 * Recorder: the part of the way that `serve` and an offline `replay` share.
 *
 *     submissions ─► sequencer ─► market ─► batch ─► journal ─► accept
 */

import { fault, type Fault } from '../../protocol/codes';
import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type { PastEpoch } from '../base/contracts/past';
import type { Secrets } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import type { Config, ConfiguredInstrument } from '../config/config';
import { unwritable, type Cause } from '../journal/write/causes';
import { JournalDamage } from '../journal/checked-rows';
import type { Slices } from '../journal/write/checkpoints';
import type { Durability, GapNote, JournalWarning, Recovered, TailGap } from '../journal/journal';
import { openJournal, type OpenedJournal } from '../journal/recover/opening';
import { SnapshotPolicy, type SnapshotOptions } from '../journal/write/snapshot-policy';
import type { SqliteJournal } from '../journal/write/sqlite-journal';
import type { CreateWriter } from '../journal/write/writer';
import { MarketCapture } from '../market/capture';
import type { SourceAccount } from '../market/held-deltas';
import { Market } from '../market/market';
import type { TimeLimits } from '../market/trade-clock';
import { Sequencer } from '../sequencer/sequencer';
import { Statistics } from './statistics';
import type { SequencedMarket } from '../sequencer/contract';
import { readCheckpoint } from '../market/checkpoint-reading';

export interface Recorder {
  readonly market: Market;
  readonly sequencer: Sequencer;
  readonly journal: SqliteJournal;
  /** At the newest place of the market, as is the market itself. */
  readonly statistics: Statistics;
  /** What the start took: how long, and how many records behind the checkpoint it read. */
  readonly recovery: Recovery;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly warnings: readonly JournalWarning[];
  /** Takes what still waits, and nothing more; resolves when the journal has it, or cannot have it. */
  refuse(): Promise<void>;
  /** Takes what still waits, and closes the journal in order; `journal.closed` tells when it is. */
  close(): void;
}

/** Takes every event on before the journal has it; at a start those of the tail. */
export interface RecentEvents {
  /** @param events places that follow each other, above those before */
  accept(events: readonly BatchEvent[]): void;
  /** Forgets what it took: the tail is read again. */
  clear(): void;
  /** Places up to this one are missing. */
  gap(to: number): void;
}

export interface RecorderHooks {
  /** Ends the process: the journal cannot be written, and what is not in it must not be shown. */
  readonly fail?: (fault: StartFault) => never;
  /** Who writes the journal; by default the thread of the caller. */
  readonly createWriter?: CreateWriter;
  /** How checkpoints share the loop; by default they do not. */
  readonly slices?: Slices;
  /** Answers with what the journal may not have yet. */
  readonly recent?: RecentEvents;
  readonly onDamage?: (message: string) => void;
  /** Told now and then what recovery has done so far. */
  readonly onProgress?: (progress: RecoveryProgress) => void;
  readonly onFailing?: (reason: string, cause: Cause) => void;
  readonly onRecovered?: () => void;
  readonly onHole?: (gap: GapNote) => void;
  /** What the number of the epoch is drawn from. */
  readonly secrets?: Secrets | undefined;
  /** Of what sources make the market hold. */
  readonly account?: SourceAccount;
}

export interface Recovery {
  readonly ms: number;
  readonly records: number;
}

export interface RecoveryProgress {
  readonly what: 'salvaged' | 'recovered';
  readonly records: number;
  /** How many there are; null when that is not known. */
  readonly of: number | null;
}

/** @param accept takes each batch once it is as durable as was chosen */
export function openRecorder(
  config: Config,
  clock: Clock,
  accept: (batch: Batch) => void,
  hooks: RecorderHooks = {},
): Recorder | StartFault {
  const restored = restore(config, clock, hooks);
  if (restored instanceof StartFault) return restored;
  const { journal, recovered, market, statistics, recovery } = restored;
  journal.checkpoints.source = new MarketCapture(market, (symbol) => statistics.stateOf(symbol));
  const snapshots = snapshotPolicy(config);
  let isStopping = false;
  const sequencer = new Sequencer(
    {
      epoch: recovered.epoch,
      lastSeq: recovered.lastSeq,
      waitingEventsMax: config.limits.waitingEventsMax,
      batchEventsMax: config.limits.batchEventsMax,
      schedule: (turn) => clock.turns.soon('batch', turn),
      hasRoom: () => journal.hasRoom,
      refusal: () => (isStopping ? SHUTTING_DOWN : refusalOf(journal, config.journal.durability)),
    },
    withSnapshots(market, snapshots),
    clock,
    (batch, answer) => {
      if (batch === null) return journal.behind(answer);
      statistics.accept(batch.events); // before the journal, which may take a checkpoint now
      hooks.recent?.accept(batch.events);
      journal.append(batch, () => {
        accept(batch);
        answer();
      });
    },
  );
  /** In as many turns as it takes: they are written at the end of each. */
  const writeRenewed = (): void => {
    sequencer.act(
      () => {},
      () => {
        if (snapshots.isRenewing && !isStopping) writeRenewed();
      },
    );
  };
  journal.notices = {
    failed: (e) => {
      const { directory } = config.journal;
      const isDamage = e instanceof JournalDamage;
      return (hooks.fail ?? throwFault)(
        isDamage ? damaged(directory, e) : unwritable(directory, e),
      );
    },
    onFailing: (reason, cause) => hooks.onFailing?.(reason, cause),
    onRecovered: () => hooks.onRecovered?.(),
    onHole: (gap) => {
      snapshots.renewAll(); // what changed in the gap is to be found behind it
      writeRenewed();
      hooks.onHole?.(gap);
    },
    onBookless: (symbols) => {
      snapshots.renew(symbols);
      writeRenewed();
    },
    onRoom: () => sequencer.resume(),
  };
  try {
    journal.begin();
  } catch (e) {
    journal.abandon();
    const { cause } = e as Error;
    return cause instanceof StartFault ? cause : unwritable(config.journal.directory, e);
  }
  return {
    market,
    sequencer,
    journal,
    statistics,
    recovery,
    pastEpochs: recovered.pastEpochs,
    warnings: recovered.warnings,
    refuse: () => {
      isStopping = true;
      sequencer.drain();
      return journal.flush();
    },
    close: () => {
      sequencer.drain();
      journal.close();
    },
  };
}

const SHUTTING_DOWN = fault('shutting-down', 'the server is being stopped');

interface Restored extends OpenedJournal {
  readonly market: Market;
  readonly statistics: Statistics;
  readonly recovery: Recovery;
}

/** What cannot be kept must not be taken; `async` takes it, and declares what it did not keep. */
function refusalOf(journal: SqliteJournal, durability: Durability): Fault | undefined {
  if (durability === 'async') return undefined;
  const { failing } = journal;
  return failing === null
    ? undefined
    : fault('journal-failing', `the journal cannot be written: ${failing}`);
}

/** How often what is found damaged is set aside; each time the journal ends earlier. */
const SALVAGES_MAX = 3;

/** The market as the journal tells it. What is found damaged on the way is set aside. */
function restore(config: Config, clock: Clock, hooks: RecorderHooks): Restored | StartFault {
  const { onDamage, createWriter, slices, secrets } = hooks;
  const onSalvage = (records: number): void =>
    hooks.onProgress?.({ what: 'salvaged', records, of: null });
  const beganMs = clock.monotonicMs();
  let damage: JournalDamage | undefined;
  for (let salvages = 0; ; salvages++) {
    const opened = openJournal(config.journal, clock, {
      createWriter,
      slices,
      damage,
      onDamage,
      onSalvage,
      secrets,
    });
    if (opened instanceof StartFault) return opened;
    const { journal, recovered } = opened;
    const market = new Market({
      ...config.limits,
      timeLimits: timeLimitsOf(config),
      account: hooks.account,
    });
    const statistics = new Statistics(config.market.sessionBoundary);
    const tail = new Tail(recovered, statistics, hooks);
    try {
      const { saved } = recovered;
      const whole = saved === null || saved.whole === null ? null : readCheckpoint(saved.whole);
      statistics.restore(whole?.statistics ?? {});
      market.restore(whole ?? saved, tail.events(), (...of) => statistics.restoreAt(...of));
      if (recovered.missingTo !== null) hooks.recent?.gap(recovered.missingTo);
      const recovery = { ms: clock.monotonicMs() - beganMs, records: tail.records };
      return { journal, recovered, market, statistics, recovery };
    } catch (e) {
      journal.abandon();
      hooks.recent?.clear();
      if (!(e instanceof JournalDamage) || salvages === SALVAGES_MAX) {
        return new StartFault(
          'journal-damaged',
          `the journal in ${config.journal.directory} does not read: ${(e as Error).message}`,
          'It is as it was written, so another version wrote it, or this one is at fault; nothing was changed.',
        );
      }
      damage = e;
    }
  }
}

/** How far the times of an instrument may be from the present, by the settings. */
export function timeLimitsOf({ market, instruments }: Config): (symbol: string) => TimeLimits {
  const { sessionBoundary } = market;
  const limitsOf = (own: Partial<ConfiguredInstrument>): TimeLimits => ({
    timeAheadMs: own.timeAheadMs ?? market.timeAheadMs,
    latenessMs: own.latenessMs ?? market.latenessMs,
    sessionBoundary,
  });
  const all = limitsOf({});
  const named = new Map(instruments.map((own) => [own.symbol, limitsOf(own)]));
  return (symbol) => named.get(symbol) ?? all;
}

/** When books are written whole: by what the journal is told, or the instrument of its own. */
function snapshotPolicy({ journal, instruments }: Config): SnapshotPolicy {
  const optionsOf = (own: Partial<ConfiguredInstrument>): SnapshotOptions => ({
    everyMs: own.snapshotEveryMs ?? journal.snapshotEveryMs,
    changeShare: (own.snapshotChangePercent ?? journal.snapshotChangePercent) / 100,
  });
  return new SnapshotPolicy(
    optionsOf({}),
    new Map(instruments.map((own) => [own.symbol, optionsOf(own)])),
  );
}

/** The market, with snapshots behind each submission that makes them due. */
function withSnapshots(market: Market, policy: SnapshotPolicy): SequencedMarket {
  for (const instrument of market.all()) {
    policy.hydrate(Array.from(instrument.newest()).filter((event) => event.type === 'book'));
  }
  return {
    admit: (from, events, holds) => market.admit(from, events, holds),
    apply: (source, event, out, continues, owner) =>
      market.apply(source, event, out, continues, owner),
    settle: (out, events, from) => {
      for (const due of policy.accept(events, from)) {
        out.push({ type: 'snapshot', seq: out.nextSeq(), ...due });
      }
    },
    seal: () => market.seal(),
  };
}

/** A write has met it; what is good of the journal goes on with the next start. */
function damaged(directory: string, e: JournalDamage): StartFault {
  return new StartFault(
    'journal-damaged',
    `the journal in ${directory} is damaged: ${e.message}`,
    'Start again: the file is set aside then, whole, and what is good of it goes on.',
  );
}

function throwFault(fault: StartFault): never {
  throw new Error(fault.message, { cause: fault });
}

/** Events between two tellings. */
const PROGRESS_EVENTS = 50_000;

/** The events behind the checkpoint as they are read once, by the market, and by what else follows from them. */
class Tail {
  private readonly recovered: Recovered;
  private readonly statistics: Statistics;
  private readonly hooks: RecorderHooks;
  private seq: number;
  /** Read so far. */
  records = 0;

  constructor(recovered: Recovered, statistics: Statistics, hooks: RecorderHooks) {
    this.recovered = recovered;
    this.statistics = statistics;
    this.hooks = hooks;
    this.seq = recovered.saved?.from ?? 0;
  }

  /** @throws JournalDamage when a place between them is empty and in no gap */
  *events(): Iterable<BatchEvent> {
    for (const item of this.recovered.tail) {
      if ('type' in item) {
        this.skip(item);
        continue;
      }
      for (const { seq } of item) {
        if (seq !== this.seq + 1)
          throw new JournalDamage(this.seq, `record ${this.seq + 1} is missing`);
        this.seq = seq;
      }
      this.statistics.recover(item);
      this.hooks.recent?.accept(item);
      for (const event of item) yield event;
      this.count(item.length);
    }
    this.statistics.recovered();
  }

  private skip({ to, isContinued }: TailGap): void {
    // The market went on while nothing was recorded: only a checkpoint behind it knows the state,
    // and since this gap is read, none behind it is sound.
    if (!isContinued)
      throw new JournalDamage(this.seq, `the state behind record ${to} is not known`);
    this.seq = Math.max(this.seq, to);
    this.hooks.recent?.gap(to);
  }

  private count(events: number): void {
    const { saved, lastSeq } = this.recovered;
    const before = this.records;
    this.records += events;
    if (Math.floor(before / PROGRESS_EVENTS) === Math.floor(this.records / PROGRESS_EVENTS)) return;
    const of = lastSeq - (saved?.from ?? 0);
    this.hooks.onProgress?.({ what: 'recovered', records: this.records, of });
  }
}
