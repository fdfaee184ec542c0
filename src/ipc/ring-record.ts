/**
 * Ring record: the fields of a record that a reader has copied. The copy belongs to the reader and
 * changes only when it reads the next record. Reading a field allocates nothing, unless its comment
 * states that it does.
 */

import { BOOK_FORMS, INSTRUMENT_STATES } from '../../protocol/messages';
import type { Bbo, Book, Status, Tick, Trade } from '../../protocol/messages';
import { sumOfHalves, type Sum } from '../../protocol/sums';
import { Nanos } from '../../protocol/time';
import {
  EVENTS_INDEX,
  FLAG,
  KIND,
  REASON_BYTES,
  REC,
  REC_INT,
  SLOT_BYTES,
  SLOT_DOUBLES,
  SLOT_INTS,
} from './ring-layout';

export type RecordType = keyof typeof KIND;
const AGGRESSORS = ['buy', 'sell', 'none'] as const;
const TYPES = Object.fromEntries(
  Object.entries(KIND).map(([type, kind]) => [kind, type as RecordType]),
);

export class RingRecord {
  /** The raw contents of the record. */
  readonly doubles: Float64Array;
  readonly ints: Int32Array;
  private readonly symbols: readonly string[];

  /**
   * @param symbols symbol by index of the instrument; the list may grow later
   * @param buffer holds the record from byte `offset` on
   */
  constructor(
    symbols: readonly string[],
    buffer: ArrayBuffer = new ArrayBuffer(SLOT_BYTES),
    offset = 0,
  ) {
    this.symbols = symbols;
    this.doubles = new Float64Array(buffer, offset, SLOT_DOUBLES);
    this.ints = new Int32Array(buffer, offset, SLOT_INTS);
  }

  /** One of `KIND`. */
  get kind(): number {
    return this.ints[REC_INT.kind]! & 0xff;
  }

  get type(): RecordType {
    return TYPES[this.kind]!;
  }

  /** Index of the instrument. It never changes while the ring exists. */
  get instrument(): number {
    return this.ints[REC_INT.instrument]!;
  }

  get symbol(): string {
    return this.symbols[this.instrument] ?? '';
  }

  get seq(): number {
    return this.doubles[REC.seq]!;
  }

  get prevSeq(): number {
    return this.doubles[REC.prevSeq]!;
  }

  /** Allocates. */
  get eventTime(): Nanos {
    return this.time(REC_INT.event);
  }

  /** Allocates. */
  get receiveTime(): Nanos {
    return this.time(REC_INT.receive);
  }

  /** Whether this is the last record of its batch. */
  get endsBatch(): boolean {
    return (this.flags & FLAG.endsBatch) !== 0;
  }

  /** Of ticks and bbos. */
  get count(): number {
    return this.ints[REC_INT.aux]! >>> 0;
  }

  // ── by kind; for a record of another kind the value is meaningless ──

  /** Of a tick. */
  get last(): number {
    return this.doubles[REC.body]!;
  }

  /** Of a tick or bbo; NaN when there is none. */
  get bid(): number {
    return this.doubles[REC.body + (this.kind === KIND.tick ? 1 : 0)]!;
  }

  /** Of a tick or bbo; NaN when there is none. */
  get ask(): number {
    return this.doubles[REC.body + 2]!;
  }

  /** Of a trade. */
  get price(): number {
    return this.doubles[REC.body]!;
  }

  /** Of a trade, or of the trade of a tick. */
  get quantity(): number {
    return this.doubles[REC.body + (this.kind === KIND.tick ? 3 : 1)]!;
  }

  /** Of a tick. Allocates beyond 2^53 − 1. */
  get volume(): Sum {
    const { doubles } = this;
    return sumOfHalves(doubles[REC.body + 5]!, doubles[REC.body + 4]!);
  }

  /** Of a trade. */
  get tradeId(): number {
    return this.doubles[REC.body + 2]!;
  }

  /** Of a trade. */
  get aggressor(): Trade['aggressor'] {
    return AGGRESSORS[this.detail]!;
  }

  /** Of a trade: whether it is late, or its `eventTime` is impossible; null when it is on time. */
  get timing(): Trade['timing'] {
    const { flags } = this;
    if ((flags & FLAG.late) === 0) return (flags & FLAG.ahead) === 0 ? null : 'ahead';
    return (flags & FLAG.ahead) === 0 ? 'late' : 'late-and-ahead';
  }

