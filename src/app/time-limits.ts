/** Time limits: how far the times of an instrument may be from the present, by the settings. */

import type { Config, ConfiguredInstrument } from '../config/config';
import type { TimeLimits } from '../market/trade-clock';

/** @returns the limits of an instrument: its own, or those of `[market]` */
export function timeLimitsOf({ market, instruments }: Config): (symbol: string) => TimeLimits {
  const { sessionBoundary } = market;
  const limitsOf = (own: Partial<ConfiguredInstrument>): TimeLimits => ({
    timeAheadMs: own.timeAheadMs ?? market.timeAheadMs,
    latenessMs: own.latenessMs ?? market.latenessMs,
    sessionBoundary,
  });
  const all = limitsOf({});
  const named = new Map(instruments.map((own) => [own.symbol, limitsOf(own)]));
  return (symbol) => named.get(symbol) ?? all;
}
