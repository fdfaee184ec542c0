/**
 * Verify: whether a journal is sound, from its pages to the market that follows from it.
 *
 * It checks, in this order: the structure of the file and its schema; the records, against their
 * checksums and against the tables that find them (`journal/verify/stretch.ts`); the notes; the
 * checkpoints; and the market that a start would restore now. On request it also checks each record
 * against those before it, and executes all commands from the first record on (`replay.ts`). What
 * the journal declares to be missing is no fault. Bounded: one page of rows for each thread.
 */

import type { Database } from 'bun:sqlite';

import type { BatchEvent } from '../../protocol/records';
import { checkedRows } from '../journal/checked-rows';
import type { GapNote, SavedState } from '../journal/journal';
import type { JournalReading } from '../journal/recover/reading';
import { rowToEvent } from '../journal/records';
import { idOf, isNote, KIND, seqOf, SLOT, SLOTS } from '../journal/schema';
import { connectToRead, isAtRest } from '../journal/read-connection';
import { readStates, type ReadCheckpoint } from '../journal/recover/saved-state';
import { instrumentFault, Notes, strayFault } from '../journal/verify/notes';
import { checkRecords } from '../journal/verify/pool';
import { type MarketCheckpoint, type MarketPieces } from '../market/checkpoint';
import { Market, type MarketOptions } from '../market/market';
import { stateHash } from '../market/state-hash';
import { replayJournal } from './replay';
import { readCheckpoint } from '../market/checkpoint-reading';

export interface Verified {
  readonly records: number;
  /** 0 if there is no record. */
  readonly seqFirst: number;
  readonly seqLast: number;
  /** The number of epochs. */
  readonly epochs: number;
  /** As in `market/state-hash.ts`. */
  readonly stateHash: string;
  /** The missing ranges that the journal declares; absent if there are none. */
  readonly gaps?: readonly {
    readonly from: number;
    readonly to: number;
    readonly reason: string;
  }[];
  /**
   * Records were given up from this seq on, and no checkpoint has the state behind them yet.
   * `stateHash` is that of the state before them, from which a start would go on.
   */
  readonly unknownFrom?: number;
}

export interface VerifyOptions {
  readonly limits: MarketOptions;
  /** Whether the whole journal is executed again from its beginning. */
  readonly isReplayed?: boolean;
  /** Called with the number of records checked so far; those of a replay are counted on top. */
  readonly onRecords?: (records: number) => void;
  /** From this number of records on, threads are used; otherwise only this thread. */
  readonly threadedRecords?: number;
}

/** @returns what the journal holds; or, as a string, the first fault */
export async function verifyJournal(
  reading: JournalReading,
  options: VerifyOptions,
): Promise<Verified | string> {
  let db: Database | undefined;
  try {
    db = connectToRead(reading.path);
    return await verify(reading, db, options);
  } catch (e) {
    return `the file is damaged: ${(e as Error).message}`;
  } finally {
    db?.close();
  }
}

async function verify(
  reading: JournalReading,
  db: Database,
  { limits, isReplayed = false, onRecords = () => {}, threadedRecords }: VerifyOptions,
): Promise<Verified | string> {
  const checkpoints = readStates(db, reading.seqLast);
  const notes = new Notes(db, reading.seqLast);
  const found = await checkRecords(reading, db, onRecords, threadedRecords);
  if (found.structure !== undefined) return `the file is damaged: ${found.structure}`;
  const wrong =
    found.fault ??
    notes.fault(reading) ??
    strayFault(db) ??
    (found.cutSeq === 0 ? instrumentFault(db, reading, found.definitions) : undefined) ??
    unsealedFault(db, reading) ??
    checkpointFault(checkpoints, limits);
  if (wrong !== undefined) return wrong;
  const continued = notes.continuedGaps();
  const market = restoreNewest(db, reading, checkpoints.at(-1)?.saved, limits, continued);
  if (typeof market === 'string') return market;
  const hash = stateHash(market.market);
  const { unknownFrom } = market;
  if (isReplayed) {
    const replayed = replayJournal(reading, checkpoints, limits, continued, (n) =>
      onRecords(found.events + n),
    );
    if (typeof replayed === 'string') return replayed;
    if (stateHash(replayed) !== hash)
      return 'the market that its newest checkpoint leads to is not the one that all records lead to';
  }
  const { seqFirst, seqLast, epochs, gaps } = reading;
  const missing = gaps.map(({ from, to, reason }) => ({ from, to, reason }));
  return {
    records: found.events,
    seqFirst,
    seqLast,
    epochs: epochs.length,
    stateHash: hash,
    ...(missing.length > 0 && { gaps: missing }),
    ...(unknownFrom !== undefined && { unknownFrom }),
  };
}

