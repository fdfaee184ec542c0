/**
 * Tiers: which tier answers a query, and how fresh the answer is.
 *
 *     newest tick     L1 ─► L2 ─► live          trades, ticks          L2 ─► L3
 *     newest book     L1 ─► live                past books, bars       L3
 *
 * L1 keeps answers for `ttlMs`, together with their sequence number; L2 is the memtable; L3 is the journal on disk. A
 * tier may only answer with the newest state: if the live instrument has changed, or the time is over, its value is a
 * miss and the next tier is asked. L3 is never asked for the newest state: the live market is complete in memory from
 * the start, so the disk could only give something older, thirty to fifty times slower (benches `tick-query`,
 * `book-query`). Answers are not copied: a returned value never changes.
 *
 * Bound: `entriesMax` instruments in L1; the least recently queried are evicted first, approximately.
 */

import type { Instrument, Tick, Trade } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import type { Clock } from '../base/clock';
import type { Memtable, TimeRange } from './memtable';

/** What the tiers need of the live market. */
export interface LiveInstrument {
  readonly definition: Instrument;
  /** The newest tick; before the first trade one made of the previous close, with `seq` 0. */
  currentTick(): Tick | null;
  /** Sequence numbers of the newest tick and of the newest book event. */
  readonly tickHead: number;
  readonly bookHead: number;
  /** Null while the book is incomplete. */
  bookView(): BookView | null;
}

export type TierName = 'l1' | 'l2' | 'live';

export interface Entry<T> {
  value: T;
  seq: number;
  untilMs: number;
  /** Whether it was renewed since it was last considered for eviction. */
  renewed: boolean;
  /** The answer as JSON text without what changes with each answer; made on first use. */
  json: string | null;
  /** The complete last answer, for requests in the same millisecond. */
  written: { text: string; source: string; standing: string; ageMs: number } | null;
}

/** Reused between queries, as are the entries: read it before the next query. */
export interface Answer<T> {
  entry: Entry<T> | null;
  source: TierName;
}

/** Outcomes of queries to one tier. */
export interface Outcomes {
  hits: number;
  /** Nothing was there; in L2 also: not certainly complete. */
  absent: number;
  /** Older than its time to live. */
  expired: number;
  /** No longer the newest state. */
  stale: number;
}

/** Since the start. For L3 the number of queries; the journal counts their outcomes. */
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

/** What the tiers ask of L2. */
export type RecentTrades = Pick<Memtable, 'newestTick' | 'trades' | 'ticks'>;

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
  private readonly memtable: RecentTrades;

  constructor(options: TierOptions, clock: Clock, memtable: RecentTrades) {
    this.options = options;
    this.clock = clock;
    this.memtable = memtable;
  }

  /** The newest tick; `entry` is null if there is none. */
  tick(live: LiveInstrument): Answer<Tick> {
    const answer = this.tickAnswer;
    const symbol = live.definition.symbol;
    const head = live.tickHead;
    const kept = this.keptTicks.get(symbol);
    // Before the first trade the answer depends on quotes and the definition, which have other sequence numbers.
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

  /** The ten best levels; `entry` is null while the book is incomplete. */
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

  /** Up to `limit` newest trades below a sequence number, newest first; undefined: ask L3. */
  trades(live: LiveInstrument, before: number, limit: number): Trade[] | undefined {
    const held = this.memtable.trades(live.definition.symbol, before, limit);
    return certain(live, held, this.counters.l2.trades);
  }

  /** Ticks as of the memtable; undefined: ask L3. */
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

  /** Updates an entry in place: allocating one would be most of the cost of a miss. */
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

/** The memtable's answer, or an empty one if the instrument has never traded. */
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

/** Evicts the oldest entry; one that was renewed meanwhile counts as new, once. */
function evict(tier: Map<string, Entry<unknown>>): void {
  for (const [symbol, entry] of tier) {
    tier.delete(symbol);
    if (!entry.renewed) return;
    entry.renewed = false;
    tier.set(symbol, entry); // at the end of the map's order
  }
}
