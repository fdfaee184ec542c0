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
import type { RecordRow } from '../records';
import { RowFrameWriter } from './row-frame';
import { RowWriter } from './row-writer';
import { copyInstruments, createTables, unusedName } from '../recover/salvage';
import { idOf, SLOT, SLOTS } from '../schema';

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
