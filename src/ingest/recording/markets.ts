/**
 * Markets: whether a symbol is spot or a future, over all recordings of an import. A venue uses the same names for
 * both, their books chain by different rules, and they must not become one instrument.
 */

export type BookMarket = 'spot' | 'futures';

export class BookMarkets {
  private readonly bySymbol = new Map<string, BookMarket>();

  /** Notes the market of a line. @returns the symbol's market if it is another one */
  differs(symbol: string, market: BookMarket): BookMarket | undefined {
    const known = this.bySymbol.get(symbol);
    if (known === undefined) this.bySymbol.set(symbol, market);
    return known === market ? undefined : known;
  }
}
