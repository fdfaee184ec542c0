/**
 * Bursts: what the source of the push cases sends, frame by frame. It is always the same except for the times of
 * the events, so that a bare server can prepare what a real one makes of each.
 */

import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import { generateMarket } from './generated-market';
import { SYMBOLS } from './journal-rows';

export interface BurstShape {
  /** In one frame. */
  readonly events: number;
  /** In all jobs for a server together. */
  readonly eventsMax: number;
  /** By default the five of the journal rows. */
  readonly symbols?: readonly string[];
  readonly tradeShare?: number;
}

/** The symbols; each has a burst of its own before the others. */
export function symbolsOf({ symbols = SYMBOLS }: BurstShape): readonly string[] {
  return symbols;
}

/** Definition and snapshot of each instrument, then a number of events in each burst. */
export function burstsOf(shape: BurstShape): SourceEvent[][] {
  const { events, eventsMax, tradeShare = 0.25 } = shape;
  const symbols = symbolsOf(shape);
  const start = new SystemClock().now();
  const market = generateMarket({ symbols, events: eventsMax, seed: 3, start, tradeShare });
  const bursts: SourceEvent[][] = [];
  for (let i = 0; i < market.length;) {
    const count = i < symbols.length * 2 ? 2 : events;
    bursts.push(market.slice(i, (i += count)));
  }
  return bursts;
}
