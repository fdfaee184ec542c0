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
import { Nanos } from '../../protocol/time';
import { BOOK_DEPTH } from '../../protocol/units';
import { assert } from '../base/assert';
import type { FeedCheckpoint, StatusHead, TopicHeads } from './checkpoint';
import { FeedBook } from './feed-book';
import type { MarketInstrument } from './instrument';
import type { MarketOutput } from './output';
import { PublishedBook, type BookView } from './published-book';

type Top = Pick<Bbo, 'eventTime' | 'bid' | 'bidQuantity' | 'ask' | 'askQuantity'>;

export class FeedInstrument implements MarketInstrument {
  definition: Instrument;
  readonly book = new FeedBook();
  state: Status['state'] = 'live';
  /** The source that feeds it at present; 0 when none does. */
  owner = 0;
  private readonly published: PublishedBook;
  private readonly statusHead: StatusHead;
  private readonly head = { tick: 0, trade: 0, bbo: 0 };
  private lastTick: Tick | null = null;
  private lastBbo: Bbo | null = null;
  private tradeSourceSeq = 0;
  private quoteSourceSeq = 0;

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
    const { symbol, previousClose } = this.definition;
    if (this.lastTick !== null || previousClose === null) return this.lastTick;
    return {
      type: 'tick',
      symbol,
      seq: 0,
      prevSeq: 0,
      eventTime: Nanos.ZERO,
      receiveTime: Nanos.ZERO,
      last: previousClose,
      bid: this.lastBbo?.bid ?? null,
      ask: this.lastBbo?.ask ?? null,
      quantity: 0,
      volume: 0,
      count: 0,
    };
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
    out.push({ ...m, seq, prevSeq: head.trade, receiveTime });
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
    if (m.seq !== 0 && m.seq < Math.max(this.book.sourceSeq, this.quoteSourceSeq)) return;
    if (m.seq !== 0) this.quoteSourceSeq = m.seq;
    this.pushBbo(m, out);
    this.compareTops(m.eventTime, out);
  }

  /** Where quote and levels name the same moment of the source and differ, one of them is wrong. */
  private compareTops(eventTime: Nanos, out: MarketOutput): void {
    const { bids, asks, sourceSeq, state } = this.book;
    if (state !== 'live' || sourceSeq === 0 || sourceSeq !== this.quoteSourceSeq) return;
    const agree =
      bids.best === this.lastBbo?.bid &&
      asks.best === this.lastBbo.ask &&
      bids.bestQuantity === this.lastBbo.bidQuantity &&
      asks.bestQuantity === this.lastBbo.askQuantity;
    if (agree) return;
    this.book.invalidate();
    this.lose('quote-mismatch', 0, eventTime, out);
  }

  depth(m: Book, out: MarketOutput): void {
    if (m.form === 'delta' && m.seq === 0 && this.state !== 'live' && this.book.state === 'live') {
      // Without numbers nothing tells what happened between the book as it was left and this delta.
      this.book.invalidate();
    }
    const sourceSeq = this.book.sourceSeq;
    const outcome = this.book.apply(m);
    if (outcome === 'stale') return;
    if (this.book.state === 'live') {
      const { bids, asks } = this.book;
      this.published.publish(bids.top(BOOK_DEPTH), asks.top(BOOK_DEPTH), m.eventTime, out);
      if (this.state === 'incomplete') this.tell('live', 'healed', 0, m.eventTime, out);
      if (m.seq !== 0 && this.book.sourceSeq <= this.quoteSourceSeq) {
        // A quote as new as this state of the book, or newer, stands.
        this.compareTops(m.eventTime, out);
      } else {
        this.pushBbo(topOf(this.book, m.eventTime), out);
      }
    } else if (this.published.state !== 'incomplete') {
      const reason = outcome === 'held' ? 'awaiting-snapshot' : outcome;
      this.lose(reason, outcome === 'gap' ? m.prevSeq - sourceSeq : 0, m.eventTime, out);
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
    const view = this.published.view();
    return {
      market: 'feed',
      definition: this.definition,
      heads: { ...this.head, book: this.published.head },
      bookState: book.state,
      bids: book.bids.top(book.bids.length),
      asks: book.asks.top(book.asks.length),
      bookSourceSeq: book.sourceSeq,
      bookTimes: {
        eventTime: view?.eventTime ?? Nanos.ZERO,
        receiveTime: view?.receiveTime ?? Nanos.ZERO,
      },
      tradeSourceSeq: this.tradeSourceSeq,
      quoteSourceSeq: this.quoteSourceSeq,
      tick: this.lastTick,
      bbo: this.lastBbo,
    };
  }

  /** Takes the state of a checkpoint on. */
  restore(c: FeedCheckpoint): void {
    const { book: bookHead, ...head }: TopicHeads = c.heads;
    Object.assign(this.head, head);
    this.tradeSourceSeq = c.tradeSourceSeq;
    this.quoteSourceSeq = c.quoteSourceSeq;
    this.lastTick = c.tick;
    this.lastBbo = c.bbo;
    this.state = 'recovered';
    this.published.head = bookHead;
    if (c.bookState === 'live') {
      this.book.restore(c.bids, c.asks, c.bookSourceSeq);
      const bids = this.book.bids.top(BOOK_DEPTH);
      const asks = this.book.asks.top(BOOK_DEPTH);
      const symbol = this.definition.symbol;
      this.published.restore({ symbol, seq: bookHead, ...c.bookTimes }, bids, asks);
    } else if (c.bookState === 'incomplete') {
      this.book.invalidate();
      this.published.state = 'incomplete';
    }
  }

  /**
   * Takes an event of the journal's tail on, which lies behind the checkpoint. The journal holds ten
   * levels and not the source's numbers, so a book touched here shows rightly but cannot be carried
   * on: it waits for the next snapshot of the source (`truncate`).
   */
  recover(event: Tick | Trade | Bbo | Book): void {
    this.state = 'recovered';
    switch (event.type) {
      case 'trade':
        this.head.trade = event.seq;
        return;
      case 'tick':
        this.head.tick = event.seq;
        this.lastTick = event;
        return;
      case 'bbo':
        this.head.bbo = event.seq;
        this.lastBbo = event;
        return;
      case 'book': {
        this.published.recover(event);
        const view = this.published.view();
        if (view === null) this.book.invalidate();
        else this.book.truncate(view.bids, view.asks);
      }
    }
  }

  /** Ends recovery: a book that was not whole is still not. */
  recovered(): void {
    if (this.book.state === 'incomplete') this.state = 'incomplete';
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
