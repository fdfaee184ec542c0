/**
 * Market data of a venue: the engine's events as Tapedeck's messages.
 *
 * Each trade gives one trade and one tick, at once. Each command gives one book event if something within the ten best
 * levels changed, and one bbo if the top changed. A change of state gives a status. The owner of the venue's listener
 * calls `trade` and `stateChanged` from it, `afterCommand` when the command has returned, and `seal` at the end of a
 * batch. Invariant: sequence numbers in order, each used once.
 */

import type { Bbo, Status, Tick, Trade } from '../../../protocol/messages';
import { BOOK_DEPTH } from '../../../protocol/units';
import { addSum, type Sum } from '../../../protocol/sums';
import type { VenueHead } from '../checkpoint';
import type { MarketOutput } from '../output';
import { PublishedBook } from '../published-book';
import { TradeClock, type TimeLimits } from '../trade-clock';
import type { Venue } from './venue';
import { BUY, OPEN, SELL, SIDE_NAMES, STATE_NAMES } from './constants';
import type { StatusHead } from '../feed-status';

export class VenueMarketData {
  readonly symbol: string;
  /** The newest sequence number of each topic; 0 before the first. The book has its own. */
  readonly heads = { tick: 0, trade: 0, bbo: 0 };
  readonly book: PublishedBook;
  lastTick: Tick | null = null;
  lastBbo: Bbo | null = null;
  /** Trades of a venue are never late, since their times are the server's own. */
  readonly clock: TradeClock;
  private readonly venue: Venue;
  private readonly statusHead: StatusHead;
  /** Volume of the newest recorded tick, during recovery. */
  private recordedVolume: Sum = 0;
  /** The published levels, flat, best first; replaced, never changed. */
  private bids: number[] = [];
  private asks: number[] = [];

  constructor(symbol: string, venue: Venue, statusHead: StatusHead, limits: TimeLimits) {
    this.symbol = symbol;
    this.venue = venue;
    this.statusHead = statusHead;
    this.book = new PublishedBook(symbol);
    this.clock = new TradeClock(limits);
  }

  /** Publishes a trade and the tick after it. The arguments are those of the listener. */
  trade(
    tradeId: number,
    price: number,
    quantity: number,
    aggressor: number,
    out: MarketOutput,
  ): void {
    const { heads, symbol, venue } = this;
    const time = out.receiveTime;
    const seq = out.nextSeq();
    const trade: Trade = {
      type: 'trade',
      symbol,
      seq,
      prevSeq: heads.trade,
      eventTime: time,
      receiveTime: time,
      price,
      quantity,
      aggressor: SIDE_NAMES[aggressor]!,
      tradeId,
      timing: null,
    };
    out.push(trade);
    heads.trade = seq;
    this.clock.take(trade);
    const tickSeq = out.nextSeq();
    this.lastTick = {
      type: 'tick',
      symbol,
      seq: tickSeq,
      prevSeq: heads.tick,
      eventTime: time,
      receiveTime: time,
      last: price,
      bid: venue.bestPrice(BUY),
      ask: venue.bestPrice(SELL),
      quantity,
      volume: this.clock.volume,
      count: 1,
    };
    heads.tick = tickSeq;
    out.push(this.lastTick);
  }

  /** @param reason a code, at most 40 characters */
  stateChanged(state: number, reason: string, out: MarketOutput): void {
    const seq = out.nextSeq();
    out.push({
      type: 'status',
      symbol: this.symbol,
      seq,
      prevSeq: this.statusHead.status,
      eventTime: out.receiveTime,
      receiveTime: out.receiveTime,
      state: statusWord(state),
      reason,
      missed: 0,
      events: null,
    });
    this.statusHead.status = seq;
  }

  /** Publishes the changes of the ten best levels and of the top. */
  afterCommand(out: MarketOutput): void {
    const changed = this.venue.takeTopChanges();
    if (changed === 0) return;
    if ((changed & (1 << BUY)) !== 0) this.bids = this.venue.top(BUY, BOOK_DEPTH);
    if ((changed & (1 << SELL)) !== 0) this.asks = this.venue.top(SELL, BOOK_DEPTH);
    this.book.publish(this.bids, this.asks, { eventTime: out.receiveTime }, out);
    this.pushBbo(out);
  }

  /** Restores the state of a checkpoint; the venue has been restored before. */
  restore(c: VenueHead): void {
    const { book: head, ...heads } = c.heads;
    Object.assign(this.heads, heads);
    this.lastTick = c.tick;
    this.lastBbo = c.bbo;
    this.clock.present = c.presentTime ?? c.tick?.receiveTime ?? null;
    this.clock.volume = this.recordedVolume = c.tick?.volume ?? 0;
    this.bids = this.venue.top(BUY, BOOK_DEPTH);
    this.asks = this.venue.top(SELL, BOOK_DEPTH);
    this.venue.takeTopChanges();
    if (head === 0) return;
    this.book.restore({ symbol: this.symbol, seq: head, ...c.bookTimes }, this.bids, this.asks);
  }

  /**
   * Recovery: applies the volume of a recorded tick. When a session ended depends on the settings of that time, which are
   * not recorded, so the record decides whether this trade began a session.
   * @returns whether the volume is plausible
   */
  recoverVolume(tick: Tick): boolean {
    const { volume, quantity } = tick;
    const goesOn = volume === addSum(this.recordedVolume, quantity);
    if (!goesOn && volume !== quantity) return false;
    this.clock.volume = this.recordedVolume = volume;
    if (this.lastTick?.seq === tick.seq) this.lastTick = tick;
    return true;
  }

  /** Ends the batch: its last book event gets the checksum of the ten levels. */
  seal(): void {
    this.book.seal();
  }

  private pushBbo(out: MarketOutput): void {
    const { bids, asks, lastBbo } = this;
    const bid = bids.length > 0 ? bids[0]! : null;
    const ask = asks.length > 0 ? asks[0]! : null;
    const bidQuantity = bids.length > 0 ? bids[1]! : 0;
    const askQuantity = asks.length > 0 ? asks[1]! : 0;
    if (
      lastBbo !== null &&
      lastBbo.bid === bid &&
      lastBbo.ask === ask &&
      lastBbo.bidQuantity === bidQuantity &&
      lastBbo.askQuantity === askQuantity
    ) {
      return;
    }
    const seq = out.nextSeq();
    this.lastBbo = {
      type: 'bbo',
      symbol: this.symbol,
      seq,
      prevSeq: this.heads.bbo,
      eventTime: out.receiveTime,
      receiveTime: out.receiveTime,
      bid,
      bidQuantity,
      ask,
      askQuantity,
      count: 1,
      mark: null,
    };
    this.heads.bbo = seq;
    out.push(this.lastBbo);
  }
}

/** Readers see an open venue as a live instrument. */
function statusWord(state: number): Status['state'] {
  const word = STATE_NAMES[state]!;
  return word === STATE_NAMES[OPEN] ? 'live' : word;
}
