/** Random trades of one instrument in the order of seq: late ones, pauses, lags, and changes of the day. */

import type { Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { Prng } from '../../src/base/prng';
import { trade } from '../support/market-events';

export interface TradeOptions {
  readonly priceMax?: number;
  readonly symbol?: string;
  /** The least delay between the source and the server, in nanoseconds. */
  readonly lagNs?: number;
}

const MS = 1_000_000;
const PAUSES_MS = [0, 1, 40, 400, 1_000, 2_500, 61_000, 400_000, 4_000_000, 90_000_000];

/** Trades from a time on; their seqs are odd numbers from `seq` on. */
export function randomTrades(
  random: Prng,
  count: number,
  { priceMax = 1_000_000, symbol = 'ACME', lagNs = 200 * MS }: TradeOptions = {},
): Trade[] {
  let now = Nanos.fromSeconds(1_700_000_000 + random.int(0, 86_400), random.int(0, 999_999_999));
  return Array.from({ length: count }, (_, i) => {
    const pause = PAUSES_MS[Math.min(random.int(0, 9), random.int(0, 9), random.int(0, 9))]!;
    now = now.plus(pause * MS);
    if (random.chance(0.2)) now = now.floorToSeconds(random.chance(0.5) ? 1 : 60); // at a boundary
    // Some are late by less or more than the grace, and a few are ahead of the clock of the server.
    const late = random.chance(0.1) ? random.int(0, 5_000) * MS : 0;
    const ahead = random.chance(0.05) ? random.int(0, 3_000) * MS : 0;
    const price = random.int(-priceMax, priceMax);
    const quantity = random.chance(0.05) ? 0 : random.int(1, priceMax);
    const eventTime = now.plus(ahead - late - lagNs - random.int(0, 100) * MS);
    return trade({ symbol, seq: i * 2 + 1, eventTime, receiveTime: now, price, quantity });
  });
}
