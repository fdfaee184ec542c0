/** Source entry: how the events of sources enter the market of this process. */

import type { SourceEntry } from '../base/contracts/core';
import { FeedInstrument } from '../market/feed-instrument';
import type { MarketOutput } from '../market/output';
import type { LocalMarket } from './local-market';

/** Instruments of a source that has gone that are released in one turn, each with three events. */
const RELEASED_AT_ONCE = 32;

export function createSourceEntry({ market, sequencer }: LocalMarket): SourceEntry {
  return {
    refusal: () => sequencer.refusal(),
    submit: (source, events, done, options) => sequencer.submit(source, events, done, options),
    behind: (source) => new Promise((resolve) => sequencer.act(() => {}, resolve, source)),
    yield: (source, owner) => sequencer.act(() => market.yield(source), undefined, source, owner),
    release: (source, owner) => {
      const isWaiting = sequencer.isWaiting(source);
      if (!market.knows(source) && !isWaiting) return;
      if (!isWaiting) market.yield(source);
      const end = (out: MarketOutput): number => {
        market.yield(source);
        return market.release(source, out, RELEASED_AT_ONCE);
      };
      sequencer.act(end, undefined, source, owner || source);
    },
    holderOf: (symbol) => {
      const instrument = market.get(symbol);
      return instrument instanceof FeedInstrument ? instrument.owner : 0;
    },
    isCrowded: (client) => sequencer.isCrowded(client),
  };
}
