/**
 * Reading: opens a journal to read it and never changes it, also while a server writes it.
 *
 * It takes no lock. Records are read in pages, each in a read transaction of its own, so that a
 * long walk never keeps the server from shortening its WAL. The walk ends where the journal ended
 * when it was opened. If no WAL lies beside the file, nobody writes it. It is then opened as
 * immutable, since SQLite would otherwise leave a WAL behind. If a server starts meanwhile, the
 * file changes, and that ends the walk. (After a crash SQLite may rebuild `-shm`, the index of the
 * WAL.) Bounded: one page of rows.
 */

import type { Database } from 'bun:sqlite';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { StartFault } from '../../base/start-fault';
import type { GapNote } from '../journal';
import { readEpochs, readGaps, type EpochRow } from './notes';
import { connectToRead, watchUnchanged } from '../read-connection';
import type { RecordRow } from '../records';
import {
  APPLICATION_ID,
  idOf,
  KIND,
  SCHEMA_VERSION,
  SELECT_RECORD,
  seqOf,
  SLOTS,
  UPGRADABLE_VERSION,
} from '../schema';

export const JOURNAL_FILE = 'journal.sqlite';
const PAGE_ROWS = 5_000;

export interface InstrumentRow {
  readonly id: number;
  readonly symbol: string;
  readonly definition: string;
}

/**
 * All rows behind an id in order and in pages, without checkpoints.
 * @param last the last id to read
 */
function* readPages(db: Database, after: number, last: number): Generator<RecordRow[]> {
  const page = db.prepare<RecordRow, [number, number]>(
    `${SELECT_RECORD} WHERE id > ? AND id <= ? AND kind <> ${KIND.checkpoint} ORDER BY id LIMIT ${PAGE_ROWS}`,
  );
  try {
    for (let from = after; ;) {
      const rows = page.all(from, last);
      yield rows;
      if (rows.length < PAGE_ROWS) return;
      from = rows.at(-1)!.id;
    }
  } finally {
    page.finalize();
  }
}

/**
 * Why the file does not belong to this version; undefined if it does. It only reads: even an
 * ordinary close could change the file.
 */
export function checkForeign(path: string): StartFault | undefined {
  const db = connectToRead(path);
  try {
    if (countTables(db) > 0 && pragma(db, 'application_id') !== APPLICATION_ID) {
      return new StartFault(
        'journal-foreign',
        `${path} is a database of another program`,
        'Give another directory with --data; the file is not changed.',
      );
    }
    const version = pragma(db, 'user_version');
    if (version === SCHEMA_VERSION || countTables(db) === 0) return undefined;
    if (version >= UPGRADABLE_VERSION && version < SCHEMA_VERSION) {
      return new StartFault(
        'journal-older',
        `${path} was written by an older Tapedeck (schema ${version}; this one reads ${SCHEMA_VERSION})`,
        'Start "tapedeck serve" on its directory once: that brings the file up to this version, where it lies.',
      );
    }
    if (version < SCHEMA_VERSION) {
      return new StartFault(
        'journal-older',
        `${path} was written by an older Tapedeck (schema ${version}; this one reads ${SCHEMA_VERSION})`,
        'Export what it holds with that version, or give another directory with --data; the file is not changed.',
      );
    }
    return new StartFault(
      'journal-newer',
      `${path} was written by a newer Tapedeck (schema ${version}; this one knows ${SCHEMA_VERSION})`,
      'Use that version, or give another directory with --data; the file is not changed.',
    );
  } finally {
    db.close();
  }
}

/** Whether it is a journal of an older schema that can be upgraded. */
export function needsUpgrade(path: string): boolean {
  const db = connectToRead(path);
  try {
    if (countTables(db) === 0 || pragma(db, 'application_id') !== APPLICATION_ID) return false;
    const version = pragma(db, 'user_version');
    return version >= UPGRADABLE_VERSION && version < SCHEMA_VERSION;
  } finally {
    db.close();
  }
}

function pragma(db: Database, name: string): number {
  return (db.query(`PRAGMA ${name}`).get() as Record<string, number>)[name]!;
}

export function countTables(db: Database): number {
  return (db.query('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }).n;
}

/** Opens the journal of a directory to read it; or returns why it cannot be read. */
export function openReading(directory: string): JournalReading | StartFault {
  const path = join(directory, JOURNAL_FILE);
  if (!existsSync(path)) return noJournal(directory);
  let db: Database | undefined;
  try {
    const foreign = checkForeign(path);
    if (foreign !== undefined) return foreign;
    db = connectToRead(path);
    if (countTables(db) > 0) return new JournalReading(db, path);
    db.close();
    return noJournal(directory);
  } catch (e) {
    db?.close();
    return unreadable(path, e);
  }
}

/**
 * Reads only the symbols of a journal; an empty list if there is no journal.
 * @throws Error when it cannot be read
 */
export function readSymbols(directory: string): readonly string[] {
  const path = join(directory, JOURNAL_FILE);
  if (!existsSync(path) || checkForeign(path) !== undefined) return [];
  const db = connectToRead(path);
  try {
    if (countTables(db) === 0) return [];
    const rows = all<{ symbol: string }>(db, 'SELECT symbol FROM instrument ORDER BY symbol');
    return rows.map(({ symbol }) => symbol);
  } finally {
    db.close();
  }
}

/** The fault of a journal of which SQLite, or this program, cannot read a row. */
export function unreadable(path: string, e: unknown): StartFault {
  const message = `${path} cannot be read: ${(e as Error).message}`;
  return new StartFault(
    'journal-damaged',
    message,
    'Run "tapedeck verify" on its directory to see where; the file is not changed by this.',
  );
}

function noJournal(directory: string): StartFault {
  return new StartFault(
    'no-journal',
    `there is no journal in ${directory}`,
    'Give the directory of one with --data.',
  );
}

export class JournalReading {
  readonly path: string;
  /** First and last seq when it was opened; 0 if it has no record. */
  readonly seqFirst: number;
  readonly seqLast: number;
  readonly epochs: readonly EpochRow[];
  readonly instruments: readonly InstrumentRow[];
  /** In order of their sequence numbers. */
  readonly gaps: readonly GapNote[];
  private readonly db: Database;
  private readonly checkUnchanged: () => void;

  /** @throws Error when it cannot be read */
  constructor(db: Database, path: string) {
    this.db = db;
    this.path = path;
    this.checkUnchanged = watchUnchanged(path);
    db.run('BEGIN'); // one state of the journal for all queries that follow
    const { first, last } = db
      .query(
        `SELECT (SELECT min(id) FROM record WHERE id % ${SLOTS} = 0) AS first, (SELECT max(id) FROM record) AS last`,
      )
      .get() as { first: number | null; last: number | null };
    this.seqFirst = first === null ? 0 : seqOf(first);
    this.seqLast = last === null ? 0 : seqOf(last);
    this.epochs = readEpochs(db);
    this.instruments = all(db, 'SELECT id, symbol, definition FROM instrument ORDER BY id');
    this.gaps = readGaps(db);
    db.run('COMMIT');
  }

  /** Every record in order, in pages. @throws Error when a page cannot be read */
  *pages(): Generator<RecordRow[]> {
    for (const rows of readPages(this.db, -1, idOf(this.seqLast, SLOTS - 1))) {
      this.checkUnchanged();
      yield rows;
    }
  }

  close(): void {
    this.db.close();
  }
}

function all<T>(db: Database, sql: string): T[] {
  return db.query(sql).all() as T[];
}
