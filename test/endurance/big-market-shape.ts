/** Shape of the big market: what its source sends, as a function of numbers, so that a reader can check it. */

import type { Book, Instrument, Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

const SPREAD = 20;
const PRICE_FIRST = 1_000_000;

export function symbolOf(instrument: number): string {
  return `BIG${String(instrument).padStart(5, '0')}`;
}

export function instrumentOf(symbol: string): number {
  return Number(symbol.slice(3));
}

export function definitionOf(instrument: number): Instrument {
  return {
    type: 'instrument',
    symbol: symbolOf(instrument),
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
    shard: null,
  };
}

/** The n-th trade of an instrument, counted from 1. */
export function tradeOf(instrument: number, n: number, eventTime: Nanos): Trade {
  return {
    type: 'trade',
    symbol: symbolOf(instrument),
    seq: n,
    prevSeq: n - 1,
    eventTime,
    receiveTime: Nanos.ZERO,
    price: tradePrice(instrument, n),
    quantity: tradeQuantity(instrument, n),
    aggressor: n % 2 === 0 ? 'buy' : 'sell',
    tradeId: n,
    timing: null,
  };
}

export function tradePrice(instrument: number, n: number): number {
  return priceOf(instrument) + ((n * 7) % (2 * SPREAD + 1)) - SPREAD;
}

export function tradeQuantity(instrument: number, n: number): number {
  return 1 + ((instrument + n * 13) % 97);
}

export function snapshotOf(instrument: number, levels: number, eventTime: Nanos): Book {
  const side = (sign: -1 | 1): number[] => {
    const flat = new Array<number>(2 * levels);
    for (let i = 0; i < levels; i++) {
      flat[2 * i] = levelPrice(instrument, sign, i);
      flat[2 * i + 1] = 1 + ((instrument + i) % 50);
    }
    return flat;
  };
  return bookOf(instrument, 'snapshot', 1, eventTime, side(-1), side(1));
}

/** The n-th change of a book, from 2 on: one level of each side, which stays there. */
export function deltaOf(
  instrument: number,
  n: number,
  bid: number,
  ask: number,
  eventTime: Nanos,
): Book {
  const quantity = 1 + ((n * 31) % 89);
  const bids = [levelPrice(instrument, -1, bid), quantity];
  return bookOf(instrument, 'delta', n, eventTime, bids, [
    levelPrice(instrument, 1, ask),
    quantity,
  ]);
}

function bookOf(
  instrument: number,
  form: Book['form'],
  seq: number,
  eventTime: Nanos,
  bids: number[],
  asks: number[],
): Book {
  return {
    type: 'book',
    symbol: symbolOf(instrument),
    seq,
    prevSeq: form === 'snapshot' ? 0 : seq - 1,
    eventTime,
    receiveTime: Nanos.ZERO,
    form,
    bids,
    asks,
    crc: null,
    count: 1,
    mark: null,
  };
}

function priceOf(instrument: number): number {
  return PRICE_FIRST + (instrument % 1_000) * 10;
}

function levelPrice(instrument: number, sign: -1 | 1, i: number): number {
  return priceOf(instrument) + sign * (SPREAD + 1 + i);
}
