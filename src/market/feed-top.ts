/**
 * Feed top: the best bid and offer of a feed instrument as published, and the quotes of its source, which may bring it
 * earlier than the levels.
 *
 * A numbered quote shares the numbering of the book. If both have the same number and differ, one of them is wrong.
 */

import type { Bbo } from '../../protocol/messages';
import type { RecordedBbo } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { FeedBook } from './feed-book';
import type { MarketOutput } from './output';
import type { BookTime } from './published-book';

export type Top = BookTime & Pick<Bbo, 'bid' | 'bidQuantity' | 'ask' | 'askQuantity'>;

/** How long a quote may be ahead of the levels by its number; beyond that its number is wrong. */
const QUOTE_AHEAD_NS_MAX = 10e9;

export class FeedTop {
  /** The seq of the newest bbo; 0 before the first. */
  head = 0;
  /** The newest bbo as pushed. */
  pushed: RecordedBbo | null = null;
  /** Whether nothing was received since a restart. */
  isRecovered = false;
  /** The newest numbered quote of the source. */
  private quote: Bbo | null = null;
  private quotedAt: Nanos | null = null;
  /** Whether its quotes have a new numbering and its levels not yet: then their numbers are not compared. */
  private isApart = false;
  /** Recovery: the events are those that were published; no quote is derived from levels. */
  isPublished = false;
  private readonly symbol: string;

  constructor(symbol: string) {
    this.symbol = symbol;
  }

  /** As a new reader gets it; null before the first. */
  get newest(): Bbo | null {
    const { pushed } = this;
    return pushed !== null && this.isRecovered ? { ...pushed, mark: 'recovered' } : pushed;
  }

  /** Null if it may be out of date. */
  get bid(): number | null {
    return this.isPresent ? this.pushed!.bid : null;
  }

  /** Null if it may be out of date. */
  get ask(): number | null {
    return this.isPresent ? this.pushed!.ask : null;
  }

  private get isPresent(): boolean {
    return this.pushed !== null && this.pushed.mark === null && !this.isRecovered;
  }

  /** Judges the number of a quote. @param bookSeq the source's number of the book */
  judge(m: Bbo, bookSeq: number): 'next' | 'repeated' | 'renumbered' {
    const { quote } = this;
    if (m.seq === 0 || this.isPublished) return 'next';
    if (quote !== null && m.seq < quote.seq) {
      if (m.eventTime.compare(quote.eventTime) <= 0) return 'repeated';
      this.isApart = true;
      return 'renumbered';
    }
    return m.seq < bookSeq && !this.isApart ? 'repeated' : 'next';
  }

  /** Applies and publishes a quote of the source. @param at its time if its own is implausible */
  take(m: Bbo, at: Nanos, out: MarketOutput): void {
    if (this.isPublished) return this.publish(m, out, m.mark);
    if (m.seq !== 0) {
      this.quote = m;
      this.quotedAt = out.receiveTime;
    }
    this.publish(at.compare(m.eventTime) === 0 ? m : { ...m, asOf: at }, out);
  }

  /** Publishes the top of a changed book, or the quote if it is newer. @returns that quote */
  follow(book: FeedBook, seq: number, at: BookTime, out: MarketOutput): Bbo | null {
    if (this.isPublished) return null;
    this.isApart = false;
    const { quote } = this;
    if (seq === 0 || quote === null || book.sourceSeq > quote.seq) {
      this.publish(topOf(book, at), out);
      return null;
    }
    if (this.isTooFarAhead(book, quote, out)) {
      this.forget();
      this.publish(topOf(book, at), out);
      return null;
    }
    this.publish({ ...quote, ...at }, out);
    return quote;
  }

  /** Discards the quotes. @param isPublished whether what follows are events as published */
  forget(isPublished = this.isPublished): void {
    this.isPublished = isPublished;
    this.quote = null;
    this.quotedAt = null;
  }

  /** Publishes that there is no reliable top. */
  void(at: BookTime, out: MarketOutput): void {
    if (this.pushed === null || this.isPublished) return;
    this.publish({ ...at, bid: null, bidQuantity: 0, ask: null, askQuantity: 0 }, out);
  }

  /** Marks the top as possibly out of date. */
  publishMark(mark: Bbo['mark'], eventTime: Nanos, out: MarketOutput): void {
    const { pushed } = this;
    if (pushed === null || (pushed.bid === null && pushed.ask === null)) return;
    this.publish({ ...pushed, eventTime, asOf: undefined }, out, mark);
  }

  /** Publishes a top if it differs. */
  publish(top: Top, out: MarketOutput, mark: Bbo['mark'] = null): void {
    const { pushed, isRecovered } = this;
    this.isRecovered = false;
    if (pushed !== null && !isRecovered && pushed.mark === mark && isSame(pushed, top)) return;
    const bbo: Bbo = {
      type: 'bbo',
      symbol: this.symbol,
      seq: out.nextSeq(),
      prevSeq: this.head,
      eventTime: top.eventTime,
      receiveTime: out.receiveTime,
      bid: top.bid,
      bidQuantity: top.bidQuantity,
      ask: top.ask,
      askQuantity: top.askQuantity,
      count: 1,
      mark,
    };
    this.pushed = top.asOf === undefined ? bbo : { ...bbo, asOf: top.asOf };
    this.head = bbo.seq;
    out.push(this.pushed);
  }

  private isTooFarAhead(book: FeedBook, quote: Bbo, { receiveTime }: MarketOutput): boolean {
    const { quotedAt } = this;
    return (
      book.sourceSeq < quote.seq &&
      quotedAt !== null &&
      receiveTime.since(quotedAt) > QUOTE_AHEAD_NS_MAX
    );
  }
}

/** Whether a quote equals the top of a book. */
export function isTopOf(quote: Top, { bids, asks }: FeedBook): boolean {
  return (
    bids.best === quote.bid &&
    asks.best === quote.ask &&
    bids.bestQuantity === quote.bidQuantity &&
    asks.bestQuantity === quote.askQuantity
  );
}

function isSame(a: Top, b: Top): boolean {
  return (
    a.bid === b.bid &&
    a.ask === b.ask &&
    a.bidQuantity === b.bidQuantity &&
    a.askQuantity === b.askQuantity
  );
}

function topOf({ bids, asks }: FeedBook, at: BookTime): Top {
  return {
    ...at,
    bid: bids.best,
    bidQuantity: bids.bestQuantity,
    ask: asks.best,
    askQuantity: asks.bestQuantity,
  };
}
