/**
 * Displayed: the data that each view displays: those of the present, or those of the time that time travel
 * is at.
 */

import type { Instrument, TapedeckClient } from '../../client/index';
import { doubtOf, isDoubtful } from './book-doubt';
import type { ChartData } from './chart-data';
import type { ChartSource } from './chart-view';
import type { MarketState, DisplayedBook } from './market-state';
import { moment } from './format';
import type { HeadSource, HeadStats } from './head-view';
import type { LadderSource } from './ladder-view';
import type { PastStats } from './past-figures';
import type { TapeSource } from './tape-view';
import type { TimeTravel } from './time-travel';

export class Displayed {
  private readonly market: MarketState;
  private readonly travel: TimeTravel;
  private readonly chartData: ChartData;
  private readonly client: () => TapedeckClient | undefined;

  constructor(
    market: MarketState,
    travel: TimeTravel,
    chartData: ChartData,
    client: () => TapedeckClient | undefined,
  ) {
    this.market = market;
    this.travel = travel;
    this.chartData = chartData;
    this.client = client;
  }

  get definition(): Instrument | undefined {
    return this.market.row?.definition;
  }

  /** Newest price, scaled; null before the first trade. */
  get last(): number | null {
    const { past } = this.travel;
    if (past === undefined) return this.market.row?.last ?? null;
    return past.trades[0]?.price ?? null;
  }

  head(): HeadSource | undefined {
    const { row, stats } = this.market;
    const { past } = this.travel;
    if (row === undefined) return undefined;
    const { definition, turn } = row;
    const { last } = this;
    if (past !== undefined) {
      const [bid, ask] = topOf(past.book);
      const previousClose = past.stats === undefined ? null : past.stats.previousClose;
      const pastStats = past.stats && statsOf(past.stats);
      return { definition, last, turn: '', bid, ask, previousClose, stats: pastStats };
    }
    const [bid, ask] = isDoubtful(row) ? [null, null] : [row.bid, row.ask];
    const previousClose = stats?.previousClose ?? definition.previousClose;
    return { definition, last, turn, bid, ask, previousClose, stats };
  }

  ladder(): LadderSource {
    const { definition } = this;
    const { past } = this.travel;
    if (past !== undefined) {
      const note = moment(this.travel.displayedTime()).slice(11);
      return { definition, book: past.book, note, doubt: past.doubt };
    }
    const book = definition && this.client()?.book(definition.symbol);
    const { row } = this.market;
    return { definition, book, note: '', doubt: row === undefined ? '' : doubtOf(row) };
  }

  tape(): TapeSource {
    const { definition } = this;
    const { past } = this.travel;
    if (past !== undefined) return { definition, trades: past.trades, note: 'past' };
    const { trades, tapeGap } = this.market;
    return { definition, trades, note: tapeGap ?? '' };
  }

  chart(): ChartSource {
    const { definition, last } = this;
    const { past } = this.travel;
    const markedSeconds = past === undefined ? undefined : this.travel.displayedTime().seconds;
    return { definition, candles: this.chartData.displayed, last, markedSeconds };
  }
}

function statsOf({ fold }: PastStats): HeadStats {
  const { open, high, low, volume, trades } = fold;
  return { open, high, low, volume, trades, vwap: null };
}

function topOf(book: DisplayedBook | undefined): [bid: number | null, ask: number | null] {
  if (book === undefined || !book.trusted) return [null, null];
  return [book.bids[0] ?? null, book.asks[0] ?? null];
}
