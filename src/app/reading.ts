/** Reading: what REST asks of the market: the newest state, the cache tiers, the past. */

import type { Fault } from '../../protocol/codes';
import { BOOK_DEPTH } from '../../protocol/units';
import type { Core } from '../base/contracts/core';
import type { Memtable } from '../cache/memtable';
import { Tiers } from '../cache/tiers';
import type { PastSource } from '../gateway/rest/history-queries';
import { Queries } from '../gateway/rest/queries';
import type { History } from '../journal/history/history';
import type { AnswerTo, PastQuestion } from '../journal/history/messages';
import { FeedInstrument } from '../market/feed-instrument';
import type { MarketInstrument } from '../market/instrument';
import type { Ground } from './ground';

export interface Reading {
  readonly tiers: Tiers;
  readonly queries: Queries<MarketInstrument>;
}

export function createReading(
  { config, limits, clock, slices }: Ground,
  core: Core<MarketInstrument>,
  memtable: Memtable,
  history: History,
): Reading {
  const { instruments, statistics } = core;
  const tiers = new Tiers(config.cache, clock, memtable);
  const askL3 = <Q extends PastQuestion>(question: Q): Promise<AnswerTo<Q> | Fault> => {
    tiers.counters.l3[question.kind] += 1;
    return history.ask<Q>({ ...question, blocksMax: limits.pastBlocksMax });
  };
  const sources = {
    instrument: (symbol: string) => instruments.get(symbol),
    known: (symbol: string) => instruments.known(symbol),
    instruments: () => instruments.all(),
    tick: (instrument: MarketInstrument) => tiers.tick(instrument),
    book: (instrument: MarketInstrument) => tiers.book(instrument),
    stats: ({ definition }: MarketInstrument) =>
      statistics.of(definition.symbol).session.message(definition, 0, 1),
    depthKnown: (instrument: MarketInstrument) =>
      instrument instanceof FeedInstrument && instrument.isTruncated ? BOOK_DEPTH : null,
    intake: (instrument: MarketInstrument) =>
      instrument instanceof FeedInstrument ? instrument.intake : null,
    trades: (...of: Parameters<Tiers['trades']>) => tiers.trades(...of),
    ticks: (...of: Parameters<Tiers['ticks']>) => tiers.ticks(...of),
    past: pastSource(askL3, limits, clock),
    get epoch() {
      return core.epoch;
    },
    lastSeq: () => core.lastSeq,
  };
  return { tiers, queries: new Queries<MarketInstrument>(sources, clock, slices) };
}

type AskL3 = <Q extends PastQuestion>(question: Q) => Promise<AnswerTo<Q> | Fault>;

function pastSource(
  ask: AskL3,
  limits: Pick<Ground['limits'], 'barTradesMax'>,
  clock: Ground['clock'],
): PastSource {
  return {
    book: (symbol, at) => ask({ kind: 'book', symbol, at }),
    trades: (symbol, before, limit) => ask({ kind: 'trades', symbol, before, limit }),
    ticks: (symbol, range, after, limit) => ask({ kind: 'ticks', symbol, ...range, after, limit }),
    bars: (symbol, interval, range, limit) => {
      const { barTradesMax: tradesMax } = limits;
      const now = clock.now();
      return ask({ kind: 'bars', symbol, interval, ...range, limit, tradesMax, now });
    },
  };
}
