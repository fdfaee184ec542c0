/** Outcome: what a run must go through, and what happened in it. */

import type { Numbering } from './disk';
import type { Tally } from './reader';

/** Faults beyond those of readers and journals, and which old fault is put back. */
export interface Faults {
  /** The server restarts often, and the disk goes back in time. */
  readonly hasFaultyDisk: boolean;
  readonly numbering: Numbering;
  /** Readers send the highest seq that they have received. */
  readonly sendsNewest: boolean;
}

export interface Outcome extends Tally {
  lagged: number;
  ended: number;
  restarts: number;
  /** Starts on a disk that had gone back in time. */
  backs: number;
  /** Readers that continued from a past epoch. */
  crossings: number;
  executions: number;
  fromJournal: number;
}
