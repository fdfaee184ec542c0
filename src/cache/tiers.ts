/**
 * Tiers: who answers a query, and how old the answer is.
 *
 *     newest tick     L1 ─► L2 ─► live          trades, ticks          L2 ─► L3
 *     newest book     L1 ─► live                past books, bars       L3
 *
 * L1 keeps answers for `ttlMs`, together with the place they stand at; L2 is the memtable; L3 is the
 * journal on disk. A tier may answer only with the newest state: when the live instrument has moved on,
 * or the time is over, its value is a miss, and the next one is asked. L3 is never asked for the newest
 * state: the live market is whole in memory from the start on, so the disk could only give, thirty
 * to fifty times slower (benches `tick-query`, `book-query`), what may be behind it.
 * Answers are not copied: a value handed out never changes afterwards.
 * Bounded: `entriesMax` instruments in L1; those that were not asked for longest go first, about.
 */

import type { Instrument, Tick, Trade } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import type { Clock } from '../base/clock';
import type { Memtable, TimeRange } from './memtable';

/** What the tiers need of the live market. */
export interface LiveInstrument {
  readonly definition: Instrument;
  /** The newest tick; before the first trade one that is made of the previous close, at place 0. */
  currentTick(): Tick | null;
  /** Place of the newest tick, and of the newest book event. */
  readonly tickHead: number;
  readonly bookHead: number;
  /** Null while there is no book that may be trusted. */
  bookView(): BookView | null;
}

export type TierName = 'l1' | 'l2' | 'live';

export interface Entry<T> {
  value: T;
  seq: number;
  untilMs: number;
  /** Renewed since it was last considered for eviction. */
  renewed: boolean;
  /** The answer as JSON text up to what changes with each answer; made when first asked for. */
  json: string | null;
  /** The whole answer as last written, for the requests of the same millisecond. */
  written: { text: string; source: string; standing: string; ageMs: number } | null;
}

/** Reused between queries, as are the entries: read it before the next one. */
export interface Answer<T> {
  entry: Entry<T> | null;
  source: TierName;
}

/** What became of the questions to one tier: each is one of these. */
export interface Outcomes {
  hits: number;
  /** There was nothing; in L2 also: not all of it, for certain. */
  absent: number;
  /** Kept for longer than its time. */
  expired: number;
  /** Not the newest state any more. */
  stale: number;
}

/** Since the start. Of L3 they are questions: what became of them, the journal knows. */
export interface TierCounters {
  readonly l1: { readonly tick: Outcomes; readonly book: Outcomes };
  readonly l2: { readonly tick: Outcomes; readonly trades: Outcomes; readonly ticks: Outcomes };
  readonly l3: { book: number; trades: number; ticks: number; bars: number };
  readonly live: { readonly tick: Outcomes; readonly book: Outcomes };
}

export interface TierOptions {
  readonly ttlMs: number;
  readonly entriesMax: number;
}

export class Tiers {
  readonly counters: TierCounters = {
    l1: { tick: noOutcomes(), book: noOutcomes() },
    l2: { tick: noOutcomes(), trades: noOutcomes(), ticks: noOutcomes() },
    l3: { book: 0, trades: 0, ticks: 0, bars: 0 },
    live: { tick: noOutcomes(), book: noOutcomes() },
  };
  private readonly keptTicks = new Map<string, Entry<Tick>>();
  private readonly keptBooks = new Map<string, Entry<BookView>>();
  private readonly tickAnswer: Answer<Tick> = { entry: null, source: 'l1' };
  private readonly bookAnswer: Answer<BookView> = { entry: null, source: 'l1' };
  private readonly clock: Clock;
  private readonly options: TierOptions;
  private readonly memtable: Memtable;

  constructor(options: TierOptions, clock: Clock, memtable: Memtable) {
    this.options = options;
    this.clock = clock;
    this.memtable = memtable;
  }

