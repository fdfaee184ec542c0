/**
 * Output: the batch that the market writes to. The market decides what happens and in which order; the sequencer, behind
 * this interface, assigns sequence numbers and times.
 */

import type { Execution } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';

export interface MarketOutput {
  /** Receive time of the input that is being applied. */
  readonly receiveTime: Nanos;
  /** Takes the next sequence number; the event that has it must be pushed at once. */
  nextSeq(): number;
  push(event: BatchEvent): void;
  /** Sends an execution to the owner of an order; absent where nobody is to be sent any. */
  execution?(owner: string, message: Execution): void;
}
