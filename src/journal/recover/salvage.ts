/**
 * Salvage: what is good of a damaged journal goes on in a new file; the damaged one is set aside under a
 * new name, whole and unchanged.
 *
 * Taken over is every record up to a place that SQLite reads and whose block has its checksum, what the
 * journal noted, and every piece of the state that has its checksum. Places that are missing then are noted as gaps. The new file takes the place of the
 * old one only when it is complete, so a salvage that is interrupted is begun again, or ended, by the
 * next start. Bounded: one block of rows.
 */

import { Database } from 'bun:sqlite';
import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Nanos } from '../../../protocol/time';
import { PRIVATE_FILE } from '../../base/private-files';
import { isSound, type BlockRow } from '../checked-rows';
import { pieceCrc, type PieceRow } from '../write/piece';
import { JOURNAL_FILE } from './reading';
import type { RecordRow } from '../records';
import { RowFrameWriter } from '../write/row-frame';
import { RowWriter } from '../write/row-writer';
import {
  APPLICATION_ID,
  KIND,
  SCHEMA_VERSION,
  SELECT_RECORD,
  SELECT_RECORD_2,
  seqOf,
  SLOT,
  SLOTS,
  TABLES,
} from '../schema';
import { VIEWS } from '../views';

const PARTIAL = 'journal.salvage-partial.sqlite';
const COMPLETE = 'journal.salvaged.sqlite';
const PAGE_ROWS = 512;
const PIECES_A_WRITE = 64;
/** Places that were committed, and not shown yet when the process ended: fewer. */
const BEYOND_HEAD_MAX = 1_000_000;
const SIDE_FILES = ['', '-wal', '-shm'];

export function createTables(db: Database): void {
  db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  db.transaction(() => db.run(TABLES + VIEWS))();
}

/** Ends a salvage that was interrupted when the new file was complete. */
export function finishSalvage(directory: string): void {
  const complete = join(directory, COMPLETE);
  if (existsSync(complete) && !existsSync(join(directory, JOURNAL_FILE))) {
    renameSync(complete, join(directory, JOURNAL_FILE));
  }
}

/**
 * @param goodSeq what stands behind this place is not taken over
 * @param headSeq how far the numbering was shown, if that is known @param onRows told of the rows taken over so far
 * @returns where the damaged file is now
 */
