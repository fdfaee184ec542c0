/**
 * Feed instrument: turns what a source sends of one symbol into Tapedeck's events.
 *
 * Each trade gives one trade and one tick (a late trade no tick); each change within the ten best levels one book event;
 * each change of the top one bbo. What the source lost appears as a status event, and a book that cannot be trusted as
 * `incomplete`, without a top. Each event is recorded, or counted with the reason why not (`intake.ts`).
 */

import type {
  Bbo,
  Book,
  MarketEvent,
  PlainMessage,
  Renumber,
  Status,
  Tick,
  Trade,
} from '../../protocol/messages';
import { asEvent } from '../../protocol/plain';
import type {
  BookView,
  RecordedBbo,
  RecordedBook,
  RecordedInstrument,
  RecordedPlain,
  RecordedTick,
  RecordedTrade,
} from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { BOOK_DEPTH } from '../../protocol/units';
import type { FeedCheckpoint, FeedHead } from './checkpoint';
import { RESTARTED, BOOK_RENUMBERED, FeedBook, reasonOf } from './feed-book';
import { FeedStatus, RESTART } from './feed-status';
import { FeedTop, isTopOf } from './feed-top';
import { FeedTrades } from './feed-trades';
import { Increments } from './increments';
import { tickBeforeTrades, type MarketInstrument } from './instrument';
import type { IntakeCounts, IntakeOutcome, SourceSession } from './intake';
import { CountedLevels, type LevelCounts } from './level-counts';
import type { MarketOutput } from './output';
import { PlainStates } from './plain-states';
import { PublishedBook, type BookTime } from './published-book';
import { TradeClock, type TimeLimits } from './trade-clock';
import type { StatusHead } from './feed-status';

/** The marks of a checkpoint that has none. */
const RESTARTED_MARKS: NonNullable<FeedCheckpoint['marks']> = {
  state: 'recovered',
  book: 'recovered',
  isTopRecovered: true,
};

/** Reason of the status event when the numbers of a plain channel go back. */
const PLAIN_RENUMBERED = 'state-renumbered';

export class FeedInstrument implements MarketInstrument {
  readonly book = new FeedBook();
  readonly increments: Increments;
  /** The only source that may feed it at present; 0 if none does. */
  owner = 0;
  /** When a source last sent something new. */
  heardAt: Nanos | null = null;
  private current: RecordedInstrument;
  /** Whether an operator has deleted it (`deletions.ts`). */
  isDeleted = false;
  /** The session that fed it last; 0 if it has ended. */
  lastSource = 0;
  /** Counts its levels for the key that fed it last. */
  readonly counted: CountedLevels;
  /** Whether it is unknown if the present session continues the numbering of the book. */
  private isNewBook = false;
  private readonly status: FeedStatus;
  private readonly clock: TradeClock;
  private readonly trades: FeedTrades;
  private readonly published: PublishedBook;
  private readonly top: FeedTop;
  private readonly plain = new PlainStates();
  /** The time that orders the newest book event. */
  private bookTime = Nanos.ZERO;
  /** Whether recovery has applied book events that `book` does not have yet. */
  private bookInTail = false;

  constructor(
    definition: RecordedInstrument,
    statusHead: StatusHead,
    limits: TimeLimits,
    levelCounts: LevelCounts,
  ) {
    this.current = definition;
    this.counted = new CountedLevels(levelCounts);
    this.increments = new Increments(definition);
    const { symbol } = definition;
    this.status = new FeedStatus(symbol, statusHead);
    this.clock = new TradeClock(limits);
    this.published = new PublishedBook(symbol);
    this.top = new FeedTop(symbol);
    this.trades = new FeedTrades(this.status, this.top, this.clock);
  }

  get definition(): RecordedInstrument {
    return this.current;
  }

  set definition(definition: RecordedInstrument) {
    this.current = definition;
    this.increments.add(definition);
  }

  set limits(limits: TimeLimits) {
    this.clock.limits = limits;
  }

  get state(): Status['state'] {
    return this.status.state;
  }

  /** Outcomes of the events of its sources, since the start. */
  get intake(): Readonly<IntakeCounts> {
    return this.status.intake;
  }

  get tickHead(): number {
    return this.trades.heads.tick;
  }

  get tradeHead(): number {
    return this.trades.heads.trade;
  }

  get bookHead(): number {
    return this.published.head;
  }

  get bookMark(): Book['mark'] {
    return this.published.mark;
  }

  /** The newest best bid and offer; null before the first. */
  get bbo(): Bbo | null {
    return this.top.newest;
  }

