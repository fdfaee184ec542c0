/**
 * Checkpoint file: a journal of its own that holds the newest checkpoint of another, and the records that lead from
 * there to its mark. A new replica begins with it: it has the state, the instruments and the past epochs, and declares
 * everything before as missing by retention. Bounded: one block of rows.
 */

import { Database } from 'bun:sqlite';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { Nanos } from '../../../protocol/time';
import { makePrivate, PRIVATE_FILE } from '../../base/private-files';
import { checkedRows } from '../checked-rows';
import { connectToRead } from '../read-connection';
import { JOURNAL_FILE } from '../recover/reading';
import type { RecordRow } from '../records';
import { newestState, stateRows } from '../recover/saved-state';
import { copyInstruments, createTables } from '../recover/salvage';
import { RowFrameWriter } from '../write/row-frame';
import { RowWriter } from '../write/row-writer';
import { idOf, KIND, SELECT_RECORD, seqOf, SLOT } from '../schema';

/** The position from which a replica continues that begins with the file. */
export interface CheckpointPosition {
  readonly epoch: number;
  readonly seq: number;
}

/**
 * Writes the newest checkpoint of a journal that may be written meanwhile.
 * @param path of the journal
 * @param target does not exist
 * @returns null if the journal has no sound checkpoint
 * @throws JournalDamage if the records behind it are not what was written
 */
export function writeCheckpointFile(path: string, target: string): CheckpointPosition | null {
  const source = connectToRead(path);
  try {
    source.run('BEGIN'); // one state of the file, whatever is written meanwhile
    const { saved, known } = newestState(source);
    if (saved === null || saved.whole !== null) return null;
    closeSync(openSync(target, 'wx', PRIVATE_FILE));
    const db = new Database(target, { create: false, readwrite: true });
    db.run('PRAGMA journal_mode = OFF'); // an incomplete file does not count
    db.run('PRAGMA synchronous = OFF');
    createTables(db);
    copyInstruments(source, db);
    db.transaction(() => {
      copyRecords(source, db, saved.from, known.lastId);
      copyState(source, db, known.lastId);
    })();
    db.run('PRAGMA synchronous = FULL');
    db.run('PRAGMA journal_mode = DELETE');
    db.close();
    return { epoch: epochAt(source, known.lastId), seq: seqOf(known.lastId) };
  } finally {
    source.close();
  }
}

/**
 * Makes a checkpoint file the journal of a data directory that has none.
 * @throws Error if it has one, or cannot be written
 */
export function installCheckpoint(directory: string, content: Uint8Array): void {
  const path = join(directory, JOURNAL_FILE);
  if (existsSync(path)) throw new Error(`${path} exists`);
  makePrivate(directory);
  const partial = `${path}.partial`;
  rmSync(partial, { force: true });
  const file = openSync(partial, 'wx', PRIVATE_FILE);
  try {
    for (let at = 0; at < content.length;) at += writeSync(file, content, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}

/** The past epochs, the gap up to the checkpoint, and what follows up to its mark. */
function copyRecords(source: Database, target: Database, from: number, markId: number): void {
  const writer = new RowWriter(target);
  const frame = new RowFrameWriter();
  const afterId = idOf(from, SLOT.checkpoint);
  for (const row of epochRows(source, afterId)) frame.row(row);
  if (from > 0) frame.note({ kind: 'gap', from: 1, reason: 'retention' }, from, Nanos.ZERO);
  writer.write(frame.take());
  for (const rows of checkedRows(source, afterId)) {
    for (const row of rows) {
      if (row.id < markId && row.kind !== KIND.checkpoint) frame.row(row);
    }
    writer.write(frame.take());
    if ((rows.at(-1)?.id ?? 0) >= markId) break;
  }
  frame.row(rowsWhere(source, 'id = ? AND kind = ?', [markId, KIND.checkpoint])[0]!);
  writer.write(frame.take());
  writer.endBlock();
  writer.finalize();
}

function epochRows(db: Database, upToId: number): RecordRow[] {
  return rowsWhere(db, 'id IN (SELECT id FROM note WHERE kind = ? AND id <= ?)', [
    KIND.epoch,
    upToId,
  ]);
}

function rowsWhere(db: Database, condition: string, values: [number, number]): RecordRow[] {
  return db
    .query<RecordRow, [number, number]>(`${SELECT_RECORD} WHERE ${condition} ORDER BY id`)
    .all(...values);
}

function copyState(source: Database, target: Database, markId: number): void {
  const put = target.prepare(
    'INSERT INTO piece (kind, key, cycle, seq, crc, body) VALUES (?, ?, ?, ?, ?, ?)',
  );
  for (const { kind, key, cycle, seq, crc, body } of stateRows(source, markId)) {
    put.run(kind, key, cycle, seq, crc, body);
  }
  put.finalize();
}

function epochAt(db: Database, upToId: number): number {
  const newest = epochRows(db, upToId).findLast(({ text }) => text === 'opened');
  return newest?.ref ?? 0;
}
