/** What feed and venue instruments have in common: everything that lies behind the market. */

import type { Bbo, Book, Instrument, MarketEvent, Status, Tick } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import { Nanos } from '../../protocol/time';

export interface MarketInstrument {
  readonly definition: Instrument;
  readonly state: Status['state'];
  /** Place of the newest tick; 0 before the first. */
  readonly tickHead: number;
  /** Place of the newest trade; 0 before the first. */
  readonly tradeHead: number;
  /** Place of the newest book event; 0 before the first. */
  readonly bookHead: number;
  /** Why the ten best levels may not be the present ones. */
  readonly bookMark: Book['mark'];
  /** The newest tick; before the first trade one made of the previous close, at place 0. */
  currentTick(): Tick | null;
  /** The ten best levels as published; null while they may not be trusted. */
  bookView(): BookView | null;
  /** The best levels a side of the whole book, flat, best first. */
  levels(depth: number): { readonly bids: number[]; readonly asks: number[] };
  /** The newest event of each topic, as a reader would hold them. */
  newest(): Iterable<MarketEvent>;
  /** Ends a batch. */
  seal(): void;
}

/** The tick that stands before the first trade, made of the previous close; null without one. */
export function tickBeforeTrades(
  definition: Instrument,
  top: Pick<Bbo, 'bid' | 'ask'> | null,
): Tick | null {
  const { symbol, previousClose } = definition;
  if (previousClose === null) return null;
  return {
    type: 'tick',
    symbol,
    seq: 0,
    prevSeq: 0,
    eventTime: Nanos.ZERO,
    receiveTime: Nanos.ZERO,
    last: previousClose,
    bid: top?.bid ?? null,
    ask: top?.ask ?? null,
    quantity: 0,
    volume: 0,
    count: 0,
  };
}
