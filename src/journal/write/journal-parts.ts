/** Journal parts: what a journal is created from. */

import type { Database } from 'bun:sqlite';

import type { Clock } from '../../base/clock';
import type { KnownPieces, Slices } from './checkpoints';
import type { DirectoryLock } from '../recover/directory';
import type { Durability, GapNote } from '../journal';
import type { JournalWriter, Retention, WriterEvents } from './writer';

export interface JournalOptions {
  readonly directory: string;
  readonly durability: Durability;
  /** With `async`: the longest time that an event stays uncommitted, in ms. */
  readonly commitEveryMs: number;
  /** A checkpoint begins after this many events. */
  readonly checkpointEveryEvents: number;
  /** The most bytes that may wait for the disk. */
  readonly queueBytesMax: number;
  readonly retention: Retention;
}

/** What `openJournal` found, and the resources that it holds. */
export interface JournalParts {
  readonly db: Database;
  readonly lock: DirectoryLock;
  readonly clock: Clock;
  readonly epoch: number;
  /** Whether the epoch is one that goes on, since the journal is that of a replica. */
  readonly isFollowing: boolean;
  /** The seq behind which the epoch began. */
  readonly epochFrom: number;
  readonly lastSeq: number;
  /** Whether an epoch was closed at `lastSeq`, so that another end cannot be noted there. */
  readonly isEndTaken: boolean;
  /** Gaps at the end of the journal that are to be noted first. */
  readonly gaps: readonly GapNote[];
  readonly instrumentIds: Map<string, number>;
  readonly known: KnownPieces;
  /** How checkpoints share the event loop; absent: a checkpoint is taken in one turn. */
  readonly slices: Slices | undefined;
  readonly createWriter: (events: WriterEvents) => JournalWriter;
}

/** A callback that waits for a commit, and the number of its events. */
export type Callback = readonly [act: () => void, events: number];

/** A frame that was sent to the writer. */
export interface FrameAway {
  readonly bytes: number;
  readonly rows: number;
  readonly lastSeq: number;
  /** Arrival times of its batches. */
  readonly arrivals: readonly number[];
  readonly callbacks: Callback[];
}

/** Records that `async` has given up and that no gap declares yet. */
export interface Hole {
  readonly from: number;
  readonly definitions: Map<number, string>;
}
