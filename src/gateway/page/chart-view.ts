/**
 * Chart view: candles and volume, where history and live bars are one series, keyed by the open time
 * of the bar; of a bar that both tell, the live one counts, but for what was told before messages were
 * missed. Bounded: `BARS_MAX` bars.
 */

import {
  CandlestickSeries,
  createChart,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type UTCTimestamp,
} from 'lightweight-charts';

import type { Bar, Instrument, RestBar } from '../../client/index';
import { Nanos } from '../../client/index';
import type { View } from './painter';

const BARS_MAX = 5_000;

interface Candle {
  readonly time: UTCTimestamp;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

interface Colours {
  readonly up: string;
  readonly down: string;
  readonly upSoft: string;
  readonly downSoft: string;
  readonly text: string;
  readonly line: string;
  readonly ground: string;
}

export class ChartView implements View {
  readonly everyMs = 100;
  private readonly root: HTMLElement;
  private readonly moment: HTMLElement;
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<'Candlestick'>;
  private readonly volumes: ISeriesApi<'Histogram'>;
  private colours: Colours;
  private bars = new Map<UTCTimestamp, Candle>();
  /** Bars that came live, without a break since: history knows nothing newer of them. */
  private readonly told = new Set<UTCTimestamp>();
  /** Live bars that are not painted yet. */
  private fresh = new Map<UTCTimestamp, Candle>();
  private whole = true;
  private momentSeconds: number | undefined;
  private seconds = 60;

  constructor(root: HTMLElement, moment: HTMLElement, changed: () => void) {
    this.root = root;
    this.moment = moment;
    this.colours = readColours(root);
    // The library's own logo brings a style of its own, which the page's policy does not let in; the
    // foot of the page says what its licence asks for.
    this.chart = createChart(root, {
      autoSize: true,
      layout: {
        attributionLogo: false,
        fontSize: 11,
        fontFamily: getComputedStyle(root).fontFamily,
      },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4, barSpacing: 9 },
      rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.24 } },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: '',
      priceFormat: { type: 'volume' },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.applyColours();
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(changed);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.colours = readColours(root);
      this.applyColours();
      this.whole = true;
      changed();
    });
  }

  /** Another instrument, or another length of bars. @param seconds length of a bar */
  begin(definition: Instrument, seconds: number): void {
    this.bars = new Map();
    this.fresh = new Map();
    this.told.clear();
    this.whole = true;
    this.seconds = seconds;
    const { priceScale, priceIncrement } = definition;
    this.candles.applyOptions({
      priceFormat: {
        type: 'price',
        precision: priceScale,
        minMove: priceIncrement / 10 ** priceScale,
      },
    });
    this.chart.applyOptions({ timeScale: { secondsVisible: seconds < 60 } });
    this.chart.timeScale().resetTimeScale();
    this.chart.priceScale('right').applyOptions({ autoScale: true });
  }

  /** Messages were missed: of what came before, history knows more. */
  broken(): void {
    this.told.clear();
  }

  /** Bars of history; those that came live since stay. */
  fill(history: readonly RestBar[]): void {
    for (const bar of history) {
      const time = (Nanos.parse(bar.openTime)?.seconds ?? 0) as UTCTimestamp;
      if (this.told.has(time)) continue;
      this.bars.set(time, {
        time,
        open: Number(bar.open),
        high: Number(bar.high),
        low: Number(bar.low),
        close: Number(bar.close),
        volume: Number(bar.volume),
      });
    }
    this.whole = true;
  }

  take(bar: Bar, { priceScale, quantityScale }: Instrument): void {
    const unit = 10 ** priceScale;
    const time = bar.openTime.seconds as UTCTimestamp;
    const candle: Candle = {
      time,
      open: bar.open / unit,
      high: bar.high / unit,
      low: bar.low / unit,
      close: bar.close / unit,
      volume: bar.volume / 10 ** quantityScale,
    };
    this.bars.set(time, candle);
    this.fresh.set(time, candle);
    this.told.add(time);
    if (this.bars.size > BARS_MAX) this.trim();
  }

  /** Forgets the oldest fifth. */
  private trim(): void {
    const sorted = [...this.bars.keys()].sort((a, b) => a - b);
    for (const time of sorted.slice(0, BARS_MAX / 5)) {
      this.bars.delete(time);
      this.told.delete(time);
    }
    this.whole = true;
  }

  /** A line at a past moment; undefined takes it off. */
  mark(seconds: number | undefined): void {
    this.momentSeconds = seconds;
  }

  paint(): void {
    if (this.whole) this.paintWhole();
    else this.paintFresh();
    this.fresh.clear();
    const newest = this.candles.data().at(-1);
    this.root.dataset['bars'] = String(this.bars.size);
    this.root.dataset['newest'] =
      newest === undefined ? '' : describe(this.bars.get(newest.time as UTCTimestamp)!);
    this.paintMoment();
  }

  private paintWhole(): void {
    this.whole = false;
    const sorted = [...this.bars.values()].sort((a, b) => a.time - b.time);
    this.candles.setData(sorted);
    this.volumes.setData(sorted.map((candle) => this.volumeOf(candle)));
  }

  private paintFresh(): void {
    const sorted = [...this.fresh.values()].sort((a, b) => a.time - b.time);
    const newest = this.candles.data().at(-1)?.time as UTCTimestamp | undefined;
    for (const candle of sorted) {
      const older = newest !== undefined && candle.time < newest;
      this.candles.update(candle, older);
      this.volumes.update(this.volumeOf(candle), older);
    }
  }

  private paintMoment(): void {
    const seconds = this.momentSeconds;
    // The line stands within the bar of the moment; an interval without trades has none.
    const x = seconds === undefined ? null : this.coordinateOf(seconds);
    this.moment.hidden = x === null;
    if (x !== null) this.moment.style.transform = `translateX(${x.toFixed(0)}px)`;
  }

  private coordinateOf(seconds: number): number | null {
    const scale = this.chart.timeScale();
    const open = seconds - (seconds % this.seconds);
    const index = scale.timeToIndex(open as UTCTimestamp, true);
    if (index === null) return null;
    const x = scale.logicalToCoordinate(index as never);
    if (x === null || x < 0 || x > scale.width()) return null;
    return x;
  }

  private volumeOf({ time, volume, open, close }: Candle) {
    const { upSoft, downSoft } = this.colours;
    return { time, value: volume, color: close >= open ? upSoft : downSoft };
  }

  private applyColours(): void {
    const { up, down, text, line, ground } = this.colours;
    this.chart.applyOptions({
      layout: { background: { color: ground }, textColor: text },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    this.candles.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
    });
  }
}

/** For whoever reads the page by program; the library adds members of its own to a candle. */
function describe({ time, open, high, low, close, volume }: Candle): string {
  return JSON.stringify({ time, open, high, low, close, volume });
}

function readColours(root: HTMLElement): Colours {
  const style = getComputedStyle(root);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  return {
    up: colour('--up'),
    down: colour('--down'),
    upSoft: colour('--volume-up'),
    downSoft: colour('--volume-down'),
    text: colour('--muted'),
    line: colour('--line-soft'),
    ground: colour('--panel'),
  };
}
