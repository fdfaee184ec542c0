/** Journal: the interface that the other stages use. They do not depend on what implements it. */

import type { Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { JournalBatch } from '../base/contracts/batch';
import type { JournalFigures, JournalHealth } from '../base/contracts/figures';
import type { PastEpoch } from '../base/contracts/past';
import type { Cause } from './write/causes';
import type { PieceContent, PieceKind } from './write/piece';

/**
 * `async`: acknowledged at once, committed within `commitEveryMs`. `commit`: acknowledged after
 * SQLite's commit; survives kill -9. `fsync`: acknowledged after a synced commit; survives a loss
 * of power. `replicated`: acknowledged when the batch log of a cluster has it; here it is committed
 * as with `async`.
 */
export type Durability = 'async' | 'commit' | 'fsync' | 'replicated';

/** Whether nothing waits for a commit here. */
export function isAsync(durability: Durability): boolean {
  return durability === 'async' || durability === 'replicated';
}

export interface Journal {
  /**
   * Takes a batch at the end of the turn that made it. Calls back, in the order of the batches,
   * when the batch is as durable as configured. If the disk is slower than the market for long,
   * `async` gives batches up and declares a gap; with `commit` and `fsync` the caller must wait
   * (`hasRoom`).
   */
  append(batch: JournalBatch, onDurable: () => void): void;
  /** Calls back when everything appended before is as durable as configured. */
  behind(done: () => void): void;
  /** Whether it can take more; see `JournalNotices.onRoom`. */
  readonly hasRoom: boolean;
  /** Up to `limit` of the newest committed trades with a seq below `before`, newest first. */
  trades(symbol: string, before: number, limit: number): Trade[];
  /**
   * Resolves when everything appended is committed, or when the disk fails, since a failure may
   * last.
   */
  flush(): Promise<void>;
  status(): JournalStatus;
  /**
   * What was published and is not in the journal, while the disk refuses or is too slow; else null.
   */
  missing(): GapNote | null;
  /**
   * Writes what is left and then the state, so that the next start has no records to read again.
   * Done when `closed` resolves. It resolves with a reason if something could not be written.
   */
  close(): void;
  readonly closed: Promise<Error | undefined>;
}

export interface JournalStatus extends JournalHealth, JournalFigures {
  readonly cause: Cause | null;
  readonly hint: string;
}

/** One captured part of the state. */
export interface Captured extends PieceContent {
  readonly kind: PieceKind;
  /** For an instrument: its symbol. Otherwise: the number of the chunk. */
  readonly key: string | number;
  /** For the orders of an instrument: the number of the chunk. */
  readonly chunk: number;
  /** The seq at which the state was this. */
  readonly seq: number;
}

/** The source of checkpoints. It is called between batches only. */
export interface StateSource {
  /** Whether anything has changed since it was last captured. */
  readonly isChanged: boolean;
  /** Begins a cycle, which captures everything that has changed. */
  begin(): void;
  /** About how many things the cycle has still to capture. */
  readonly left: number;
  /** Captures the next thing; undefined when nothing is left. @param seq the newest seq */
  next(seq: number): Captured | undefined;
  /** The rest of the state, which is small. Called once in a cycle, after its last piece. */
  rest(): StateRest;
  /** Gives the cycle up: what it has captured counts as changed again. */
  abort(): void;
}

export interface StateRest {
  /** The market as JSON, as it was when the cycle began. */
  readonly text: string;
  /** Chunks of ended orders below this one are empty. */
  readonly endedFrom: number;
}

/** What the journal reports to its owner. */
export interface JournalNotices {
  /** The journal cannot continue: the process must end. */
  failed(error: Error): never;
  /** The disk refuses writes; the journal tries again. Called once for each failure period. */
  onFailing?(reason: string, cause: Cause): void;
  /** The disk accepts writes again. */
  onRecovered?(): void;
  /** Records up to `gap.to` were given up; a checkpoint behind them begins. */
  onHole?(gap: GapNote): void;
  /** The journal has no book of these instruments any more: write their books whole again. */
  onBookless?(symbols: ReadonlySet<string>): void;
  /** There is room again after `hasRoom` was false. */
  onRoom?(): void;
}

/**
 * Why records are missing. `disk`: the disk was full or failing, and the market went on. `crash`:
 * published with `async` and not committed. `damage`: set aside with the damaged file. `missing`:
 * the file was gone. `retention`: too old.
 */
export type GapReason = 'disk' | 'crash' | 'damage' | 'missing' | 'retention';

/** A range of sequence numbers, both inclusive, that is not in the journal. */
export interface GapNote {
  readonly type: 'gap';
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
}

/** A gap after the checkpoint that a start restores. */
export interface TailGap extends GapNote {
  /**
   * Whether an epoch begins after the gap, so that the market went on from its state before the
   * gap.
   */
  readonly isContinued: boolean;
}

/** Something that an operator should look at. The journal can be written all the same. */
export interface JournalWarning {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** A checkpoint as read from the journal. */
export interface SavedState {
  /** The records after this seq lead from the checkpoint to the present. */
  readonly from: number;
  /** The whole state at `from` as one text, in a journal of schema 3 or before; else null. */
  readonly whole: string | null;
  /** `StateRest.text`. */
  readonly rest: string;
  /**
   * The pieces; those of instruments bear the ids of the instruments. Each piece is the state at
   * its own seq.
   */
  readonly pieces: () => Iterable<SavedPiece>;
}

export interface SavedPiece extends PieceContent {
  readonly kind: PieceKind;
  readonly key: number;
  readonly seq: number;
}

/** What an opened journal holds from earlier epochs. */
export interface Recovered {
  /** The new epoch. */
  readonly epoch: number;
  /** The newest seq that was assigned; 0 for a new journal. */
  readonly lastSeq: number;
  /**
   * Last seq of the range that is missing at the end of the journal; null if nothing is missing
   * there.
   */
  readonly missingTo: number | null;
  /** The newest sound checkpoint; null if there is none. */
  readonly saved: SavedState | null;
  /**
   * The events behind `saved.from` in order, up to one block at a time, and the gaps between them.
   * It can be read once.
   */
  readonly tail: Iterable<readonly BatchEvent[] | TailGap>;
  readonly pastEpochs: ReadonlyMap<number, PastEpoch>;
  readonly warnings: readonly JournalWarning[];
}
