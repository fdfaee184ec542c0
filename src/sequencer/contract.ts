/** The sequencer's contract: what submits events, what the market does with them, and how it is answered. */

import type { Fault } from '../../protocol/codes';
import type { Execution, SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';

/** The check of one submission, a part at a time. */
export interface Admission {
  /** Checks the events up to index `to`, behind those checked before. @returns the first fault among them */
  check(to: number): { readonly index: number; readonly fault: Fault } | undefined;
  /** The submission was taken or refused: releases what its check reserved. */
  close(): void;
}

/** The client that submits events. */
export interface Submitter {
  readonly source: number;
  /** The name of its key; without a key its address. */
  readonly owner: string;
  /** Whether the source's own sequence numbers continue those of its last session. */
  readonly continues: boolean;
  /** Whether prices and quantities came as decimals: then the source's own scales cannot be misread. */
  readonly isDecimal: boolean;
}

/** What the sequencer needs of the market. */
export interface SequencedMarket {
  /**
   * Begins to check a submission.
   * @param holds whether the result of a check must stay true until `close`, whatever others submit
   */
  admit(from: Submitter, events: readonly SourceEvent[], holds: boolean): Admission;
  /** Applies one event. @returns what became of it (see `Intake`) */
  apply(
    source: number,
    event: SourceEvent,
    out: SequencerOutput,
    continues: boolean,
    owner: string,
  ): 'taken' | 'repeated' | 'waiting';
  /** Called when a part of a submission was taken; its events are those of the batch from index `from`. */
  settle?(out: SequencerOutput, events: readonly BatchEvent[], from: number): void;
  /** Ends the batch. */
  seal(): void;
}

/** Where the market puts what follows from an event. */
export interface SequencerOutput {
  readonly receiveTime: Nanos;
  nextSeq(): number;
  push(event: BatchEvent): void;
  execution(owner: string, message: Execution): void;
}
