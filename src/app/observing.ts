/** Observing: the counts of all stages for `/metrics`, and the lag of the event loop, which is measured here. */

import { dirname } from 'node:path';

import type { Clock } from '../base/clock';
import type { Batch } from '../base/contracts/batch';
import type { ClusterStatus } from '../base/contracts/cluster';
import type { ServedMarket } from '../base/contracts/core';
import { Durations } from '../base/durations';
import type { TurnMeter } from '../base/turn-meter';
import type { ReaderFigures } from '../broadcast/broadcaster';
import type { Shares } from '../gateway/auth/shares';
import type { Labels, Pause } from '../gateway/metrics/metric-registry';
import { Metrics, type MetricSources } from '../gateway/metrics/metrics';
import { diskRoom, type DiskRoom } from '../journal/write/disk-room';
import type { Repeated } from '../log/repeated';
import { INTAKE_COUNTS, noIntake, type IntakeCounts } from '../market/intake';
import { VERSION } from '../version';
import type { Broadcasting } from './broadcasting';
import type { FeedFigures, Freshness } from './freshness';
import type { Ground } from './ground';
import type { Past } from './past';
import type { PublisherSet } from './publisher-set';
import type { Reading } from './reading';
import type { Shards } from './shards';

/** What was published, and how long that took from the arrival of the oldest submission of each batch. */
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

/** Logs turns of the event loop that are longer than this; repeated ones of a kind are counted. */
export function watchTurns(turns: TurnMeter, aboveMs: number, repeated: Repeated): void {
  turns.aboveMs = aboveMs;
  turns.onTurn = (kind, ms, detail) => {
    const length = { turn: kind, ...(detail !== '' && { of: detail }), ms: Math.round(ms) };
    repeated.report('warn', 'a turn of the event loop was long', kind, length);
  };
}

/** How late a timer fires: for that long something blocked the event loop. */
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

/** What is measured from the start. */
export interface Measured {
  readonly broadcasting: Broadcasting;
  readonly past: Past;
  readonly reading: Reading;
  /** Of each shard. */
  readonly publishers: readonly PublisherSet<Batch>[];
  readonly published: Published;
  readonly freshness: Freshness;
  readonly loopLag: LoopLag;
}

interface Observed extends Measured {
  readonly ground: Ground;
  readonly shards: Shards;
  readonly market: ServedMarket;
  readonly shares: Shares;
  readonly cluster: (() => readonly ClusterStatus[]) | undefined;
}

export function createMetrics(stages: Observed): Metrics {
  const { ground, shards, market, past, published, broadcasting } = stages;
  const { clock, counts, account } = ground;
  const { figures } = market;
  const { broadcaster, revisions } = broadcasting;
  let sums: Sums;
  return new Metrics({
    begin: async () => {
      sums = await ground.slices.run(sumsOf(stages));
      return pauses(clock);
    },
    version: VERSION,
    tiers: stages.reading.tiers.counters,
    memtableEvents: () => shards.all.reduce((sum, { memtable }) => sum + memtable.size, 0),
    journal: () => figures.journal(),
    checkpoints: () => figures.checkpoints(),
    ...durationsOf(shards, published.durations),
    loopLag: stages.loopLag.durations,
    turns: clock.turns,
    recovery: figures.recovery,
    sessions: () => broadcaster.sessions.size,
    lanes: () => ({ lagging: sums.readers.lagging, lagged: broadcaster.lagged }),
    revisions: revisions.counts,
    damagedBlocks: () => past.damaged.count,
    kinds: broadcaster.counters,
    own: broadcaster.encoders.own,
    waiting: () => sums.readers,
    account,
    work: stages.shares.spent,
    stream: counts.stream,
    rest: counts.rest,
    playbacks: () => past.playbacks.counts,
    publishers: () => stages.publishers.flatMap((set) => set.counts()),
    feeds: () => sums.feeds,
    intake: () => sums.intake,
    disk: () => roomOf(shards),
    instruments: () => market.instruments.size,
    lastSeqs: () => shards.all.map(({ name, core }) => [labelOf(name), core.lastSeq]),
    cluster: stages.cluster,
    published,
  });
}

/** Of all journals, which lie on one file system. */
function roomOf(shards: Shards): DiskRoom {
  const rooms = shards.cores.map(({ past }) => diskRoom(dirname(past.path)));
  const journalBytes = rooms.reduce((sum, room) => sum + room.journalBytes, 0);
  return { journalBytes, freeBytes: rooms[0]!.freeBytes };
}

function labelOf(shard: string | null): Labels {
  return shard === null ? {} : { shard };
}

/** @param wire how long the publishing of batches took */
function durationsOf(shards: Shards, wire: Durations): Pick<MetricSources, 'stages' | 'commits'> {
  const stages: [Labels, Durations][] = [[{ stage: 'wire' }, wire]];
  const commits: [Labels, Durations][] = [];
  for (const { name, core } of shards.all) {
    const { waited, committed, commit } = core.figures;
    stages.push([{ stage: 'turn', ...labelOf(name) }, waited]);
    stages.push([{ stage: 'journal', ...labelOf(name) }, committed]);
    commits.push([labelOf(name), commit]);
  }
  return { stages, commits };
}

/** Longest part of a long answer in ms. */
const PART_MS = 1;

/** Called between parts of an answer: waits for another turn if this one was long. */
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

/** Figures whose cost grows with sessions and instruments. */
interface Sums {
  readonly readers: ReaderFigures;
  readonly feeds: FeedFigures;
  readonly intake: IntakeCounts;
}

/** Instruments counted in one step, which takes a small part of a millisecond. */
const COUNTED_AT_ONCE = 256;

function* sumsOf({ broadcasting, freshness, market }: Observed): Generator<undefined, Sums> {
  const readers = yield* broadcasting.broadcaster.figures();
  const feeds = yield* freshness.figures();
  const intake = noIntake();
  let seen = 0;
  for (const feed of market.instruments.feeds()) {
    for (const count of INTAKE_COUNTS) intake[count] += feed.intake[count];
    if (++seen % COUNTED_AT_ONCE === 0) yield;
  }
  return { readers, feeds, intake };
}
