/** Hydration: what readers and caches have when a start is over, from the core and its journal. */

import type { MarketEvent } from '../../protocol/messages';
import type { Core } from '../base/contracts/core';
import type { PublisherStart } from '../base/contracts/publisher';
import type { Memtable } from '../cache/memtable';

/** Trades that a start reads for L2 over all instruments, at least one each; the others come from L3. */
const HYDRATED_TRADES_MAX = 20_000;

/** Brings the memtable to where the journal ends. @returns the state there, for publishers */
export function hydrate(core: Core, memtable: Memtable, tradesMax: number): PublisherStart {
  const instruments = [...core.instruments.all()];
  const traded = instruments.filter((instrument) => instrument.tickHead !== 0).length;
  const share = Math.max(1, Math.min(tradesMax, Math.floor(HYDRATED_TRADES_MAX / traded)));
  const newest: MarketEvent[] = [];
  for (const instrument of instruments) {
    const symbol = instrument.definition.symbol;
    newest.push(...instrument.newest());
    if (instrument.tickHead === 0) continue;
    // After a long tail the memtable has them already. Reading them here would prove the blocks that they lie in.
    const held = memtable.newestTrades(symbol, share);
    const trades =
      held.length === share ? held : core.past.trades(symbol, instrument.tradeHead + 1, share);
    newest.push(...trades.slice(0, 1));
    memtable.hydrate(symbol, instrument.currentTick(), trades);
  }
  const deleted = Array.from(core.instruments.deleted(), ({ definition }) => definition);
  const { epoch, lastSeq } = core;
  return { epoch, lastSeq, newest, deleted, statistics: core.statistics.state() };
}
