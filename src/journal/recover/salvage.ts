/**
 * Salvage: copies the good part of a damaged journal to a new file. The damaged file is set aside
 * under a new name, complete and unchanged.
 *
 * It copies every record up to a given seq that SQLite can read and whose block has the right
 * checksum, all notes, and every piece of the state with the right checksum. Records that are then
 * missing are declared by gaps. The new file replaces the old one only when it is complete. So the
 * next start repeats or completes a salvage that was interrupted. Bounded: one block of rows.
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
import { VIEWS } from './views';

const PARTIAL = 'journal.salvage-partial.sqlite';
const COMPLETE = 'journal.salvaged.sqlite';
const PAGE_ROWS = 512;
const PIECES_A_WRITE = 64;
/** More than can have been committed and not yet published when the process ended. */
const BEYOND_HEAD_MAX = 1_000_000;
const SIDE_FILES = ['', '-wal', '-shm'];

export function createTables(db: Database): void {
  db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  db.transaction(() => db.run(TABLES + VIEWS))();
}

/** Completes a salvage that was interrupted after the new file was complete. */
export function finishSalvage(directory: string): void {
  const complete = join(directory, COMPLETE);
  if (existsSync(complete) && !existsSync(join(directory, JOURNAL_FILE))) {
    renameSync(complete, join(directory, JOURNAL_FILE));
  }
}

/**
 * @param goodSeq records after this seq are not copied
 * @param headSeq up to where anything was published, if that is known
 * @param onRows called with the number of rows copied so far
 * @returns the path of the damaged file now
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
  target.run('PRAGMA journal_mode = OFF'); // an incomplete file does not count
  target.run('PRAGMA synchronous = OFF');
  createTables(target);
  const writer = new RowWriter(target);
  const copy = new Copy(writer, goodSeq, headSeq, now, onRows);
  const source = openDamaged(path);
  if (source !== undefined) {
    copyInstruments(source, target);
    // One transaction for each page: one for each row would take a system call each.
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

/** One start may set two files aside. */
export function unusedName(directory: string, millis: number): string {
  for (let n = millis; ; n++) {
    const path = join(directory, `journal-damaged-${n}.sqlite`);
    if (!existsSync(path)) return path;
  }
}

/** Undefined if not even the schema can be read. */
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
    // The records of the definitions add them again.
  }
}

/** Leaves out what cannot be read, and with it the checkpoints that need it. */
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
      // It lies on a damaged page.
    }
  };
  const ids = pieceIds(source);
  for (let i = 0; i < ids.length; i += PIECES_A_WRITE) {
    target.transaction(() => ids.slice(i, i + PIECES_A_WRITE).forEach(copy))();
  }
  put.finalize();
}

/**
 * Reads the index; if that fails, the table as far as it can be read. Journals of schema 3 or
 * before have no pieces.
 */
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
  /** No higher seq was ever assigned. */
  private readonly seqMax: number;
  private readonly now: Nanos;
  private readonly onRows: (rows: number) => void;
  private readonly frame = new RowFrameWriter();
  /** The seq that must come next. */
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

  /** @param together runs the given function as one write */
  run(source: Database, together: (write: () => void) => void): void {
    try {
      this.blocks = source
        .query<BlockRow, []>('SELECT first_id, last_id, crc FROM block ORDER BY last_id')
        .all();
    } catch {
      // The copy then leaves out only what SQLite cannot read.
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

  /** Holds the rows of a block until the block is complete. */
  private take(row: RecordRow): void {
    while (this.blocks.length > 0 && row.id > this.blocks[0]!.last_id) {
      this.release();
      this.blocks.shift();
    }
    this.held.push(row);
  }

  /** Copies the held rows: all of them, or only the notes if the block is not what was written. */
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
      // A row of an unknown kind: its seq counts as missing.
      this.next = Math.min(this.next, seq);
    }
  }

  private gap(to: number): void {
    this.frame.note({ kind: 'gap', from: this.next, reason: 'damage' }, to, this.now);
    this.next = to + 1;
  }
}

/** A journal that was damaged before it was upgraded lacks columns of this schema. */
function selectOf(db: Database): string {
  const columns = db
    .query<{ name: string }, []>("SELECT name FROM pragma_table_info('record')")
    .all();
  return columns.some(({ name }) => name === 'as_of') ? SELECT_RECORD : SELECT_RECORD_2;
}

/**
 * All rows that SQLite can read, in pages. Where a page of the file cannot be read, it continues
 * behind it.
 */
function* readablePages(db: Database): Generator<RecordRow[]> {
  const select = selectOf(db);
  const from = (id: number, limit: number): RecordRow[] | undefined => {
    try {
      const rows = db
        .query<RecordRow, [number, number]>(`${select} WHERE id >= ? ORDER BY id LIMIT ?`)
        .all(id, limit);
      // A damaged tree may return rows in any order.
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
      limit = Math.floor(limit / 2); // approaches the last row that can be read
      continue;
    }
    // Doubles the stride until something can be read, then halves it to find the first such row.
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
