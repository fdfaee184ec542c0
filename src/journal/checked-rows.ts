/**
 * Checked rows: the rows behind an id, each given out only after its block was checked against the
 * checksum. The open block is checked against its commits. Bounded: one block of rows.
 */

import type { Database } from 'bun:sqlite';

import { BlockFold } from './blocks';
import type { RecordRow } from './records';
import { RowFrameWriter } from './write/row-frame';
import { SELECT_RECORD, seqOf, SLOT, SLOTS } from './schema';

/** The journal is damaged: its content differs from what was written. */
export class JournalDamage extends Error {
  /** Records up to this seq are good. */
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
      .query<BlockRow, [number]>(
        'SELECT first_id, last_id, crc FROM block WHERE last_id > ? ORDER BY last_id',
      )
      .all(afterId);
    for (const block of blocks) {
      // If a block began before the id, it is read from its beginning: half of a block has no
      // checksum.
      const rows = statement.all(Math.min(goodId, block.first_id - 1), block.last_id);
      if (!isSound(rows, block)) {
        throw new JournalDamage(
          seqOf(block.first_id) - 1,
          `the records ${seqOf(block.first_id)} to ${seqOf(block.last_id)} do not match their checksum`,
        );
      }
      yield rows.filter(({ id }) => id > goodId);
      goodId = Math.max(goodId, block.last_id);
    }
    const commits = db
      .query<BlockRow, []>('SELECT first_id, last_id, crc FROM open_block ORDER BY last_id')
      .all();
    const from = Math.min(goodId, (commits[0]?.first_id ?? Infinity) - 1);
    const rest = statement.all(from, Number.MAX_SAFE_INTEGER);
    const soundId = soundUpTo(rest, commits);
    yield rest.filter(({ id }) => id > goodId && (soundId === null || id <= soundId));
    if (soundId !== null) {
      const good = Math.max(0, seqOf(goodId), seqOf(soundId));
      throw new JournalDamage(good, `the records from ${good + 1} on do not match their checksum`);
    }
  } catch (e) {
    if (e instanceof JournalDamage) throw e;
    throw new JournalDamage(Math.max(0, seqOf(goodId)), (e as Error).message);
  } finally {
    statement.finalize();
  }
}

/**
 * How far the rows of the open block match what was committed; null: to their end.
 * @param commits the checksum of the open block after each commit
 */
function soundUpTo(rows: readonly RecordRow[], commits: readonly BlockRow[]): number | null {
  const fold = new BlockFold();
  const frame = new RowFrameWriter();
  let next = 0;
  let soundId = -1;
  for (const { last_id, first_id, crc } of commits) {
    for (; next < rows.length && rows[next]!.id <= last_id; next++) {
      if (isEvent(rows[next]!) && rows[next]!.id >= first_id) frame.row(rows[next]!);
    }
    fold.take(frame.take(), null, () => {});
    const block = fold.current();
    if (block?.crc !== crc || block.lastId !== last_id) return soundId;
    soundId = last_id;
  }
  return rows.slice(next).some(isEvent) ? soundId : null;
}

function isEvent({ id }: RecordRow): boolean {
  return id % SLOTS === SLOT.event;
}

/** More than the rows of a block and the notes between them. */
const PAGE_ROWS = 5_000;

/** Whether the events among these rows are those of the block. Notes are ignored. */
export function isSound(rows: readonly RecordRow[], block: BlockRow): boolean {
  const frame = new RowFrameWriter();
  try {
    for (const row of rows) {
      if (row.id >= block.first_id && isEvent(row)) frame.row(row);
    }
  } catch {
    return false; // a row of an unknown kind
  }
  const fold = new BlockFold();
  let found: number | undefined;
  fold.take(frame.take(), null, ({ crc }) => (found = crc));
  found ??= fold.end()?.crc;
  return found === block.crc;
}