  /** The newest tick; before the first trade one made of the previous close, with `seq` 0. */
  currentTick(): Tick | null {
    return this.trades.lastTick ?? tickBeforeTrades(this.definition, this.top);
  }

  /** The ten best levels as published; null while they cannot be trusted. */
  bookView(): BookView | null {
    return this.published.view();
  }

  levels(depth: number): { bids: number[]; asks: number[] } {
    this.settleBook();
    return { bids: this.book.bids.top(depth), asks: this.book.asks.top(depth) };
  }

  /** Whether only its best levels are known. */
  get isTruncated(): boolean {
    this.settleBook();
    return this.book.truncated;
  }

  /** The newest event of each topic, as a reader has them. */
  *newest(): Iterable<MarketEvent> {
    yield this.definition;
    const newest = [this.trades.lastTick, this.top.newest, this.published.snapshot()];
    for (const event of newest) if (event !== null) yield event;
    for (const message of this.plain.newest()) yield asEvent(message);
  }

  /** Applies a checked event of a source. */
  accept(
    event: Trade | Bbo | Book | PlainMessage | Renumber,
    session: SourceSession,
    out: MarketOutput,
  ): IntakeOutcome {
    if (session.id !== this.lastSource) {
      if (this.lastSource !== 0) this.release(out); // it takes over from a session that yielded
      this.lastSource = session.id;
      this.trades.begin(session.continues);
      this.isNewBook = !session.continues;
      if (this.isNewBook) {
        this.book.begin();
        this.plain.forgetNumbers();
      }
    }
    this.owner = session.id;
    this.status.reportDue(out);
    const outcome = this.take(event, out);
    this.counted.set(this.book.levelCount, session.owner);
    // An event that waits for a snapshot is new all the same; only a repetition is no sign of life.
    if (outcome !== 'repeated') this.heardAt = out.receiveTime;
    if (outcome !== 'taken') this.status.intake[outcome] += 1;
    return outcome;
  }

  private take(
    event: Trade | Bbo | Book | PlainMessage | Renumber,
    out: MarketOutput,
  ): IntakeOutcome {
    switch (event.type) {
      case 'trade':
        return this.trades.take(event, out);
      case 'bbo':
        return this.quote(event, out);
      case 'book':
        return this.depth(event, out);
      case 'renumber':
        this.renumber(event.numbers, this.sane(event.eventTime, out), out);
        return 'taken';
      default:
        return this.passOn(event, out);
    }
  }

  /** Passes on a message of a channel that has no code of its own. */
  private passOn(m: PlainMessage, out: MarketOutput): IntakeOutcome {
    const verdict = this.plain.judge(m);
    if (verdict === 'repeated') return 'repeated';
    const at = this.sane(m.eventTime, out);
    this.status.revive(at, out);
    if (verdict === 'renumbered') this.status.renumbered(PLAIN_RENUMBERED, at, out);
    this.plain.take(m, at, out);
    this.countAhead(m.eventTime, at, out);
    return 'taken';
  }

  /** Applies a quote of the source: its top of book, often earlier than its levels. */
  private quote(m: Bbo, out: MarketOutput): IntakeOutcome {
    const verdict = this.top.judge(m, this.isNewBook ? 0 : this.book.sourceSeq);
    if (verdict === 'repeated') return 'repeated';
    const at = this.sane(m.eventTime, out);
    this.status.revive(at, out);
    if (verdict === 'renumbered') this.status.renumbered('quotes-renumbered', at, out);
    this.top.take(m, at, out);
    if (m.seq !== 0 && !this.top.isPublished) this.compareTops(m, at, out);
    this.countAhead(m.eventTime, at, out);
    return 'taken';
  }

  /** If quote and levels have the same number and differ, one of them is wrong. */
  private compareTops(quote: Bbo, at: Nanos, out: MarketOutput): void {
    const { book } = this;
    if (book.state !== 'live' || book.sourceSeq !== quote.seq || isTopOf(quote, book)) return;
    book.invalidate();
    this.lose('quote-mismatch', 0, this.orderBook(at, out), out);
  }

