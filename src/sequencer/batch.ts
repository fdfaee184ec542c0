/**
 * Batch: what one turn of the loop makes of all that arrived. It is whole in itself (definitions of
 * new instruments come before their first event) and consists of plain values, so it is also the
 * unit that can cross to another process or machine.
 */

import type { Execution } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';

export interface OwnedExecution {
  readonly owner: string;
  readonly message: Execution;
}

export interface Batch {
  readonly epoch: number;
  /** Places firstSeq … lastSeq, all of them, in order; one event each. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
  /** When the oldest submission of it arrived, in ms of this process's monotonic clock. */
  readonly arrivedMs: number;
  /** What owners of orders are to be told; it follows from the commands among the events. */
  readonly executions: readonly OwnedExecution[];
}
