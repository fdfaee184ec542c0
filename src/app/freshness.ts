/**
 * Freshness: which feed instruments have been silent for longer than the settings allow. A source may keep its
 * connection and send nothing.
 *
 * Silence counts from the last event that the source had not sent before; if there was none in this epoch, from the
 * start. So a feed that does not come back after a restart counts as silent.
 */

import type { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import type { StaleFeeds } from '../gateway/metrics/readiness';

/** The part of a feed instrument that is needed here. */
interface Fed {
  readonly definition: { readonly symbol: string };
  readonly heardAt: Nanos | null;
}

/** The settings about how long a feed may be silent. */
export interface FreshnessSettings {
  readonly market: { readonly feedStaleMs: number; readonly feedStaleIs: string };
  readonly instruments: readonly { readonly symbol: string; readonly feedStaleMs?: number }[];
}

export interface FeedFigures {
  readonly instruments: number;
  readonly stale: number;
  /** How long the longest silent feed has been silent, in ms, whatever its bound; 0: there is no feed. */
  readonly silenceMsMax: number;
}

/** Symbols named in one answer. */
const NAMED_MAX = 20;
/** Instruments counted in one step, which takes a small part of a millisecond. */
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

  /** Takes over these settings. */
  configure({ market, instruments }: FreshnessSettings): void {
    this.defaultMs = market.feedStaleMs;
    this.isUnready = market.feedStaleIs === 'not-ready';
    const own = instruments.map(({ symbol, feedStaleMs }) => [symbol, feedStaleMs] as const);
    this.own = new Map(own.filter((entry): entry is [string, number] => entry[1] !== undefined));
  }

  /** The silent ones, the longest silent first; undefined: none is. */
  stale(): StaleFeeds | undefined {
    const now = this.clock.now();
    const found: { symbol: string; since: Nanos }[] = []; // the longest silent, somewhat more than are named
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
