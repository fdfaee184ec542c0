/**
 * Replay rows: makes messages of the frequent kinds from rows without allocation.
 *
 * `read` returns the same object each time, so encode it before the next call. Callers that keep a
 * message create it with `rowToEvent`. Bounded: one object for each kind, and the levels of one
 * book.
 */

import { REPLAYED_CHANNELS } from '../../../protocol/channels';
import type { Bbo, Book, Tick, Trade } from '../../../protocol/messages';
import { BOOK_FORMS } from '../../../protocol/messages';
import { sumOfHalves } from '../../../protocol/sums';
import { Nanos } from '../../../protocol/time';
import { AGGRESSORS, markOf, timingOf, type RecordRow } from '../records';
import { KIND, OWN_COLUMNS, SELECT_EXTRAS, seqOf } from '../schema';

/** Selects what messages of these kinds need; append a `WHERE`. Each column costs time. */
export function selectReplayed(kinds: readonly number[]): string {
  const own = new Set<string>();
  for (const kind of REPLAYED_CHANNELS) {
    if (!kinds.includes(KIND[kind])) continue;
    for (const column of OWN_COLUMNS[kind]) own.add(column);
  }
  own.delete('source_seq');
  if (kinds.includes(KIND.book)) own.add('levels');
  return `SELECT id, kind, instrument, prev_seq,
    event_time >> 32 AS event_hi, event_time & 4294967295 AS event_lo,
    receive_time >> 32 AS receive_hi, receive_time & 4294967295 AS receive_lo
    ${[...own].map((column) => `, ${column}`).join('')}, ${SELECT_EXTRAS} FROM record`;
}

/** Rows of other kinds lack some of it. */
export type ReplayRow = Omit<RecordRow, 'source_seq' | 'text'>;

type Reused<M> = { -readonly [F in keyof M]: M[F] };

const WORD = 4_294_967_296;
const LEVELS_BYTES_MAX = 64 * 1024;

export class ReplayRows {
  private readonly eventTime: Reused<Nanos> = new Nanos(0, 0);
  private readonly receiveTime: Reused<Nanos> = new Nanos(0, 0);
  private readonly tick: Reused<Tick>;
  private readonly trade: Reused<Trade>;
  private readonly bbo: Reused<Bbo>;
  private readonly book: Reused<Book>;
  private readonly bytes = new Uint8Array(LEVELS_BYTES_MAX);
  private readonly view = new DataView(this.bytes.buffer);

  constructor() {
    const opening = {
      symbol: '',
      seq: 0,
      prevSeq: 0,
      eventTime: this.eventTime,
      receiveTime: this.receiveTime,
    };
    this.tick = {
      type: 'tick',
      ...opening,
      last: 0,
      bid: 0,
      ask: 0,
      quantity: 0,
      volume: 0,
      count: 1,
    };
    this.trade = {
      type: 'trade',
      ...opening,
      price: 0,
      quantity: 0,
      aggressor: 'none',
      tradeId: 0,
      timing: null,
    };
    this.bbo = {
      type: 'bbo',
      ...opening,
      bid: 0,
      bidQuantity: 0,
      ask: 0,
      askQuantity: 0,
      count: 1,
      mark: null,
    };
    this.book = {
      type: 'book',
      ...opening,
      form: 'delta',
      bids: [],
      asks: [],
      crc: 0,
      count: 1,
      mark: null,
    };
  }

  /** The message of a row; undefined if its kind is not frequent, or the row is invalid. */
  read(row: ReplayRow, symbol: string): Tick | Trade | Bbo | Book | undefined {
    const { eventTime, receiveTime } = this;
    eventTime.hi = row.event_hi;
    eventTime.lo = row.event_lo;
    receiveTime.hi = row.receive_hi;
    receiveTime.lo = row.receive_lo;
    switch (row.kind) {
      case KIND.tick:
        return this.readTick(row, symbol);
      case KIND.trade:
        return this.readTrade(row, symbol);
      case KIND.bbo:
        return this.readBbo(row, symbol);
      case KIND.book:
        return this.readBook(row, symbol);
      default:
        return undefined;
    }
  }

  private readTick(row: ReplayRow, symbol: string): Tick | undefined {
    const { tick } = this;
    if (row.price === null || row.quantity === null || row.volume === null) return undefined;
    tick.symbol = symbol;
    tick.seq = seqOf(row.id);
    tick.prevSeq = row.prev_seq;
    tick.last = row.price;
    tick.bid = row.bid;
    tick.ask = row.ask;
    tick.quantity = row.quantity;
    tick.volume = row.volume_high === null ? row.volume : sumOfHalves(row.volume_high, row.volume);
    return tick;
  }

  private readTrade(row: ReplayRow, symbol: string): Trade | undefined {
    const { trade } = this;
    const aggressor = AGGRESSORS[row.side ?? -1];
    if (row.price === null || row.quantity === null || aggressor === undefined) return undefined;
    trade.symbol = symbol;
    trade.seq = seqOf(row.id);
    trade.prevSeq = row.prev_seq;
    trade.price = row.price;
    trade.quantity = row.quantity;
    trade.aggressor = aggressor;
    trade.tradeId = row.ref ?? 0;
    trade.timing = timingOf(row.flags);
    return trade;
  }

  private readBbo(row: ReplayRow, symbol: string): Bbo {
    const { bbo } = this;
    bbo.symbol = symbol;
    bbo.seq = seqOf(row.id);
    bbo.prevSeq = row.prev_seq;
    bbo.bid = row.bid;
    bbo.bidQuantity = row.bid_quantity ?? 0;
    bbo.ask = row.ask;
    bbo.askQuantity = row.ask_quantity ?? 0;
    bbo.mark = markOf(row.flags);
    return bbo;
  }

  private readBook(row: ReplayRow, symbol: string): Book | undefined {
    const { book } = this;
    const form = BOOK_FORMS[row.side ?? -1];
    if (form === undefined || row.levels === null || !this.readLevels(row.levels)) return undefined;
    book.symbol = symbol;
    book.seq = seqOf(row.id);
    book.prevSeq = row.prev_seq;
    book.form = form;
    book.crc = row.ref;
    book.mark = markOf(row.flags);
    return book;
  }

  /** Like `decodeLevels`, into the arrays of the book. */
  private readLevels(levels: Uint8Array): boolean {
    const { view, bytes, book } = this;
    const { length } = levels;
    if (length < 8 || length > LEVELS_BYTES_MAX) return false;
    // A copy into one buffer costs less than a view on each.
    bytes.set(levels);
    const bids = view.getUint32(0, true);
    const asks = view.getUint32(4, true);
    if (length !== 8 + (bids + asks) * 16) return false;
    this.readHalves(book.bids, 8, bids * 2);
    this.readHalves(book.asks, 8 + bids * 16, asks * 2);
    return true;
  }

  private readHalves(into: number[], offset: number, count: number): void {
    const { view } = this;
    into.length = count;
    for (let i = 0; i < count; i++) {
      const at = offset + i * 8;
      into[i] = view.getInt32(at + 4, true) * WORD + view.getUint32(at, true);
    }
  }
}
