/** Restoring: the market as the journal has it. What is found damaged meanwhile is set aside. */

import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../base/clock';
import type { Secrets } from '../base/secrets';
import { StartFault } from '../base/start-fault';
import type { Config } from '../config/config';
import { JournalDamage } from '../journal/checked-rows';
import type { Recovered, TailGap } from '../journal/journal';
import { openJournal, type Following, type OpenedJournal } from '../journal/recover/opening';
import type { Slices } from '../journal/write/checkpoints';
import type { CreateWriter } from '../journal/write/writer';
import { readCheckpoint } from '../market/checkpoint-reading';
import type { SourceAccount } from '../market/held-deltas';
import { Market } from '../market/market';
import { Statistics } from './statistics';
import { timeLimitsOf } from './time-limits';

/** Takes every event before the journal has it; at a start the events of the tail. */
export interface RecentEvents {
  /** @param events with consecutive sequence numbers, above those before */
  accept(events: readonly BatchEvent[]): void;
  /** Drops everything: the tail is read again. */
  clear(): void;
  /** Sequence numbers up to this one are missing. */
  gap(to: number): void;
}

export interface RestoreHooks {
  /** Who writes the journal; by default the thread of the caller. */
  readonly createWriter?: CreateWriter;
  /** How checkpoints share the event loop; by default they do not. */
  readonly slices?: Slices;
  /** Answers with what the journal may not have yet. */
  readonly recent?: RecentEvents | undefined;
  /** Called when a damaged file is set aside. */
  readonly onDamage?: (message: string) => void;
  /** Called from time to time while recovery runs. */
  readonly onProgress?: (progress: RecoveryProgress) => void;
  /** Source of the epoch's number. */
  readonly secrets?: Secrets | undefined;
  /** The core is a replica. */
  readonly following?: Following | undefined;
  /** Counts what sources make the market hold. */
  readonly account?: SourceAccount;
}

/** How long the start took, in ms. */
export interface Recovery {
  readonly ms: number;
  /** Records after the checkpoint that were read. */
  readonly records: number;
}

export interface RecoveryProgress {
  readonly what: 'salvaged' | 'recovered';
  readonly records: number;
  /** How many there are; null: not known. */
  readonly of: number | null;
}

export interface Restored extends OpenedJournal {
  readonly market: Market;
  /** Takes the batches of a leader; `end`: the market goes on by itself. */
  readonly follower: ReturnType<Market['follow']>;
  readonly statistics: Statistics;
  readonly recovery: Recovery;
}

/** How often a damaged file is set aside in one start; each time the journal ends earlier. */
const SALVAGES_MAX = 3;

/** Opens the journal and rebuilds the market and its statistics from it. */
export function restore(config: Config, clock: Clock, hooks: RestoreHooks): Restored | StartFault {
  const { onDamage, createWriter, slices, secrets, following } = hooks;
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
      following,
    });
    if (opened instanceof StartFault) return opened;
    const { journal } = opened;
    try {
      return rebuild(opened, beganMs, config, clock, hooks);
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

/** @throws Error, in particular JournalDamage, if the journal does not lead to a market */
function rebuild(
  opened: OpenedJournal,
  beganMs: number,
  config: Config,
  clock: Clock,
  hooks: RestoreHooks,
): Restored {
  const { journal, recovered } = opened;
  const market = new Market({
    ...config.limits,
    timeLimits: timeLimitsOf(config),
    isOwn: symbolsOf(config.cluster.symbols),
    account: hooks.account,
  });
  const statistics = new Statistics(config.market.sessionBoundary);
  const tail = new Tail(recovered, statistics, hooks);
  const { saved } = recovered;
  const whole = saved === null || saved.whole === null ? null : readCheckpoint(saved.whole);
  statistics.restore(whole?.statistics ?? {});
  const follower = market.follow(whole ?? saved, tail.events(), (...of) =>
    statistics.restoreAt(...of),
  );
  if (recovered.missingTo !== null) hooks.recent?.gap(recovered.missingTo);
  const recovery = { ms: clock.monotonicMs() - beganMs, records: tail.records };
  return { journal, recovered, market, follower, statistics, recovery };
}

/** Events between two progress reports. */
const PROGRESS_EVENTS = 50_000;

/** The events after the checkpoint. They are read once, for the market and for everything else that follows from them. */
class Tail {
  private readonly recovered: Recovered;
  private readonly statistics: Statistics;
  private readonly hooks: RestoreHooks;
  private seq: number;
  /** Read so far. */
  records = 0;

  constructor(recovered: Recovered, statistics: Statistics, hooks: RestoreHooks) {
    this.recovered = recovered;
    this.statistics = statistics;
    this.hooks = hooks;
    this.seq = recovered.saved?.from ?? 0;
  }

  /** @throws JournalDamage if a sequence number is neither there nor in a gap */
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
    // The market went on while nothing was recorded, so only a checkpoint after the gap has the state. This gap
    // is read, so there is no sound checkpoint behind it.
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

/** @param patterns with `*` for any characters; none: any symbol */
function symbolsOf(patterns: readonly string[]): ((symbol: string) => boolean) | undefined {
  if (patterns.length === 0) return undefined;
  const globs = patterns.map((pattern) => new Bun.Glob(pattern));
  return (symbol) => globs.some((glob) => glob.match(symbol));
}
