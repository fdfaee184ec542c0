/**
 * Retention: deletes the oldest records, a few blocks at a time, when they are too old or too many.
 *
 * It runs on the writer's connection, between transactions. What the next start needs always stays:
 * the two newest checkpoints, and all records since the older one began. So do the notes of epochs.
 * The deleted records are declared in the same transaction by one gap that begins at the first seq.
 * SQLite reuses the freed pages; the file does not shrink. Bounded: `BLOCKS_A_STEP` blocks a step.
 */

import type { Database } from 'bun:sqlite';

import { idOf, KIND, MARK_SIDE, seqOf, SLOT, SLOTS } from '../schema';
import type { Retention } from './writer';

const BLOCKS_A_STEP = 4;

/** The id from which a start may read, whichever of the two newest checkpoints it takes. */
const NEEDED_FROM = `SELECT min(CASE WHEN r.side = ${MARK_SIDE} THEN r.prev_seq * ${SLOTS} ELSE r.id END)
  FROM (SELECT id FROM note WHERE kind = ${KIND.checkpoint} ORDER BY id DESC LIMIT 2) n
  JOIN record r ON r.id = n.id`;

export class Retainer {
  private readonly db: Database;
  private readonly retention: Retention;

  constructor(db: Database, retention: Retention) {
    this.db = db;
    this.retention = retention;
  }

  /**
   * Deletes what is due, up to a bound.
   * @returns the instruments that have lost their last book; undefined if nothing was due
   * @throws Error of SQLite
   */
  step(): number[] | undefined {
    const { hours, bytes } = this.retention;
    const isOver = bytes > 0 && this.usedBytes() > bytes;
    if (hours === 0 && !isOver) return undefined;
    const lastId = this.lastDue(isOver ? null : hours);
    if (lastId === null) return undefined;
    const bookless = this.bookless(lastId);
    this.db.transaction(() => this.drop(lastId)).immediate();
    return bookless;
  }

  /**
   * Instruments whose newest book is among the deleted records: no past book of theirs could be
   * found.
   */
  private bookless(lastId: number): number[] {
    const part = 'SELECT 1 FROM part WHERE instrument = i.id AND book_seq > 0';
    return this.db
      .query<{ id: number }, [number]>(
        `SELECT id FROM instrument i WHERE EXISTS (${part} AND last_id <= ?1)
           AND NOT EXISTS (${part} AND last_id > ?1)`,
      )
      .all(lastId)
      .map(({ id }) => id);
  }

  private usedBytes(): number {
    const pragma = (name: string): number =>
      Object.values(this.db.query(`PRAGMA ${name}`).get() as Record<string, number>)[0]!;
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  }

  /**
   * The last id of the blocks that may be deleted now; null if none.
   * @param hours null: of any age
   */
  private lastDue(hours: number | null): number | null {
    const row = this.db
      .query<{ id: number | null }, (number | null)[]>(
        // All of them must be old: the time of writing is under no checksum.
        `SELECT CASE WHEN max(last_id) < (${NEEDED_FROM})
             AND (?1 IS NULL OR max(written) < unixepoch() - ?1 * 3600) THEN max(last_id) END AS id
           FROM (SELECT last_id, written FROM block ORDER BY last_id LIMIT ${BLOCKS_A_STEP})`,
      )
      .get(hours);
    return row?.id ?? null;
  }

  private drop(lastId: number): void {
    const kept = KIND.epoch;
    this.db.run('DELETE FROM record WHERE id <= ? AND kind <> ?', [lastId, kept]);
    this.db.run('DELETE FROM note WHERE id <= ? AND kind <> ?', [lastId, kept]);
    // One instrument at a time, since a single query would read the whole table.
    this.db.run(
      'DELETE FROM part WHERE instrument IN (SELECT id FROM instrument) AND last_id <= ?',
      [lastId],
    );
    this.db.run('DELETE FROM block WHERE last_id <= ?', [lastId]);
    const id = idOf(seqOf(lastId), SLOT.gap);
    this.db.run(
      `INSERT INTO record (id, kind, instrument, prev_seq, event_time, receive_time, ref, text)
         VALUES (?, ?, 0, 0, unixepoch() * 1000000000, unixepoch() * 1000000000, 1, 'retention')`,
      [id, KIND.gap],
    );
    this.db.run('INSERT INTO note (kind, id) VALUES (?, ?)', [KIND.gap, id]);
  }
}