export function salvage(
  directory: string,
  goodSeq: number,
  headSeq: number | undefined,
  now: Nanos,
  onRows: (rows: number) => void = () => {},
): string {
  const path = join(directory, JOURNAL_FILE);
  const partial = join(directory, PARTIAL);
  for (const suffix of SIDE_FILES) rmSync(`${partial}${suffix}`, { force: true });
  closeSync(openSync(partial, 'wx', PRIVATE_FILE));
  const target = new Database(partial, { create: false, readwrite: true });
  target.run('PRAGMA journal_mode = OFF'); // a file that is not complete counts for nothing
  target.run('PRAGMA synchronous = OFF');
  createTables(target);
  const writer = new RowWriter(target);
  const copy = new Copy(writer, goodSeq, headSeq, now, onRows);
  const source = openDamaged(path);
  if (source !== undefined) {
    copyInstruments(source, target);
    // One transaction a page of rows: one a row would take a system call for each.
    copy.run(source, (write) => target.transaction(write)());
    copyPieces(source, target);
    source.close();
  }
  writer.endBlock();
  writer.finalize();
  target.run('PRAGMA synchronous = FULL');
  target.run('PRAGMA journal_mode = DELETE');
  target.close();
  renameSync(partial, join(directory, COMPLETE));
  const aside = unusedName(directory, now.millis);
  for (const suffix of SIDE_FILES) {
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`);
  }
  renameSync(join(directory, COMPLETE), path);
  return aside;
}

/** Two may be set aside in one start. */
export function unusedName(directory: string, millis: number): string {
  for (let n = millis; ; n++) {
    const path = join(directory, `journal-damaged-${n}.sqlite`);
    if (!existsSync(path)) return path;
  }
}

/** Undefined when not even its schema reads. */
function openDamaged(path: string): Database | undefined {
  let db: Database | undefined;
  try {
    db = new Database(path, { readonly: true });
    db.query('SELECT count(*) FROM sqlite_schema').get();
    return db;
  } catch {
    db?.close();
    return undefined;
  }
}

export function copyInstruments(source: Database, target: Database): void {
  try {
    const put = target.prepare('INSERT OR IGNORE INTO instrument VALUES (?, ?, ?, ?, ?)');
    for (const row of source.query('SELECT * FROM instrument ORDER BY id').values()) {
      put.run(...(row as (string | number)[]));
    }
    put.finalize();
  } catch {
    // The records of their definitions put them in again.
  }
}

/** What does not read is left out, and with it the checkpoints that it is of. */
function copyPieces(source: Database, target: Database): void {
  const put = target.prepare(
    'INSERT OR IGNORE INTO piece (kind, key, cycle, seq, crc, body) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const copy = (id: number): void => {
    try {
      const piece = source
        .query<PieceRow, [number]>(
          'SELECT kind, key, cycle, seq, crc, body FROM piece WHERE id = ?',
        )
        .get(id);
      if (piece === null || pieceCrc(piece) !== piece.crc) return;
      const { kind, key, cycle, seq, crc, body } = piece;
      put.run(kind, key, cycle, seq, crc, body);
    } catch {
      // On a page that is damaged.
    }
  };
  const ids = pieceIds(source);
  for (let i = 0; i < ids.length; i += PIECES_A_WRITE) {
    target.transaction(() => ids.slice(i, i + PIECES_A_WRITE).forEach(copy))();
  }
  put.finalize();
}

/** From the index, or where that does not read from the table as far as it does; none of schema 3 or before. */
function pieceIds(source: Database): number[] {
  for (const from of ['piece INDEXED BY piece_of', 'piece NOT INDEXED']) {
    const ids: number[] = [];
    try {
      const select = source.query<{ id: number }, []>(`SELECT id FROM ${from}`);
      for (const { id } of select.iterate()) ids.push(id);
      return ids;
    } catch {
      if (ids.length > 0 && from.endsWith('NOT INDEXED')) return ids;
    }
  }
  return [];
}

class Copy {
  private readonly writer: RowWriter;
  private readonly goodSeq: number;
  /** No place above it was ever given. */
  private readonly seqMax: number;
  private readonly now: Nanos;
  private readonly onRows: (rows: number) => void;
  private readonly frame = new RowFrameWriter();
  /** The place that has to come next. */
  private next = 1;
  private rows = 0;
  private blocks: BlockRow[] = [];
  private held: RecordRow[] = [];

  constructor(
    writer: RowWriter,
    goodSeq: number,
    headSeq: number | undefined,
    now: Nanos,
    onRows: (rows: number) => void,
  ) {
    this.writer = writer;
    this.goodSeq = goodSeq;
    this.seqMax = headSeq === undefined ? Number.MAX_SAFE_INTEGER : headSeq + BEYOND_HEAD_MAX;
    this.now = now;
    this.onRows = onRows;
  }

  /** @param together does what it is given as one write */
  run(source: Database, together: (write: () => void) => void): void {
    try {
      this.blocks = source
        .query<BlockRow, []>('SELECT first_id, last_id, crc FROM block ORDER BY last_id')
        .all();
    } catch {
      // Then only what SQLite does not read is left out.
    }
    let lastSeen = 0;
    for (const rows of readablePages(source)) {
      together(() => {
        for (const row of rows) {
          if (seqOf(row.id) > this.seqMax) break;
          lastSeen = seqOf(row.id);
          if (lastSeen <= this.goodSeq) this.take(row);
        }
      });
      this.onRows(this.rows);
    }
    together(() => {
      this.release();
      if (lastSeen >= this.next) this.gap(lastSeen);
      this.writer.write(this.frame.take());
    });
  }

  /** Holds the rows of a block back until it is whole. */
  private take(row: RecordRow): void {
    while (this.blocks.length > 0 && row.id > this.blocks[0]!.last_id) {
      this.release();
      this.blocks.shift();
    }
    this.held.push(row);
  }

  /** Takes over what is held: all of it, or only the notes when the block is not what was written. */
  private release(): void {
    const block = this.blocks[0];
    const { held } = this;
    this.held = [];
    const isInBlock =
      block !== undefined && held.some(({ id }) => id >= block.first_id && id <= block.last_id);
    const isGood = !isInBlock || held.at(-1)!.id < block.last_id || isSound(held, block);
    for (const row of held) {
      if (isGood || row.id % SLOTS !== SLOT.event || row.id < block.first_id) this.put(row);
    }
    this.writer.write(this.frame.take());
  }

  private put(row: RecordRow): void {
    const seq = seqOf(row.id);
    try {
      if (row.id % SLOTS === SLOT.event) {
        if (seq > this.next) this.gap(seq - 1);
        this.next = seq + 1;
      } else if (row.kind === KIND.gap) {
        if ((row.ref ?? 0) > this.next) this.gap((row.ref ?? 0) - 1);
        this.next = seq + 1;
      }
      this.frame.row(row);
      this.rows += 1;
    } catch {
      // Of no kind that was ever written: its place is missing, and will be noted.
      this.next = Math.min(this.next, seq);
    }
  }

  private gap(to: number): void {
    this.frame.note({ kind: 'gap', from: this.next, reason: 'damage' }, to, this.now);
    this.next = to + 1;
  }
}

/** One that was damaged before it was brought up to this schema has not all its columns. */
function selectOf(db: Database): string {
  const columns = db
    .query<{ name: string }, []>("SELECT name FROM pragma_table_info('record')")
    .all();
  return columns.some(({ name }) => name === 'as_of') ? SELECT_RECORD : SELECT_RECORD_2;
}

/** All rows that SQLite reads, in pages; where a page of the file does not read, those behind it. */
function* readablePages(db: Database): Generator<RecordRow[]> {
  const select = selectOf(db);
  const from = (id: number, limit: number): RecordRow[] | undefined => {
    try {
      const rows = db
        .query<RecordRow, [number, number]>(`${select} WHERE id >= ? ORDER BY id LIMIT ?`)
        .all(id, limit);
      // Out of a damaged tree rows may come in any order.
      const isAscending = rows.every((row, i) => row.id >= (i === 0 ? id : rows[i - 1]!.id + 1));
      return isAscending ? rows : undefined;
    } catch {
      return undefined;
    }
  };
  let limit = PAGE_ROWS;
  for (let next = 0; next <= Number.MAX_SAFE_INTEGER;) {
    const rows = from(next, limit);
    if (rows !== undefined) {
      if (rows.length === 0) return;
      yield rows;
      next = rows.at(-1)!.id + 1;
      limit = Math.min(PAGE_ROWS, limit * 2);
      continue;
    }
    if (limit > 1) {
      limit = Math.floor(limit / 2); // up to the last row that reads
      continue;
    }
    // Doubles the stride until something reads, then halves it to the first that does.
    let stride = SLOTS;
    while (next + stride <= Number.MAX_SAFE_INTEGER && from(next + stride, 1) === undefined)
      stride *= 2;
    let low = next + stride / 2;
    let high = next + stride;
    while (high - low > SLOTS) {
      const middle = low + Math.floor((high - low) / 2);
      if (from(middle, 1) === undefined) low = middle;
      else high = middle;
    }
    next = high;
  }
}
