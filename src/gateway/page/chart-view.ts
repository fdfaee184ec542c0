/**
 * Chart view: candles and volume, a line at the newest price, and a line at a past time. A revision of an
 * earlier candle updates that candle.
 */

import {
  CandlestickSeries,
  createChart,
  HistogramSeries,
  LineStyle,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  type UTCTimestamp,
} from 'lightweight-charts';

import type { Instrument } from '../../client/index';
import type { Candle, Candles } from './candles';
import type { View } from './painter';

/** With fewer candles before the left edge, older ones are requested. */
const CANDLES_AHEAD = 20;

export interface ChartSource {
  readonly definition: Instrument | undefined;
  readonly candles: Candles | undefined;
  /** The newest price, scaled. */
  readonly last: number | null;
  /** A past time in seconds, marked by a line. */
  readonly markedSeconds: number | undefined;
}

export interface ChartEvents {
  changed(): void;
  /** The oldest candles have come into view. */
  more(): void;
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
  private readonly source: () => ChartSource;
  /** Times of the candles that are drawn, and the series that they belong to. */
  private drawn = new Set<UTCTimestamp>();
  private drawnOf: Candles | undefined;
  private newest: Candle | undefined;
  private line: IPriceLine | undefined;
  private symbol = '';

  constructor(
    root: HTMLElement,
    moment: HTMLElement,
    source: () => ChartSource,
    events: ChartEvents,
  ) {
    this.root = root;
    this.moment = moment;
    this.source = source;
    this.colours = readColours(root);
    // The library's logo adds a style of its own, which the page's content security policy blocks. The
    // footer of the page has the attribution that its licence requires.
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
    // The library's price line and label follow the newest visible candle; ours follow the newest price.
    this.candles = this.chart.addSeries(CandlestickSeries, {
      borderVisible: false,
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: '',
      priceFormat: { type: 'volume' },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.applyColours();
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      events.changed();
      this.root.dataset['right'] = range?.to.toFixed(0) ?? '';
      if (range !== null && range.from < CANDLES_AHEAD) events.more();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.colours = readColours(root);
      this.applyColours();
      this.drawnOf = undefined;
      events.changed();
    });
  }

  paint(): void {
    const { definition, candles, last, markedSeconds } = this.source();
    if (definition === undefined || candles === undefined) return;
    if (definition.symbol !== this.symbol || candles.seconds !== this.drawnOf?.seconds) {
      this.begin(definition, candles.seconds);
    }
    const { all, candles: changes } = candles.takeChanges();
    const isInserted = ({ time }: Candle): boolean =>
      !this.drawn.has(time) && time < (this.newest?.time ?? 0);
    if (all || candles !== this.drawnOf || changes.some(isInserted)) this.paintAll(candles);
    else this.paintChanges(changes);
    this.paintLast(last, definition);
    this.root.dataset['bars'] = String(candles.size);
    this.root.dataset['newest'] = this.newest === undefined ? '' : describe(this.newest);
    const oldest = candles.get(candles.oldest ?? 0);
    this.root.dataset['oldest'] = oldest === undefined ? '' : describe(oldest);
    this.paintMoment(markedSeconds, candles.seconds);
  }

  /** Another instrument or another length of bars was chosen. */
  private begin({ symbol, priceScale, priceIncrement }: Instrument, seconds: number): void {
    this.symbol = symbol;
    const minMove = priceIncrement / 10 ** priceScale;
    this.candles.applyOptions({ priceFormat: { type: 'price', precision: priceScale, minMove } });
    this.chart.applyOptions({ timeScale: { secondsVisible: seconds < 60 } });
    this.chart.timeScale().resetTimeScale();
    this.chart.priceScale('right').applyOptions({ autoScale: true });
  }

  private paintAll(candles: Candles): void {
    const sorted = candles.sorted();
    this.drawnOf = candles;
    this.drawn = new Set(sorted.map(({ time }) => time));
    this.newest = sorted.at(-1);
    this.candles.setData(sorted);
    this.volumes.setData(sorted.map((candle) => this.volumeOf(candle)));
  }

  private paintChanges(changes: readonly Candle[]): void {
    for (const candle of changes) {
      const isOlder = candle.time < (this.newest?.time ?? 0);
      this.candles.update(candle, isOlder);
      this.volumes.update(this.volumeOf(candle), isOlder);
      this.drawn.add(candle.time);
      if (!isOlder) this.newest = candle;
    }
  }

  /** Draws the newest price, independent of the scroll position. */
  private paintLast(last: number | null, { priceScale }: Instrument): void {
    if (last === null) {
      if (this.line !== undefined) this.candles.removePriceLine(this.line);
      this.line = undefined;
      this.root.dataset['last'] = '';
      return;
    }
    const price = last / 10 ** priceScale;
    const { up, down } = this.colours;
    const color = price < (this.newest?.open ?? price) ? down : up;
    if (this.line === undefined) {
      const style = { lineWidth: 1, lineStyle: LineStyle.Dotted, axisLabelVisible: true } as const;
      this.line = this.candles.createPriceLine({ price, color, ...style, title: '' });
    } else {
      const displayed = this.line.options();
      if (displayed.price !== price || displayed.color !== color)
        this.line.applyOptions({ price, color });
    }
    this.root.dataset['last'] = this.candles.priceFormatter().format(this.line.options().price);
  }

  private paintMoment(seconds: number | undefined, length: number): void {
    // The line needs an existing bar that contains the time; an interval without trades has no bar.
    const x = seconds === undefined ? null : this.coordinateOf(seconds - (seconds % length));
    this.moment.hidden = x === null;
    if (x !== null) this.moment.style.transform = `translateX(${x.toFixed(0)}px)`;
  }

  private coordinateOf(open: number): number | null {
    const scale = this.chart.timeScale();
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

/** For programs that read the page; the library adds members of its own to a candle. */
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
