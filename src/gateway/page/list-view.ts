/**
 * List view: all instruments with last, bid and ask, change and age; the user chooses one by mouse or
 * keyboard. Bounded: only the visible rows exist as elements, whatever the number of instruments.
 */

import { isDoubtful } from './book-doubt';
import type { MarketState, Row } from './market-state';
import { Cell, cell, make } from './dom';
import { decimalOrDash, direction, duration, percent } from './format';
import type { Health } from './health';
import type { View } from './painter';
import { fittingPx, TextMeasure } from './text-fit';

const ROW_PX = 46;
/** Extra rows beyond the visible ones, so that scrolling leaves no blank area. */
const SPARE_ROWS = 4;
const FRESH_MS = 5_000;
const QUIET_MS = 60_000;
/** Parts of a row's width: its padding, the column of the change, and the minimum of a symbol or note. */
const PADDING_PX = 24;
const CHANGE_PX = 66;
const WORDS_PX = 56;
const LAST_PX = 13;
const QUOTE_PX = 11;

export class ListView implements View {
  readonly everyMs = 50;
  private readonly root: HTMLElement;
  private readonly space = make('div', 'space');
  private readonly none = make('p', 'none');
  private readonly lines: Line[] = [];
  private readonly market: MarketState;
  private readonly health: Health;
  private readonly choose: (symbol: string) => void;
  private filter = '';
  /** Whether the server has announced all its instruments. */
  private complete = false;
  /** Copies of the layout values: reading them from the document in a frame would force a new layout. */
  private scrollTop = 0;
  private height = 0;
  private width = 0;
  private readonly measure = new TextMeasure();
  private active = -1;
  private symbols: string[] = [];
  /** The set of rows or their order may have changed. */
  private sorted = false;

  constructor(
    root: HTMLElement,
    market: MarketState,
    health: Health,
    choose: (symbol: string) => void,
    moved: () => void,
  ) {
    this.root = root;
    this.market = market;
    this.health = health;
    this.choose = choose;
    root.append(this.space, this.none);
    const scrolled = (): void => {
      this.scrollTop = root.scrollTop;
      moved();
    };
    root.addEventListener('scroll', scrolled, { passive: true });
    new ResizeObserver(([entry]) => {
      this.height = entry?.contentRect.height ?? 0;
      this.width = entry?.contentRect.width ?? 0;
      moved();
    }).observe(root);
    root.addEventListener('click', (event) => {
      const row = (event.target as Element).closest<HTMLElement>('.row');
      if (row?.dataset['symbol'] !== undefined) choose(row.dataset['symbol']);
    });
  }

  /**
   * The server has announced all its instruments. Before that, an empty list does not mean that there are
   * none.
   */
  setComplete(): void {
    this.complete = true;
    this.sorted = false;
  }

  /** Instruments were added or removed. */
  resort(): void {
    this.sorted = false;
  }

  setFilter(text: string): void {
    this.filter = text.trim().toLowerCase();
    this.sorted = false;
  }

  /** The first instrument that matches the filter. */
  get first(): string | undefined {
    this.sort();
    return this.symbols[0];
  }

  /** Chooses the instrument this many rows below the chosen one. */
  move(by: number): void {
    this.sort();
    const at = this.symbols.indexOf(this.market.chosen ?? '');
    const next = this.symbols[Math.min(Math.max(at + by, 0), this.symbols.length - 1)];
    if (next === undefined) return;
    this.choose(next);
    this.reveal(next);
  }

  reveal(symbol: string): void {
    this.sort();
    const top = this.symbols.indexOf(symbol) * ROW_PX;
    if (top < 0) return;
    const { scrollTop, height } = this;
    if (top < scrollTop) this.root.scrollTop = top;
    else if (top + ROW_PX > scrollTop + height) this.root.scrollTop = top + ROW_PX - height;
  }

  paint(): void {
    this.sort();
    const first = Math.max(0, Math.floor(this.scrollTop / ROW_PX) - SPARE_ROWS);
    const inSight = Math.ceil(this.height / ROW_PX) + 2 * SPARE_ROWS;
    const displayed = this.symbols.slice(first, first + inSight);
    while (this.lines.length < displayed.length) {
      const line = new Line(`row-${this.lines.length}`, this.measure);
      this.lines.push(line);
      this.root.append(line.element);
    }
    for (const [i, line] of this.lines.entries()) {
      const row = this.market.rows.get(displayed[i] ?? '');
      if (row?.definition.symbol === this.market.chosen) this.activate(i);
      if (row === undefined) line.hide();
      else
        line.show(
          row,
          (first + i) * ROW_PX,
          row.definition.symbol === this.market.chosen,
          this.health,
          this.width,
        );
    }
  }