/** An orderly end puts the last records under a checksum as well. */
function unsealedFault(db: Database, { path, epochs }: JournalReading): string | undefined {
  if (epochs.at(-1)?.clean !== 1 || !isAtRest(path)) return undefined;
  const { records, blocks } = db
    .query(
      `SELECT (SELECT ifnull(max(id), -1) FROM record WHERE id % ${SLOTS} = ${SLOT.event}) AS records,
         (SELECT ifnull(max(last_id), -1) FROM block) AS blocks`,
    )
    .get() as { records: number; blocks: number };
  if (records === blocks) return undefined;
  return `the records from ${blocks < 0 ? 1 : seqOf(blocks) + 1} on are in no block, though the journal was closed in order`;
}

/** The first checkpoint that is not sound. */
function checkpointFault(
  checkpoints: readonly ReadCheckpoint[],
  limits: MarketOptions,
): string | undefined {
  for (const { seq, saved } of checkpoints) {
    if (typeof saved === 'string') return `the checkpoint at ${seq} ${saved}`;
    try {
      new Market(limits).restore(stateOf(saved), []);
    } catch (e) {
      return `the checkpoint at ${seq} does not read: ${(e as Error).message}`;
    }
  }
  return undefined;
}

/** The input for restoring a market. @throws Error when it cannot be read */
export function stateOf(saved: SavedState): MarketCheckpoint | MarketPieces {
  return saved.whole === null ? saved : readCheckpoint(saved.whole);
}

/** The market as a start would restore it: the newest checkpoint and everything that follows. */
function restoreNewest(
  db: Database,
  reading: JournalReading,
  saved: SavedState | string | undefined,
  limits: MarketOptions,
  continued: ReadonlySet<number>,
): { readonly market: Market; readonly unknownFrom: number | undefined } | string {
  const state = typeof saved === 'object' ? saved : null; // faults were reported before
  const market = new Market(limits);
  const afterId = state === null ? -1 : idOf(state.from, SLOT.checkpoint);
  const tail = new Tail(db, reading, afterId, continued);
  try {
    market.restore(state && stateOf(state), tail.events());
    return tail.fault ?? { market, unknownFrom: tail.unknownFrom };
  } catch (e) {
    const { message } = e as Error;
    return (
      tail.fault ?? (message.startsWith('record ') ? message : `record ${tail.seq}: ${message}`)
    );
  }
}

/** The events after a checkpoint, up to where the journal ended when it was opened. */
class Tail {
  /** The newest seq. */
  seq = 0;
  fault: string | undefined;
  unknownFrom: number | undefined;
  private readonly db: Database;
  private readonly reading: JournalReading;
  private readonly afterId: number;
  private readonly continued: ReadonlySet<number>;

  constructor(
    db: Database,
    reading: JournalReading,
    afterId: number,
    continued: ReadonlySet<number>,
  ) {
    this.db = db;
    this.reading = reading;
    this.afterId = afterId;
    this.continued = continued;
  }

  *events(): Iterable<BatchEvent> {
    const symbols = new Map(this.reading.instruments.map(({ id, symbol }) => [id, symbol]));
    for (const rows of checkedRows(this.db, this.afterId)) {
      for (const row of rows) {
        const seq = seqOf(row.id);
        if (seq > this.reading.seqLast) return;
        if (row.kind === KIND.gap) {
          const gap = this.reading.gaps.find(({ to }) => to === seq)!;
          if (gap.reason === 'disk') {
            this.unknownFrom = gap.from;
            return;
          }
          if (!this.continued.has(seq)) this.fault = unknownBehind(gap);
        }
        if (this.fault !== undefined) return;
        if (isNote(row.kind)) continue;
        this.seq = seq;
        const event = rowToEvent(row, symbols.get(row.instrument) ?? '');
        if (event === undefined) throw new Error(`record ${seq} does not read`);
        yield event;
      }
    }
  }
}

export function unknownBehind({ from, to, reason }: GapNote): string {
  return `no checkpoint has the state behind the gap from ${from} to ${to} (${reason})`;
}
