/** What feed and venue instruments have in common: everything that lies behind the market. */

import type { Instrument, MarketEvent, Status, Tick } from '../../protocol/messages';
import type { BookView } from './published-book';

export interface MarketInstrument {
  readonly definition: Instrument;
  readonly state: Status['state'];
  /** Place of the newest tick; 0 before the first. */
  readonly tickHead: number;
  /** Place of the newest book event; 0 before the first. */
  readonly bookHead: number;
  /** The newest tick; before the first trade one made of the previous close, at place 0. */
  currentTick(): Tick | null;
  /** The ten best levels as published; null while they may not be trusted. */
  bookView(): BookView | null;
  /** The best levels a side of the whole book, flat, best first. */
  levels(depth: number): { readonly bids: number[]; readonly asks: number[] };
  /** The newest event of each topic, as a reader would hold them. */
  newest(): Iterable<MarketEvent>;
  /** Ends a batch. */
  seal(): void;
}
