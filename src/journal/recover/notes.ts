/** Notes: reads what the journal records besides events: epochs, gaps, checkpoints. */

import type { Database } from 'bun:sqlite';

import type { PastEpoch } from '../../base/contracts/past';
import type { GapNote, GapReason } from '../journal';
import { KIND, seqOf, SLOT, SLOTS } from '../schema';

/** One epoch. */
export interface EpochRow {
  readonly epoch: number;
  readonly first_seq: number;
  /** Its last seq; null if it is open, or was interrupted and nothing follows it. */
  readonly last_seq: number | null;
  /** 1 after an orderly end, else 0. */
  readonly clean: number;
}

export interface CheckpointRow {
  readonly seq: number;
  /** CRC-32 of state. */
  readonly crc: number;
  /** The whole state; for a mark: what it says of its pieces. */
  readonly state: string;
  /**
   * 2: a mark. 1: a state that does not follow from the records before it (schema 3, after a gap).
   * 0: any other.
   */
  readonly side: number;
  /** For a mark: the seq at which its cycle began. */
  readonly from: number;
}

interface NoteRow {
  readonly id: number;
  readonly ref: number;
  readonly text: string;
}

function notes(db: Database, kind: number): NoteRow[] {
  return db
    .query<NoteRow, [number]>(
      'SELECT r.id, r.ref, r.text FROM note n JOIN record r ON r.id = n.id WHERE n.kind = ? ORDER BY n.id',
    )
    .all(kind);
}

/** Oldest first. */
export function readEpochs(db: Database): EpochRow[] {
  const rows = notes(db, KIND.epoch);
  const opened = rows.filter(({ id }) => id % SLOTS === SLOT.opened);
  const closed = new Map(
    rows.filter(({ id }) => id % SLOTS === SLOT.closed).map((r) => [r.ref, r]),
  );
  return opened.map(({ id, ref }, i): EpochRow => {
    const end = closed.get(ref);
    const next = opened[i + 1];
    const last = end ?? next;
    return {
      epoch: ref,
      first_seq: seqOf(id) + 1,
      last_seq: last === undefined ? null : seqOf(last.id),
      clean: end === undefined ? 0 : 1,
    };
  });
}

/** How many past epochs are examined. A reader that comes from an older one gets a reset. */
const PAST_EPOCHS_MAX = 1_000;

/**
 * What the journal has of each past epoch. What a reader holds of an epoch up to `kept` is what all
 * readers hold.
 * @param found the newest seq on record
 * @param lost what is missing behind it and is not noted yet
 */
export function readPastEpochs(
  db: Database,
  found: number,
  lost: GapNote | undefined,
): ReadonlyMap<number, PastEpoch> {
  const gaps = readGaps(db)
    .concat(lost ?? [])
    .toReversed();
  const end = lost?.to ?? found;
  return new Map(
    readEpochs(db)
      .slice(-PAST_EPOCHS_MAX)
      .map(({ epoch, last_seq }) => {
        let kept = last_seq ?? end;
        let pushed = kept;
        for (const { from, to, reason } of gaps) {
          if (from > kept || kept > to) continue;
          // Unless the reason is a crash, the market may have gone on from what is missing.
          if (reason !== 'crash') pushed = from - 1;
          kept = from - 1;
        }
        return [epoch, { kept, pushed }];
      }),
  );
}

/** In order of their sequence numbers. */
export function readGaps(db: Database): GapNote[] {
  return notes(db, KIND.gap).map(({ id, ref, text }) => ({
    type: 'gap',
    from: ref,
    to: seqOf(id),
    reason: text as GapReason,
  }));
}

const CHECKPOINT = `SELECT r.id / ${SLOTS} AS seq, r.ref AS crc, r.text AS state, r.side, r.prev_seq AS "from"
  FROM record r WHERE r.id = ?`;

/**
 * Newest first, each read on demand. In schema 3 one stays after each gap, with the whole state.
 */
export function* newestCheckpoints(db: Database): Generator<CheckpointRow> {
  const ids = db
    .query<{ id: number }, [number]>('SELECT id FROM note WHERE kind = ? ORDER BY id DESC')
    .all(KIND.checkpoint);
  for (const { id } of ids) {
    const row = db.query<CheckpointRow, [number]>(CHECKPOINT).get(id);
    if (row !== null) yield row;
  }
}

/** Oldest first. */
export function readCheckpoints(db: Database): CheckpointRow[] {
  return Array.from(newestCheckpoints(db)).toReversed();
}
