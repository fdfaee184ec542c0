/**
 * Level plan: how many levels a submission can add, found event by event before it is taken.
 *
 * At first each of its levels counts as new, which needs no look at the books. Only if that would be too many does it
 * count which of them exist already. Both are upper bounds: what a submission deletes makes no room for later levels of
 * the same submission.
 */

import type { Fault } from '../../protocol/codes';
import type { Book, SourceEvent } from '../../protocol/messages';
import type { FeedBook } from './feed-book';
import { levelsOf } from './held-deltas';
import type { LevelCounts } from './level-counts';

/** An instrument as it is now; for a feed instrument, its levels and whose they are. */
export interface KnownLevels {
  readonly book?: FeedBook;
  readonly counted?: { readonly owner: string };
}

interface Planned {
  levels: number;
  /** Whether the levels of the book at that time are unknown. */
  isUnknown: boolean;
}

export class LevelPlan {
  private readonly counts: LevelCounts;
  private readonly owner: string;
  private readonly known: { get(symbol: string): KnownLevels | undefined };
  /** New levels in all books. */
  private more = 0;
  /** New levels of this key, including books that it takes over. */
  private own = 0;
  private readonly takenOver = new Set<string>();
  /** Null while each level counts as new. */
  private planned: Map<string, Planned> | null = null;
  private reserved = 0;

  constructor(
    counts: LevelCounts,
    owner: string,
    known: { get(symbol: string): KnownLevels | undefined },
  ) {
    this.counts = counts;
    this.owner = owner;
    this.known = known;
  }

  /** Adds the event at `index`, in order. @returns why there would be too many levels */
  check(events: readonly SourceEvent[], index: number): Fault | undefined {
    this.take(events[index]!);
    const refused = this.fault();
    if (refused === undefined || this.planned !== null) return refused;
    this.planned = new Map();
    this.more = 0;
    this.own = 0;
    this.takenOver.clear();
    for (let i = 0; i <= index; i++) this.take(events[i]!);
    return this.fault();
  }

  /** Reserves what can be added so far, until `release`. While it is being added it counts twice. */
  reserve(): void {
    const more = Math.max(0, this.more);
    this.counts.add(this.owner, more - this.reserved);
    this.reserved = more;
  }

  release(): void {
    this.counts.add(this.owner, -this.reserved);
    this.reserved = 0;
  }

  private fault(): Fault | undefined {
    const { reserved } = this;
    return this.counts.fault(this.owner, this.more - reserved, this.own - reserved);
  }

  private take(event: SourceEvent): void {
    if (event.type === 'instrument') return;
    const { symbol } = event;
    const { book, counted } = this.known.get(symbol) ?? {};
    if (book !== undefined && counted?.owner !== this.owner && !this.takenOver.has(symbol)) {
      this.takenOver.add(symbol);
      this.own += book.levelCount;
    }
    const added = this.added(event, book);
    this.more += added;
    this.own += added;
  }

  private added(event: Exclude<SourceEvent, { type: 'instrument' }>, book?: FeedBook): number {
    if (this.planned === null) return event.type === 'book' ? levelsOf(event) : 0;
    let plan = this.planned.get(event.symbol);
    if (plan === undefined) {
      plan = { levels: book?.levelCount ?? 0, isUnknown: book?.state !== 'live' };
      this.planned.set(event.symbol, plan);
    }
    if (event.type === 'renumber' || (event.type === 'book' && event.form === 'incomplete')) {
      plan.isUnknown = true;
    }
    if (event.type !== 'book') return 0;
    const before = plan.levels;
    if (event.form === 'delta') {
      plan.levels += plan.isUnknown ? levelsOf(event) : newLevels(event, book!);
    } else {
      plan.levels = Math.max(before, levelsOf(event)); // the snapshot may be refused
      plan.isUnknown = true;
    }
    return plan.levels - before;
  }
}

/** Number of levels of a delta that the book does not have. */
function newLevels({ bids, asks }: Book, book: FeedBook): number {
  let count = 0;
  for (let i = 0; i < bids.length; i += 2) {
    if (bids[i + 1] !== 0 && !book.bids.has(bids[i]!)) count += 1;
  }
  for (let i = 0; i < asks.length; i += 2) {
    if (asks[i + 1] !== 0 && !book.asks.has(asks[i]!)) count += 1;
  }
  return count;
}
