/**
 * Observing: what the stages count, joined for `/metrics` and `/readyz`; and the lag of the event loop,
 * which is measured here.
 */

import type { BarRevisions } from './bar-revisions';
import type { DamagedBlocks } from './damaged-blocks';
import type { ByteAccount } from '../base/byte-account';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import type { SliceQueue } from '../base/slice-queue';
import type { TurnMeter } from '../base/turn-meter';
import type { Broadcaster, ReaderFigures } from '../broadcast/broadcaster';
import type { Plays } from '../broadcast/playback/playbacks';
import type { Memtable } from '../cache/memtable';
import type { Tiers } from '../cache/tiers';
import type { FeedFigures, Freshness } from './freshness';
import { Metrics } from '../gateway/metrics/metrics';
import type { Pause } from '../gateway/metrics/metric-registry';
import type { RestCounts } from '../gateway/rest/counts';
import type { Shares } from '../gateway/auth/shares';
import type { StreamCounts } from '../gateway/ws/counts';
import type { Publishers } from '../ipc/publishers';
import { diskRoom } from '../journal/write/disk-room';
import { INTAKE_COUNTS, noIntake, type IntakeCounts } from '../market/intake';
import type { Recorder } from './recorder';
import type { Repeated } from '../log/repeated';
import type { Batch } from '../base/contracts/batch';
import { VERSION } from '../version';

/** What went on to readers, and how long that took from the arrival of the oldest of each batch. */
export class Published {
  batches = 0;
  events = 0;
  readonly durations = new Durations();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  accept({ events, arrivedMs }: Batch): void {
    this.batches += 1;
    this.events += events.length;
    this.durations.observe(this.clock.monotonicMs() - arrivedMs);
  }
}

/** Says in the log which turns of the event loop are longer than this, of each kind now and then. */
export function watchTurns(turns: TurnMeter, aboveMs: number, repeated: Repeated): void {
  turns.aboveMs = aboveMs;
  turns.onTurn = (kind, ms, detail) => {
    const length = { turn: kind, ...(detail !== '' && { of: detail }), ms: Math.round(ms) };
    repeated.tell('warn', 'a turn of the event loop was long', kind, length);
  };
}

/** By how much a timer is late: so long did something hold up everything else. */
export class LoopLag {
  readonly durations = new Durations();
  private readonly clock: Clock;
  private readonly everyMs: number;
  private lastMs: number;

  constructor(clock: Clock, everyMs: number) {
    this.clock = clock;
    this.everyMs = everyMs;
    this.lastMs = clock.monotonicMs();
  }

  /** The timer has fired. */
  tick(): void {
    const nowMs = this.clock.monotonicMs();
    this.durations.observe(nowMs - this.lastMs - this.everyMs);
    this.lastMs = nowMs;
  }
}

export interface Observed {
  readonly recorder: Recorder;
  readonly broadcaster: Broadcaster;
  readonly account: ByteAccount;
  readonly shares: Shares;
  readonly publishers: Publishers<Batch>;
  readonly published: Published;
  readonly plays: Plays;
  readonly tiers: Tiers;
  readonly memtable: Memtable;
  readonly freshness: Freshness;
  readonly loopLag: LoopLag;
  readonly clock: Clock;
  readonly slices: SliceQueue;
  /** Where the journal is. */
  readonly directory: string;
  readonly revisions: BarRevisions;
  readonly damaged: DamagedBlocks;
  readonly counts: { readonly stream: StreamCounts; readonly rest: RestCounts };
}

export function createMetrics(stages: Observed): Metrics {
  const { recorder, broadcaster, published, counts } = stages;
  const { journal, sequencer, market, recovery } = recorder;
  const { committed, commit } = journal.durations;
  let sums: Sums;
  return new Metrics({
    begin: async () => {
      sums = await stages.slices.run(sumsOf(stages));
      return pauses(stages.clock);
    },
    version: VERSION,
    tiers: stages.tiers.counters,
    memtableEvents: () => stages.memtable.size,
    journal: () => journal.status(),
    checkpoints: () => journal.checkpoints.figures(),
    stages: { turn: sequencer.waited, wire: published.durations, journal: committed },
    commits: commit,
    loopLag: stages.loopLag.durations,
    turns: stages.clock.turns,
    recovery,
    sessions: () => broadcaster.sessions.size,
    lanes: () => ({ lagging: sums.readers.lagging, lagged: broadcaster.lagged }),
    revisions: stages.revisions.counts,
    damagedBlocks: () => stages.damaged.count,
    kinds: broadcaster.tallies,
    own: broadcaster.encoders.own,
    waiting: () => sums.readers,
    account: stages.account,
    work: stages.shares.spent,
    stream: counts.stream,
    rest: counts.rest,
    plays: () => stages.plays.counts,
    publishers: () => stages.publishers.counts(),
    feeds: () => sums.feeds,
    intake: () => sums.intake,
    disk: () => diskRoom(stages.directory),
    instruments: () => market.size,
    lastSeq: () => sequencer.lastSeq,
    published,
  });
}

/** So long a part of a long answer may take, in ms. */
const PART_MS = 1;

/** Between parts of an answer: waits for another turn where this one was long. */
function pauses(clock: Clock): Pause {
  let untilMs = clock.monotonicMs() + PART_MS;
  return () => {
    if (clock.monotonicMs() < untilMs) return undefined;
    return new Promise((resolve) => {
      clock.turns.soon('request', () => {
        untilMs = clock.monotonicMs() + PART_MS;
        resolve();
      });
    });
  };
}

/** What grows with sessions and instruments. */
interface Sums {
  readonly readers: ReaderFigures;
  readonly feeds: FeedFigures;
  readonly intake: IntakeCounts;
}

/** Instruments that are counted in one step, a small part of a millisecond. */
const COUNTED_AT_ONCE = 256;

function* sumsOf({ broadcaster, freshness, recorder }: Observed): Generator<undefined, Sums> {
  const readers = yield* broadcaster.figures();
  const feeds = yield* freshness.figures();
  const intake = noIntake();
  let seen = 0;
  for (const feed of recorder.market.feeds()) {
    for (const count of INTAKE_COUNTS) intake[count] += feed.intake[count];
    if (++seen % COUNTED_AT_ONCE === 0) yield;
  }
  return { readers, feeds, intake };
}
