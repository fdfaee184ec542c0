/**
 * Feed book: the full-depth book of a source, rebuilt from its snapshots and deltas.
 *
 * The source's own sequence numbers decide what is applied: a delta continues the book only if it begins where the book
 * ends. Otherwise (a gap, an overlap) the book becomes incomplete: later deltas are held, and the next snapshot that they
 * continue repairs it. A number at or below the book's is a repetition, unless its time is later than the book's: then
 * the source has restarted its numbering. A wrong book is never published as a good one. Bounds: levels a side, and held
 * deltas (`HeldDeltas`).
 */

import type { Book } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { HeldDeltas } from './held-deltas';
import { PriceLadder } from './price-ladder';

export const FEED_LEVELS_MAX = 100_000;

/** `none`: nothing received yet. `incomplete`: waiting for a snapshot. */
export type FeedBookState = 'none' | 'live' | 'incomplete';

export type BookOutcome =
  | 'applied'
  /** Applied; the source has restarted its numbering. */
  | 'applied-renumbered'
  /** Older than the book; no effect. */
  | 'repeated'
  /** Held until a snapshot comes. */
  | 'held'
  /** Dropped: without a number it is unknown whether the next snapshot includes it. */
  | 'dropped'
  /** The source has restarted its numbering; the book is incomplete from now on. */
  | 'renumbered'
  /** The source reports that it has lost its book. */
  | 'incomplete'
  /** The chain broke here; the book is incomplete from now on. */
  | 'gap'
  | 'overlap'
  | 'too-many-levels';

/** Reason of a status event: the source has restarted the numbering of the book. */
export const BOOK_RENUMBERED = 'book-renumbered';

/** Outcomes after which the numbering is another, or the book is unknown. */
export const RESTARTED: ReadonlySet<BookOutcome> = new Set([
  'incomplete',
  'renumbered',
  'applied-renumbered',
]);

/** Reason of a status event: why the book is incomplete. */
export function reasonOf(outcome: BookOutcome): string {
  switch (outcome) {
    case 'held':
    case 'dropped':
      return 'awaiting-snapshot';
    case 'renumbered':
      return BOOK_RENUMBERED;
    case 'incomplete':
      return 'gap';
    default:
      return outcome;
  }
}

export class FeedBook {
  readonly bids = new PriceLadder('bid', FEED_LEVELS_MAX);
  readonly asks = new PriceLadder('ask', FEED_LEVELS_MAX);
  state: FeedBookState = 'none';
  /** The source's number of the last applied message; 0 if the source does not number. */
  sourceSeq = 0;
  /** Whether the next delta may overlap the book: the first one after a snapshot may, since a source takes the two separately. */
  mayOverlap = false;
  /** Only the best levels are known: they can be published, but no delta continues them. */
  truncated = false;
  /** The source was away: only a number proves that a delta still continues the book. */
  private interrupted = false;
  readonly held = new HeldDeltas();
  /** The event time of the newest delta; null before the first. */
  private deltaTime: Nanos | null = null;
  /** Event time of the newest applied message. */
  private appliedTime = Nanos.ZERO;
  /** A snapshot below the book's number: it is old, or the first of a new numbering. */
  private below: Book | null = null;

  /** Number of levels of the book and of its held deltas. */
  get levelCount(): number {
    return this.bids.length + this.asks.length + this.held.levels;
  }

  /** @param isNewSession whether this is a new session that does not state that it continues the numbering */
  apply(message: Book, isNewSession = false): BookOutcome {
    switch (message.form) {
      case 'snapshot':
        return this.applySnapshot(message, isNewSession);
      case 'delta':
        return this.state === 'live' ? this.applyDelta(message) : this.hold(message);
      case 'incomplete':
        this.renumber();
        return 'incomplete';
    }
  }

  /** A new session begins that does not state that it continues the numbering: no delta may overlap the book. */
  begin(): void {
    this.mayOverlap = false;
  }

  /** The source restarts its numbering: the book waits for a snapshot. */
  renumber(): void {
    this.invalidate();
    this.interrupt();
    this.sourceSeq = 0;
    this.deltaTime = null;
  }

  /** Restores a book from a checkpoint. @param appliedTime event time of its newest message */
  restore(
    bids: ArrayLike<number>,
    asks: ArrayLike<number>,
    sourceSeq: number,
    appliedTime = Nanos.ZERO,
  ): void {
    this.bids.load(bids);
    this.asks.load(asks);
    this.sourceSeq = sourceSeq;
    this.appliedTime = appliedTime;
    this.state = 'live';
    this.mayOverlap = false;
    this.truncated = false;
    this.interrupted = true;
  }

  /** The source has gone, or starts again: earlier messages must not be mixed with later ones. */
  interrupt(): void {
    this.interrupted = true;
    this.below = null;
    this.held.clear();
  }

  /**
   * Restores the best levels only. They can be published, but no delta continues them, since the levels
   * behind them and the source's number are unknown.
   */
  truncate(bids: ArrayLike<number>, asks: ArrayLike<number>): void {
    this.restore(bids, asks, 0);
    this.truncated = true;
  }

