/**
 * Observing: what the stages count, joined for `/metrics` and `/readyz`; and the lag of the event loop,
 * which is measured here.
 */

import type { BarRevisions } from './bar-revisions';
import type { DamagedBlocks } from './damaged-blocks';
import type { ByteAccount } from './base/byte-account';
import type { Clock } from './base/clock';
import { Durations } from './base/durations';
import type { TurnMeter } from './base/turn-meter';
import type { Broadcaster } from './broadcast/broadcaster';
import type { Plays } from './broadcast/plays';
import type { Memtable } from './cache/memtable';
import type { Tiers } from './cache/tiers';
import type { Freshness } from './freshness';
import { Metrics } from './gateway/metrics';
import type { RestCounts } from './gateway/rest-counts';
import type { StreamCounts } from './gateway/stream-counts';
import type { Publishers } from './ipc/publishers';
import { diskRoom } from './journal/disk-room';
import { INTAKE_COUNTS, noIntake, type IntakeCounts } from './market/intake';
import type { Market } from './market/market';
import type { Recorder } from './recorder';
import type { Repeated } from './repeated';
import type { Batch } from './sequencer/batch';
import { VERSION } from './version';

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
  readonly publishers: Publishers<Batch>;
  readonly published: Published;
  readonly plays: Plays;
  readonly tiers: Tiers;
  readonly memtable: Memtable;
  readonly freshness: Freshness;
  readonly loopLag: LoopLag;
  readonly turns: TurnMeter;
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
  return new Metrics({
    version: VERSION,
    tiers: stages.tiers.counters,
    memtableEvents: () => stages.memtable.size,
    journal: () => journal.status(),
    checkpoints: () => journal.checkpoints.figures(),
    stages: { turn: sequencer.waited, wire: published.durations, journal: committed },
    commits: commit,
    loopLag: stages.loopLag.durations,
    turns: stages.turns,
    recovery,
    sessions: () => broadcaster.sessions.size,
    lanes: () => broadcaster.lanes,
    revisions: stages.revisions.counts,
    damagedBlocks: () => stages.damaged.count,
    kinds: broadcaster.tallies,
    own: broadcaster.encoders.own,
    waiting: () => broadcaster.waiting,
    account: stages.account,
    stream: counts.stream,
    rest: counts.rest,
    plays: () => stages.plays.counts,
    publishers: () => stages.publishers.counts(),
    feeds: () => stages.freshness.figures(),
    intake: () => intakeOf(market),
    disk: () => diskRoom(stages.directory),
    instruments: () => market.size,
    lastSeq: () => sequencer.lastSeq,
    published,
  });
}

/** Over all that are fed. */
function intakeOf(market: Market): IntakeCounts {
  const sum = noIntake();
  for (const { intake } of market.feeds()) {
    for (const count of INTAKE_COUNTS) sum[count] += intake[count];
  }
  return sum;
}
