/** Head view: the last price and the session statistics of the chosen instrument, now or at a past time. */

import type { BarInterval } from '../../../protocol/bars';
import type { Sum } from '../../../protocol/sums';
import type { Instrument } from '../../client/index';
import { cell, Choice, type Cell } from './dom';
import { count, decimal, decimalOfSum, decimalOrDash, direction, grouped, percent } from './format';
import type { View } from './painter';

const INTERVALS = ['1s', '1m', '5m', '1h', '1d'] as const;
const FIGURES = ['Bid', 'Ask', 'Open', 'High', 'Low', 'VWAP', 'Volume', 'Trades'] as const;

/** Statistics of the session so far; prices scaled. */
export interface HeadStats {
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  /** A decimal; null if unknown. */
  readonly vwap: string | null;
  readonly volume: Sum;
  readonly trades: number;
}

export interface HeadSource {
  readonly definition: Instrument;
  /** Null before the first trade. */
  readonly last: number | null;
  readonly turn: 'up' | 'down' | '';
  /** Null if there is none, or none that is reliable. */
  readonly bid: number | null;
  readonly ask: number | null;
  readonly previousClose: number | null;
  /** Undefined if unknown. */
  readonly stats: HeadStats | undefined;
}

export class HeadView implements View {
  private readonly source: () => HeadSource | undefined;
  private readonly symbol: Cell;
  private readonly last: Cell;
  private readonly change: Cell;
  private readonly intervals: Choice<BarInterval>;
  private readonly figures: Readonly<Record<(typeof FIGURES)[number], Cell>>;

  constructor(
    root: HTMLElement,
    source: () => HeadSource | undefined,
    chooseInterval: (interval: BarInterval) => void,
  ) {
    this.source = source;
    this.symbol = cell(root, 'symbol');
    this.last = cell(root, 'last');
    this.change = cell(root, 'change');
    this.intervals = new Choice(
      INTERVALS.map((interval) => [interval, interval] as const),
      'Length of a bar',
      chooseInterval,
    );
    root.append(this.intervals.element);
    const line = document.createElement('div');
    line.className = 'figures';
    root.append(line);
    const figures = FIGURES.map((name) => {
      const label = cell(line, '').element;
      label.append(`${name} `);
      return [name, cell(label, '', 'b')] as const;
    });
    this.figures = Object.fromEntries(figures) as typeof this.figures;
  }

  pressInterval(interval: BarInterval): void {
    this.intervals.press(interval);
  }

  paint(): void {
    const source = this.source();
    if (source === undefined) return;
    const { definition, last, turn, bid, ask, previousClose, stats } = source;
    const { priceScale, quantityScale, symbol } = definition;
    this.symbol.set(symbol);
    this.last.set(decimalOrDash(last ?? previousClose, priceScale), last === null ? 'muted' : turn);
    const change = last === null || previousClose === null ? null : last - previousClose;
    const sign = change !== null && change > 0 ? '+' : '';
    const text =
      change === null
        ? ''
        : `${sign}${decimal(change, priceScale)}  ${percent(last, previousClose)}`;
    this.change.set(text, direction(last, previousClose));
    const { figures } = this;
    figures.Bid.set(decimalOrDash(bid, priceScale));
    figures.Ask.set(decimalOrDash(ask, priceScale));
    figures.Open.set(decimalOrDash(stats?.open, priceScale));
    figures.High.set(decimalOrDash(stats?.high, priceScale));
    figures.Low.set(decimalOrDash(stats?.low, priceScale));
    figures.VWAP.set(typeof stats?.vwap === 'string' ? shorten(stats.vwap, priceScale) : '–');
    figures.Volume.set(stats === undefined ? '–' : decimalOfSum(stats.volume, quantityScale));
    figures.Trades.set(stats === undefined ? '–' : count(stats.trades));
  }
}

/** A decimal, truncated to this many decimals. */
function shorten(text: string, places: number): string {
  const point = text.indexOf('.');
  if (point < 0) return grouped(text);
  return grouped(text.slice(0, places === 0 ? point : point + 1 + places));
}
