/**
 * Ring latest: the writer's side of the latest values of one instrument. It records what a batch
 * changed and writes the entry once, at the end of the batch, under the entry's seqlock. So a reader
 * waits at most for the time that one entry takes to write.
 *
 * Seqlock: the writer makes the entry's `version` odd, writes, and makes it even again. A reader copies
 * the entry and accepts the copy only if `version` was even and is unchanged after the copy.
 */

import type { Book, Instrument } from '../../protocol/messages';
import { RingSide } from './ring-book';
import {
  BOOK_ASKS,
  BOOK_BIDS,
  BOOK_COUNTS,
  ENTRY,
  ENTRY_BYTES,
  ENTRY_INT,
  HAS_BBO,
  HAS_BOOK,
  HAS_STATUS,
  HAS_TICK,
  HEADER_BYTES,
  REC,
  SLOT_DOUBLES,
  SYMBOL_BYTES,
  type RingWords,
} from './ring-layout';

/** Number of doubles after the head; the volume of a tick takes two. */
const TICK_DOUBLES = 6;
const BBO_DOUBLES = 4;

export class LatestValues {
  readonly index: number;
  /** Whether the batch has changed this entry. */
  dirty = false;
  private readonly words: RingWords;
  /** Index in `doubles` at which the entry begins. */
  private readonly at: number;
  private readonly bids = new RingSide('bid');
  private readonly asks = new RingSide('ask');
  private definition: Instrument | null = null;
  /** Index in `doubles` of the newest record of each kind in this batch; 0: none. */
  private tickAt = 0;
  private bboAt = 0;
  private statusAt = 0;
  private bookAt = 0;

  constructor(words: RingWords, index: number) {
    this.words = words;
    this.index = index;
    this.at = (HEADER_BYTES + index * ENTRY_BYTES) / 8;
  }

  define(e: Instrument): void {
    this.definition = e;
  }

  tick(at: number): void {
    this.tickAt = at;
  }

  bbo(at: number): void {
    this.bboAt = at;
  }

  status(at: number): void {
    this.statusAt = at;
  }

  /** @param at index in `doubles` of the last record of this event */
  book({ form, bids, asks }: Book, at: number): void {
    this.bookAt = at;
    if (form === 'delta') {
      if (bids.length > 0) this.bids.apply(bids);
      if (asks.length > 0) this.asks.apply(asks);
    } else {
      this.bids.replace(bids);
      this.asks.replace(asks);
    }
  }

  /** Writes the changes into the entry. It copies from the slots: the batch has not overwritten them. */
  settle(): void {
    this.dirty = false;
    const { words, at } = this;
    const { ints } = words;
    const int = at * 2;
    const version = ints[int + ENTRY_INT.version]!;
    // The compiler moves no store across an atomic store, and x86-64 makes stores visible in program
    // order. So the stores below stay between the two atomic stores.
    Atomics.store(ints, int + ENTRY_INT.version, (version + 1) | 0);
    let has = ints[int + ENTRY_INT.has]!;
    if (this.tickAt !== 0) {
      copyRecord(words, this.tickAt, at + ENTRY.tick, REC.body + TICK_DOUBLES);
      this.tickAt = 0;
      has |= HAS_TICK;
    }
    if (this.bboAt !== 0) {
      copyRecord(words, this.bboAt, at + ENTRY.bbo, REC.body + BBO_DOUBLES);
      this.bboAt = 0;
      has |= HAS_BBO;
    }
    if (this.statusAt !== 0) {
      copyRecord(words, this.statusAt, at + ENTRY.status, SLOT_DOUBLES);
      this.statusAt = 0;
      has |= HAS_STATUS;
    }
    if (this.bookAt !== 0) {
      this.putBook(this.bookAt);
      this.bookAt = 0;
      has |= HAS_BOOK;
    }
    if (this.definition !== null) {
      this.putDefinition(this.definition);
      this.definition = null;
    }
    ints[int + ENTRY_INT.has] = has;
    Atomics.store(ints, int + ENTRY_INT.version, (version + 2) | 0);
  }

  private putBook(from: number): void {
    const { words, bids, asks } = this;
    const at = this.at + ENTRY.book;
    copyRecord(words, from, at, REC.body);
    words.ints[(at + BOOK_COUNTS) * 2] = bids.count;
    words.ints[(at + BOOK_COUNTS) * 2 + 1] = asks.count;
    bids.take(words.doubles, at + BOOK_BIDS);
    asks.take(words.doubles, at + BOOK_ASKS);
  }

  private putDefinition(e: Instrument): void {
    const { ints, doubles, bytes } = this.words;
    const int = this.at * 2;
    for (let i = 0; i < SYMBOL_BYTES; i++) {
      const code = i < e.symbol.length ? e.symbol.charCodeAt(i) : 0;
      bytes[(int + ENTRY_INT.symbol) * 4 + i] = code;
    }
    ints[int + ENTRY_INT.priceScale] = e.priceScale;
    ints[int + ENTRY_INT.quantityScale] = e.quantityScale;
    ints[int + ENTRY_INT.market] = e.market === 'venue' ? 1 : 0;
    doubles[this.at + ENTRY.priceIncrement] = e.priceIncrement;
    doubles[this.at + ENTRY.quantityIncrement] = e.quantityIncrement;
    doubles[this.at + ENTRY.previousClose] = e.previousClose ?? Number.NaN;
    doubles[this.at + ENTRY.definedSeq] = e.seq;
  }
}

/** Copies the first `count` × 8 bytes of a record; integer fields of the head are copied as int32. */
function copyRecord({ ints, doubles }: RingWords, from: number, to: number, count: number): void {
  const a = from * 2;
  const b = to * 2;
  ints[b] = ints[a]!;
  ints[b + 1] = ints[a + 1]!;
  ints[b + 2] = ints[a + 2]!;
  ints[b + 3] = ints[a + 3]!;
  doubles[to + REC.seq] = doubles[from + REC.seq]!;
  doubles[to + REC.prevSeq] = doubles[from + REC.prevSeq]!;
  ints[b + 8] = ints[a + 8]!;
  ints[b + 9] = ints[a + 9]!;
  ints[b + 10] = ints[a + 10]!;
  ints[b + 11] = ints[a + 11]!;
  for (let i = REC.body; i < count; i++) doubles[to + i] = doubles[from + i]!;
}
