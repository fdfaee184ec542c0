/**
 * Feed book: the full-depth book of an outside source, rebuilt from its snapshots and deltas.
 *
 * The source's own numbering decides what may be applied: a delta continues the book only if it
 * begins where the book ends. Anything else (a gap, an overlap) makes the book incomplete: what
 * follows is held back, and the next snapshot that the held deltas continue heals it. A number below
 * the book's is a repetition, unless its time is later than the book's: then the numbers have begun anew.
 * A wrong book is never published as a good one. Bounded: levels a side, deltas held back (`HeldDeltas`).
 */

import type { Book } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { HeldDeltas } from './held-deltas';
import { PriceLadder } from './price-ladder';

export const FEED_LEVELS_MAX = 100_000;

/** `none`: nothing heard of it yet. `incomplete`: waiting for a snapshot. */
export type FeedBookState = 'none' | 'live' | 'incomplete';

export type BookOutcome =
  | 'applied'
  /** Applied, by numbers that have begun anew. */
  | 'applied-anew'
  /** Older than the book; without effect. */
  | 'repeated'
  /** Kept until a snapshot comes. */
  | 'held'
  /** Without a number to tell whether the next snapshot has it. */
  | 'dropped'
  /** The numbers have begun anew; the book is incomplete from now on. */
  | 'renumbered'
  /** The source says that it has lost its book. */
  | 'incomplete'
  /** The chain broke here; the book is incomplete from now on. */
  | 'gap'
  | 'overlap'
  | 'too-many-levels';

/** Reason word of a status: the numbers of the book have begun anew. */
export const BOOK_RENUMBERED = 'book-renumbered';

/** Outcomes behind which the numbers are others, or nothing is known of the book. */
export const ANEW: ReadonlySet<BookOutcome> = new Set(['incomplete', 'renumbered', 'applied-anew']);

/** The reason word of a status: why the book is incomplete. */
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
  /** The source's number of the last message applied; 0 when the source does not number. */
  sourceSeq = 0;
  /** The first delta behind a snapshot may reach back over it, as the two are taken separately. */
  mayOverlap = false;
  /** Only the best levels are known: they can be shown, but no delta continues them. */
  truncated = false;
  /** The source has been away: only a number can tell that a delta still continues the book. */
  private interrupted = false;
  readonly held = new HeldDeltas();
  /** The event time of the newest delta; null before the first. */
  private deltaTime: Nanos | null = null;
  /** Of the newest message applied. */
  private appliedTime = Nanos.ZERO;
  /** A snapshot below the book's number: old, or the first of another numbering. */
  private below: Book | null = null;

  /** Levels of the book, and of what is held back for it. */
  get levelCount(): number {
    return this.bids.length + this.asks.length + this.held.levels;
  }

  /** @param isNewSession whether the source has just come, and does not say that its numbers go on */
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

  /** Another session begins that does not say that its numbers go on: no delta reaches back over the book. */
  begin(): void {
    this.mayOverlap = false;
  }

  /** The source's numbers begin anew: the book waits for a snapshot. */
  renumber(): void {
    this.invalidate();
    this.interrupt();
    this.sourceSeq = 0;
    this.deltaTime = null;
  }

  /** Takes a book over from a checkpoint, as it stood. @param appliedTime of its newest message */
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

  /** The source has gone, or begins anew: what it said before must not be mixed with what follows. */
  interrupt(): void {
    this.interrupted = true;
    this.below = null;
    this.held.clear();
  }

  /**
   * Takes over best levels only: they can be shown, but no delta continues them, since the levels
   * behind them and the source's number are not known.
   */
  truncate(bids: ArrayLike<number>, asks: ArrayLike<number>): void {
    this.restore(bids, asks, 0);
    this.truncated = true;
  }

  /** From now on the levels are not to be trusted, until a snapshot comes. */
  invalidate(): void {
    this.state = 'incomplete';
    this.truncated = false;
    this.bids.clear();
    this.asks.clear();
  }

  private applySnapshot(message: Book, isNewSession: boolean): BookOutcome {
    const isBelow = this.state === 'live' && message.seq !== 0 && message.seq < this.sourceSeq;
    if (isBelow && !isNewSession && !this.isSecondBelow(message)) {
      // One that is later may be the first of another numbering: the next delta or snapshot tells.
      if (message.eventTime.compare(this.appliedTime) > 0) this.below = message;
      return 'repeated';
    }
    if (isBelow) this.interrupt();
    const outcome = this.load(message);
    return isBelow && outcome === 'applied' ? 'applied-anew' : outcome;
  }

  /** Whether the source goes on below the book's number: what is old would not come twice, and rise. */
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

  /** What was held back is checked one by one, and applied as one list of changes. */
  private applyHeld(): BookOutcome {
    const held = this.held.takeAll();
    const bids: number[] = [];
    const asks: number[] = [];
    for (let delta = held.shift(); delta !== undefined; delta = held.shift()) {
      if (this.state !== 'live') this.hold(delta);
      // One that the snapshot has already is of the same numbering, whatever its time.
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

  /** Whether a delta continues the book, whose number is then its own; its levels are to be applied. */
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

  /** A delta that is not above the book's number. */
  private applyBelow(message: Book): BookOutcome {
    const { deltaTime, below } = this;
    // Snapshots may bear another clock, so the time of a delta is held against that of deltas if it can be.
    const isLater = message.eventTime.compare(deltaTime ?? this.appliedTime) > 0;
    if (message.seq === this.sourceSeq || !isLater) return 'repeated';
    this.renumber();
    this.hold(message);
    if (below === null || message.seq < below.seq) return 'renumbered';
    // The snapshot before it was the first of this numbering.
    const outcome = this.load(below);
    return outcome === 'applied' ? 'applied-anew' : 'renumbered';
  }

  private hold(message: Book): 'held' | 'dropped' | 'repeated' {
    this.state = 'incomplete';
    // Without a number nothing would tell whether the next snapshot has it already.
    if (message.seq === 0) return 'dropped';
    const { newest } = this.held;
    if (newest !== undefined && message.prevSeq !== newest.seq) {
      const isLater = message.eventTime.compare(newest.eventTime) > 0;
      if (message.seq <= newest.seq && !isLater) return 'repeated';
      // Those before are of no use to any snapshot that this one continues.
      this.held.clear();
    }
    this.held.push(message);
    return 'held';
  }
}
