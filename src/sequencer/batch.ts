/**
 * Batch: what one turn of the loop makes of all that arrived. It is whole in itself (definitions of
 * new instruments come before their first event) and consists of plain values, so it is also the
 * unit that can cross to another process or machine.
 */

import type { MarketEvent } from '../../protocol/messages';

export interface Batch {
  readonly epoch: number;
  /** Places firstSeq … lastSeq, all of them, in order; one event each. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: readonly MarketEvent[];
}
