/**
 * Checked rows: the rows behind a place, each block held against its checksum before any of its rows is
 * given out. Rows of no block yet (fewer than `BLOCK_ROWS`) have none. Bounded: one block of rows.
 */

import type { Database } from 'bun:sqlite';

import { BlockFold } from './blocks';
import type { RecordRow } from './records';
import { RowFrameWriter } from './row-frame';
import { SELECT_RECORD, seqOf, SLOT, SLOTS } from './schema';

/** The journal is not what was written. */
export class JournalDamage extends Error {
  /** What stands up to this place is good. */
  readonly goodSeq: number;

  constructor(goodSeq: number, message: string) {
    super(message);
    this.goodSeq = goodSeq;
  }
}

export interface BlockRow {
  readonly first_id: number;
  readonly last_id: number;
  readonly crc: number;
}

/** @throws JournalDamage */
export function* checkedRows(db: Database, afterId: number): Generator<RecordRow[]> {
  const statement = db.prepare<RecordRow, [number, number]>(
    `${SELECT_RECORD} WHERE id > ? AND id <= ? ORDER BY id LIMIT ${PAGE_ROWS}`,
  );
  let goodId = afterId;
  try {
    const blocks = db
      .query<BlockRow, [number]>('SELECT first_id, last_id, crc FROM block WHERE last_id > ? ORDER BY last_id') // prettier-ignore
      .all(afterId);
    for (const block of blocks) {
      // A block that began before the place is read from its beginning: half of it has no checksum.
      const rows = statement.all(Math.min(goodId, block.first_id - 1), block.last_id);
      if (!isSound(rows, block)) {
        throw new JournalDamage(
          seqOf(block.first_id) - 1,
          `the records ${seqOf(block.first_id)} to ${seqOf(block.last_id)} have not their checksum`,
        );
      }
      yield rows.filter(({ id }) => id > goodId);
      goodId = Math.max(goodId, block.last_id);
    }
    for (;;) {
      const rows = statement.all(goodId, Number.MAX_SAFE_INTEGER);
      yield rows;
      if (rows.length < PAGE_ROWS) return;
      goodId = rows.at(-1)!.id;
    }
  } catch (e) {
    if (e instanceof JournalDamage) throw e;
    throw new JournalDamage(seqOf(goodId), (e as Error).message);
  } finally {
    statement.finalize();
  }
}

/** More than the rows of a block and the notes between them. */
const PAGE_ROWS = 5_000;

/** Whether these rows, of which notes count for nothing, are those of the block. */
export function isSound(rows: readonly RecordRow[], block: BlockRow): boolean {
  const frame = new RowFrameWriter();
  for (const row of rows) {
    if (row.id >= block.first_id && row.id % SLOTS === SLOT.event) frame.row(row);
  }
  const fold = new BlockFold();
  let found: number | undefined;
  fold.take(frame.take(), null, ({ crc }) => (found = crc));
  found ??= fold.end()?.crc;
  return found === block.crc;
}
