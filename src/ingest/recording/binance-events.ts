/**
 * Events of Binance messages: which kind a message is, and the source event that it becomes.
 * Source of the formats: Binance Spot API, "WebSocket Streams" and "Order book".
 */

import type { Bbo, Book, Instrument, Trade } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import {
  readBoolean,
  readDecimal,
  readId,
  readLevels,
  readMillis,
  readQuantity,
  wrong,
  type Json,
} from './binance-fields';

/** What a message is; `other` when a source has nothing to say by it. */
export function kindOf(
  message: Json,
  data: Json,
): 'depth' | 'quote' | 'trade' | 'snapshot' | 'other' {
  switch (data['e']) {
    case 'depthUpdate':
      return 'depth';
    case 'trade':
      return 'trade';
    case 'bookTicker':
      return 'quote';
    case undefined:
      break;
    default:
      return 'other'; // another stream of the same connection
  }
  const { stream } = message;
  if (typeof stream === 'string') {
    // A stream of partial books looks like a REST snapshot but holds the best levels only.
    return stream.endsWith('@bookTicker') ? 'quote' : 'other';
  }
  if ('lastUpdateId' in data) return 'snapshot';
  if ('B' in data && 'A' in data) return 'quote';
  if ('result' in data || 'error' in data) return 'other'; // answer to a subscription
  throw wrong('e', undefined, 'depthUpdate, bookTicker, trade or a depth snapshot');
}

export function depth(data: Json, instrument: Instrument, receiveTime: Nanos): Book {
  const first = readId(data, 'U', 1);
  const seq = readId(data, 'u', first);
  return {
    type: 'book',
    symbol: instrument.symbol,
    seq,
    prevSeq: first - 1,
    eventTime: readMillis(data, 'E'),
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
    eventTime: receiveTime, // the message has no time of its own
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
    eventTime: receiveTime, // the message has no time of its own
    receiveTime,
    // An empty side comes as price 0 and quantity 0.
    bid: bidQuantity === 0 ? null : bid,
    bidQuantity,
    ask: askQuantity === 0 ? null : ask,
    askQuantity,
    count: 1,
    mark: null,
  };
}

export function trade(data: Json, instrument: Instrument, receiveTime: Nanos): Trade {
  const tradeId = readId(data, 't', 1);
  return {
    type: 'trade',
    symbol: instrument.symbol,
    seq: tradeId,
    prevSeq: tradeId - 1,
    eventTime: readMillis(data, 'T'),
    receiveTime,
    price: readDecimal(data['p'], instrument.priceScale, 'p'),
    quantity: readQuantity(data['q'], instrument.quantityScale, 'q'),
    // m: the buyer was the maker, so the seller took.
    aggressor: readBoolean(data, 'm') ? 'sell' : 'buy',
    tradeId,
    timing: null,
  };
}
