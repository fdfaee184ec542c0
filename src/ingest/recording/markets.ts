/**
 * Markets: which chain rule the books of a symbol follow, over all recordings of an import. Spot and
 * futures of a venue use the same names, and must not become one instrument.
 */

export type BookMarket = 'spot' | 'futures';

export class BookMarkets {
  private readonly bySymbol = new Map<string, BookMarket>();

  /** Takes a line on. @returns what the symbol is instead, if it is not this */
  differs(symbol: string, market: BookMarket): BookMarket | undefined {
    const known = this.bySymbol.get(symbol);
    if (known === undefined) this.bySymbol.set(symbol, market);
    return known === market ? undefined : known;
  }
}
