/**
 * Definitions: the instruments a recording speaks of, and by which decimals its numbers are read.
 *
 * A recording's own definition counts before all others. Of what it does not define, the decimals are
 * those of the options, else those of the settings, else those of the journal or server that it goes
 * to, else those found in its lines. Such a definition is given out once, before the first event of
 * its symbol.
 */

import type { Instrument } from '../../../protocol/messages';
import type { Scales } from '../../../protocol/units';

/** Decimals told by options: of one symbol, or of all that have none of their own (under ''). */
export interface ScaleOptions {
  readonly price: ReadonlyMap<string, number>;
  readonly quantity: ReadonlyMap<string, number>;
}

export interface Known {
  /** By the settings, or where the recording goes to. */
  readonly definitionOf: (symbol: string) => Instrument | undefined;
  readonly scales: ScaleOptions;
}

export const NOTHING_KNOWN: Known = {
  definitionOf: () => undefined,
  scales: { price: new Map(), quantity: new Map() },
};

export class Definitions {
  private readonly known: Known;
  private readonly read = new Map<string, Instrument>();
  private readonly given = new Set<string>();

  constructor(known: Known) {
    this.known = known;
  }

  /** The definition of a symbol as far as it does not have to be found in the lines. */
  readonly of = (symbol: string): Instrument | undefined => {
    const read = this.read.get(symbol);
    if (read !== undefined) return read;
    const definition = this.told(symbol);
    if (definition !== undefined) this.read.set(symbol, definition);
    return definition;
  };

  /** The definition of a symbol, by the decimals found in its lines where nothing else tells them. */
  getOr(symbol: string, found: () => Scales): Instrument {
    const known = this.of(symbol);
    if (known !== undefined) return known;
    const definition = fed(symbol, { ...found(), ...this.optionsOf(symbol) });
    this.read.set(symbol, definition);
    return definition;
  }

  /** The recording itself defines it from here on. */
  define(instrument: Instrument): void {
    this.read.set(instrument.symbol, instrument);
  }

  /** Its definition has been given out. @returns whether that is the first time */
  give(symbol: string): boolean {
    if (this.given.has(symbol)) return false;
    this.given.add(symbol);
    return true;
  }

  private told(symbol: string): Instrument | undefined {
    const known = this.known.definitionOf(symbol);
    const options = this.optionsOf(symbol);
    const { priceScale = known?.priceScale, quantityScale = known?.quantityScale } = options;
    if (priceScale === undefined || quantityScale === undefined) return undefined;
    const isKnown = known?.priceScale === priceScale && known.quantityScale === quantityScale;
    return isKnown ? { ...known, seq: 0 } : fed(symbol, { priceScale, quantityScale });
  }

  private optionsOf(symbol: string): Partial<Scales> {
    const { price, quantity } = this.known.scales;
    const priceScale = price.get(symbol) ?? price.get('');
    const quantityScale = quantity.get(symbol) ?? quantity.get('');
    return {
      ...(priceScale !== undefined && { priceScale }),
      ...(quantityScale !== undefined && { quantityScale }),
    };
  }
}

/** A fed instrument without steps wider than its decimals. */
function fed(symbol: string, { priceScale, quantityScale }: Scales): Instrument {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'feed',
    priceScale,
    quantityScale,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
  };
}
