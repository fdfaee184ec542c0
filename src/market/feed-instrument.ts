/**
 * Feed instrument: what one outside source says of one symbol, turned into Tapedeck's events.
 *
 * For each trade one trade and one tick; for each change within the ten best levels one book event;
 * for each change of the top one bbo. What the source lost shows as a status event, and a book that
 * cannot be trusted as `incomplete`.
 */

import type {
  Bbo,
  Book,
  Instrument,
  MarketEvent,
  Status,
  Tick,
  Trade,
} from '../../protocol/messages';
import type { BookView, RecordedTrade } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { BOOK_DEPTH } from '../../protocol/units';
import { assert } from '../base/assert';
import type { FeedCheckpoint, StatusHead, TopicHeads } from './checkpoint';
import { FeedBook } from './feed-book';
import { tickBeforeTrades, type MarketInstrument } from './instrument';
import type { MarketOutput } from './output';
import { PublishedBook } from './published-book';

type Top = Pick<Bbo, 'eventTime' | 'bid' | 'bidQuantity' | 'ask' | 'askQuantity'>;

export class FeedInstrument implements MarketInstrument {
  definition: Instrument;
  readonly book = new FeedBook();
  state: Status['state'] = 'live';
  /** The source that alone may feed it at present; 0 when any may. */
  owner = 0;
  /** The source that fed it last and is not gone, so it may go on; 0 without one. */
  lastSource = 0;
  /** When a source last said something of it, also what it repeated; null: not in this life. */
  heardAt: Nanos | null = null;
  private readonly published: PublishedBook;
  private readonly statusHead: StatusHead;
  private readonly head = { tick: 0, trade: 0, bbo: 0 };
  private lastTick: Tick | null = null;
  private lastBbo: Bbo | null = null;
  private tradeSourceSeq = 0;
  /** Recovery found book events behind the checkpoint. */
  private bookInTail = false;
  /** The newest numbered quote of the source. */
  private lastQuote: Bbo | null = null;

  constructor(definition: Instrument, statusHead: StatusHead) {
    this.definition = definition;
    this.statusHead = statusHead;
    this.published = new PublishedBook(definition.symbol);
  }

  /** Sum of the quantities traded so far. */
  get volume(): number {
    return this.lastTick?.volume ?? 0;
  }

  /** Place of the newest tick; 0 before the first. */
  get tickHead(): number {
    return this.head.tick;
  }

  /** Place of the newest book event; 0 before the first. */
  get bookHead(): number {
    return this.published.head;
  }

  /** The newest best bid and offer; null before the first. */
  get bbo(): Bbo | null {
    return this.lastBbo;
  }

  /** The newest tick; before the first trade one made of the previous close, standing at place 0. */
  currentTick(): Tick | null {
    return this.lastTick ?? tickBeforeTrades(this.definition, this.lastBbo);
  }

  /** The ten best levels as published; null while they may not be trusted. */
  bookView(): BookView | null {
    return this.published.view();
  }

  levels(depth: number): { bids: number[]; asks: number[] } {
    return { bids: this.book.bids.top(depth), asks: this.book.asks.top(depth) };
  }

  /** The newest event of each topic, as a reader would hold them. */
  *newest(): Iterable<MarketEvent> {
    yield this.definition;
    if (this.lastTick !== null) yield this.lastTick;
    if (this.lastBbo !== null) yield this.lastBbo;
    const book = this.published.snapshot();
    if (book !== null) yield book;
  }

  trade(m: Trade, out: MarketOutput): void {
    if (m.seq !== 0 && m.seq <= this.tradeSourceSeq) return; // sent before
    this.revive(m.eventTime, out);
    if (m.prevSeq !== 0 && this.tradeSourceSeq !== 0 && m.prevSeq > this.tradeSourceSeq) {
      this.tell(this.state, 'trades-missed', m.prevSeq - this.tradeSourceSeq, m.eventTime, out);
    }
    if (m.seq !== 0) this.tradeSourceSeq = m.seq;
    this.pushTrade(m, out);
  }

