/** Hydration: what readers and caches know when a start is over, taken from the market and the journal. */

import type { MarketEvent } from '../../protocol/messages';
import type { Broadcaster } from '../broadcast/broadcaster';
import type { Memtable } from '../cache/memtable';
import type { Recorder } from './recorder';

/** Trades that a start reads for L2 over all instruments, at least one each; the others come from L3. */
const HYDRATED_TRADES_MAX = 20_000;

/** Brings caches and readers' state to where the journal ends. @returns the newest event of each kind */
export function hydrate(
  { market, sequencer, journal, statistics }: Recorder,
  memtable: Memtable,
  broadcaster: Broadcaster,
  tradesMax: number,
): readonly MarketEvent[] {
  const instruments = [...market.all()];
  const traded = instruments.filter((instrument) => instrument.tickHead !== 0).length;
  const share = Math.max(1, Math.min(tradesMax, Math.floor(HYDRATED_TRADES_MAX / traded)));
  const newest: MarketEvent[] = [];
  for (const instrument of instruments) {
    const symbol = instrument.definition.symbol;
    newest.push(...instrument.newest());
    if (instrument.tickHead === 0) continue;
    // A long tail had them, and to read them is to prove the blocks that they lie in.
    const held = memtable.newestTrades(symbol, share);
    const trades =
      held.length === share ? held : journal.trades(symbol, instrument.tradeHead + 1, share);
    newest.push(...trades.slice(0, 1));
    memtable.hydrate(symbol, instrument.currentTick(), trades);
  }
  // Of those that were deleted the past is asked for in their scales; their topics have no state.
  const deleted = Array.from(market.deleted(), ({ definition }) => definition);
  broadcaster.hydrate([...newest, ...deleted], sequencer.lastSeq, statistics.state());
  return newest;
}
