/**
 * Journal: the interface that the other stages see. What is behind it (a file, a thread, one day
 * another machine) is its own affair.
 */

import type { Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';

/** What the journal takes: any run of events with consecutive places. */
export interface JournalBatch {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
}

/**
 * `async`: acknowledged at once, committed within `commitEveryMs`. `commit`: acknowledged after
 * SQLite's commit, survives kill -9. `fsync`: after a synced commit, survives a loss of power.
 */
export type Durability = 'async' | 'commit' | 'fsync';

export interface Journal {
  /** Writes a batch in one transaction; calls back when it is as durable as was chosen. */
  append(batch: JournalBatch, onDurable: () => void): void;
  /** Up to `limit` newest trades below place `before`, newest first. */
  trades(symbol: string, before: number, limit: number): Trade[];
  /** Writes what is buffered, then the state, so that the next start has nothing to replay. */
  close(): void;
}

/** How the journal is doing. */
export interface JournalStatus {
  /** `failing`: the disk refuses; `hole`: async gave records up since the queue is full. */
  readonly state: 'ok' | 'failing' | 'hole';
  /** Why, when it is not ok; empty otherwise. */
  readonly reason: string;
  readonly waitingRows: number;
  readonly waitingBytes: number;
  /** Since the start, as are the four below. */
  readonly rows: number;
  readonly commits: number;
  readonly failures: number;
  readonly holes: number;
  readonly holeRecords: number;
  /** Place up to which it is committed. */
  readonly committedSeq: number;
}

/** What an opened journal knows of the time before. */
export interface Recovered {
  /** The life of the numbering that begins now. */
  readonly epoch: number;
  /** The newest place in the journal; 0 when it is new. */
  readonly lastSeq: number;
  /** The newest sound checkpoint, as it was given; null when there is none. */
  readonly checkpoint: string | null;
  /** The events behind the checkpoint, in order. Read it once. */
  readonly tail: Iterable<BatchEvent>;
}