  /** Marks the active row for screen readers. */
  private activate(line: number): void {
    if (line === this.active) return;
    this.active = line;
    this.root.setAttribute('aria-activedescendant', `row-${line}`);
  }

  private sort(): void {
    if (this.sorted) return;
    this.sorted = true;
    this.symbols = [...this.market.rows.keys()]
      .filter((symbol) => symbol.toLowerCase().includes(this.filter))
      .sort();
    this.space.style.height = `${this.symbols.length * ROW_PX}px`;
    const isEmpty = this.market.rows.size === 0;
    this.none.hidden = this.symbols.length > 0 || (isEmpty && !this.complete);
    this.none.textContent = isEmpty
      ? 'This server has no instruments yet.'
      : 'No instrument matches.';
  }
}

/** One visible row. It is reused for different instruments. */
class Line {
  readonly element = make('div', 'row');
  private readonly symbol = cell(this.element, 'symbol');
  private readonly last = cell(this.element, 'last');
  private readonly change = cell(this.element, 'change');
  private readonly note: Cell;
  private readonly quote: Cell;
  private readonly measure: TextMeasure;
  private top = -1;
  private selected: boolean | undefined;
  private lastFit = '';
  private quoteFit = '';

  constructor(id: string, measure: TextMeasure) {
    this.element.id = id;
    this.measure = measure;
    this.note = cell(this.element, 'note');
    this.quote = cell(this.element, 'quote');
    this.element.setAttribute('role', 'option');
  }

  hide(): void {
    this.element.hidden = true;
    this.element.style.display = 'none';
    this.top = -1;
  }

  show(row: Row, top: number, selected: boolean, health: Health, width: number): void {
    const { definition, last, bid, ask, receiveTime } = row;
    if (top !== this.top) {
      this.element.hidden = false;
      this.element.style.display = '';
      this.element.style.transform = `translateY(${top}px)`;
      this.element.dataset['symbol'] = definition.symbol;
      this.top = top;
    }
    if (selected !== this.selected) {
      this.element.setAttribute('aria-selected', String(selected));
      this.selected = selected;
    }
    const { priceScale, previousClose } = definition;
    const ageMs = receiveTime && health.ageMs(receiveTime);
    this.symbol.set(definition.symbol);
    this.symbol.element.title = definition.symbol;
    const price = decimalOrDash(last ?? previousClose, priceScale);
    this.last.set(price, last === null ? 'muted' : row.turn);
    const room = width - PADDING_PX - WORDS_PX;
    this.lastFit = this.fit(this.last, price, room - CHANGE_PX, LAST_PX, this.lastFit);
    this.change.set(percent(last, previousClose), direction(last, previousClose));
    this.note.set(noteOf(row, ageMs), freshness(ageMs));
    const hidden = isDoubtful(row);
    const side = (price: number | null): string => decimalOrDash(hidden ? null : price, priceScale);
    const quote = `${side(bid)} / ${side(ask)}`;
    this.quote.set(quote);
    this.quoteFit = this.fit(this.quote, quote, room, QUOTE_PX, this.quoteFit);
    row.changed = false;
  }

  /**
   * Sets the font size so that a figure fits.
   * @param done length and width of the last fit
   * @returns those of this fit
   */
  private fit({ element }: Cell, text: string, room: number, basePx: number, done: string): string {
    const wanted = `${text.length} ${room}`;
    if (wanted === done) return done;
    element.style.fontSize = `${fittingPx(this.measure.em(text), room, basePx)}px`;
    return wanted;
  }
}

/** How long ago the last message arrived: an open connection does not mean that data arrive. */
function freshness(ageMs: number | undefined): string {
  if (ageMs === undefined) return '';
  if (ageMs < FRESH_MS) return 'fresh';
  return ageMs < QUIET_MS ? '' : 'quiet';
}

/** How long ago the last message arrived, and the state if it is not the usual one. */
function noteOf({ state }: Row, ageMs: number | undefined): string {
  const age = ageMs === undefined ? 'nothing yet' : duration(ageMs);
  return state === 'live' ? age : `${state}, ${age}`;
}