  /** The newest tick; `entry` is null when there is none. */
  tick(live: LiveInstrument): Answer<Tick> {
    const answer = this.tickAnswer;
    const symbol = live.definition.symbol;
    const head = live.tickHead;
    const kept = this.keptTicks.get(symbol);
    // Before the first trade the answer follows quotes and definition, which have other places.
    if (head !== 0 && this.answers(kept, head, this.counters.l1.tick)) {
      answer.entry = kept!;
      answer.source = 'l1';
      return answer;
    }
    const recent = head === 0 ? null : this.recentTick(symbol, head);
    const value = recent ?? this.newest(live.currentTick(), this.counters.live.tick);
    answer.source = recent === null ? 'live' : 'l2';
    answer.entry = value === null ? null : this.keep(this.keptTicks, kept, symbol, value, head);
    return answer;
  }

  /** The ten best levels; `entry` is null when no book may be trusted. */
  book(live: LiveInstrument): Answer<BookView> {
    const answer = this.bookAnswer;
    const symbol = live.definition.symbol;
    const head = live.bookHead;
    const kept = this.keptBooks.get(symbol);
    if (this.answers(kept, head, this.counters.l1.book)) {
      answer.entry = kept!;
      answer.source = 'l1';
      return answer;
    }
    const value = this.newest(live.bookView(), this.counters.live.book);
    answer.source = 'live';
    answer.entry = value === null ? null : this.keep(this.keptBooks, kept, symbol, value, head);
    return answer;
  }

  /** Up to `limit` newest trades below a place, newest first; undefined: L3 has to be asked. */
  trades(live: LiveInstrument, before: number, limit: number): Trade[] | undefined {
    const held = this.memtable.trades(live.definition.symbol, before, limit);
    return certain(live, held, this.counters.l2.trades);
  }

  /** Ticks as the memtable gives them; undefined: L3 has to be asked. */
  ticks(live: LiveInstrument, range: TimeRange, after: number, limit: number): Tick[] | undefined {
    const held = this.memtable.ticks(live.definition.symbol, range, after, limit);
    return certain(live, held, this.counters.l2.ticks);
  }

  private recentTick(symbol: string, head: number): Tick | null {
    const outcomes = this.counters.l2.tick;
    const tick = this.memtable.newestTick(symbol);
    if (tick?.seq === head) {
      outcomes.hits += 1;
      return tick;
    }
    if (tick === null) outcomes.absent += 1;
    else outcomes.stale += 1;
    return null;
  }

  private newest<T>(value: T | null, outcomes: Outcomes): T | null {
    if (value === null) outcomes.absent += 1;
    else outcomes.hits += 1;
    return value;
  }

  private answers(kept: Entry<unknown> | undefined, head: number, outcomes: Outcomes): boolean {
    if (kept === undefined) outcomes.absent += 1;
    else if (kept.seq !== head) outcomes.stale += 1;
    else if (kept.untilMs < this.clock.monotonicMs()) outcomes.expired += 1;
    else {
      outcomes.hits += 1;
      return true;
    }
    return false;
  }

  /** Renews an entry in its place: a new one each time would be most of what a miss costs. */
  private keep<T>(
    tier: Map<string, Entry<T>>,
    kept: Entry<T> | undefined,
    symbol: string,
    value: T,
    seq: number,
  ): Entry<T> {
    const untilMs = this.clock.monotonicMs() + this.options.ttlMs;
    if (kept === undefined) {
      if (tier.size >= this.options.entriesMax) evict(tier);
      const entry = { value, seq, untilMs, renewed: false, json: null, written: null };
      tier.set(symbol, entry);
      return entry;
    }
    kept.value = value;
    kept.seq = seq;
    kept.untilMs = untilMs;
    kept.renewed = true;
    kept.json = null;
    kept.written = null;
    return kept;
  }
}

function noOutcomes(): Outcomes {
  return { hits: 0, absent: 0, expired: 0, stale: 0 };
}

/** What the memtable gave, or none at all where the instrument has never traded. */
function certain<T>(
  live: LiveInstrument,
  held: T[] | undefined,
  outcomes: Outcomes,
): T[] | undefined {
  const found = live.tickHead === 0 ? [] : held;
  if (found === undefined) outcomes.absent += 1;
  else outcomes.hits += 1;
  return found;
}

/** Lets go of the oldest entry; those that were renewed meanwhile count as new, once. */
function evict(tier: Map<string, Entry<unknown>>): void {
  for (const [symbol, entry] of tier) {
    tier.delete(symbol);
    if (!entry.renewed) return;
    entry.renewed = false;
    tier.set(symbol, entry); // at the end of the map's order
  }
}
