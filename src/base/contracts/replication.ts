/** Replication: where a leader stores its batches outside of this machine, before anybody is sent them. */

import type { Fault } from '../../../protocol/codes';
import type { Batch } from './batch';

export interface Replication {
  /** Whether it can take more. When there is room again, it calls `Sequencer.resume`. */
  readonly hasRoom: boolean;
  /** Why nothing new should be taken now; undefined if it can be. */
  refusal(): Fault | undefined;
  /** Takes the next batch. Calls back in order, once it is stored; never, if another leader has taken over. */
  append(batch: Batch, done: () => void): void;
  /** Calls back when everything appended before is stored. */
  behind(done: () => void): void;
}
