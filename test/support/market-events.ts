/** Source events for the tests of market, sequencer and journal, and an output that collects. */

import type { Bbo, Book, Instrument, MarketEvent, Mark, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { FeedInstrument } from '../../src/market/feed-instrument';
import { Market } from '../../src/market/market';
import type { MarketOutput } from '../../src/market/output';

export const SYMBOL = 'ACME';
/** The start time; `at(n)` is n microseconds later. */
const START = Nanos.fromSeconds(1_700_000_000, 123_456_789);

export function at(micros: number): Nanos {
  return START.plus(micros * 1000);
}

export function instrument(symbol = SYMBOL, more: Partial<Instrument> = {}): Instrument {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
    ...more,
    shard: null,
  };
}

export function trade(more: Partial<Trade> = {}): Trade {
  return {
    type: 'trade',
    symbol: SYMBOL,
    seq: 0,
    prevSeq: 0,
    eventTime: at(0),
    receiveTime: Nanos.ZERO,
    price: 10_000,
    quantity: 5,
    aggressor: 'buy',
    tradeId: 0,
    timing: null,
    ...more,
  };
}

/** @param bids flat: price, quantity … @param asks like bids */
export function book(
  form: Book['form'],
  seq: number,
  prevSeq: number,
  bids: number[] = [],
  asks: number[] = [],
  more: Partial<Book> = {},
): Book {
  return {
    type: 'book',
    symbol: SYMBOL,
    seq,
    prevSeq,
    eventTime: at(seq),
    receiveTime: Nanos.ZERO,
    form,
    bids,
    asks,
    crc: null,
    count: 1,
    mark: null,
    ...more,
  };
}

/** @param bid price and quantity, or null for an empty side @param ask like bid */
export function bbo(
  seq: number,
  bid: readonly [number, number] | null,
  ask: readonly [number, number] | null,
  more: Partial<Bbo> = {},
): Bbo {
  return {
    type: 'bbo',
    symbol: SYMBOL,
    seq,
    prevSeq: 0,
    eventTime: at(seq),
    receiveTime: Nanos.ZERO,
    bid: bid === null ? null : bid[0],
    bidQuantity: bid === null ? 0 : bid[1],
    ask: ask === null ? null : ask[0],
    askQuantity: ask === null ? 0 : ask[1],
    count: 1,
    mark: null,
    ...more,
  };
}

export function mark(more: Partial<Mark> = {}): Mark {
  return {
    type: 'mark',
    symbol: SYMBOL,
    seq: 0,
    prevSeq: 0,
    eventTime: at(0),
    receiveTime: Nanos.ZERO,
    price: 10_000,
    index: 9_998,
    fundingRate: '-0.0001',
    fundingTime: at(3_600_000_000),
    openInterest: 81_234,
    count: 1,
    ...more,
  };
}

export function newMarket(instrumentsMax = 10): Market {
  return new Market({ instrumentsMax, endedOrdersMax: 100 });
}

/** The feed instrument of a market. @throws Error when there is none */
export function feedOf(market: Market, symbol = SYMBOL): FeedInstrument {
  const found = market.get(symbol);
  if (found instanceof FeedInstrument) return found;
  throw new Error(`${symbol} is not fed`);
}

/** Collects the events of a market, and numbers them as the sequencer does. */
export class Collected implements MarketOutput {
  receiveTime = at(1_000_000);
  seq: number;
  events: MarketEvent[] = [];

  constructor(lastSeq = 0) {
    this.seq = lastSeq;
  }

  nextSeq(): number {
    return ++this.seq;
  }

  push(event: BatchEvent): void {
    if (event.type === 'command' || event.type === 'snapshot') {
      throw new Error(`a source gives no ${event.type}`);
    }
    if (event.seq !== this.seq) throw new Error(`seq ${event.seq} is pushed at ${this.seq}`);
    this.events.push(event);
  }

  /** The events since the last call. */
  take(): MarketEvent[] {
    const { events } = this;
    this.events = [];
    return events;
  }
}
