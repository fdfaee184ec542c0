/**
 * What the market writes into: the batch in the making. The market decides what happens and in which
 * order; the sequencer, behind this interface, gives each event its place and moment.
 */

import type { Execution } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';

export interface MarketOutput {
  /** When the input that is being applied was received. */
  readonly receiveTime: Nanos;
  /** Takes the next place in the numbering; every place taken is pushed at once. */
  nextSeq(): number;
  push(event: BatchEvent): void;
  /** Tells the owner of an order; absent where nobody is there to be told, as in recovery. */
  execution?(owner: string, message: Execution): void;
}
