/** Instrument: what feed and venue instruments have in common, as the parts behind the market see it. */

import type { Bbo, Book, Instrument, MarketEvent, Status, Tick } from '../../protocol/messages';
import type { BookView } from '../../protocol/records';
import { Nanos } from '../../protocol/time';

export interface MarketInstrument {
  readonly definition: Instrument;
  readonly state: Status['state'];
  /** Sequence number of the newest tick; 0 before the first. */
  readonly tickHead: number;
  /** Sequence number of the newest trade; 0 before the first. */
  readonly tradeHead: number;
  /** Sequence number of the newest book event; 0 before the first. */
  readonly bookHead: number;
  /** Why the ten best levels may be out of date. */
  readonly bookMark: Book['mark'];
  /** The newest tick; before the first trade one made of the previous close, with `seq` 0. */
  currentTick(): Tick | null;
  /** The ten best levels as published; null while they cannot be trusted. */
  bookView(): BookView | null;
  /** The best levels a side of the whole book, flat, best first. */
  levels(depth: number): { readonly bids: number[]; readonly asks: number[] };
  /** The newest event of each topic, as a reader has them. */
  newest(): Iterable<MarketEvent>;
  /** Ends a batch. */
  seal(): void;
}

/** The tick before the first trade, made of the previous close; null without one. */
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
