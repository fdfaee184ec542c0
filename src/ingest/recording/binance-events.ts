/**
 * Events of Binance messages: which kind a message is, and the source event that it becomes.
 * Source of the formats: Binance Spot API, "WebSocket Streams" and "Order book"; USD-M and COIN-M
 * Futures, "WebSocket Market Streams".
 */

import type { Bbo, Book, Instrument, Trade } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import {
  readBoolean,
  readDecimal,
  readId,
  readLevels,
  readQuantity,
  readTimeOf,
  wrong,
  type Json,
} from './binance-fields';
import type { BookMarket } from './markets';

export type BinanceKind = 'depth' | 'quote' | 'trade' | 'aggregate' | 'snapshot';

/** The kind of a message, or the reason why it holds no source event. */
export function kindOf(message: Json, data: Json): BinanceKind | { readonly skip: string } {
  const { stream } = message;
  switch (data['e']) {
    case 'depthUpdate':
      return isPartial(stream) ? PARTIAL_DEPTH : 'depth';
    case 'trade':
      return 'trade';
    case 'aggTrade':
      return 'aggregate';
    case 'bookTicker':
      return 'quote';
    case undefined:
      break;
    default:
      return { skip: word(data['e']) }; // another stream of the same connection
  }
  if (typeof stream === 'string') {
    if (stream.endsWith('@bookTicker')) return 'quote';
    // A stream of partial books looks like a REST snapshot but holds the best levels only.
    return isPartial(stream) ? PARTIAL_DEPTH : { skip: word(stream.split('@')[1]) };
  }
  if ('lastUpdateId' in data) return 'snapshot';
  if ('B' in data && 'A' in data) return 'quote';
  if ('result' in data || 'error' in data) return { skip: 'answer' }; // to a subscription
  throw wrong('e', undefined, 'depthUpdate, bookTicker, trade, aggTrade or a depth snapshot');
}

const PARTIAL_DEPTH = { skip: 'partial-depth' } as const;

function isPartial(stream: unknown): boolean {
  return typeof stream === 'string' && /@depth(5|10|20)(@|$)/.test(stream);
}

/** The market whose messages alone have this form; undefined if both markets share it. */
export function marketOf(kind: BinanceKind, data: Json): BookMarket | undefined {
  switch (kind) {
    case 'depth':
      return 'pu' in data ? 'futures' : 'spot';
    case 'quote':
      return 'e' in data ? 'futures' : 'spot';
    case 'trade':
      if ('X' in data) return 'futures';
      return 'M' in data ? 'spot' : undefined;
    case 'aggregate':
      return 'M' in data ? 'spot' : undefined;
    case 'snapshot':
      return 'E' in data ? 'futures' : undefined;
  }
}

function word(kind: unknown): string {
  return typeof kind === 'string' && /^\w{1,24}$/.test(kind) ? kind : 'other-stream';
}

/** A spot diff follows the one before it by `U`; one of futures names the end of the last one in `pu`. */
export function depth(data: Json, instrument: Instrument, receiveTime: Nanos): Book {
  const first = readId(data, 'U', 1);
  const seq = readId(data, 'u', first);
  return {
    type: 'book',
    symbol: instrument.symbol,
    seq,
    prevSeq: 'pu' in data ? readId(data, 'pu', 0) : first - 1,
    eventTime: readTimeOf(data, 'E'),
    receiveTime,
    form: 'delta',
    bids: readLevels(data, 'b', instrument),
    asks: readLevels(data, 'a', instrument),
    crc: null,
    count: 1,
    mark: null,
  };
}

export function snapshot(data: Json, instrument: Instrument, receiveTime: Nanos): Book {
  return {
    type: 'book',
    symbol: instrument.symbol,
    seq: readId(data, 'lastUpdateId', 1),
    prevSeq: 0,
    eventTime: ownTime(data, receiveTime),
    receiveTime,
    form: 'snapshot',
    bids: readLevels(data, 'bids', instrument),
    asks: readLevels(data, 'asks', instrument),
    crc: null,
    count: 1,
    mark: null,
  };
}

export function quote(data: Json, instrument: Instrument, receiveTime: Nanos): Bbo {
  const { priceScale, quantityScale } = instrument;
  const bidQuantity = readQuantity(data['B'], quantityScale, 'B');
  const askQuantity = readQuantity(data['A'], quantityScale, 'A');
  const bid = readDecimal(data['b'], priceScale, 'b');
  const ask = readDecimal(data['a'], priceScale, 'a');
  return {
    type: 'bbo',
    symbol: instrument.symbol,
    seq: readId(data, 'u', 1),
    prevSeq: 0,
    eventTime: ownTime(data, receiveTime),
    receiveTime,
    // An empty side has price 0 and quantity 0.
    bid: bidQuantity === 0 ? null : bid,
    bidQuantity,
    ask: askQuantity === 0 ? null : ask,
    askQuantity,
    count: 1,
    mark: null,
  };
}

/** Quotes and snapshots of futures have a time of their own, those of spot have none. */
function ownTime(data: Json, receiveTime: Nanos): Nanos {
  return 'E' in data ? readTimeOf(data, 'E') : receiveTime;
}

/** @param idField `t` of a trade, `a` of an aggregate of trades */
export function trade(
  data: Json,
  instrument: Instrument,
  receiveTime: Nanos,
  idField: 't' | 'a',
): Trade {
  const tradeId = readId(data, idField, 0); // the first of a listing is 0
  return {
    type: 'trade',
    symbol: instrument.symbol,
    seq: tradeId,
    prevSeq: Math.max(0, tradeId - 1),
    eventTime: readTimeOf(data, 'T'),
    receiveTime,
    price: readDecimal(data['p'], instrument.priceScale, 'p'),
    quantity: readQuantity(data['q'], instrument.quantityScale, 'q'),
    // m: the buyer was the maker, so the seller took.
    aggressor: readBoolean(data, 'm') ? 'sell' : 'buy',
    tradeId,
    timing: null,
  };
}
