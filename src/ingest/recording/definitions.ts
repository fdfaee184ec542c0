/**
 * Definitions: the instruments a recording speaks of. Those handed in by the caller are given out
 * once, before the first event of their symbol; those of the recording take their place.
 */

import type { Instrument } from '../../../protocol/messages';
import type { Scales } from '../../../protocol/units';

/** The definition of a Binance symbol that nobody defined: the eight decimals of its messages. */
const BINANCE_SCALE = 8;

export class Definitions {
  private readonly known = new Map<string, Instrument>();
  private readonly given = new Set<string>();

  constructor(instruments: readonly Instrument[]) {
    for (const instrument of instruments) this.known.set(instrument.symbol, instrument);
  }

  readonly scalesOf = (symbol: string): Scales | undefined => this.known.get(symbol);

  /** The definition of a symbol; one that nobody defined gets the one made here. */
  getOr(symbol: string, make: (symbol: string) => Instrument): Instrument {
    let instrument = this.known.get(symbol);
    if (instrument === undefined) {
      instrument = make(symbol);
      this.known.set(symbol, instrument);
    }
    return instrument;
  }

  /** The recording itself defines it, and that event is on its way. */
  define(instrument: Instrument): void {
    this.known.set(instrument.symbol, instrument);
    this.given.add(instrument.symbol);
  }

  /** The definition, if an event of this symbol is the first and so must come behind it. */
  takeFirst(symbol: string): Instrument | undefined {
    if (this.given.has(symbol)) return undefined;
    this.given.add(symbol);
    return this.known.get(symbol);
  }
}

export function binanceInstrument(symbol: string): Instrument {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale: BINANCE_SCALE,
    quantityScale: BINANCE_SCALE,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
  };
}
