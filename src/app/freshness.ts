/**
 * Freshness: which fed instruments have been silent for longer than the settings allow. *Connected* is
 * not *receiving*: a source may hold its connection and say nothing.
 *
 * Silence counts from the last that a source said and had not said before; where none has spoken in this life, from the start, so a
 * feed that does not come back behind a restart is silent, too.
 */

import type { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import type { StaleFeeds } from '../gateway/metrics/readiness';

/** A fed instrument as far as it is asked. */
interface Fed {
  readonly definition: { readonly symbol: string };
  readonly heardAt: Nanos | null;
}

/** What of the settings says how long a feed may be silent. */
export interface FreshnessSettings {
  readonly market: { readonly feedStaleMs: number; readonly feedStaleIs: string };
  readonly instruments: readonly { readonly symbol: string; readonly feedStaleMs?: number }[];
}

export interface FeedFigures {
  readonly instruments: number;
  readonly stale: number;
  /** Of the one that has been silent for longest, whatever its bound; 0 without any. */
  readonly silenceMsMax: number;
}

/** Symbols that are named in one answer. */
const NAMED_MAX = 20;
/** Instruments that are looked at in one step, a small part of a millisecond. */
const COUNTED_AT_ONCE = 256;

export class Freshness {
  private readonly feeds: () => Iterable<Fed>;
  private readonly clock: Clock;
  private readonly startedAt: Nanos;
  private defaultMs = 0;
  private own: ReadonlyMap<string, number> = new Map();
  private isUnready = false;

  constructor(feeds: () => Iterable<Fed>, clock: Clock, settings: FreshnessSettings) {
    this.feeds = feeds;
    this.clock = clock;
    this.startedAt = clock.now();
    this.configure(settings);
  }

  /** Takes these settings on. */
  configure({ market, instruments }: FreshnessSettings): void {
    this.defaultMs = market.feedStaleMs;
    this.isUnready = market.feedStaleIs === 'not-ready';
    const own = instruments.map(({ symbol, feedStaleMs }) => [symbol, feedStaleMs] as const);
    this.own = new Map(own.filter((entry): entry is [string, number] => entry[1] !== undefined));
  }

  /** The silent ones, the longest silent first; undefined when none is. */
  stale(): StaleFeeds | undefined {
    const now = this.clock.now();
    const found: { symbol: string; since: Nanos }[] = []; // the longest silent, a few more than are named
    let count = 0;
    for (const feed of this.feeds()) {
      const { symbol } = feed.definition;
      const since = this.heard(feed);
      if (!this.isOver(symbol, now.since(since) / 1e6)) continue;
      count += 1;
      found.push({ symbol, since });
      if (found.length === 2 * NAMED_MAX) keepLongest(found);
    }
    if (count === 0) return undefined;
    keepLongest(found);
    const feeds = found.map(({ symbol, since }) => ({ symbol, since: since.toString() }));
    return { count, feeds, isUnready: this.isUnready };
  }

  /** Yields where it may be interrupted. */
  *figures(): Generator<undefined, FeedFigures> {
    const now = this.clock.now();
    let [instruments, stale, silenceMsMax] = [0, 0, 0];
    for (const feed of this.feeds()) {
      const ms = Math.max(0, now.since(this.heard(feed)) / 1e6);
      instruments += 1;
      silenceMsMax = Math.max(silenceMsMax, ms);
      if (this.isOver(feed.definition.symbol, ms)) stale += 1;
      if (instruments % COUNTED_AT_ONCE === 0) yield;
    }
    return { instruments, stale, silenceMsMax };
  }

  private isOver(symbol: string, silentMs: number): boolean {
    const boundMs = this.own.get(symbol) ?? this.defaultMs;
    return boundMs > 0 && silentMs > boundMs;
  }

  private heard({ heardAt }: Fed): Nanos {
    return heardAt ?? this.startedAt;
  }
}

/** In order, and no more than are named. */
function keepLongest(found: { readonly symbol: string; readonly since: Nanos }[]): void {
  found.sort((a, b) => a.since.compare(b.since));
  found.length = Math.min(found.length, NAMED_MAX);
}
