/**
 * Tiers: who answers a query for the newest tick or book, and how old the answer is.
 *
 * L1 keeps answers for `ttlMs`, together with the place they stand at. It may answer only with the
 * newest state: when the live instrument has moved on, or the time is over, its value is a miss and
 * the live book answers. Answers are not copied: a value handed out never changes afterwards.
 * Bounded: `entriesMax` instruments; those that were not asked for longest go first, about.
 */

import type { Instrument, Tick } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import type { Clock } from '../base/clock';

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

export type TierName = 'l1' | 'live';

export interface Entry<T> {
  value: T;
  seq: number;
  untilMs: number;
  /** Renewed since it was last considered for eviction. */
  renewed: boolean;
  /** The answer as JSON text up to what changes with each answer; made when first asked for. */
  json: string | null;
  /** The whole answer as last written, for the requests of the same millisecond. */
  written: { text: string; source: string; ageMs: number } | null;
}

/** Reused between queries, as are the entries: read it before the next one. */
export interface Answer<T> {
  entry: Entry<T> | null;
  source: TierName;
}

export interface TierCounters {
  l1Hits: number;
  l1Expired: number;
  l1Stale: number;
  liveHits: number;
}

export interface TierOptions {
  readonly ttlMs: number;
  readonly entriesMax: number;
}

export class Tiers {
  readonly counters: TierCounters = { l1Hits: 0, l1Expired: 0, l1Stale: 0, liveHits: 0 };
  private readonly ticks = new Map<string, Entry<Tick>>();
  private readonly books = new Map<string, Entry<BookView>>();
  private readonly tickAnswer: Answer<Tick> = { entry: null, source: 'l1' };
  private readonly bookAnswer: Answer<BookView> = { entry: null, source: 'l1' };
  private readonly clock: Clock;
  private readonly options: TierOptions;

  constructor(options: TierOptions, clock: Clock) {
    this.options = options;
    this.clock = clock;
  }

  /** The newest tick; `entry` is null when there is none. */
  tick(live: LiveInstrument): Answer<Tick> {
    const answer = this.tickAnswer;
    const symbol = live.definition.symbol;
    const kept = this.ticks.get(symbol);
    // Before the first trade the answer follows quotes and definition, which have other places.
    if (live.tickHead !== 0 && this.answers(kept, live.tickHead)) {
      answer.entry = kept!;
      answer.source = 'l1';
      return answer;
    }
    const value = live.currentTick();
    answer.source = 'live';
    answer.entry =
      value === null ? null : this.keep(this.ticks, kept, symbol, value, live.tickHead);
    return answer;
  }

  /** The ten best levels; `entry` is null when no book may be trusted. */
  book(live: LiveInstrument): Answer<BookView> {
    const answer = this.bookAnswer;
    const symbol = live.definition.symbol;
    const kept = this.books.get(symbol);
    if (this.answers(kept, live.bookHead)) {
      answer.entry = kept!;
      answer.source = 'l1';
      return answer;
    }
    const value = live.bookView();
    answer.source = 'live';
    answer.entry =
      value === null ? null : this.keep(this.books, kept, symbol, value, live.bookHead);
    return answer;
  }

  private answers(kept: Entry<unknown> | undefined, head: number): boolean {
    const { counters } = this;
    if (kept === undefined) return false;
    if (kept.seq !== head) counters.l1Stale += 1;
    else if (kept.untilMs < this.clock.monotonicMs()) counters.l1Expired += 1;
    else {
      counters.l1Hits += 1;
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
    this.counters.liveHits += 1;
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

/** Lets go of the oldest entry; those that were renewed meanwhile count as new, once. */
function evict(tier: Map<string, Entry<unknown>>): void {
  for (const [symbol, entry] of tier) {
    tier.delete(symbol);
    if (!entry.renewed) return;
    entry.renewed = false;
    tier.set(symbol, entry); // at the end of the map's order
  }
}
