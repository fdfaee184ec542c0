/**
 * Bars: open, high, low, close of one instrument's trades, per interval.
 *
 * Trades count in the order of their places. One whose event time lies before the open bar (a late
 * one) counts to the open bar, so that what was told as final stays final, and history, which folds
 * the same trades in the same order, arrives at the same bars. Bounded: one open bar an interval.
 */

import { BAR_INTERVALS } from '../../protocol/messages';
import type { Trade } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';

export type BarInterval = (typeof BAR_INTERVALS)[number];

/** Seconds since 1970 are cut at whole multiples of these. */
export const BAR_SECONDS: Readonly<Record<BarInterval, number>> = {
  '1s': 1,
  '1m': 60,
  '5m': 300,
  '1h': 3_600,
  '1d': 86_400,
};

/** Prices and quantities scaled. */
export interface OpenBar {
  readonly interval: BarInterval;
  readonly openTime: Nanos;
  readonly open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  trades: number;
}

export type TradeFields = Pick<Trade, 'eventTime' | 'price' | 'quantity'>;

/** Folds trades into bars of one interval. */
export class BarFold {
  readonly interval: BarInterval;
  current: OpenBar | null = null;

  constructor(interval: BarInterval) {
    this.interval = interval;
  }

  /** Takes a trade on. @returns the bar that it ended, if it did */
  add(t: TradeFields): OpenBar | null {
    const bar = this.current;
    // Comparing with the end first spares the division for all trades of a bar but one.
    if (bar !== null && t.eventTime.since(bar.openTime) < BAR_SECONDS[this.interval] * 1e9) {
      bar.high = Math.max(bar.high, t.price);
      bar.low = Math.min(bar.low, t.price);
      bar.close = t.price;
      bar.volume += t.quantity;
      bar.trades += 1;
      return null;
    }
    this.current = {
      interval: this.interval,
      openTime: t.eventTime.floorToSeconds(BAR_SECONDS[this.interval]),
      open: t.price,
      high: t.price,
      low: t.price,
      close: t.price,
      volume: t.quantity,
      trades: 1,
    };
    return bar;
  }
}

/** All intervals of one instrument. */
export class Bars {
  readonly folds: readonly BarFold[] = BAR_INTERVALS.map((interval) => new BarFold(interval));

  /** Takes a trade on; calls back with each bar that it ended. */
  add(trade: TradeFields, ended: (bar: OpenBar) => void): void {
    for (const fold of this.folds) {
      const bar = fold.add(trade);
      if (bar !== null) ended(bar);
    }
  }
}
