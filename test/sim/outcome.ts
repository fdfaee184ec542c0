/** Outcome: what a run is to go through, and what became of it. */

import type { Numbering } from './disk';
import type { Tally } from './reader';

/** What goes wrong beside what readers and journals do, and which old fault is put back. */
export interface Faults {
  /** The server is started anew often, and the disk goes back in time. */
  readonly hasFaultyDisk: boolean;
  readonly numbering: Numbering;
  /** Readers tell the highest place that they met. */
  readonly tellsNewest: boolean;
}

export interface Outcome extends Tally {
  lagged: number;
  ended: number;
  restarts: number;
  /** Starts on a disk that had gone back in time. */
  backs: number;
  /** Readers that went on from a past life. */
  crossings: number;
  executions: number;
  fromJournal: number;
}