  private pushTrade(m: Trade, out: MarketOutput): void {
    const { head } = this;
    const volume = this.volume + m.quantity;
    assert(volume <= Number.MAX_SAFE_INTEGER, 'a volume passed its check and the safe range');
    const seq = out.nextSeq();
    const receiveTime = out.receiveTime;
    out.push({ ...m, seq, prevSeq: head.trade, receiveTime, sourceSeq: m.seq });
    head.trade = seq;
    this.lastTick = {
      type: 'tick',
      symbol: m.symbol,
      seq: out.nextSeq(),
      prevSeq: head.tick,
      eventTime: m.eventTime,
      receiveTime,
      last: m.price,
      bid: this.lastBbo?.bid ?? null,
      ask: this.lastBbo?.ask ?? null,
      quantity: m.quantity,
      volume,
      count: 1,
    };
    head.tick = this.lastTick.seq;
    out.push(this.lastTick);
  }

  /** A quote of the source: its top of book, often sooner than its levels. */
  quote(m: Bbo, out: MarketOutput): void {
    if (m.seq !== 0) {
      if (m.seq < Math.max(this.book.sourceSeq, this.lastQuote?.seq ?? 0)) return;
      this.lastQuote = m;
    }
    this.revive(m.eventTime, out);
    this.pushBbo(m, out);
    if (m.seq !== 0) this.compareTops(m, m.eventTime, out);
  }

  /** Where quote and levels name the same moment of the source and differ, one of them is wrong. */
  private compareTops(quote: Bbo, eventTime: Nanos, out: MarketOutput): void {
    const { bids, asks, sourceSeq, state } = this.book;
    if (state !== 'live' || sourceSeq !== quote.seq) return;
    const agree =
      bids.best === quote.bid &&
      asks.best === quote.ask &&
      bids.bestQuantity === quote.bidQuantity &&
      asks.bestQuantity === quote.askQuantity;
    if (agree) return;
    this.book.invalidate();
    this.lose('quote-mismatch', 0, eventTime, out);
  }

  depth(m: Book, out: MarketOutput): void {
    if (m.form === 'incomplete') this.lastQuote = null;
    const sourceSeq = this.book.sourceSeq;
    const outcome = this.book.apply(m);
    if (outcome === 'stale') return;
    if (this.book.state === 'live') {
      const { bids, asks } = this.book;
      this.published.publish(bids.top(BOOK_DEPTH), asks.top(BOOK_DEPTH), m.eventTime, out);
      if (this.state === 'incomplete') this.tell('live', 'healed', 0, m.eventTime, out);
      const quote = this.lastQuote;
      if (m.seq !== 0 && quote !== null && this.book.sourceSeq <= quote.seq) {
        // A quote as new as this state of the book, or newer, stands.
        this.pushBbo({ ...quote, eventTime: m.eventTime }, out);
        this.compareTops(quote, m.eventTime, out);
      } else {
        this.pushBbo(topOf(this.book, m.eventTime), out);
      }
    } else if (this.published.state !== 'incomplete') {
      const reason = outcome === 'held' ? 'awaiting-snapshot' : outcome;
      this.lose(reason, outcome === 'gap' ? m.prevSeq - sourceSeq : 0, m.eventTime, out);
    }
    this.revive(m.eventTime, out);
  }

  /** A source that says something new feeds it again; what it repeats says nothing. */
  private revive(eventTime: Nanos, out: MarketOutput): void {
    if (this.state === 'stale' || this.state === 'recovered') {
      this.tell('live', 'source-connected', 0, eventTime, out);
    }
  }

  /** What follows comes from this source: it goes on where it was, or follows another one. */
  feedBy(source: number, out: MarketOutput): void {
    if (source === this.owner) return;
    if (this.lastSource !== 0 && this.lastSource !== source) this.release(out);
    this.owner = source;
    this.lastSource = source;
  }

  /** Its source has gone: what it shows is stale until somebody feeds it again. */
  release(out: MarketOutput): void {
    this.owner = 0;
    this.lastSource = 0;
    this.book.interrupt();
    this.lastQuote = null;
    if (this.state === 'live') {
      this.tell('stale', 'source-disconnected', 0, out.receiveTime, out);
    }
  }

  private lose(reason: string, missed: number, eventTime: Nanos, out: MarketOutput): void {
    this.published.publishIncomplete(eventTime, out);
    this.tell('incomplete', reason, Math.max(0, missed), eventTime, out);
  }

