/**
 * Bars: open, high, low, close of one instrument's trades, per interval; rules [D1] to [D4].
 *
 * A bar is a function of the trades in the order of their places, and of nothing else: live bars,
 * those after a restart and those of history come from this one fold and are the same. So also the
 * end of a bar by the clock is told from the times that the trades carry. Bounded: one open bar.
 */

import { BAR_INTERVALS } from './messages';
import type { Bar, Trade } from './messages';
import { Nanos } from './time';

export type BarInterval = (typeof BAR_INTERVALS)[number];

/** Seconds since 1970 are cut at whole multiples of these. */
export const BAR_SECONDS: Readonly<Record<BarInterval, number>> = {
  '1s': 1,
  '1m': 60,
  '5m': 300,
  '1h': 3_600,
  '1d': 86_400,
};

/** A source whose events are older than this when they are received does not run with the clock. */
const LIVE_LAG_NS_MAX = 10_000_000_000;
/** How much longer than the newest trade a trade may take and still count to its own bar. */
const GRACE_NS = 1_000_000_000;

export type TradeFields = Pick<Trade, 'seq' | 'eventTime' | 'receiveTime' | 'price' | 'quantity'>;

/** Prices and quantities scaled; place and times are those of the newest trade in it. */
export interface OpenBar {
  readonly interval: BarInterval;
  readonly openTime: Nanos;
  /** The first moment behind it. */
  readonly endTime: Nanos;
  readonly open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  trades: number;
  seq: number;
  eventTime: Nanos;
  receiveTime: Nanos;
}

/** When the clock ends this bar though no trade does; null where its source does not run with it. */
export function barEndsByClock(bar: OpenBar): Nanos | null {
  const lag = Math.max(0, bar.receiveTime.since(bar.eventTime));
  return lag > LIVE_LAG_NS_MAX ? null : bar.endTime.plus(lag + GRACE_NS);
}

/** Folds trades into bars of one interval. */
export class BarFold {
  readonly interval: BarInterval;
  current: OpenBar | null = null;
  private readonly seconds: number;

  constructor(interval: BarInterval) {
    this.interval = interval;
    this.seconds = BAR_SECONDS[interval];
  }

  /** Takes a trade on. @returns the bar that it ended, if it did */
  add(t: TradeFields): OpenBar | null {
    const bar = this.current;
    if (bar === null || t.eventTime.compare(bar.endTime) >= 0) {
      this.begin(t, t.eventTime);
      return bar;
    }
    // The first comparison spares the others for nearly all trades of a live source.
    const over = t.receiveTime.compare(bar.endTime) > 0 ? barEndsByClock(bar) : null;
    if (over !== null && t.receiveTime.compare(over) >= 0) {
      // Its own bar was over when it came: it counts to the one that was open then.
      const lag = over.since(bar.endTime) - GRACE_NS;
      this.begin(t, t.receiveTime.plus(-lag));
      return bar;
    }
    bar.high = Math.max(bar.high, t.price);
    bar.low = Math.min(bar.low, t.price);
    bar.close = t.price;
    bar.volume += t.quantity;
    bar.trades += 1;
    bar.seq = t.seq;
    bar.eventTime = t.eventTime;
    bar.receiveTime = t.receiveTime;
    return null;
  }

  private begin({ seq, eventTime, receiveTime, price, quantity }: TradeFields, at: Nanos): void {
    const openTime = at.floorToSeconds(this.seconds);
    this.current = {
      interval: this.interval,
      openTime,
      endTime: openTime.plus(this.seconds * 1e9),
      open: price,
      high: price,
      low: price,
      close: price,
      volume: quantity,
      trades: 1,
      seq,
      eventTime,
      receiveTime,
    };
  }
}

/** The message of a bar. @param count trades since the message before it on its topic */
export function barMessage(
  symbol: string,
  bar: OpenBar,
  prevSeq: number,
  final: boolean,
  count: number,
): Bar {
  const { endTime: _, ...fields } = bar;
  return { type: 'bar', symbol, prevSeq, ...fields, final, count };
}
