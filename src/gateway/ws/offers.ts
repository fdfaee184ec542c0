/**
 * Offers: the definitions of a source that the market has neither accepted nor refused yet. Later messages
 * of the source are decoded by them, so the source need not wait for the answer.
 * Bounded: by the definitions that may wait.
 */

import type { Instrument, MessageOf } from '../../../protocol/messages';

export class Offers {
  private readonly bySymbol = new Map<string, Instrument>();

  get(symbol: string): Instrument | undefined {
    return this.bySymbol.get(symbol);
  }

  /** Adds the definition. The same message again has no effect. */
  add({ events }: MessageOf<'publish'>): void {
    for (const event of events) {
      if (event.type === 'instrument') this.bySymbol.set(event.symbol, event);
    }
  }

  /** The market has accepted or refused the message. */
  delete({ events }: MessageOf<'publish'>): void {
    for (const event of events) {
      if (this.bySymbol.get(event.symbol) === event) this.bySymbol.delete(event.symbol);
    }
  }
}