  /** Of a bbo or book: why the values may be out of date; null when they are current. */
  get mark(): Book['mark'] {
    const { flags } = this;
    if ((flags & (FLAG.stale | FLAG.recovered)) === 0) return null;
    return (flags & FLAG.stale) === 0 ? 'recovered' : 'stale';
  }

  /** Of a bbo. */
  get bidQuantity(): number {
    return this.doubles[REC.body + 1]!;
  }

  /** Of a bbo. */
  get askQuantity(): number {
    return this.doubles[REC.body + 3]!;
  }

  /** Of a book. */
  get form(): Book['form'] {
    return BOOK_FORMS[this.detail]!;
  }

  /** Number of bid levels in this record. */
  get bids(): number {
    return (this.ints[REC_INT.kind]! >> 16) & 0xf;
  }

  get asks(): number {
    return (this.ints[REC_INT.kind]! >> 20) & 0xf;
  }

  /** Of a book: the next record continues the levels of the same event. */
  get continues(): boolean {
    return (this.flags & FLAG.continues) !== 0;
  }

  /** CRC-32 of the ten best levels after this change; null except on the last change of a batch. */
  get crc(): number | null {
    return (this.flags & FLAG.hasCrc) === 0 ? null : this.ints[REC_INT.aux]! >>> 0;
  }

  /** Price of level `i` of this record. Bids come first, then asks, each best first. */
  levelPrice(i: number): number {
    return this.doubles[REC.body + i * 2]!;
  }

  levelQuantity(i: number): number {
    return this.doubles[REC.body + i * 2 + 1]!;
  }

  /** Of a status. */
  get state(): Status['state'] {
    return INSTRUMENT_STATES[this.detail]!;
  }

  /** Of a status. */
  get missed(): number {
    return this.doubles[REC.body]!;
  }

  /** Of a status: the number of events that its reason concerns; NaN where it states none. */
  get events(): number {
    return this.doubles[REC.body + EVENTS_INDEX]!;
  }

  /** Of a status. Allocates. */
  get reason(): string {
    const at = this.doubles.byteOffset + (REC.body + 1) * 8;
    const bytes = new Uint8Array(this.doubles.buffer, at, REASON_BYTES);
    const end = bytes.indexOf(0);
    return String.fromCharCode(...bytes.subarray(0, end === -1 ? REASON_BYTES : end));
  }

  private get detail(): number {
    return (this.ints[REC_INT.kind]! >> 8) & 0xff;
  }

  private get flags(): number {
    return this.ints[REC_INT.kind]! >>> 24;
  }

  private time(at: number): Nanos {
    return new Nanos(this.ints[at + 1]!, this.ints[at]! >>> 0);
  }
}

function head(r: RingRecord) {
  const { symbol, seq, prevSeq, eventTime, receiveTime } = r;
  return { symbol, seq, prevSeq, eventTime, receiveTime };
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

/** Converts a record of this kind into the message of the protocol. */
export function tickOf(r: RingRecord): Tick {
  const { last, quantity, volume, count } = r;
  return {
    type: 'tick',
    ...head(r),
    last,
    bid: orNull(r.bid),
    ask: orNull(r.ask),
    quantity,
    volume,
    count,
  };
}

export function tradeOf(r: RingRecord): Trade {
  const { price, quantity, aggressor, tradeId, timing } = r;
  return { type: 'trade', ...head(r), price, quantity, aggressor, tradeId, timing };
}

export function bboOf(r: RingRecord): Bbo {
  const { bidQuantity, askQuantity, count } = r;
  return {
    type: 'bbo',
    ...head(r),
    bid: orNull(r.bid),
    bidQuantity,
    ask: orNull(r.ask),
    askQuantity,
    count,
    mark: r.mark,
  };
}

export function statusOf(r: RingRecord): Status {
  const { state, reason, missed } = r;
  return { type: 'status', ...head(r), state, reason, missed, events: orNull(r.events) };
}

/** Converts the first record of a book; `addLevels` adds the levels of the following ones. */
export function bookOf(r: RingRecord): Book {
  const book: Book = {
    type: 'book',
    ...head(r),
    form: r.form,
    bids: [],
    asks: [],
    crc: null,
    count: 1,
    mark: r.mark,
  };
  addLevels(book, r);
  return book;
}

export function addLevels(book: Book, r: RingRecord): void {
  const { bids, asks } = r;
  for (let i = 0; i < bids; i++) book.bids.push(r.levelPrice(i), r.levelQuantity(i));
  for (let i = bids; i < bids + asks; i++) book.asks.push(r.levelPrice(i), r.levelQuantity(i));
  book.crc = r.crc;
}
