/**
 * Published book: the ten best levels as readers have them, and the events that keep them current.
 *
 * It stands between a full-depth book and the topic `book:SYM`: for each state of the book it publishes the difference
 * from the one before. Level arrays are replaced and never changed, so they can be shared. Invariant: snapshot plus
 * deltas, as pushed, give exactly these levels.
 */

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels, TenLevels } from '../../protocol/levels';
import type { Book } from '../../protocol/messages';
import type { BookView, RecordedBook } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import type { MarketOutput } from './output';

/** Time of a change, and the time that orders it if that differs. */
export interface BookTime {
  readonly eventTime: Nanos;
  readonly asOf?: Nanos | undefined;
}

export class PublishedBook {
  readonly symbol: string;
  state: 'none' | 'levels' | 'incomplete' = 'none';
  /** Sequence number of the newest book event; 0 before the first. */
  head = 0;
  /** Why the levels may be out of date. */
  mark: Book['mark'] = null;
  private eventTime = Nanos.ZERO;
  private receiveTime = Nanos.ZERO;
  private asOf: Nanos | undefined;
  private readonly levels = new TenLevels();
  /** The newest event of the current batch; it gets the checksum when the batch ends. */
  private open: RecordedBook | null = null;

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  /** Null while there are no reliable levels. */
  view(): BookView | null {
    if (this.state !== 'levels') return null;
    const { symbol, head: seq, eventTime, receiveTime, levels } = this;
    return { symbol, seq, eventTime, receiveTime, bids: levels.bids, asks: levels.asks };
  }

  /** The newest state as a book event; null before the first. */
  snapshot(): RecordedBook | null {
    if (this.state === 'none') return null;
    const { symbol, head: seq, eventTime, receiveTime, levels } = this;
    const form = this.state === 'levels' ? 'snapshot' : 'incomplete';
    const { bids, asks } = levels;
    const mark = this.state === 'levels' ? this.mark : null;
    const book: Book = {
      type: 'book',
      symbol,
      seq,
      prevSeq: 0,
      eventTime,
      receiveTime,
      form,
      bids,
      asks,
      crc: null,
      count: 1,
      mark,
    };
    return this.asOf === undefined ? book : { ...book, asOf: this.asOf };
  }

  /** Publishes the changes to these best levels, if there are any. */
  publish(bids: number[], asks: number[], at: BookTime, out: MarketOutput): void {
    const wasMarked = this.mark !== null;
    this.mark = null;
    if (this.state === 'levels') {
      const bidChanges = diffLevels(this.levels.bids, bids, 'bid');
      const askChanges = diffLevels(this.levels.asks, asks, 'ask');
      if (bidChanges.length === 0 && askChanges.length === 0 && !wasMarked) return;
      this.push('delta', bidChanges, askChanges, at, out);
    } else {
      this.push('snapshot', bids, asks, at, out);
    }
    this.state = 'levels';
    this.levels.replace(bids, asks);
  }

  /** Publishes that readers have to discard their copy. */
  publishIncomplete(at: BookTime, out: MarketOutput): void {
    this.state = 'incomplete';
    this.mark = null;
    this.levels.replace([], []);
    this.push('incomplete', [], [], at, out);
  }

  /** Marks the levels as possibly out of date. */
  publishMark(mark: Book['mark'], at: BookTime, out: MarketOutput): void {
    if (this.state !== 'levels' || this.mark === mark) return;
    this.mark = mark;
    this.push('delta', [], [], at, out);
  }

  private push(
    form: Book['form'],
    bids: number[],
    asks: number[],
    { eventTime, asOf }: BookTime,
    out: MarketOutput,
  ): void {
    const book: Book = {
      type: 'book',
      symbol: this.symbol,
      seq: out.nextSeq(),
      prevSeq: this.head,
      eventTime,
      receiveTime: out.receiveTime,
      form,
      bids,
      asks,
      crc: null,
      count: 1,
      mark: this.mark,
    };
    this.open = asOf === undefined ? book : { ...book, asOf };
    this.head = this.open.seq;
    this.eventTime = eventTime;
    this.receiveTime = out.receiveTime;
    this.asOf = asOf;
    out.push(this.open);
  }

  /** Ends the batch: its last book event gets the checksum of the ten levels. */
  seal(): void {
    if (this.open === null) return;
    if (this.open.form !== 'incomplete') {
      this.open.crc = bookChecksum(this.levels.bids, this.levels.asks);
    }
    this.open = null;
  }

  /** Restores the levels of a checkpoint. */
  restore(view: Omit<BookView, 'bids' | 'asks'> & BookTime, bids: number[], asks: number[]): void {
    this.state = 'levels';
    this.mark = null;
    this.head = view.seq;
    this.eventTime = view.eventTime;
    this.receiveTime = view.receiveTime;
    this.asOf = view.asOf;
    this.levels.replace(bids, asks);
  }

  /** Recovery: applies an event of the journal. */
  recover(event: RecordedBook): void {
    this.head = event.seq;
    this.eventTime = event.eventTime;
    this.receiveTime = event.receiveTime;
    this.asOf = event.asOf;
    this.mark = event.mark;
    if (event.form === 'delta') {
      this.levels.apply(event.bids, event.asks);
    } else {
      this.levels.replace(event.bids, event.asks);
      this.state = event.form === 'snapshot' ? 'levels' : 'incomplete';
    }
  }
}
