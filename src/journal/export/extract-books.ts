/**
 * Extract books: the ten levels along an extract, and how far a reader of the extract has them.
 *
 * A change follows the book that it changes; if that book was not output, the whole book comes
 * first. If missing records make the state unknown, the levels stay unknown until a whole book or a
 * snapshot; that one includes the changes before it. Bounded: ten levels a side.
 */

import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import type { Book } from '../../../protocol/messages';
import type { Snapshot } from '../../../protocol/records';
import type { GapNote } from '../journal';

type SeqRange = Pick<GapNote, 'from' | 'to'>;

export class Books {
  private readonly levels = new TenLevels();
  /** In order; those that were passed are removed. */
  private readonly gaps: SeqRange[];
  private readonly continued: ReadonlySet<number>;
  private isKnown = false;
  /** The newest state; null if there is not even a snapshot. */
  private newest: Book | null = null;
  private givenSeq = 0;
  /** Whether changes that should be output wait until the levels are known. */
  private isHeld = false;

  /** @param continued the last seq of each gap that the market went on over */
  constructor(gaps: readonly SeqRange[], continued: ReadonlySet<number>) {
    this.gaps = [...gaps];
    this.continued = continued;
  }

  /** A further range, behind what was taken so far, is missing. */
  lose(range: SeqRange): void {
    this.gaps.push(range);
    this.gaps.sort((a, b) => a.from - b.from);
  }

  /** Takes the next event. @returns the messages of the book to output there, if requested */
  take(event: Book | Snapshot, isGiven: boolean): Book[] {
    this.pass(event.seq);
    if (event.type === 'snapshot') return this.snapshot(event, isGiven);
    const needsWhole = event.form === 'delta' && this.newest?.seq !== this.givenSeq;
    const before =
      needsWhole && this.isKnown && this.newest !== null ? [this.whole(this.newest)] : [];
    this.newest = event;
    if (event.form === 'delta') {
      if (this.isKnown) this.levels.apply(event.bids, event.asks);
    } else {
      this.levels.replace(event.bids, event.asks);
      this.isKnown = true;
    }
    if (!isGiven) return [];
    this.isHeld = !this.isKnown;
    if (!this.isKnown) return [];
    this.givenSeq = event.seq;
    return [...before, event];
  }

  private snapshot(s: Snapshot, isGiven: boolean): Book[] {
    if (this.isKnown) return [];
    const bids = [...s.bids];
    const asks = [...s.asks];
    this.levels.replace(bids, asks);
    this.isKnown = true;
    const newest = this.newest ?? {
      ...s,
      type: 'book',
      bids,
      asks,
      prevSeq: 0,
      form: 'snapshot',
      count: 1,
      mark: null,
    };
    this.newest = newest;
    if (!this.isHeld || !isGiven) return [];
    this.isHeld = false;
    this.givenSeq = newest.seq;
    return [this.whole(newest)];
  }

  private pass(seq: number): void {
    while (this.gaps.length > 0 && this.gaps[0]!.to < seq) {
      const { to } = this.gaps.shift()!;
      this.givenSeq = 0;
      if (this.continued.has(to)) continue;
      this.isKnown = false;
      this.newest = null;
    }
  }

  private whole(newest: Book): Book {
    const { bids, asks } = this.levels;
    return { ...newest, prevSeq: 0, form: 'snapshot', bids, asks, crc: bookChecksum(bids, asks) };
  }
}
