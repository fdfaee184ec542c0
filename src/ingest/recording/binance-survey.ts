/**
 * Survey of a Binance capture: what its lines show of each symbol besides events. These are the decimals that its
 * numbers need, the range of update ids of its book, and which trade streams it has. Bound: some numbers a symbol.
 */

import type { Scales } from '../../../protocol/units';
import { marketOf, type BinanceKind } from './binance-events';
import type { Json } from './binance-fields';
import { Decimals } from './decimals';
import type { BookMarket } from './markets';

interface Surveyed {
  readonly price: Decimals;
  readonly quantity: Decimals;
  /** Whether the decimals are still unknown. */
  isOpen: boolean;
  /** Update ids: the one before the first seen, and the newest. */
  updates: { from: number; to: number } | undefined;
  hasTrades: boolean;
  market: BookMarket | undefined;
}

export class BinanceSurvey {
  private readonly symbols = new Map<string, Surveyed>();

  see(symbol: string, kind: BinanceKind, data: Json): void {
    const seen = this.of(symbol);
    seen.market ??= marketOf(kind, data);
    if (kind === 'trade') seen.hasTrades = true;
    if (kind === 'depth') reach(seen, data['U'], data['u']);
    if (kind === 'quote') reach(seen, data['u'], data['u']);
    if (seen.isOpen) look(seen, kind, data);
  }

  /** Takes the decimals of a snapshot, once its symbol is known. */
  seeSnapshot(symbol: string, data: Json): void {
    const seen = this.of(symbol);
    if (seen.isOpen) look(seen, 'snapshot', data);
  }

  /** Returns the decimals of a symbol and ends the search for them. */
  scalesOf(symbol: string): Scales {
    const seen = this.of(symbol);
    seen.isOpen = false;
    return { priceScale: seen.price.scale, quantityScale: seen.quantity.scale };
  }

  hasTrades(symbol: string): boolean {
    return this.symbols.get(symbol)?.hasTrades === true;
  }

  /** As of the first line that shows it. */
  marketOf(symbol: string): BookMarket | undefined {
    return this.symbols.get(symbol)?.market;
  }

  /** The symbol whose range of update ids contains this one; all candidates if there is not exactly one. */
  ownerOf(lastUpdateId: unknown): string | readonly string[] {
    const all = [...this.symbols.keys()];
    if (all.length === 1) return all[0]!;
    if (typeof lastUpdateId !== 'number') return all;
    const among = all.filter((symbol) => {
      const updates = this.symbols.get(symbol)!.updates;
      return updates !== undefined && updates.from <= lastUpdateId && lastUpdateId <= updates.to;
    });
    return among.length === 1 ? among[0]! : all;
  }

  private of(symbol: string): Surveyed {
    let seen = this.symbols.get(symbol);
    if (seen === undefined) {
      seen = {
        price: new Decimals(),
        quantity: new Decimals(),
        isOpen: true,
        updates: undefined,
        hasTrades: false,
        market: undefined,
      };
      this.symbols.set(symbol, seen);
    }
    return seen;
  }
}

function reach(seen: Surveyed, first: unknown, last: unknown): void {
  if (typeof first !== 'number' || typeof last !== 'number') return;
  const { from, to } = seen.updates ?? { from: first - 1, to: last };
  seen.updates = { from: Math.min(from, first - 1), to: Math.max(to, last) };
}

function look({ price, quantity }: Surveyed, kind: BinanceKind, data: Json): void {
  switch (kind) {
    case 'trade':
    case 'aggregate':
      price.see(data['p']);
      quantity.see(data['q']);
      return;
    case 'quote':
      price.see(data['b']);
      price.see(data['a']);
      quantity.see(data['B']);
      quantity.see(data['A']);
      return;
    case 'depth':
    case 'snapshot':
      for (const side of kind === 'depth' ? ['b', 'a'] : ['bids', 'asks']) {
        const levels: unknown = data[side];
        if (!Array.isArray(levels)) continue;
        for (const level of levels as unknown[]) {
          if (!Array.isArray(level)) continue;
          price.see(level[0]);
          quantity.see(level[1]);
        }
      }
  }
}
