/**
 * Batch: the events of one turn. It is self-contained (the definition of a new instrument precedes its first event)
 * and consists of plain values, so it is also the unit that crosses to other processes and machines.
 */

import type { Execution } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';

export interface OwnedExecution {
  readonly owner: string;
  readonly message: Execution;
}

export interface Batch {
  readonly epoch: number;
  /** Sequence numbers firstSeq … lastSeq, in order, without holes; one event each. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
  /** Arrival of its oldest submission, in milliseconds of this process's monotonic clock. */
  readonly arrivedMs: number;
  /** Executions for the owners of orders; they follow from the commands among the events. */
  readonly executions: readonly OwnedExecution[];
}
