/**
 * Offers: what a source defines, from when it is read until the market has it or has refused it, so that
 * what the source sends behind a definition is read by it, and need not wait for the answer.
 * Bounded: by the definitions that wait for their turn.
 */

import type { Instrument, MessageOf } from '../../../protocol/messages';

export class Offers {
  private readonly bySymbol = new Map<string, Instrument>();

  get(symbol: string): Instrument | undefined {
    return this.bySymbol.get(symbol);
  }

  /** From now on; the same message again changes nothing. */
  add({ events }: MessageOf<'publish'>): void {
    for (const event of events) {
      if (event.type === 'instrument') this.bySymbol.set(event.symbol, event);
    }
  }

  /** The message was taken, or refused. */
  delete({ events }: MessageOf<'publish'>): void {
    for (const event of events) {
      if (this.bySymbol.get(event.symbol) === event) this.bySymbol.delete(event.symbol);
    }
  }
}
