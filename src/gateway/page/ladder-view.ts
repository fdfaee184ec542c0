/** Ladder view: ten levels per side with their depth: asks above, bids below, the spread between them. */

import { addSum, sumOfBigInt, type Sum } from '../../../protocol/sums';
import { formatDecimal, type Instrument } from '../../client/index';
import type { DisplayedBook } from './market-state';
import { cell, make, type Cell } from './dom';
import { decimal, decimalOfSum } from './format';
import type { View } from './painter';
import { ColumnFit } from './text-fit';

const DEPTH = 10;
const COLUMNS_LEAST = ['10,000.00', '10,000.00', '100,000.00'];
const FIGURES_PX = 13;
const PADDING_PX = 12;

export interface LadderSource {
  readonly definition: Instrument | undefined;
  readonly book: DisplayedBook | undefined;
  /** Time of a past book. */
  readonly note: string;
  /** Why the book is unreliable, as text; empty if it is reliable. */
  readonly doubt: string;
}

export class LadderView implements View {
  private readonly root: HTMLElement;
  private readonly place: Cell;
  private readonly doubt: Cell;
  private readonly fit: ColumnFit;
  private symbol = '';
  private readonly asks: readonly LevelLine[];
  private readonly bids: readonly LevelLine[];
  private readonly spread: Cell;
  private readonly mid: Cell;
  private readonly source: () => LadderSource;

  constructor(
    root: HTMLElement,
    place: Cell,
    source: () => LadderSource,
    pick: (price: string) => void,
  ) {
    this.root = root;
    this.place = place;
    this.source = source;
    const lines = (side: string): LevelLine[] =>
      Array.from({ length: DEPTH }, () => new LevelLine(side));
    this.asks = lines('ask');
    this.bids = lines('bid');
    const middle = make('div', 'middle');
    this.mid = cell(middle, '', 'b');
    this.spread = cell(middle, 'spread');
    root.append(
      ...this.asks.toReversed().map(({ element }) => element),
      middle,
      ...this.bids.map(({ element }) => element),
    );
    this.doubt = cell(root.parentElement!, 'doubt');
    this.doubt.element.setAttribute('role', 'status');
    this.fit = new ColumnFit(root, COLUMNS_LEAST, FIGURES_PX, PADDING_PX);
    root.addEventListener('click', (event) => {
      const level = (event.target as Element).closest<HTMLElement>('.level');
      const price = level?.dataset['price'];
      if (price !== undefined) pick(price);
    });
  }

  paint(): void {
    const { definition, book, note, doubt } = this.source();
    const usable = definition !== undefined && book !== undefined && book.trusted;
    const bids = usable ? book.bids : [];
    const asks = usable ? book.asks : [];
    const deepest = Math.max(total(bids), total(asks), 1);
    if (definition !== undefined && definition.symbol !== this.symbol) {
      this.symbol = definition.symbol;
      this.fit.reset();
    }
    this.paintSide(this.bids, bids, deepest, definition);
    this.paintSide(this.asks, asks, deepest, definition);
    this.fit.apply();
    this.root.dataset['seq'] = String(book?.seq ?? 0);
    this.root.dataset['trusted'] = String(usable && doubt === '');
    this.doubt.set(doubt);
    if (doubt !== '') this.place.set(usable ? 'last known' : 'not displayed');
    else if (!usable) this.place.set('waiting for the book');
    else this.place.set(note || `#${book.seq}`);
    this.paintMiddle(definition, bids, asks);
  }

  private paintSide(
    lines: readonly LevelLine[],
    levels: readonly number[],
    deepest: number,
    definition: Instrument | undefined,
  ): void {
    let sum: Sum = 0;
    for (const [i, line] of lines.entries()) {
      const price = levels[i * 2];
      const quantity = levels[i * 2 + 1];
      if (price === undefined || quantity === undefined || definition === undefined) {
        line.clear();
        continue;
      }
      sum = addSum(sum, quantity);
      line.show(price, quantity, sum, Number(sum) / deepest, definition, this.fit);
    }
  }

  private paintMiddle(
    definition: Instrument | undefined,
    [bid]: readonly number[],
    [ask]: readonly number[],
  ): void {
    if (definition === undefined || bid === undefined || ask === undefined) {
      this.mid.set('–');
      this.spread.set('');
      return;
    }
    const { priceScale } = definition;
    this.mid.set(middleOf(bid, ask, priceScale));
    const points = ((ask - bid) / ((ask + bid) / 2)) * 10_000;
    const share = Number.isFinite(points) ? `  ${points.toFixed(1)} bp` : '';
    this.spread.set(`spread ${decimal(ask - bid, priceScale)}${share}`);
  }
}

/** The midpoint of two prices, with one decimal more than they have. */
function middleOf(bid: number, ask: number, scale: number): string {
  const middle = (BigInt(bid) + BigInt(ask)) * 5n;
  const text = decimalOfSum(sumOfBigInt(middle < 0n ? -middle : middle), scale + 1);
  return middle < 0n ? `−${text}` : text;
}

function total(levels: readonly number[]): number {
  let sum = 0;
  for (let i = 1; i < levels.length; i += 2) sum += levels[i]!;
  return sum;
}

class LevelLine {
  readonly element: HTMLElement;
  private readonly depth = make('i', 'depth');
  private readonly price: Cell;
  private readonly quantity: Cell;
  private readonly total: Cell;
  private width = '';
  private shownPrice: number | undefined;

  constructor(side: string) {
    this.element = make('div', `level ${side}`, this.depth);
    this.price = cell(this.element, 'price');
    this.quantity = cell(this.element, 'quantity');
    this.total = cell(this.element, 'total');
  }

  show(
    price: number,
    quantity: number,
    sum: Sum,
    share: number,
    { priceScale, quantityScale }: Instrument,
    fit: ColumnFit,
  ): void {
    const texts = [
      decimal(price, priceScale),
      decimal(quantity, quantityScale),
      decimalOfSum(sum, quantityScale),
    ] as const;
    this.price.set(texts[0]);
    this.quantity.set(texts[1]);
    this.total.set(texts[2]);
    for (const [i, text] of texts.entries()) fit.see(i, text);
    this.stretch(share.toFixed(3));
    if (price === this.shownPrice) return;
    this.shownPrice = price;
    this.element.dataset['price'] = formatDecimal(price, priceScale);
  }

  clear(): void {
    this.price.set('');
    this.quantity.set('');
    this.total.set('');
    this.stretch('0');
    delete this.element.dataset['price'];
    this.shownPrice = undefined;
  }

  private stretch(width: string): void {
    if (width === this.width) return;
    this.width = width;
    this.depth.style.transform = `scaleX(${width})`;
  }
}
