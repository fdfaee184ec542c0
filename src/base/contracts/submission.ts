/** Submissions: how the events of a source enter the core, and how it answers. */

import type { Fault } from '../../../protocol/codes';
import type { Nanos } from '../../../protocol/time';

/** How many events of a submission had no effect, and why. */
export interface Intake {
  /** The source had sent them before. */
  readonly repeated: number;
  /** Book changes that wait for a snapshot, or were dropped for want of one. */
  readonly waiting: number;
}

/**
 * The answer to a submission. Taken: `seq` is the last sequence number that it produced, or the newest one if it
 * produced none. Refused as a whole: `index` is the event at fault, -1 if no single event is.
 */
export type SubmitResult =
  | { readonly seq: number; readonly intake: Intake }
  | { readonly index: number; readonly fault: Fault };

/** Submissions that belong together: they are taken in order, and when one is refused, all behind it are. */
export interface Train {
  broken: boolean;
}

/** What a turn made of a submission, or of a part of it. */
export interface Worked {
  /** The numbers that it was given; none: `lastSeq` is one less than `firstSeq`. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Null: it goes on in a later turn. */
  readonly intake: Intake | null;
}

export interface SubmitOptions {
  /** Time of receipt. Default: now. A recording has its own. */
  readonly receiveTime?: Nanos;
  /** Whether the source's own sequence numbers continue those of its last session. */
  readonly continues?: boolean;
  /** Whether prices and quantities came as decimals. */
  readonly isDecimal?: boolean;
  /** The name of the client's key; without a key its address. */
  readonly owner?: string;
  /** The train that it belongs to. */
  readonly train?: Train;
  /** Called in each turn that takes something of it, before the batch is handed out. */
  readonly worked?: (worked: Worked) => void;
}
