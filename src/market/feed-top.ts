/**
 * Feed top: the best bid and offer of a fed instrument as published, and the quotes of its source from
 * which it may come sooner than from its levels.
 *
 * A quote that is numbered shares the numbers of the book. Where both name the same moment and differ, one
 * of them is wrong.
 */

import type { Bbo } from '../../protocol/messages';
import type { RecordedBbo } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import type { FeedBook } from './feed-book';
import type { MarketOutput } from './output';
import type { BookTime } from './published-book';

export type Top = BookTime & Pick<Bbo, 'bid' | 'bidQuantity' | 'ask' | 'askQuantity'>;

/** How long a quote may be ahead of the levels by its number; one that is longer has a wrong number. */
const QUOTE_AHEAD_NS_MAX = 10e9;

export class FeedTop {
  /** The seq of the newest bbo; 0 before the first. */
  head = 0;
  /** As pushed. */
  pushed: RecordedBbo | null = null;
  /** Nothing was heard of it since a restart. */
  isRecovered = false;
  /** The newest numbered quote of the source. */
  private quote: Bbo | null = null;
  private quotedAt: Nanos | null = null;
  /** Its quotes began anew, and its levels have not yet: their numbers are not to be compared. */
  private isApart = false;
  /** What comes is what a server published: each quote stands by itself, and none follows from levels. */
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

  /** Null where it may not be the present one. */
  get bid(): number | null {
    return this.isPresent ? this.pushed!.bid : null;
  }

  /** Null where it may not be the present one. */
  get ask(): number | null {
    return this.isPresent ? this.pushed!.ask : null;
  }

  private get isPresent(): boolean {
    return this.pushed !== null && this.pushed.mark === null && !this.isRecovered;
  }

  /** What the number of a quote says. @param bookSeq the number that the book stands at */
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

  /** Takes a quote of the source on, and publishes it. @param at when, where its own time cannot be */
  take(m: Bbo, at: Nanos, out: MarketOutput): void {
    if (this.isPublished) return this.publish(m, out, m.mark);
    if (m.seq !== 0) {
      this.quote = m;
      this.quotedAt = out.receiveTime;
    }
    this.publish(at.compare(m.eventTime) === 0 ? m : { ...m, asOf: at }, out);
  }

  /** Publishes the top of a book that has changed, or the quote that is newer. @returns that quote */
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

  /** What quotes said counts no more. @param isPublished what comes behind it */
  forget(isPublished = this.isPublished): void {
    this.isPublished = isPublished;
    this.quote = null;
    this.quotedAt = null;
  }

  /** There is no top that may be trusted. */
  void(at: BookTime, out: MarketOutput): void {
    if (this.pushed === null || this.isPublished) return;
    this.publish({ ...at, bid: null, bidQuantity: 0, ask: null, askQuantity: 0 }, out);
  }

  /** Says that the top may not be the present one any more. */
  publishMark(mark: Bbo['mark'], eventTime: Nanos, out: MarketOutput): void {
    const { pushed } = this;
    if (pushed === null || (pushed.bid === null && pushed.ask === null)) return;
    this.publish({ ...pushed, eventTime, asOf: undefined }, out, mark);
  }

  /** Publishes a top, if it differs. */
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

/** Whether a quote is the top of a book. */
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
