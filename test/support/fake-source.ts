/**
 * An external source that knows the truth: a book that changes by one level with each sequence number, all its
 * states, and the messages that describe it. A message can cover any range of numbers, so a test can lose, repeat
 * and overlap them.
 */

import type { Bbo, Book, Trade } from '../../protocol/messages';
import type { Prng } from '../../src/base/prng';
import { at, bbo, book, SYMBOL, trade } from './market-events';

interface Move {
  readonly side: 'bids' | 'asks';
  readonly price: number;
  readonly quantity: number;
}

/** Levels by price. */
export interface TrueBook {
  readonly bids: ReadonlyMap<number, number>;
  readonly asks: ReadonlyMap<number, number>;
}

/** Prices move in a band this wide on each side of zero, so that levels come and go beyond the tenth. */
const BAND = 24;

export class FakeSource {
  private readonly states: TrueBook[] = [{ bids: new Map(), asks: new Map() }];
  private readonly moves: Move[] = [];
  private readonly prng: Prng;
  private readonly symbol: string;
  private readonly numbered: boolean;
  private tradeSeq = 0;

  constructor(prng: Prng, symbol = SYMBOL, numbered = true) {
    this.prng = prng;
    this.symbol = symbol;
    this.numbered = numbered;
    this.advance(60);
  }

  /** The sequence number of the newest state. */
  get seq(): number {
    return this.moves.length;
  }

  get lastTradeSeq(): number {
    return this.tradeSeq;
  }

  /** Changes the book by a number of levels, and its sequence number by the same number. */
  advance(count: number): void {
    for (let i = 0; i < count; i++) {
      const side = this.prng.chance(0.5) ? 'bids' : 'asks';
      const price = side === 'bids' ? this.prng.int(-BAND, 0) : this.prng.int(1, BAND);
      const quantity = this.prng.chance(0.4) ? 0 : this.prng.int(1, 9);
      const before = this.states.at(-1)!;
      const changed = new Map(before[side]);
      if (quantity === 0) changed.delete(price);
      else changed.set(price, quantity);
      this.states.push({ ...before, [side]: changed });
      this.moves.push({ side, price, quantity });
    }
  }

  /** The state at a sequence number. */
  truth(seq: number): TrueBook {
    return this.states[seq]!;
  }

  /** The changes from one sequence number to a later one. */
  delta(from: number, to: number): Book {
    const changes = { bids: new Map<number, number>(), asks: new Map<number, number>() };
    for (const { side, price, quantity } of this.moves.slice(from, to)) {
      changes[side].set(price, quantity);
    }
    return this.message('delta', to, from, changes);
  }

  snapshot(seq: number): Book {
    return this.message('snapshot', seq, 0, this.truth(seq));
  }

  /** Reports that the source has lost its own book. */
  incomplete(): Book {
    return this.message('incomplete', 0, 0, { bids: new Map(), asks: new Map() });
  }

  quote(seq: number): Bbo {
    const { bids, asks } = this.truth(seq);
    const [bid] = sortedLevels(bids, 'bids');
    const [ask] = sortedLevels(asks, 'asks');
    const number = this.numbered ? seq : 0;
    return bbo(number, bid ?? null, ask ?? null, { symbol: this.symbol, eventTime: at(seq) });
  }

  /** A trade; the `skipped` trades before it are never sent. */
  trade(skipped = 0): Trade {
    const prevSeq = this.tradeSeq + skipped;
    this.tradeSeq = prevSeq + 1;
    return trade({
      symbol: this.symbol,
      seq: this.numbered ? this.tradeSeq : 0,
      prevSeq: this.numbered ? prevSeq : 0,
      eventTime: at(this.tradeSeq * 7),
      price: this.prng.int(-BAND, BAND),
      quantity: this.prng.int(1, 1000),
      aggressor: this.prng.chance(0.5) ? 'buy' : 'sell',
      tradeId: this.tradeSeq,
      timing: null,
    });
  }

  private message(form: Book['form'], seq: number, prevSeq: number, levels: TrueBook): Book {
    const flat = (side: ReadonlyMap<number, number>): number[] => [...side].flat();
    const [number, previous] = this.numbered ? [seq, prevSeq] : [0, 0];
    return book(form, number, previous, flat(levels.bids), flat(levels.asks), {
      symbol: this.symbol,
      eventTime: at(seq),
    });
  }
}

export function sortedLevels(
  side: ReadonlyMap<number, number>,
  which: 'bids' | 'asks',
): [price: number, quantity: number][] {
  return [...side].sort(([a], [b]) => (which === 'bids' ? b - a : a - b));
}

/** Best first, as ladders give them. */
export function flatLevels(
  { bids, asks }: TrueBook,
  depth = Infinity,
): { bids: number[]; asks: number[] } {
  return {
    bids: sortedLevels(bids, 'bids').slice(0, depth).flat(),
    asks: sortedLevels(asks, 'asks').slice(0, depth).flat(),
  };
}