  /** Marks the levels as unreliable until a snapshot comes. */
  invalidate(): void {
    this.state = 'incomplete';
    this.truncated = false;
    this.bids.clear();
    this.asks.clear();
  }

  private applySnapshot(message: Book, isNewSession: boolean): BookOutcome {
    const isBelow = this.state === 'live' && message.seq !== 0 && message.seq < this.sourceSeq;
    if (isBelow && !isNewSession && !this.isSecondBelow(message)) {
      // If its time is later, it may be the first of a new numbering: the next delta or snapshot decides.
      if (message.eventTime.compare(this.appliedTime) > 0) this.below = message;
      return 'repeated';
    }
    if (isBelow) this.interrupt();
    const outcome = this.load(message);
    return isBelow && outcome === 'applied' ? 'applied-renumbered' : outcome;
  }

  /** Whether the source continues below the book's number: old snapshots would not come twice and rise. */
  private isSecondBelow(message: Book): boolean {
    const { below } = this;
    return (
      below !== null && message.seq > below.seq && message.eventTime.compare(below.eventTime) > 0
    );
  }

  private load(message: Book): BookOutcome {
    this.below = null;
    this.appliedTime = message.eventTime;
    if (this.bids.load(message.bids) === 'full' || this.asks.load(message.asks) === 'full') {
      this.invalidate();
      return 'too-many-levels';
    }
    this.sourceSeq = message.seq;
    this.mayOverlap = true;
    this.truncated = false;
    this.interrupted = false;
    this.state = 'live';
    return this.applyHeld();
  }

  /** Checks the held deltas one by one, and applies them as one list of changes. */
  private applyHeld(): BookOutcome {
    const held = this.held.takeAll();
    const bids: number[] = [];
    const asks: number[] = [];
    for (let delta = held.shift(); delta !== undefined; delta = held.shift()) {
      if (this.state !== 'live') this.hold(delta);
      // A delta that the snapshot includes is of the same numbering, whatever its time.
      else if (delta.seq !== 0 && delta.seq <= this.sourceSeq) continue;
      else if (this.follow(delta) === 'applied') {
        for (const level of delta.bids) bids.push(level);
        for (const level of delta.asks) asks.push(level);
      }
    }
    return this.state === 'live' ? this.change(bids, asks) : 'held';
  }

  private applyDelta(message: Book): BookOutcome {
    const outcome = this.follow(message);
    return outcome === 'applied' ? this.change(message.bids, message.asks) : outcome;
  }

  private change(bids: readonly number[], asks: readonly number[]): BookOutcome {
    if (this.bids.apply(bids) === 'ok' && this.asks.apply(asks) === 'ok') return 'applied';
    this.invalidate();
    return 'too-many-levels';
  }

  /** Whether a delta continues the book. If so, the book takes its number, and the caller applies its levels. */
  private follow(message: Book): BookOutcome {
    if (this.truncated || (this.interrupted && message.seq === 0)) {
      this.invalidate();
      return this.hold(message);
    }
    if (message.seq !== 0) {
      if (message.seq <= this.sourceSeq) return this.applyBelow(message);
      if (message.prevSeq > this.sourceSeq) {
        this.invalidate();
        this.hold(message);
        return 'gap';
      }
      if (message.prevSeq < this.sourceSeq && !this.mayOverlap) {
        this.invalidate();
        this.hold(message);
        return 'overlap';
      }
      this.sourceSeq = message.seq;
    }
    this.mayOverlap = false;
    this.interrupted = false;
    this.below = null;
    this.deltaTime = message.eventTime;
    this.appliedTime = message.eventTime;
    return 'applied';
  }

  /** Decides on a delta that is not above the book's number. */
  private applyBelow(message: Book): BookOutcome {
    const { deltaTime, below } = this;
    // Snapshots may have another clock, so compare with the time of a delta if there is one.
    const isLater = message.eventTime.compare(deltaTime ?? this.appliedTime) > 0;
    if (message.seq === this.sourceSeq || !isLater) return 'repeated';
    this.renumber();
    this.hold(message);
    if (below === null || message.seq < below.seq) return 'renumbered';
    // The snapshot before it was the first of this new numbering.
    const outcome = this.load(below);
    return outcome === 'applied' ? 'applied-renumbered' : 'renumbered';
  }

  private hold(message: Book): 'held' | 'dropped' | 'repeated' {
    this.state = 'incomplete';
    // Without a number it is unknown whether the next snapshot includes it.
    if (message.seq === 0) return 'dropped';
    const { newest } = this.held;
    if (newest !== undefined && message.prevSeq !== newest.seq) {
      const isLater = message.eventTime.compare(newest.eventTime) > 0;
      if (message.seq <= newest.seq && !isLater) return 'repeated';
      // Earlier deltas are useless to any snapshot that this one continues.
      this.held.clear();
    }
    this.held.push(message);
    return 'held';
  }
}
