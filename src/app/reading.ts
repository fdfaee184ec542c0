/** Reading: what REST asks of the market: the newest state, the cache tiers, the past. */

import type { Fault } from '../../protocol/codes';
import { BOOK_DEPTH } from '../../protocol/units';
import type { CoreInstruments, CoreStatistics } from '../base/contracts/core';
import type { Memtable } from '../cache/memtable';
import { Tiers, type RecentTrades } from '../cache/tiers';
import type { PastSource } from '../gateway/rest/history-queries';
import { Queries } from '../gateway/rest/queries';
import type { AnswerTo, PastQuestion } from '../journal/history/messages';
import { FeedInstrument } from '../market/feed-instrument';
import type { MarketInstrument } from '../market/instrument';
import type { Ground } from './ground';
import type { PastQuestions } from './past';
import { namedDefinition } from './sharded-core';
import type { Shards } from './shards';

export interface Reading {
  readonly tiers: Tiers;
  readonly queries: Queries<MarketInstrument>;
}

export function createReading(
  { config, limits, clock, slices }: Ground,
  shards: Shards,
  {
    instruments,
    statistics,
  }: {
    readonly instruments: CoreInstruments<MarketInstrument>;
    readonly statistics: CoreStatistics;
  },
  history: PastQuestions,
): Reading {
  const tiers = new Tiers(config.cache, clock, recentOf(shards));
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
    named: ({ definition }: MarketInstrument) =>
      namedDefinition(definition, shards.of(definition.symbol).name),
    numbersOf: (symbol: string) => shards.of(symbol).core,
    newest: () => newestOf(shards),
  };
  return { tiers, queries: new Queries<MarketInstrument>(sources, clock, slices) };
}

/** The memtable of the shard of a symbol. */
function recentOf(shards: Shards): RecentTrades {
  if (shards.all.length === 1) return shards.first.memtable;
  const of = (symbol: string): Memtable => shards.of(symbol).memtable;
  return {
    newestTick: (symbol) => of(symbol).newestTick(symbol),
    trades: (symbol, ...rest) => of(symbol).trades(symbol, ...rest),
    ticks: (symbol, ...rest) => of(symbol).ticks(symbol, ...rest),
  };
}

/** As in `welcome`: of several shards each has a position of its own. */
function newestOf(shards: Shards) {
  const isOne = shards.all.length === 1;
  const { epoch, lastSeq } = isOne ? shards.first.core : { epoch: 0, lastSeq: 0 };
  if (shards.names.length === 0) return { seq: lastSeq, epoch };
  const all = shards.all.map(({ name, core }) => ({
    shard: name,
    epoch: core.epoch,
    seq: core.lastSeq,
  }));
  return { seq: lastSeq, epoch, shards: all };
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
