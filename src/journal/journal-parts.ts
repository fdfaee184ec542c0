/** Journal parts: what a journal is made with. */

import type { Database } from 'bun:sqlite';

import type { Clock } from '../base/clock';
import type { KnownPieces, Slices } from './write/checkpoints';
import type { DirectoryLock } from './recover/directory';
import type { Durability, GapNote } from './journal';
import type { JournalWriter, Retention, WriterEvents } from './write/writer';

export interface JournalOptions {
  readonly directory: string;
  readonly durability: Durability;
  /** For `async`: the longest that an event stays uncommitted, in ms. */
  readonly commitEveryMs: number;
  /** A checkpoint begins after this many events. */
  readonly checkpointEveryEvents: number;
  /** The most that may wait for the disk. */
  readonly queueBytesMax: number;
  readonly retention: Retention;
}

/** What `openJournal` found and holds. */
export interface JournalParts {
  readonly db: Database;
  readonly lock: DirectoryLock;
  readonly clock: Clock;
  readonly epoch: number;
  readonly lastSeq: number;
  /** Whether another epoch was closed at this place. */
  readonly isEndTaken: boolean;
  /** What is missing before this life. */
  readonly gaps: readonly GapNote[];
  readonly instrumentIds: Map<string, number>;
  readonly known: KnownPieces;
  /** How checkpoints share the loop; absent: they do not. */
  readonly slices: Slices | undefined;
  readonly createWriter: (events: WriterEvents) => JournalWriter;
}

/** What follows a commit, with the events that it stands for. */
export type Callback = readonly [act: () => void, events: number];

/** A frame on its way to the disk. */
export interface FrameAway {
  readonly bytes: number;
  readonly rows: number;
  readonly lastSeq: number;
  /** When its batches arrived. */
  readonly arrivals: readonly number[];
  readonly callbacks: Callback[];
}

/** Places that `async` has given up and that no gap declares yet. */
export interface Hole {
  readonly from: number;
  readonly definitions: Map<number, string>;
}