  private depth(m: Book, out: MarketOutput): IntakeOutcome {
    const before = this.book.sourceSeq;
    const outcome = this.book.apply(m, this.isNewBook);
    if (outcome === 'repeated') return 'repeated';
    const at = this.orderBook(m.eventTime, out);
    // Earlier quotes belong to the old numbering.
    if (RESTARTED.has(outcome)) this.top.forget();
    if (outcome === 'applied-renumbered')
      this.status.renumbered(BOOK_RENUMBERED, at.eventTime, out);
    if (this.book.state === 'live') {
      this.isNewBook = false;
      this.publishBook(m, at, out);
      if (this.top.isPublished && m.mark !== null) this.published.publishMark(m.mark, at, out);
    } else if (this.published.state !== 'incomplete') {
      if (outcome === 'renumbered') this.status.intake.renumbered += 1;
      this.lose(
        reasonOf(outcome),
        outcome === 'gap' && !this.isNewBook ? m.prevSeq - before : 0,
        at,
        out,
      );
    }
    this.status.revive(at.eventTime, out);
    this.countAhead(m.eventTime, at.eventTime, out);
    return outcome === 'incomplete' || this.book.state === 'live' ? 'taken' : 'waiting';
  }

  private publishBook(m: Book, at: BookTime, out: MarketOutput): void {
    const { bids, asks } = this.book;
    this.published.publish(bids.top(BOOK_DEPTH), asks.top(BOOK_DEPTH), at, out);
    if (this.state === 'incomplete') this.status.tell('live', 'healed', at.eventTime, out);
    const quote = this.top.follow(this.book, m.seq, at, out);
    if (quote !== null) this.compareTops(quote, at.eventTime, out);
  }

  /** The published time of a book event, and the time that orders it. */
  private orderBook(eventTime: Nanos, out: MarketOutput): BookTime {
    const at = this.sane(eventTime, out);
    if (at.compare(this.bookTime) > 0) this.bookTime = at;
    const { bookTime } = this;
    return bookTime.compare(eventTime) === 0 ? { eventTime } : { eventTime, asOf: bookTime };
  }

  private lose(reason: string, missed: number, at: BookTime, out: MarketOutput): void {
    this.published.publishIncomplete(at, out);
    this.top.void(at, out);
    this.status.tell('incomplete', reason, at.eventTime, out, { missed: Math.max(0, missed) });
  }

  /** The source restarts its numbering; the book then waits for a snapshot. */
  renumber(numbers: Renumber['numbers'], at: Nanos, out: MarketOutput): void {
    if (numbers !== 'book') this.trades.renumber(at, out);
    if (numbers === 'all' || numbers === 'published') this.plain.forgetNumbers();
    if (numbers === 'trades') return;
    this.top.forget(numbers === 'published');
    this.isNewBook = false;
    if (this.book.state === 'none') return;
    this.book.renumber();
    this.status.intake.renumbered += 1;
    this.counted.set(this.book.levelCount);
    const when = this.orderBook(at, out);
    if (this.published.state === 'incomplete') this.top.void(when, out);
    else this.lose(BOOK_RENUMBERED, 0, when, out);
  }

  /** Lets another source feed it from now on; the same source can continue as if nothing had happened. */
  yield(): void {
    this.owner = 0;
  }

  /** Its source has disconnected: what it published is stale until a source feeds it again. */
  release(out: MarketOutput): void {
    this.owner = 0;
    this.lastSource = 0;
    this.book.interrupt();
    this.counted.set(this.book.levelCount);
    this.top.forget(false);
    const at = out.receiveTime;
    this.status.reportAll(out);
    this.published.publishMark('stale', this.orderBook(at, out), out);
    this.top.publishMark('stale', at, out);
    if (this.state === 'live') this.status.tell('stale', 'source-disconnected', at, out);
  }

  /** The event time, or the receive time if the event time is implausible. */
  private sane(eventTime: Nanos, { receiveTime }: MarketOutput): Nanos {
    return this.clock.isAhead(eventTime, receiveTime) ? receiveTime : eventTime;
  }

  private countAhead(eventTime: Nanos, at: Nanos, out: MarketOutput): void {
    if (this.clock.isAhead(eventTime, out.receiveTime)) this.status.count('ahead', at, out);
  }

  announce(reason: string, out: MarketOutput, state = this.state): void {
    this.status.tell(state, reason, out.receiveTime, out);
  }

  /** Ends a batch. */
  seal(): void {
    this.published.seal();
  }

