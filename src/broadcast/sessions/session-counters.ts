/** Session counters: what became of the messages to sessions. */

import type { BacklogCounters } from '../topics/counters';

/** What became of the messages of one session. */
export interface SessionCounters extends BacklogCounters {
  /** How often it became lagging. */
  lagged: number;
  /** How often it was sent a `reset`. */
  resets: number;
}

export function addCounters(sum: SessionCounters, one: SessionCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
  sum.lagged += one.lagged;
  sum.resets += one.resets;
}
