/**
 * Past figures: statistics and candles at a past time. The server has past bars and trades but no past
 * statistics, so this module computes them. It folds the largest bars that lie wholly between the start of
 * the session and the time, and the trades of the second that contains the time.
 */

import { BAR_SECONDS, type BarInterval } from '../../../protocol/bars';
import { addSum, parseSum, type Sum } from '../../../protocol/sums';
import { marketTime, sessionOf } from '../../../protocol/trade-time';
import {
  fetchTrades,
  Nanos,
  parseDecimal,
  type Instrument,
  type RestBar,
  type RestTrades,
} from '../../client/index';
import { readTrade, type TapeTrade } from './market-state';
import type { PastBars } from './past-bars';
import type { TabKey } from './tab-key';

const DAY_SECONDS = 86_400;
const TRADES_AT_ONCE = 500;
/** Largest first. */
const LENGTHS = ['1h', '1m', '1s'] as const;

/** Folds bars and trades in order; prices and quantities scaled. */
export class Fold {
  open: number | null = null;
  high: number | null = null;
  low: number | null = null;
  close: number | null = null;
  volume: Sum = 0;
  trades = 0;

  trade({ price, quantity }: Pick<TapeTrade, 'price' | 'quantity'>): void {
    this.take({ open: price, high: price, low: price, close: price, volume: quantity, trades: 1 });
  }

  bar(bar: RestBar, { priceScale, quantityScale }: Instrument): void {
    const price = (text: string): number => Number(parseDecimal(text, priceScale));
    const [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(price) as [
      number,
      number,
      number,
      number,
    ];
    const volume = parseSum(bar.volume, quantityScale) ?? 0;
    this.take({ open, high, low, close, volume, trades: bar.trades });
  }

  private take(bar: {
    open: number;
    high: number;
    low: number;
    close: number;
    volume: Sum;
    trades: number;
  }): void {
    this.open ??= bar.open;
    this.high = Math.max(this.high ?? bar.high, bar.high);
    this.low = Math.min(this.low ?? bar.low, bar.low);
    this.close = bar.close;
    this.volume = addSum(this.volume, bar.volume);
    this.trades += bar.trades;
  }
}

/** A fold over a period such as a session or a candle. It restarts with the next period. */
export interface Running {
  /** First second of the period. */
  start: number;
  fold: Fold;
}

export interface PastStats extends Running {
  /** Last price of the previous session; null if unknown. */
  previousClose: number | null;
}

export class PastFigures {
  private readonly url: string;
  private readonly key: TabKey;
  private readonly bars: PastBars;
  /** End of a session, in seconds after midnight UTC. */
  private readonly boundarySeconds: number;

  constructor(url: string, key: TabKey, bars: PastBars, boundarySeconds: number) {
    this.url = url;
    this.key = key;
    this.bars = bars;
    this.boundarySeconds = boundarySeconds;
  }

  /** First second of the session that contains a second. */
  sessionStart(second: number): number {
    const session = sessionOf(Nanos.fromSeconds(second, 0), this.boundarySeconds);
    return Math.max(0, session * DAY_SECONDS + this.boundarySeconds);
  }

  /** The newest trades up to a time, newest first. @throws TapedeckError as `fetchTrades` does */
  async trades(definition: Instrument, at: Nanos, limit: number): Promise<TapeTrade[]> {
    const { symbol } = definition;
    const newest = await this.bars.newest(symbol, '1s', at.seconds + 1);
    if (newest === undefined) return [];
    const found = await this.tradesUntil(definition, newest, at, (kept) => kept.length >= limit);
    return found.slice(0, limit);
  }

  /** The statistics of the session so far. @throws TapedeckError as `fetchBars` does */
  async stats(definition: Instrument, at: Nanos): Promise<PastStats> {
    const start = this.sessionStart(at.seconds);
    const before = await this.bars.newest(definition.symbol, '1s', start);
    const close = before && parseDecimal(before.close, definition.priceScale);
    const previousClose = typeof close === 'number' ? close : definition.previousClose;
    return { start, fold: await this.fold(definition, start, at), previousClose };
  }

  /** The candle that contains a time, up to that time. @throws TapedeckError as `fetchBars` does */
  async candle(definition: Instrument, interval: BarInterval, at: Nanos): Promise<Running> {
    const start = at.seconds - (at.seconds % BAR_SECONDS[interval]);
    return { start, fold: await this.fold(definition, start, at) };
  }

  private async fold(definition: Instrument, from: number, at: Nanos): Promise<Fold> {
    const { symbol } = definition;
    const fold = new Fold();
    const end = at.seconds;
    for (const { interval, first, last } of wholeBars(from, end)) {
      const range = { from: first, to: last };
      for (const bar of await this.bars.within(symbol, interval, range)) fold.bar(bar, definition);
    }
    const [partial] = await this.bars.within(symbol, '1s', { from: end, to: end + 1 });
    if (partial === undefined) return fold;
    const isBefore = (trade: TapeTrade | undefined): boolean =>
      trade !== undefined && marketTime(trade).seconds < end;
    const trades = await this.tradesUntil(definition, partial, at, (kept) => isBefore(kept.at(-1)));
    for (const trade of trades.toReversed()) {
      if (!isBefore(trade)) fold.trade(trade);
    }
    return fold;
  }

  /**
   * Yields the trades up to a time, newest first, starting from the newest trade of a bar, until the caller
   * stops.
   */
  private async tradesUntil(
    definition: Instrument,
    { seq }: RestBar,
    at: Nanos,
    isEnough: (kept: readonly TapeTrade[]) => boolean,
  ): Promise<TapeTrade[]> {
    const kept: TapeTrade[] = [];
    let next: string | null = String(seq + 1);
    while (next !== null && !isEnough(kept)) {
      const query = { next, limit: TRADES_AT_ONCE };
      const page: RestTrades = await fetchTrades(
        this.url,
        definition.symbol,
        query,
        this.key.value,
      );
      for (const trade of page.trades.flatMap((one) => readTrade(one, definition))) {
        if (marketTime(trade).compare(at) <= 0) kept.push(trade);
      }
      next = page.next;
    }
    return kept.sort(newestFirst);
  }
}

/** Restarts the fold if a trade belongs to a later session or candle. */
export function advance(running: Running, start: number): void {
  if (start <= running.start) return;
  running.start = start;
  running.fold = new Fold();
}

/** Orders by market time, then by seq, as bars do. */
export function newestFirst(a: TapeTrade, b: TapeTrade): number {
  return marketTime(b).compare(marketTime(a)) || b.seq - a.seq;
}

interface Stretch {
  readonly interval: (typeof LENGTHS)[number];
  readonly first: number;
  readonly last: number;
}

/** Whole bars that fill [from, to), as large as possible, in order. */
function wholeBars(from: number, to: number): Stretch[] {
  const before: Stretch[] = [];
  const after: Stretch[] = [];
  let [first, last] = [from, to];
  for (const interval of LENGTHS.toReversed()) {
    const larger = interval === '1h' ? undefined : interval === '1m' ? 3_600 : 60;
    if (larger === undefined) {
      if (first < last) before.push({ interval, first, last });
      break;
    }
    const up = Math.min(last, Math.ceil(first / larger) * larger);
    if (first < up) before.push({ interval, first, last: up });
    const down = Math.max(up, Math.floor(last / larger) * larger);
    if (down < last) after.unshift({ interval, first: down, last });
    [first, last] = [up, down];
  }
  return [...before, ...after];
}
