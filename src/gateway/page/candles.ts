/**
 * Candles: the bars of one instrument and length, keyed by their opening second. Historical and live bars
 * form one series. If a bar has both, the live one is used, unless messages were missed since. A live
 * message for an earlier bar is a revision of it. Bounded: `CANDLES_MAX` candles.
 */

import type { UTCTimestamp } from 'lightweight-charts';

import type { Sum } from '../../../protocol/sums';
import { Nanos, type Bar, type Instrument, type RestBar } from '../../client/index';
import { scaledNumber } from './format';

export const CANDLES_MAX = 5_000;

/** A candle as the chart draws it. Prices are doubles, as they are only used for pixel positions. */
export interface Candle {
  readonly time: UTCTimestamp;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

/** Bar with scaled integers. */
export interface ScaledBar {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: Sum;
}

export class Candles {
  /** Length of a bar. */
  readonly seconds: number;
  private readonly byTime = new Map<UTCTimestamp, Candle>();
  /** Live bars since the last missed message. History has no newer values for them. */
  private readonly live = new Set<UTCTimestamp>();
  /** Candles that changed since they were drawn. */
  private changed = new Map<UTCTimestamp, Candle>();
  private isNew = true;
  private oldestKept = -Infinity;
  private oldestTime = Infinity;

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  get size(): number {
    return this.byTime.size;
  }

  /** Opening second of the oldest candle; undefined without any. */
  get oldest(): number | undefined {
    return this.size === 0 ? undefined : this.oldestTime;
  }

  get(time: number): Candle | undefined {
    return this.byTime.get(time as UTCTimestamp);
  }

  /** Messages were missed, so history replaces earlier live bars. */
  broken(): void {
    this.live.clear();
  }

  /** Adds bars of history; live bars are kept. */
  fill(history: readonly RestBar[]): void {
    for (const bar of history) {
      const time = (Nanos.parse(bar.openTime)?.seconds ?? 0) as UTCTimestamp;
      if (this.live.has(time)) continue;
      this.oldestTime = Math.min(this.oldestTime, time);
      this.byTime.set(time, {
        time,
        open: Number(bar.open),
        high: Number(bar.high),
        low: Number(bar.low),
        close: Number(bar.close),
        volume: Number(bar.volume),
      });
    }
    this.isNew = true;
  }

  take({ openTime, ...bar }: Pick<Bar, 'openTime'> & ScaledBar, definition: Instrument): void {
    const time = openTime.seconds as UTCTimestamp;
    if (time < this.oldestKept) return;
    this.live.add(time);
    this.set(time, bar, definition);
    if (this.byTime.size > CANDLES_MAX) this.trim();
  }

  /** Sets a candle that is not a bar of the server, such as a partial one up to a time within the bar. */
  set(time: number, bar: ScaledBar, { priceScale, quantityScale }: Instrument): void {
    const unit = 10 ** priceScale;
    const candle: Candle = {
      time: time as UTCTimestamp,
      open: bar.open / unit,
      high: bar.high / unit,
      low: bar.low / unit,
      close: bar.close / unit,
      volume: scaledNumber(bar.volume, quantityScale),
    };
    this.oldestTime = Math.min(this.oldestTime, time);
    this.byTime.set(candle.time, candle);
    this.changed.set(candle.time, candle);
  }

  /** A copy with the candles that end at or before this second. */
  until(second: number): Candles {
    const copy = new Candles(this.seconds);
    for (const [time, candle] of this.byTime) {
      if (time + this.seconds > second) continue;
      copy.byTime.set(time, candle);
      copy.oldestTime = Math.min(copy.oldestTime, time);
    }
    return copy;
  }

  sorted(): Candle[] {
    return [...this.byTime.values()].sort((a, b) => a.time - b.time);
  }

  /** The next call of `takeChanges` returns all candles. */
  redraw(): void {
    this.isNew = true;
  }

  /**
   * Returns the candles to draw, oldest first, and clears the list of changes. `all`: these are all candles.
   */
  takeChanges(): { readonly all: boolean; readonly candles: readonly Candle[] } {
    const { isNew, changed } = this;
    this.isNew = false;
    this.changed = new Map();
    if (isNew) return { all: true, candles: this.sorted() };
    return { all: false, candles: [...changed.values()].sort((a, b) => a.time - b.time) };
  }

  /** Removes the oldest fifth. */
  private trim(): void {
    const times = [...this.byTime.keys()].sort((a, b) => a - b);
    for (const time of times.slice(0, CANDLES_MAX / 5)) {
      this.byTime.delete(time);
      this.live.delete(time);
      this.changed.delete(time);
    }
    this.oldestKept = times[CANDLES_MAX / 5]!;
    this.oldestTime = this.oldestKept;
    this.isNew = true;
  }
}
