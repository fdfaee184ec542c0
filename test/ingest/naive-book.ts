/**
 * The naive oracle of the tapes: a book with decimal texts in plain maps. It is slow and simple on purpose, so that
 * it can be checked by reading it.
 */

import type { Book, Instrument, SourceEvent } from '../../protocol/messages';
import { formatDecimal } from '../../protocol/units';

export interface Outcome {
  books: Record<string, { state: string; bids: string[][]; asks: string[][] }>;
  trades: Record<string, Record<string, unknown>[]>;
  last: Record<string, string | null>;
  volume: Record<string, string>;
}

export class NaiveInstrument {
  state: 'none' | 'live' | 'incomplete' = 'none';
  readonly bids = new Map<number, number>();
  readonly asks = new Map<number, number>();
  readonly trades: Record<string, unknown>[] = [];
  seq = 0;
  private last: number | null;
  private volume = 0n;
  private afterSnapshot = false;
  private held: Book[] = [];
  private readonly definition: Instrument;

  constructor(definition: Instrument) {
    this.definition = definition;
    this.last = definition.previousClose;
  }

  apply(event: SourceEvent): void {
    if (event.type === 'trade') {
      this.last = event.price;
      this.volume += BigInt(event.quantity);
      this.trades.push({
        price: formatDecimal(event.price, this.definition.priceScale),
        quantity: formatDecimal(event.quantity, this.definition.quantityScale),
        aggressor: event.aggressor,
        tradeId: event.tradeId,
        eventTime: event.eventTime.toString(),
      });
    } else if (event.type === 'book') {
      if (event.form === 'snapshot') this.snapshot(event);
      else this.delta(event);
    }
  }

  addTo(outcome: Outcome): void {
    const { symbol, priceScale, quantityScale } = this.definition;
    const ladder = (side: Map<number, number>, sign: number): string[][] =>
      [...side]
        .sort(([a], [b]) => sign * (a - b))
        .slice(0, 10)
        .map(([p, q]) => [formatDecimal(p, priceScale), formatDecimal(q, quantityScale)]);
    outcome.books[symbol] = {
      state: this.state,
      bids: ladder(this.bids, -1),
      asks: ladder(this.asks, 1),
    };
    outcome.trades[symbol] = this.trades;
    outcome.last[symbol] = this.last === null ? null : formatDecimal(this.last, priceScale);
    outcome.volume[symbol] = formatDecimal(Number(this.volume), quantityScale);
  }

  private snapshot(book: Book): void {
    this.bids.clear();
    this.asks.clear();
    this.set(book);
    this.state = 'live';
    this.seq = book.seq;
    this.afterSnapshot = true;
    const held = this.held;
    this.held = [];
    for (const delta of held) this.delta(delta);
  }

  private delta(book: Book): void {
    if (this.state === 'live' && book.seq <= this.seq) return;
    const continues = book.prevSeq === this.seq;
    const reachesBack = this.afterSnapshot && book.prevSeq < this.seq;
    if (this.state === 'live' && (continues || reachesBack)) {
      this.set(book);
      this.seq = book.seq;
      this.afterSnapshot = false;
      return;
    }
    this.state = 'incomplete';
    this.bids.clear();
    this.asks.clear();
    this.held.push(book);
  }

  private set(book: Book): void {
    for (const [levels, side] of [
      [book.bids, this.bids],
      [book.asks, this.asks],
    ] as const) {
      for (let i = 0; i < levels.length; i += 2) {
        if (levels[i + 1] === 0) side.delete(levels[i]!);
        else side.set(levels[i]!, levels[i + 1]!);
      }
    }
  }
}
