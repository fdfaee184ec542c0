/**
 * A batch: the events of one turn of the sequencer. It holds plain values only and is self-contained: the definition
 * of a new instrument precedes its first event. So it is also the unit that goes to other processes and machines.
 *
 * The interfaces below are the same batch with fewer members, for readers that need less of it.
 */

import type { Execution } from '../../../protocol/messages';
import type { BatchEvent } from '../../../protocol/records';

/** Consecutive events, in order. */
export interface EventRun {
  /** Sequence number of the last event. */
  readonly lastSeq: number;
  /** One event for each sequence number, without holes. */
  readonly events: readonly BatchEvent[];
}

/** A run of events of one epoch, as a journal stores it. */
export interface JournalBatch extends EventRun {
  readonly epoch: number;
  /** Sequence number of the first event. */
  readonly firstSeq: number;
  /** Arrival of its oldest submission in milliseconds of this process's monotonic clock; absent: not measured. */
  readonly arrivedMs?: number;
}

/** A message for the owner of an order alone. */
export interface OwnedExecution {
  readonly owner: string;
  readonly message: Execution;
}

/** A run of events with the executions that follow from it, as sessions are sent it. */
export interface SessionBatch extends EventRun {
  /** For the owners of orders; they follow from the commands among the events. */
  readonly executions: readonly OwnedExecution[];
}

export interface Batch extends JournalBatch, SessionBatch {
  readonly arrivedMs: number;
}
