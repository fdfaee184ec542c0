/** Head view: the chosen instrument: its last price, and the session so far. */

import type { BarInterval } from '../../../protocol/bars';
import type { Desk } from './desk';
import { cell, Choice, type Cell } from './dom';
import { count, decimal, decimalOrDash, direction, grouped, percent } from './format';
import type { View } from './painter';

const INTERVALS = ['1s', '1m', '5m', '1h', '1d'] as const;
const FIGURES = ['Open', 'High', 'Low', 'VWAP', 'Volume', 'Trades'] as const;

export class HeadView implements View {
  private readonly desk: Desk;
  private readonly symbol: Cell;
  private readonly last: Cell;
  private readonly change: Cell;
  private readonly intervals: Choice<BarInterval>;
  private readonly figures: Readonly<Record<(typeof FIGURES)[number], Cell>>;

  constructor(root: HTMLElement, desk: Desk, chooseInterval: (interval: BarInterval) => void) {
    this.desk = desk;
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
    const { row, stats } = this.desk;
    if (row === undefined) return;
    const { priceScale, quantityScale, symbol } = row.definition;
    const before = stats?.previousClose ?? row.definition.previousClose;
    const { last } = row;
    this.symbol.set(symbol);
    this.last.set(decimalOrDash(last ?? before, priceScale), last === null ? 'muted' : row.turn);
    const change = last === null || before === null ? null : last - before;
    const sign = change !== null && change > 0 ? '+' : '';
    const text =
      change === null ? '' : `${sign}${decimal(change, priceScale)}  ${percent(last, before)}`;
    this.change.set(text, direction(last, before));
    const { figures } = this;
    figures.Open.set(decimalOrDash(stats?.open, priceScale));
    figures.High.set(decimalOrDash(stats?.high, priceScale));
    figures.Low.set(decimalOrDash(stats?.low, priceScale));
    figures.VWAP.set(
      stats?.vwap === undefined || stats.vwap === null ? '–' : shorten(stats.vwap, priceScale),
    );
    figures.Volume.set(decimalOrDash(stats?.volume, quantityScale));
    figures.Trades.set(stats === undefined ? '–' : count(stats.trades));
  }
}

/** A decimal cut to so many places; what is cut is of no interest here. */
function shorten(text: string, places: number): string {
  const point = text.indexOf('.');
  if (point < 0) return grouped(text);
  return grouped(text.slice(0, places === 0 ? point : point + 1 + places));
}
