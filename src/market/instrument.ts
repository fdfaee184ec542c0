/** Instrument: what feed and venue instruments have in common, as the parts behind the market see it. */

import type { Bbo, Instrument, Tick } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { CoreInstrument } from '../base/contracts/core';

export interface MarketInstrument extends CoreInstrument {
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
