/**
 * Journal: the interface that the other stages see. What is behind it (a file, a thread, one day
 * another machine) is its own affair.
 */

import type { Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { JournalBatch } from '../base/contracts/batch';
import type { JournalFigures, JournalHealth } from '../base/contracts/figures';
import type { PastEpoch } from '../base/contracts/past';
import type { Cause } from './write/causes';
import type { PieceContent, PieceKind } from './write/piece';

/**
 * `async`: acknowledged at once, committed within `commitEveryMs`. `commit`: acknowledged after
 * SQLite's commit, survives kill -9. `fsync`: after a synced commit, survives a loss of power.
 */
export type Durability = 'async' | 'commit' | 'fsync';

export interface Journal {
  /**
   * Takes a batch, at the end of the turn that made it, and calls back when it is as durable as was
   * chosen, in the order of the batches. Where the disk is slower than the market for long, `async`
   * gives batches up and declares a gap; for the others the caller is to wait (`hasRoom`).
   */
  append(batch: JournalBatch, onDurable: () => void): void;
  /** Calls back when all that was appended before is as durable as was chosen. */
  behind(done: () => void): void;
  /** Whether it can take on more; see `JournalNotices.onRoom`. */
  readonly hasRoom: boolean;
  /** Up to `limit` newest trades below place `before`, newest first; of what is committed. */
  trades(symbol: string, before: number, limit: number): Trade[];
  /** Resolves when all that was appended is committed; or when the disk fails, since it may for long. */
  flush(): Promise<void>;
  status(): JournalStatus;
  /** Places that were shown and are not in the journal, while the disk refuses or is too slow. */
  missing(): GapNote | null;
  /**
   * Writes what is left and then the state, so that the next start has nothing to replay. Done when
   * `closed` resolves: with why some of it could not be written, if so.
   */
  close(): void;
  readonly closed: Promise<Error | undefined>;
}

export interface JournalStatus extends JournalHealth, JournalFigures {
  readonly cause: Cause | null;
  readonly hint: string;
}

/** A thing of the state as it was captured. */
export interface Captured extends PieceContent {
  readonly kind: PieceKind;
  /** Of an instrument its symbol; of the others the number of the chunk. */
  readonly key: string | number;
  /** Of an instrument's orders the number of the chunk. */
  readonly chunk: number;
  /** The place at which it was this. */
  readonly seq: number;
}

/** What checkpoints are taken of. It is asked between batches only. */
export interface StateSource {
  /** Whether anything is not as it was captured last. */
  readonly isChanged: boolean;
  /** Begins a cycle, which captures what has changed. */
  begin(): void;
  /** How many things it has still to capture, about. */
  readonly left: number;
  /** The next thing that it captures; undefined behind the last. @param seq the newest place */
  next(seq: number): Captured | undefined;
  /** What else of the state a cycle keeps: small. Asked for once, behind its last piece. */
  rest(): StateRest;
  /** The cycle is given up: what it has captured counts as changed. */
  abort(): void;
}

export interface StateRest {
  /** Of the market, as JSON: as it was when the cycle began. */
  readonly text: string;
  /** Chunks of ended orders below this one are empty. */
  readonly endedFrom: number;
}

/** What the journal tells those who run it. */
export interface JournalNotices {
  /** It cannot go on: the process must end. */
  failed(error: Error): never;
  /** The disk refuses; it is tried again. Once for each spell. */
  onFailing?(reason: string, cause: Cause): void;
  /** The disk takes records again. */
  onRecovered?(): void;
  /** Records up to `to` were given up; a checkpoint behind them begins. */
  onHole?(gap: GapNote): void;
  /** The journal has no book of these any more; they are to be written whole again. */
  onBookless?(symbols: ReadonlySet<string>): void;
  /** It has room again after `hasRoom` was false. */
  onRoom?(): void;
}

/**
 * Why places are missing. `disk`: it was full or failing, and the market went on. `crash`: pushed by
 * `async` and not committed. `damage`: set aside with the file that holds them. `missing`: the file was
 * gone. `retention`: too old.
 */
export type GapReason = 'disk' | 'crash' | 'damage' | 'missing' | 'retention';

/** Places that are not in the journal. */
export interface GapNote {
  readonly type: 'gap';
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
}

/** A gap behind the checkpoint. */
export interface TailGap extends GapNote {
  /** An epoch begins behind it, so the market went on from its state before it. */
  readonly isContinued: boolean;
}

/** What somebody should look after, and does not keep the journal from being written. */
export interface JournalWarning {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** A checkpoint as it was read. */
export interface SavedState {
  /** The records behind this place lead from it to the present. */
  readonly from: number;
  /** All of the state at that place, in one text: of a journal of schema 3 or before. Else null. */
  readonly whole: string | null;
  /** `StateRest.text`. */
  readonly rest: string;
  /** The pieces, those of instruments by their ids. Each counts from its own place on. */
  readonly pieces: () => Iterable<SavedPiece>;
}

export interface SavedPiece extends PieceContent {
  readonly kind: PieceKind;
  readonly key: number;
  readonly seq: number;
}

/** What an opened journal knows of the time before. */
export interface Recovered {
  /** The life of the numbering that begins now. */
  readonly epoch: number;
  /** The newest place that was given; 0 when the journal is new. */
  readonly lastSeq: number;
  /** Last of the places that were given before and are not in it at its end; null when none is. */
  readonly missingTo: number | null;
  /** The newest sound checkpoint; null when there is none. */
  readonly saved: SavedState | null;
  /** The events behind `saved.from`, in order, as many at once as a block has, and the gaps between them. Read it once. */
  readonly tail: Iterable<readonly BatchEvent[] | TailGap>;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly warnings: readonly JournalWarning[];
}