  private pushBbo(top: Top, out: MarketOutput): void {
    const last = this.lastBbo;
    if (
      last !== null &&
      last.bid === top.bid &&
      last.ask === top.ask &&
      last.bidQuantity === top.bidQuantity &&
      last.askQuantity === top.askQuantity
    ) {
      return;
    }
    this.lastBbo = {
      type: 'bbo',
      symbol: this.definition.symbol,
      seq: out.nextSeq(),
      prevSeq: this.head.bbo,
      eventTime: top.eventTime,
      receiveTime: out.receiveTime,
      bid: top.bid,
      bidQuantity: top.bidQuantity,
      ask: top.ask,
      askQuantity: top.askQuantity,
      count: 1,
    };
    this.head.bbo = this.lastBbo.seq;
    out.push(this.lastBbo);
  }

  /** Pushes the state as a status event. */
  announce(reason: string, out: MarketOutput): void {
    this.tell(this.state, reason, 0, out.receiveTime, out);
  }

  /** Takes a state on and pushes it as a status event. */
  tell(
    state: Status['state'],
    reason: string,
    missed: number,
    eventTime: Nanos,
    out: MarketOutput,
  ): void {
    this.state = state;
    const seq = out.nextSeq();
    out.push({
      type: 'status',
      symbol: this.definition.symbol,
      seq,
      prevSeq: this.statusHead.status,
      eventTime,
      receiveTime: out.receiveTime,
      state,
      reason,
      missed,
    });
    this.statusHead.status = seq;
  }

  /** Ends a batch. */
  seal(): void {
    this.published.seal();
  }

  checkpoint(): FeedCheckpoint {
    const { book } = this;
    const shown = this.published.snapshot();
    return {
      market: 'feed',
      definition: this.definition,
      heads: { ...this.head, book: this.published.head },
      bookState: book.state,
      bids: book.bids.top(book.bids.length),
      asks: book.asks.top(book.asks.length),
      bookSourceSeq: book.sourceSeq,
      bookMayOverlap: book.mayOverlap,
      bookTruncated: book.truncated,
      bookTimes: {
        eventTime: shown?.eventTime ?? Nanos.ZERO,
        receiveTime: shown?.receiveTime ?? Nanos.ZERO,
      },
      tradeSourceSeq: this.tradeSourceSeq,
      tick: this.lastTick,
      bbo: this.lastBbo,
    };
  }

  /** Takes the state of a checkpoint on. */
  restore(c: FeedCheckpoint): void {
    const { book: bookHead, ...head }: TopicHeads = c.heads;
    Object.assign(this.head, head);
    this.tradeSourceSeq = c.tradeSourceSeq;
    this.lastTick = c.tick;
    this.lastBbo = c.bbo;
    if (c.bookState === 'none') return;
    this.book.restore(c.bids, c.asks, c.bookSourceSeq);
    this.book.mayOverlap = c.bookMayOverlap;
    this.book.truncated = c.bookTruncated;
    const bids = this.book.bids.top(BOOK_DEPTH);
    const asks = this.book.asks.top(BOOK_DEPTH);
    const symbol = this.definition.symbol;
    this.published.restore({ symbol, seq: bookHead, ...c.bookTimes }, bids, asks);
    if (c.bookState === 'incomplete') {
      this.book.invalidate();
      this.published.state = 'incomplete';
    }
  }

  /**
   * Takes an event of the journal's tail on, which lies behind the checkpoint. The journal holds ten
   * levels and not the source's numbers, so a book touched here shows rightly but cannot be carried
   * on: it waits for the next snapshot of the source (`recovered` truncates it).
   */
  recover(event: Tick | RecordedTrade | Bbo | Book): void {
    switch (event.type) {
      case 'trade':
        this.head.trade = event.seq;
        this.tradeSourceSeq = Math.max(this.tradeSourceSeq, event.sourceSeq ?? 0);
        return;
      case 'tick':
        this.head.tick = event.seq;
        this.lastTick = event;
        return;
      case 'bbo':
        this.head.bbo = event.seq;
        this.lastBbo = event;
        return;
      case 'book':
        this.published.recover(event);
        this.bookInTail = true;
    }
  }

  /** Ends recovery: nobody feeds it yet, and a book that was not whole is still not. */
  recovered(): void {
    if (this.bookInTail) {
      const view = this.published.view();
      if (view === null) this.book.invalidate();
      else this.book.truncate(view.bids, view.asks);
    }
    this.state = this.book.state === 'incomplete' ? 'incomplete' : 'recovered';
  }
}

function topOf({ bids, asks }: FeedBook, eventTime: Nanos): Top {
  return {
    eventTime,
    bid: bids.best,
    bidQuantity: bids.bestQuantity,
    ask: asks.best,
    askQuantity: asks.bestQuantity,
  };
}
