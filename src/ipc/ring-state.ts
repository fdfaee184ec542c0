/**
 * Ring state: a reader's consistent copy of the latest values of one instrument. `load` copies an entry
 * and verifies by its seqlock that the writer did not change it during the copy. `load` and the fields
 * of the records allocate nothing; `definition`, `book` and the conversions to messages allocate.
 */

import type { Book } from '../../protocol/messages';
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
  SYMBOL_BYTES,
  type RingWords,
} from './ring-layout';
import { bookOf, RingRecord } from './ring-record';

/** A writer needs less than a microsecond for an entry; one stopped or killed midway never finishes. */
const TRIES_MAX = 10_000;
const INTS = ENTRY_BYTES / 4;

/** Definition of an instrument. Prices and quantities are scaled, as in the `instrument` message. */
export interface RingInstrument {
  readonly symbol: string;
  /** Sequence number at which it was defined or last changed. */
  readonly seq: number;
  readonly market: 'feed' | 'venue';
  readonly priceScale: number;
  readonly quantityScale: number;
  readonly priceIncrement: number;
  readonly quantityIncrement: number;
  readonly previousClose: number | null;
}

export class RingState {
  private readonly buffer = new ArrayBuffer(ENTRY_BYTES);
  private readonly ints = new Int32Array(this.buffer);
  private readonly doubles = new Float64Array(this.buffer);
  private readonly shared: RingWords;
  private readonly tickRecord: RingRecord;
  private readonly bboRecord: RingRecord;
  private readonly statusRecord: RingRecord;
  private readonly bookRecord: RingRecord;

  constructor(shared: RingWords, symbols: readonly string[]) {
    this.shared = shared;
    this.tickRecord = new RingRecord(symbols, this.buffer, ENTRY.tick * 8);
    this.bboRecord = new RingRecord(symbols, this.buffer, ENTRY.bbo * 8);
    this.statusRecord = new RingRecord(symbols, this.buffer, ENTRY.status * 8);
    this.bookRecord = new RingRecord(symbols, this.buffer, ENTRY.book * 8);
  }

  /**
   * Loads the latest values of an instrument.
   * @returns false when the writer was stopped or killed while it wrote them
   */
  load(instrument: number): boolean {
    const { ints, shared } = this;
    const from = shared.ints;
    const at = (HEADER_BYTES + instrument * ENTRY_BYTES) / 4;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const version = Atomics.load(from, at + ENTRY_INT.version);
      if ((version & 1) !== 0) continue;
      for (let i = 0; i < INTS; i++) ints[i] = from[at + i]!;
      if (Atomics.load(from, at + ENTRY_INT.version) === version) return true;
    }
    ints[ENTRY_INT.has] = 0;
    return false;
  }

  /** Null before the first one. */
  get tick(): RingRecord | null {
    return this.has(HAS_TICK) ? this.tickRecord : null;
  }

  get bbo(): RingRecord | null {
    return this.has(HAS_BBO) ? this.bboRecord : null;
  }

  get status(): RingRecord | null {
    return this.has(HAS_STATUS) ? this.statusRecord : null;
  }

  /** Sequence number of the newest book event; 0 before the first. */
  get bookSeq(): number {
    return this.has(HAS_BOOK) ? this.bookRecord.seq : 0;
  }

  /** Whether the book is complete, so that its levels are valid. */
  get isBookWhole(): boolean {
    return this.has(HAS_BOOK) && this.bookRecord.form !== 'incomplete';
  }

  get bids(): number {
    return this.ints[(ENTRY.book + BOOK_COUNTS) * 2]!;
  }

  get asks(): number {
    return this.ints[(ENTRY.book + BOOK_COUNTS) * 2 + 1]!;
  }

  /** Price of bid `i`; 0 is the best. */
  bidPrice(i: number): number {
    return this.doubles[ENTRY.book + BOOK_BIDS + i * 2]!;
  }

  bidQuantity(i: number): number {
    return this.doubles[ENTRY.book + BOOK_BIDS + i * 2 + 1]!;
  }

  askPrice(i: number): number {
    return this.doubles[ENTRY.book + BOOK_ASKS + i * 2]!;
  }

  askQuantity(i: number): number {
    return this.doubles[ENTRY.book + BOOK_ASKS + i * 2 + 1]!;
  }

  /** The complete book as a message; null before the first book event. */
  book(): Book | null {
    if (!this.has(HAS_BOOK)) return null;
    const book = bookOf(this.bookRecord);
    book.form = this.isBookWhole ? 'snapshot' : 'incomplete';
    book.prevSeq = 0;
    const fields = (at: number, levels: number): number[] => [
      ...this.doubles.subarray(ENTRY.book + at, ENTRY.book + at + levels * 2),
    ];
    book.bids = fields(BOOK_BIDS, this.bids);
    book.asks = fields(BOOK_ASKS, this.asks);
    return book;
  }

  definition(): RingInstrument {
    const { ints, doubles } = this;
    const bytes = new Uint8Array(this.buffer, ENTRY_INT.symbol * 4, SYMBOL_BYTES);
    const end = bytes.indexOf(0);
    const close = doubles[ENTRY.previousClose]!;
    return {
      symbol: String.fromCharCode(...bytes.subarray(0, end === -1 ? SYMBOL_BYTES : end)),
      seq: doubles[ENTRY.definedSeq]!,
      market: ints[ENTRY_INT.market] === 1 ? 'venue' : 'feed',
      priceScale: ints[ENTRY_INT.priceScale]!,
      quantityScale: ints[ENTRY_INT.quantityScale]!,
      priceIncrement: doubles[ENTRY.priceIncrement]!,
      quantityIncrement: doubles[ENTRY.quantityIncrement]!,
      previousClose: Number.isNaN(close) ? null : close,
    };
  }

  private has(what: number): boolean {
    return (this.ints[ENTRY_INT.has]! & what) !== 0;
  }
}
