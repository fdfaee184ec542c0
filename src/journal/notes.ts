/** Notes: what the journal says of itself besides events, read: epochs, gaps, checkpoints. */

import type { Database } from 'bun:sqlite';

import type { PastEpoch } from '../base/contracts/past';
import type { GapNote, GapReason } from './journal';
import { KIND, seqOf, SLOT, SLOTS } from './schema';

/** One life of the numbering. */
export interface EpochRow {
  readonly epoch: number;
  readonly first_seq: number;
  /** Its last place; null while it is open, or was cut short and nothing came behind it. */
  readonly last_seq: number | null;
  /** 1 after an orderly end. */
  readonly clean: number;
}

export interface CheckpointRow {
  readonly seq: number;
  /** CRC-32 of state. */
  readonly crc: number;
  /** The whole state; of a mark what it says of its pieces. */
  readonly state: string;
  /** 2: a mark. 1: the records before it do not lead to it. */
  readonly side: number;
  /** Of a mark the place at which its cycle began. */
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

/** Lives that are looked at for where they ended; whoever comes from an older one begins anew. */
const PAST_EPOCHS_MAX = 1_000;

/**
 * What the journal has of each past epoch: what a reader holds of one up to `kept` is what everybody has.
 * @param found the newest seq that is on record @param lost what is missing behind it, not noted yet
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
          // Behind anything but a crash the market may have gone on from what is missing.
          if (reason !== 'crash') pushed = from - 1;
          kept = from - 1;
        }
        return [epoch, { kept, pushed }];
      }),
  );
}

/** In the order of their places. */
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

/** Newest first, each read when it is asked for: of schema 3 each gap keeps one, with the whole state. */
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
