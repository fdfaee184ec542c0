/**
 * Extract books: the ten levels as they go by, and how far whoever reads an extract has them.
 *
 * A change is given behind the book that it changes, or behind the whole book where that was not given.
 * Behind missing places of which nothing tells the state, levels are not known until a whole book or a
 * snapshot tells them; the changes until then are in that. Bounded: ten levels a side.
 */

import { bookChecksum } from '../../../protocol/checksum';
import { TenLevels } from '../../../protocol/levels';
import type { Book } from '../../../protocol/messages';
import type { Snapshot } from '../../../protocol/records';
import type { GapNote } from '../journal';

type SeqRange = Pick<GapNote, 'from' | 'to'>;

export class Books {
  private readonly levels = new TenLevels();
  /** In order; those that have gone by are taken out. */
  private readonly gaps: SeqRange[];
  private readonly continued: ReadonlySet<number>;
  private isKnown = false;
  /** What stands last; null when not even a snapshot does. */
  private newest: Book | null = null;
  private givenSeq = 0;
  /** Whether changes that should be given wait for the levels to be known. */
  private isHeld = false;

  /** @param continued where gaps end that the market went on over */
  constructor(gaps: readonly SeqRange[], continued: ReadonlySet<number>) {
    this.gaps = [...gaps];
    this.continued = continued;
  }

  /** SeqRange behind what was taken so far are missing as well. */
  lose(range: SeqRange): void {
    this.gaps.push(range);
    this.gaps.sort((a, b) => a.from - b.from);
  }

  /** Takes the next event on. @returns what of the book is to be given there, if it is asked for */
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
