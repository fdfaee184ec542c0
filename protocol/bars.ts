/**
 * Bars: open, high, low, close of one instrument's trades for an interval; rules [D2] to [D4].
 *
 * A bar is a function of the set of trades whose market time is in it, in any order: live bars, bars after a restart and
 * bars of history are made by the same function and are equal. Bound: the open bar, and the `RECENT_BARS` that ended last.
 */

import { BAR_INTERVALS } from './messages';
import type { Bar, Trade } from './messages';
import { addSum, type Sum } from './sums';
import { Nanos } from './time';
import { marketTime } from './trade-time';

export type BarInterval = (typeof BAR_INTERVALS)[number];

/** Lengths in seconds; bars begin at multiples of them since 1970. */
export const BAR_SECONDS: Readonly<Record<BarInterval, number>> = {
  '1s': 1,
  '1m': 60,
  '5m': 300,
  '1h': 3_600,
  '1d': 86_400,
};

/** If events are older than this on receipt, the source does not follow the clock. */
const LIVE_LAG_NS_MAX = 10_000_000_000;
/** How much longer than the newest trade a trade may take before the clock ends its bar. */
const GRACE_NS = 1_000_000_000;
/** Number of ended bars that are kept for trades out of order. */
export const RECENT_BARS = 2;

export type TradeFields = Pick<
  Trade,
  'seq' | 'eventTime' | 'receiveTime' | 'price' | 'quantity' | 'timing'
>;

/** Prices and quantities scaled; seq and times are those of the newest trade in it. */
export interface OpenBar {
  readonly interval: BarInterval;
  readonly openTime: Nanos;
  /** The end of the bar, exclusive. */
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
  /** Market time and seq of the trades that gave open and close. */
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

/** Adds a trade to the bar that contains its market time. */
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

/** Whether one trade is later than another: by market time, then by seq. */
function isBehind(at: Nanos, seq: number, otherAt: Nanos, otherSeq: number): boolean {
  const order = at.compare(otherAt);
  return order > 0 || (order === 0 && seq > otherSeq);
}

/** When the clock ends this bar without a later trade; null if its source does not follow the clock. */
export function barEndsByClock(bar: OpenBar): Nanos | null {
  const lag = Math.max(0, bar.receiveTime.since(bar.closeAt));
  return lag > LIVE_LAG_NS_MAX ? null : bar.endTime.plus(lag + GRACE_NS);
}

/** Effects of a trade besides changing the open bar. */
export type BarChange =
  /** It began a new bar, so this one ended. */
  | { readonly ended: OpenBar }
  /** It changed a bar that had ended. */
  | { readonly revised: OpenBar }
  /** It belongs to a bar that is no longer kept; only history has it. */
  | { readonly past: Nanos };

/** Folds trades into bars of one interval. */
export class BarFold {
  readonly interval: BarInterval;
  current: OpenBar | null = null;
  /** The ended bars that are kept, the newest last. */
  recent: OpenBar[] = [];

  constructor(interval: BarInterval) {
    this.interval = interval;
  }

  /** Applies a trade. @returns null if it changed the open bar and nothing else */
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
    // An interval without trades until now: no bar is missing between two kept bars.
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

/** The state of one interval for a checkpoint. */
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
  // The end or a revision of a bar can follow a message of a newer trade.
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
