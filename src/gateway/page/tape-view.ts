/** Tape view: trades, newest first, coloured by the side of the taker. */

import type { Instrument } from '../../client/index';
import type { TapeTrade } from './market-state';
import { cell, make, type Cell } from './dom';
import { decimal, timeOfDay } from './format';
import type { View } from './painter';
import { ColumnFit } from './text-fit';

const ROW_PX = 21;
const LINES_MAX = 80;
const COLUMNS_LEAST = ['10,000.00', '10,000.00', '00:00:00.000'];
const FIGURES_PX = 13;
const PADDING_PX = 12;

export interface TapeSource {
  readonly definition: Instrument | undefined;
  /** Newest first. */
  readonly trades: readonly TapeTrade[];
  readonly note: string;
}

const MOODS = { buy: 'up', sell: 'down', none: '' } as const;

export class TapeView implements View {
  private readonly root: HTMLElement;
  private readonly note: Cell;
  private readonly source: () => TapeSource;
  private readonly lines: Line[] = [];
  private readonly fit: ColumnFit;
  private symbol = '';
  private height = 0;

  constructor(root: HTMLElement, note: Cell, source: () => TapeSource, resized: () => void) {
    this.root = root;
    this.note = note;
    this.source = source;
    this.fit = new ColumnFit(root, COLUMNS_LEAST, FIGURES_PX, PADDING_PX);
    new ResizeObserver(([entry]) => {
      this.height = entry?.contentRect.height ?? 0;
      resized();
    }).observe(root);
  }

  paint(): void {
    const { definition, trades, note } = this.source();
    if (definition !== undefined && definition.symbol !== this.symbol) {
      this.symbol = definition.symbol;
      this.fit.reset();
    }
    const wanted = Math.min(Math.ceil(this.height / ROW_PX), LINES_MAX);
    while (this.lines.length < wanted) {
      const line = new Line();
      this.lines.push(line);
      this.root.append(line.element);
    }
    this.note.set(note);
    this.roll(trades);
    this.root.dataset['seq'] = String(trades[0]?.seq ?? 0);
    for (const [i, line] of this.lines.entries()) {
      line.show(i < wanted ? trades[i] : undefined, definition, this.fit);
    }
    this.fit.apply();
  }

  /** Moves the lines of displayed trades down, so that only new trades are written. */
  private roll(trades: readonly TapeTrade[]): void {
    const top = this.lines[0]?.displayed;
    const by = top === undefined ? 0 : trades.indexOf(top);
    if (by <= 0 || by >= this.lines.length) return;
    const freed = this.lines.splice(this.lines.length - by);
    this.lines.unshift(...freed);
    this.root.prepend(...freed.map(({ element }) => element));
  }
}

class Line {
  readonly element = make('div', 'trade');
  private readonly price = cell(this.element, 'price');
  private readonly quantity = cell(this.element, 'quantity');
  private readonly time = cell(this.element, 'time');
  displayed: TapeTrade | undefined;

  show(trade: TapeTrade | undefined, definition: Instrument | undefined, fit: ColumnFit): void {
    if (trade === this.displayed) return;
    this.displayed = trade;
    if (trade === undefined || definition === undefined) {
      this.price.set('');
      this.quantity.set('');
      this.time.set('');
      return;
    }
    const price = decimal(trade.price, definition.priceScale);
    const quantity = decimal(trade.quantity, definition.quantityScale);
    fit.see(0, price);
    fit.see(1, quantity);
    this.price.set(price, MOODS[trade.aggressor]);
    this.quantity.set(quantity);
    this.time.set(timeOfDay(trade.eventTime));
  }
}
