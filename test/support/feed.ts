/** What a source of the gateway tests sends, in JSON form: instruments with two and three decimals. */

type Json = Record<string, unknown>;

export function instrument(symbol: string, more: Json = {}): Json {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: '0.01',
    quantityIncrement: '0.001',
    previousClose: null,
    ...more,
  };
}

export function trade(symbol: string, price: string, quantity: string, more: Json = {}): Json {
  return {
    type: 'trade',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: '1700000000123456789',
    receiveTime: '0',
    price,
    quantity,
    aggressor: 'buy',
    tradeId: 0,
    ...more,
  };
}

export type Levels = readonly (readonly [price: string, quantity: string])[];

export function book(
  symbol: string,
  form: 'snapshot' | 'delta' | 'incomplete',
  bids: Levels,
  asks: Levels,
  more: Json = {},
): Json {
  return {
    type: 'book',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: '1700000000123456789',
    receiveTime: '0',
    form,
    bids,
    asks,
    crc: null,
    count: 1,
    ...more,
  };
}

export function tape(...events: readonly Json[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}
