/**
 * Cut: removes the records after a gap whose state is unknown, because the process ended before
 * the checkpoint after the gap was complete. The records go into a file of their own beside the
 * journal and count as lost by the crash: the market continues from its state before the gap.
 * Bounded: one block of rows.
 */

import { Database } from 'bun:sqlite';

import type { Nanos } from '../../../protocol/time';
import { BlockFold } from '../blocks';
import { checkedRows } from '../checked-rows';
import { parseDefinition, type RecordRow } from '../records';
import { RowFrameWriter } from './row-frame';
import { RowWriter } from './row-writer';
import { copyInstruments, createTables, unusedName } from '../recover/salvage';
import { idOf, KIND, SLOT, SLOTS } from '../schema';

/**
 * @param fromSeq the first seq of the gap
 * @returns the path of the file that has the removed records
 * @throws JournalDamage when the records before the gap are not what was written
 */
export function cutOff(db: Database, directory: string, fromSeq: number, now: Nanos): string {
  const firstId = idOf(fromSeq);
  const { id: sealedId } = db
    .query<{ id: number }, [number]>(
      'SELECT ifnull(max(last_id), -1) AS id FROM block WHERE last_id < ?',
    )
    .get(firstId)!;
  const kept: RecordRow[] = [];
  const path = unusedName(directory, now.millis);
  const aside = new Aside(db, path);
  for (const rows of checkedRows(db, sealedId)) {
    kept.push(...rows.filter(({ id }) => id < firstId));
    aside.take(rows.filter(({ id }) => id >= firstId));
  }
  aside.close();
  db.transaction(() => {
    for (const table of ['record', 'note']) db.run(`DELETE FROM ${table} WHERE id >= ?`, [firstId]);
    for (const table of ['block', 'part']) {
      db.run(`DELETE FROM ${table} WHERE last_id > ?`, [sealedId]);
    }
    db.run('DELETE FROM open_block');
    putOpen(db, kept);
  }).immediate();
  return path;
}

/**
 * Removes what the tables beside the records still have of removed ones: pieces of checkpoints, and definitions. An
 * instrument gets back the definition of the records before, or goes: the log never had it, and gives its number to
 * another.
 * @param fromSeq the first removed record
 */
export function dropTraces(db: Database, fromSeq: number): void {
  db.run('DELETE FROM piece WHERE seq >= ?', [fromSeq]);
  const all = db.query<{ id: number; text: string }, []>(
    'SELECT id, definition AS text FROM instrument',
  );
  for (const { id, text } of all.all()) {
    if ((parseDefinition(text)?.seq ?? 0) < fromSeq) continue;
    const before = newestDefinition(db, id);
    if (before !== undefined) {
      db.run('UPDATE instrument SET definition = ? WHERE id = ?', [before, id]);
    } else if (!hasRecords(db, id)) db.run('DELETE FROM instrument WHERE id = ?', [id]);
  }
}

/** The newest that a record has; undefined: none, or retention has deleted it. */
function newestDefinition(db: Database, instrument: number): string | undefined {
  const within = db.query<{ text: string }, [number, number, number]>(
    `SELECT text FROM record WHERE id >= ? AND id <= ? AND instrument = ? AND kind = ${KIND.instrument}
     ORDER BY id DESC LIMIT 1`,
  );
  const sealed = db.query<{ id: number }, []>('SELECT ifnull(max(last_id), -1) AS id FROM block');
  const open = within.get(sealed.get()!.id + 1, Number.MAX_SAFE_INTEGER, instrument);
  if (open !== null) return open.text;
  const parts = db.query<{ first: number; last: number }, [number]>(
    'SELECT first_id AS first, last_id AS last FROM part WHERE instrument = ? ORDER BY last_id DESC',
  );
  for (const { first, last } of parts.iterate(instrument)) {
    const row = within.get(first, last, instrument);
    if (row !== null) return row.text;
  }
  return undefined;
}

function hasRecords(db: Database, instrument: number): boolean {
  const part = db.query('SELECT 1 FROM part WHERE instrument = ? LIMIT 1').get(instrument);
  const piece = db.query('SELECT 1 FROM piece WHERE kind = 1 AND key = ? LIMIT 1').get(instrument);
  return part !== null || piece !== null;
}

/** A journal of the removed rows. */
class Aside {
  private readonly db: Database;
  private readonly writer: RowWriter;
  private readonly frame = new RowFrameWriter();

  constructor(source: Database, path: string) {
    this.db = new Database(path, { create: true });
    createTables(this.db);
    copyInstruments(source, this.db);
    this.writer = new RowWriter(this.db);
  }

  take(rows: readonly RecordRow[]): void {
    for (const row of rows) this.frame.row(row);
    this.db.transaction(() => this.writer.write(this.frame.take()))();
  }

  close(): void {
    this.writer.endBlock();
    this.writer.finalize();
    this.db.close();
  }
}

/** Notes the rows that are in no block as the open block. */
function putOpen(db: Database, rows: readonly RecordRow[]): void {
  const frame = new RowFrameWriter();
  for (const row of rows) if (row.id % SLOTS === SLOT.event) frame.row(row);
  const fold = new BlockFold();
  fold.take(frame.take(), null, () => {});
  const open = fold.current();
  if (open === undefined) return;
  db.run('INSERT INTO open_block VALUES (?, ?, ?)', [open.lastId, open.firstId, open.crc]);
}