  /** The state for a checkpoint, without the levels. */
  head(): FeedHead {
    this.settleBook();
    const { book } = this;
    const published = this.published.snapshot();
    const plain = this.plain.checkpoint();
    return {
      market: 'feed',
      definition: this.definition,
      ...(this.isDeleted && { isDeleted: true }),
      increments: this.increments.state(),
      heads: { ...this.trades.heads, bbo: this.top.head, book: this.published.head },
      marks: {
        state: this.state,
        book: this.published.mark,
        isTopRecovered: this.top.isRecovered,
      },
      bookState: book.state,
      bookSourceSeq: book.sourceSeq,
      bookMayOverlap: book.mayOverlap,
      bookTruncated: book.truncated,
      bookTimes: {
        eventTime: published?.eventTime ?? Nanos.ZERO,
        receiveTime: published?.receiveTime ?? Nanos.ZERO,
        ...(published?.asOf !== undefined && { asOf: published.asOf }),
        asOfTime: this.bookTime,
      },
      trades: this.trades.state(),
      tick: this.trades.lastTick,
      bbo: this.top.pushed,
      ...(plain.length > 0 && { plain }),
    };
  }

  /** Restores the state of a checkpoint. */
  restore(c: FeedCheckpoint): void {
    this.restoreTopics(c);
    if (c.bookState !== 'none') this.restoreBook(c);
    const { state, book, isTopRecovered } = c.marks ?? RESTARTED_MARKS;
    this.status.state = state;
    this.published.mark = book;
    this.top.isRecovered = isTopRecovered;
  }

  private restoreTopics(c: FeedCheckpoint): void {
    const { tick, trade, bbo } = c.heads;
    Object.assign(this.trades.heads, { tick, trade });
    this.increments.restore(c.increments);
    this.isDeleted = c.isDeleted === true;
    this.trades.restore(c.trades);
    this.trades.lastTick = c.tick;
    this.top.head = bbo;
    this.top.pushed = c.bbo;
    this.plain.restore(this.definition.symbol, c.plain ?? []);
    this.bookTime = c.bookTimes.asOfTime;
  }

  private restoreBook(c: FeedCheckpoint): void {
    this.book.restore(c.bids, c.asks, c.bookSourceSeq, this.bookTime);
    this.book.mayOverlap = c.bookMayOverlap;
    this.book.truncated = c.bookTruncated;
    const { bids, asks } = this.levels(BOOK_DEPTH);
    const { eventTime, receiveTime, asOf } = c.bookTimes;
    const view = {
      symbol: this.definition.symbol,
      seq: c.heads.book,
      eventTime,
      receiveTime,
      asOf,
    };
    this.published.restore(view, bids, asks);
    if (c.bookState === 'incomplete') {
      this.book.invalidate();
      this.published.state = 'incomplete';
    }
    this.counted.set(this.book.levelCount);
  }

  /**
   * Recovery: applies an event of the journal after the checkpoint. The journal has ten levels and not the source's
   * numbers. So a book that changes here is published correctly but cannot be continued: it waits for the next
   * snapshot of the source (`settleBook` truncates it).
   */
  recover(
    event: RecordedTick | RecordedTrade | RecordedBbo | RecordedBook | RecordedPlain | Status,
  ): void {
    switch (event.type) {
      case 'trade':
        return this.trades.recover(event);
      case 'tick':
        this.trades.heads.tick = event.seq;
        this.trades.lastTick = event;
        return;
      case 'bbo':
        this.top.head = event.seq;
        this.top.pushed = event;
        this.top.isRecovered = false;
        return;
      case 'book': {
        this.published.recover(event);
        const at = event.asOf ?? event.eventTime;
        if (at.compare(this.bookTime) > 0) this.bookTime = at;
        this.bookInTail = true;
        return;
      }
      case 'status':
        this.trades.recoverReason(event.reason);
        return this.recoverStatus(event);
      default:
        return this.plain.recover(event);
    }
  }

  /** Recovery: applies the state of a status of the journal. At a restart nothing has been received yet. */
  recoverStatus({ state, reason }: Status): void {
    this.status.state = state;
    if (reason === RESTART) this.markRecovered();
  }

  /** Ends recovery: no source feeds it yet, and a book that was incomplete still is. */
  recovered(): void {
    this.settleBook();
    this.status.state = this.book.state === 'incomplete' ? 'incomplete' : 'recovered';
    this.markRecovered();
  }

  private markRecovered(): void {
    this.published.mark = 'recovered';
    this.top.isRecovered = true;
  }

  /** Gives `book` the ten levels that recovery has applied; what is behind them is not known. */
  private settleBook(): void {
    if (!this.bookInTail) return;
    this.bookInTail = false;
    const view = this.published.view();
    if (view === null) this.book.invalidate();
    else this.book.truncate(view.bids, view.asks);
    this.counted.set(this.book.levelCount);
  }
}
