/** Session counters: what became of the messages to sessions. */

import type { BacklogCounters } from '../topics/counters';

/** Of one session. */
export interface SessionCounters extends BacklogCounters {
  /** Times that it left the express lane. */
  lagged: number;
  /** Times that it was told to forget what it held. */
  resets: number;
}

export function addCounters(sum: SessionCounters, one: SessionCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
  sum.lagged += one.lagged;
  sum.resets += one.resets;
}
