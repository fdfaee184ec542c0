/**
 * Definitions: the instruments of a recording, and the decimals of their numbers.
 *
 * A definition in the recording has precedence. For other symbols the decimals are those of the options, else of the
 * settings, else of the destination journal or server, else those found in the lines. Such a definition is emitted
 * once, before the first event of its symbol.
 */

import type { Instrument } from '../../../protocol/messages';
import type { Scales } from '../../../protocol/units';

/** Decimals given by options: of one symbol, or (under '') of all others. */
export interface ScaleOptions {
  readonly price: ReadonlyMap<string, number>;
  readonly quantity: ReadonlyMap<string, number>;
}

export interface Known {
  /** Definitions of the settings or of the destination. */
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

  /** The definition of a symbol, if the lines are not needed for it. */
  readonly of = (symbol: string): Instrument | undefined => {
    const read = this.read.get(symbol);
    if (read !== undefined) return read;
    const definition = this.told(symbol);
    if (definition !== undefined) this.read.set(symbol, definition);
    return definition;
  };

  /** The definition of a symbol, with the decimals found in its lines if nothing else gives them. */
  getOr(symbol: string, found: () => Scales): Instrument {
    const known = this.of(symbol);
    if (known !== undefined) return known;
    const definition = fed(symbol, { ...found(), ...this.optionsOf(symbol) });
    this.read.set(symbol, definition);
    return definition;
  }

  /** The recording defines the symbol from here on. */
  define(instrument: Instrument): void {
    this.read.set(instrument.symbol, instrument);
  }

  /** Marks the definition as emitted. @returns whether this is the first time */
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

/** A feed instrument with increments of one unit of its decimals. */
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
    shard: null,
  };
}
