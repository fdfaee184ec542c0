/**
 * Bars: open, high, low, close of one instrument's trades, per interval; rules [D2] to [D4].
 *
 * A bar is a function of the set of trades whose market time lies in it, whatever order they came in: live
 * bars, those after a restart and those of history are made by the same function and are the same.
 * Bounded: the open bar, and the `RECENT_BARS` that ended last.
 */

import { BAR_INTERVALS } from './messages';
import type { Bar, Trade } from './messages';
import { addSum, type Sum } from './sums';
import { Nanos } from './time';
import { marketTime } from './trade-time';

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
/** How much longer than the newest trade a trade may take before the clock ends its bar. */
const GRACE_NS = 1_000_000_000;
/** Ended bars that are kept, so that trades out of order still find theirs. */
export const RECENT_BARS = 2;

export type TradeFields = Pick<
  Trade,
  'seq' | 'eventTime' | 'receiveTime' | 'price' | 'quantity' | 'timing'
>;

/** Prices and quantities scaled; seq and times are those of the newest trade in it. */
export interface OpenBar {
  readonly interval: BarInterval;
  readonly openTime: Nanos;
  /** The first moment behind it. */
  readonly endTime: Nanos;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: Sum;
  trades: number;
  seq: number;
  eventTime: Nanos;
  receiveTime: Nanos;
  /** Market time and seq of the trades that open and close are the prices of. */
  openAt: Nanos;
  openSeq: number;
  closeAt: Nanos;
  closeSeq: number;
}

/** A bar of one trade. */
export function barOf(interval: BarInterval, t: TradeFields): OpenBar {
  const { seq, eventTime, receiveTime, price, quantity } = t;
  const at = marketTime(t);
  const seconds = BAR_SECONDS[interval];
  const openTime = at.floorToSeconds(seconds);
  return {
    interval,
    openTime,
    endTime: openTime.plus(seconds * 1e9),
    open: price,
    high: price,
    low: price,
    close: price,
    volume: quantity,
    trades: 1,
    seq,
    eventTime,
    receiveTime,
    openAt: at,
    openSeq: seq,
    closeAt: at,
    closeSeq: seq,
  };
}

/** Adds a trade to the bar that its market time lies in. */
export function addToBar(bar: OpenBar, t: TradeFields, at: Nanos): void {
  const { price, seq } = t;
  if (price > bar.high) bar.high = price;
  if (price < bar.low) bar.low = price;
  if (isBehind(at, seq, bar.closeAt, bar.closeSeq)) {
    bar.close = price;
    bar.closeAt = at;
    bar.closeSeq = seq;
  } else if (isBehind(bar.openAt, bar.openSeq, at, seq)) {
    bar.open = price;
    bar.openAt = at;
    bar.openSeq = seq;
  }
  bar.volume = addSum(bar.volume, t.quantity);
  bar.trades += 1;
  if (seq < bar.seq) return;
  bar.seq = seq;
  bar.eventTime = t.eventTime;
  bar.receiveTime = t.receiveTime;
}

/** Whether one trade is later than another: by market time, and where that is the same by seq. */
function isBehind(at: Nanos, seq: number, otherAt: Nanos, otherSeq: number): boolean {
  const order = at.compare(otherAt);
  return order > 0 || (order === 0 && seq > otherSeq);
}

/** When the clock ends this bar though no trade does; null where its source does not run with it. */
export function barEndsByClock(bar: OpenBar): Nanos | null {
  const lag = Math.max(0, bar.receiveTime.since(bar.closeAt));
  return lag > LIVE_LAG_NS_MAX ? null : bar.endTime.plus(lag + GRACE_NS);
}

/** What a trade did besides changing the open bar. */
export type BarChange =
  /** It began another, so this one is over. */
  | { readonly ended: OpenBar }
  /** It changed a bar that was over. */
  | { readonly revised: OpenBar }
  /** It lies in a bar that is not kept any more, and which only history can tell. */
  | { readonly past: Nanos };

/** Folds trades into bars of one interval. */
export class BarFold {
  readonly interval: BarInterval;
  current: OpenBar | null = null;
  /** Those before it, the newest last. */
  recent: OpenBar[] = [];

  constructor(interval: BarInterval) {
    this.interval = interval;
  }

  /** Takes a trade on. @returns null where it changed the open bar and nothing else */
  add(t: TradeFields): BarChange | null {
    const at = marketTime(t);
    const { current } = this;
    if (current === null) {
      this.current = barOf(this.interval, t);
      return null;
    }
    if (at.compare(current.endTime) >= 0) {
      this.current = barOf(this.interval, t);
      this.recent.push(current);
      if (this.recent.length > RECENT_BARS) this.recent.shift();
      return { ended: current };
    }
    if (at.compare(current.openTime) < 0) return this.addToRecent(t, at);
    addToBar(current, t, at);
    return null;
  }

  private addToRecent(t: TradeFields, at: Nanos): BarChange {
    const { recent } = this;
    let index = recent.length - 1;
    while (index >= 0 && at.compare(recent[index]!.openTime) < 0) index -= 1;
    const bar = recent[index];
    if (bar === undefined) return { past: at.floorToSeconds(BAR_SECONDS[this.interval]) };
    if (at.compare(bar.endTime) < 0) {
      addToBar(bar, t, at);
      return { revised: bar };
    }
    // An interval without trades until now: between two bars that are kept nothing is missing.
    const added = barOf(this.interval, t);
    recent.splice(index + 1, 0, added);
    if (recent.length > RECENT_BARS) recent.shift();
    return { revised: added };
  }

  state(): BarFoldState {
    const copy = (bar: OpenBar): OpenBar => ({ ...bar });
    return { current: this.current && copy(this.current), recent: this.recent.map(copy) };
  }

  restore({ current, recent }: BarFoldState): void {
    this.current = current && { ...current };
    this.recent = recent.map((bar) => ({ ...bar }));
  }
}

/** What a checkpoint keeps of one interval. */
export interface BarFoldState {
  readonly current: OpenBar | null;
  readonly recent: readonly OpenBar[];
}

/** The message of a bar. @param count trades since the message before it on its topic */
export function barMessage(
  symbol: string,
  bar: OpenBar,
  prevSeq: number,
  final: boolean,
  count: number,
): Bar {
  const { interval, openTime, open, high, low, close, volume, trades } = bar;
  // What ends or revises a bar may come behind a message of a newer trade.
  const seq = Math.max(bar.seq, prevSeq);
  const { eventTime, receiveTime } = bar;
  return {
    type: 'bar',
    symbol,
    seq,
    prevSeq,
    eventTime,
    receiveTime,
    interval,
    openTime,
    open,
    high,
    low,
    close,
    volume,
    trades,
    final,
    count,
  };
}
