/**
 * Ring latest: the latest values of one instrument, on the writer's side. What changed in a batch is
 * noted, and written once when the batch ends, under the entry's seqlock, so that no reader waits
 * longer than one entry takes to write.
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

/** What a tick (its volume has two words) and a bbo have behind the head. */
const TICK_DOUBLES = 6;
const BBO_DOUBLES = 4;

export class LatestValues {
  readonly index: number;
  /** Whether it has something to write. */
  dirty = false;
  private readonly words: RingWords;
  /** Where the entry begins, in words of eight bytes. */
  private readonly at: number;
  private readonly bids = new RingSide('bid');
  private readonly asks = new RingSide('ask');
  private definition: Instrument | null = null;
  /** Where the newest records of the batch lie, in words of eight bytes; 0: there is none. */
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

  /** @param at where the last of its records lies */
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

  /** Writes what changed, out of the records, which are still there. */
  settle(): void {
    this.dirty = false;
    const { words, at } = this;
    const { ints } = words;
    const int = at * 2;
    const version = ints[int + ENTRY_INT.version]!;
    // The atomic stores keep the others between them: no compiler moves a store across one, and
    // x86-64 shows stores in their order.
    Atomics.store(ints, int + ENTRY_INT.version, (version + 1) | 0);
    let has = ints[int + ENTRY_INT.has]!;
    if (this.tickAt !== 0) {
      copyWords(words, this.tickAt, at + ENTRY.tick, REC.body + TICK_DOUBLES);
      this.tickAt = 0;
      has |= HAS_TICK;
    }
    if (this.bboAt !== 0) {
      copyWords(words, this.bboAt, at + ENTRY.bbo, REC.body + BBO_DOUBLES);
      this.bboAt = 0;
      has |= HAS_BBO;
    }
    if (this.statusAt !== 0) {
      copyWords(words, this.statusAt, at + ENTRY.status, SLOT_DOUBLES);
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
    copyWords(words, from, at, REC.body);
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

/** A record's first `count` words of eight bytes; of the head, what are no doubles as integers. */
function copyWords({ ints, doubles }: RingWords, from: number, to: number, count: number): void {
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
