/**
 * Chart data: the candles on the screen. In the present they are history and live bars. For a past time they
 * are the earlier candles, and the part of the current candle up to that time. Older pages are requested as
 * the user scrolls to them. Bounded: two series of `CANDLES_MAX` candles, one page request of each under
 * way.
 */

import { BAR_SECONDS, type BarInterval } from '../../../protocol/bars';
import type { Clock } from '../../base/clock';
import type { Bar, Instrument, Nanos, RestBar, TapedeckError } from '../../client/index';
import { Candles, CANDLES_MAX } from './candles';
import type { PastBars } from './past-bars';
import type { Fold, Running } from './past-figures';

/** Number of bars that are loaded before the user scrolls, as long as the server answers quickly. */
const BARS = 480;
const SLOW_MS = 1_000;
/** Number of bars before a past time that its series must contain. */
const BARS_BEFORE = 120;

interface Series {
  readonly candles: Candles;
  readonly pages: AsyncGenerator<readonly RestBar[]>;
  /** Second up to which the series is complete; infinite for the present. */
  readonly end: number;
  loading: boolean;
  /** Whether history has nothing older. */
  complete: boolean;
}

export interface ChartDataHost {
  changed(): void;
  /** The newest page has few bars. @returns whether the host displays another length instead */
  isShort(bars: number): boolean;
  failed(error: TapedeckError): void;
}

export class ChartData {
  private readonly bars: PastBars;
  private readonly clock: Clock;
  private readonly host: ChartDataHost;
  private symbol = '';
  private interval: BarInterval = '1m';
  private present: Series | undefined;
  private past: Series | undefined;

  constructor(bars: PastBars, clock: Clock, host: ChartDataHost) {
    this.bars = bars;
    this.clock = clock;
    this.host = host;
  }

  get displayed(): Candles | undefined {
    return (this.past ?? this.present)?.candles;
  }

  /** Another instrument or another length of bars was chosen. */
  begin(symbol: string, interval: BarInterval): void {
    this.symbol = symbol;
    this.interval = interval;
    this.past = undefined;
    this.present = this.series(new Candles(BAR_SECONDS[interval]), Infinity, undefined);
    void this.load(this.present, BARS);
  }

  /** Messages were missed: history is requested again. */
  broken(): void {
    if (this.present === undefined) return;
    const { candles } = this.present;
    candles.broken();
    this.present = this.series(candles, Infinity, undefined);
    void this.load(this.present, BARS);
  }

  take(bar: Bar, definition: Instrument): void {
    this.present?.candles.take(bar, definition);
    const { past } = this;
    if (past !== undefined && bar.openTime.seconds + past.candles.seconds <= past.end) {
      past.candles.take(bar, definition); // a revision
    }
  }

  /** Displays the candles up to a past time. */
  seek(at: Nanos): void {
    const step = BAR_SECONDS[this.interval];
    const end = at.seconds - (at.seconds % step);
    const known = [this.past, this.present].find((series) => series && covers(series, end, step));
    if (known === undefined) {
      this.past = this.series(new Candles(step), end, end);
      void this.load(this.past, BARS_BEFORE * 2);
      return;
    }
    const candles = known.candles.until(end);
    this.past = this.series(candles, end, known.candles.oldest ?? end);
    this.past.complete = known.complete;
  }

  /** Sets the candle that contains the past time. */
  setTime({ start, fold }: Running, definition: Instrument): void {
    const bar = scaledOf(fold);
    if (bar !== undefined) this.past?.candles.set(start, bar, definition);
  }

  live(): void {
    this.past = undefined;
    this.present?.candles.redraw();
  }

  /** The oldest candles have come into view. */
  more(): void {
    const series = this.past ?? this.present;
    if (series === undefined || series.loading || series.complete) return;
    if (series.candles.size < CANDLES_MAX * 0.8) void this.load(series, 1);
  }

  private series(candles: Candles, end: number, to: number | undefined): Series {
    const pages = this.bars.pages(this.symbol, this.interval, to);
    return { candles, pages, end, loading: false, complete: false };
  }

  /** Loads pages until there are this many bars more, or until the server is slow. */
  private async load(series: Series, bars: number): Promise<void> {
    series.loading = true;
    try {
      for (let loaded = 0; loaded < bars;) {
        const startedMs = this.clock.monotonicMs();
        const { value, done } = await series.pages.next();
        if (series !== this.present && series !== this.past) return;
        if (done === true) {
          series.complete = true;
          break;
        }
        const isNewest = loaded === 0 && series === this.present;
        loaded += value.length;
        if (isNewest && this.host.isShort(value.length)) return;
        series.candles.fill(value);
        this.host.changed();
        if (this.clock.monotonicMs() - startedMs > SLOW_MS) break;
      }
    } catch (e) {
      series.complete = true; // no further pages after a failed one
      if (series === this.present || series === this.past) this.host.failed(e as TapedeckError);
    } finally {
      series.loading = false;
    }
  }
}

function covers({ candles, end: known, complete }: Series, end: number, step: number): boolean {
  const { oldest } = candles;
  if (end > known || oldest === undefined) return false;
  return complete ? oldest < end : oldest <= end - BARS_BEFORE * step;
}

function scaledOf({ open, high, low, close, volume }: Fold) {
  if (open === null || high === null || low === null || close === null) return undefined;
  return { open, high, low, close, volume };
}
