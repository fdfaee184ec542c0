/**
 * Frames and blocks: rows read back as they were written, and a checksum that detects any change.
 */

import { afterAll, describe, expect, test } from 'bun:test';
import { Database } from 'bun:sqlite';
import { join } from 'node:path';

import { BlockFold, type Block } from '../../src/journal/blocks';
import { checkedRows, JournalDamage } from '../../src/journal/checked-rows';
import type { RecordRow } from '../../src/journal/records';
import { RowFrameWriter } from '../../src/journal/write/row-frame';
import { BLOCK_ROWS, SELECT_RECORD } from '../../src/journal/schema';
import { FakeSource } from '../support/fake-source';
import { Prng } from '../../src/base/prng';
import { instrument } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { record } from '../support/test-recorder';

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** A closed journal with some blocks of one instrument. */
function written(): string {
  const directory = scratch.fresh();
  const { recorder } = record(directory, { snapshotEveryMs: 1_000 });
  const source = new FakeSource(new Prng(4), 'ACME');
  recorder.sequencer.submit(1, [instrument('ACME'), source.snapshot(source.seq)], () => {});
  for (let i = 0; i < 700; i++) {
    const from = source.seq;
    source.advance(2);
    recorder.sequencer.submit(1, [source.delta(from, source.seq), source.trade()], () => {});
    if (i % 50 === 0) recorder.sequencer.drain();
  }
  recorder.close();
  return directory;
}

function open(directory: string): Database {
  return new Database(join(directory, 'journal.sqlite'));
}

function rowsOf(db: Database): RecordRow[] {
  return db.query<RecordRow, []>(`${SELECT_RECORD} WHERE id % 8 = 0 ORDER BY id`).all();
}

/** The blocks of rows that arrive in frames of random sizes. */
function fold(rows: readonly RecordRow[], random: Prng): Omit<Block, 'parts'>[] {
  const blocks: Omit<Block, 'parts'>[] = [];
  const add = ({ firstId, lastId, crc }: Block): void => void blocks.push({ firstId, lastId, crc });
  const folded = new BlockFold();
  const frame = new RowFrameWriter();
  for (const row of rows) {
    frame.row(row);
    if (random.chance(0.01)) folded.take(frame.take(), null, add);
  }
  folded.take(frame.take(), null, add);
  const rest = folded.end();
  if (rest !== undefined) add(rest);
  return blocks;
}

test('the checksum does not depend on how rows came in frames, and equals that of the file', () => {
  const db = open(written());
  const rows = rowsOf(db);
  expect(rows.length).toBeGreaterThan(BLOCK_ROWS * 2);
  const kept = db
    .query('SELECT first_id AS firstId, last_id AS lastId, crc FROM block ORDER BY last_id')
    .all();
  db.close();
  const random = new Prng(readSeed());
  for (let i = 0; i < 5; i++) expect(fold(rows, random)).toEqual(kept as never);
});

describe('any change in a row of a block is found', () => {
  const directory = written();
  const numbers = [
    'kind',
    'instrument',
    'prev_seq',
    'event_time',
    'receive_time',
    'price',
    'quantity',
    'bid',
    'bid_quantity',
    'ask',
    'ask_quantity',
    'volume',
    'side',
    'ref',
    'source_seq',
  ] as const;

  /** The first damaged seq after a statement was run on a copy. */
  function damageBy(sql: string): number | undefined {
    const db = open(scratch.copyOf(directory));
    const { changes } = db.run(sql);
    if (changes === 0) throw new Error(`nothing was changed by ${sql}`);
    try {
      for (const rows of checkedRows(db, -1)) expect(rows.length).toBeGreaterThan(0);
      return undefined;
    } catch (e) {
      if (!(e instanceof JournalDamage)) throw e;
      return e.goodSeq;
    } finally {
      db.close();
    }
  }

  test.each(numbers)('%s', (column) => {
    const db = open(directory);
    const rows = db
      .query(`SELECT id FROM record WHERE ${column} IS NOT NULL AND id % 8 = 0`)
      .all() as { id: number }[];
    db.close();
    const { id } = rows[Math.floor(rows.length / 2)]!;
    const good = damageBy(`UPDATE record SET ${column} = ${column} + 1 WHERE id = ${id}`);
    expect(good).toBeLessThan(id / 8);
    expect(good! + BLOCK_ROWS).toBeGreaterThanOrEqual(id / 8);
  });

  test('levels, text, a missing row', () => {
    for (const sql of [
      'UPDATE record SET levels = zeroblob(length(levels)) WHERE id = (SELECT max(id) FROM record WHERE kind = 5)',
      'UPDATE record SET levels = NULL WHERE id = (SELECT max(id) FROM record WHERE kind = 5)',
      "UPDATE record SET text = text || ' ' WHERE kind = 1",
      'DELETE FROM record WHERE id = (SELECT max(id) FROM record WHERE kind = 3)',
    ]) {
      expect([sql, typeof damageBy(sql)]).toEqual([sql, 'number']);
    }
  });
});
