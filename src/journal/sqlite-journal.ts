/**
 * SQLite journal: the file `journal.sqlite` in the data directory, in WAL mode, one transaction a
 * batch. It runs on the thread of its caller. A write that fails ends the process: what was neither
 * journaled nor acknowledged must not be shown as if it had been.
 * Bounded: what `async` may leave uncommitted (`commitEveryMs`, `PENDING_EVENTS_MAX`).
 */

import { Database, type SQLQueryBindings, type Statement } from 'bun:sqlite';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Instrument, Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { lockDirectory, type DirectoryLock } from './directory';
import type { Durability, Journal, JournalBatch, Recovered } from './journal';
import { checkForeign, countTables, JOURNAL_FILE, readPages } from './reading';
import { definitionText, insertEvent, rowToEvent, rowToTrade, type RecordRow } from './records';
import {
  APPLICATION_ID,
  INDEXES,
  insertSql,
  KIND,
  SCHEMA_VERSION,
  SELECT_RECORD,
  TABLES,
  type KindName,
} from './schema';
import { VIEWS } from './views';

export interface JournalOptions {
  readonly directory: string;
  readonly durability: Durability;
  /** For `async`: the longest that an event stays uncommitted, in ms. */
  readonly commitEveryMs: number;
  /** A checkpoint is written after this many events. */
  readonly checkpointEveryEvents: number;
}

const PENDING_EVENTS_MAX = 50_000;
const CHECKPOINTS_KEPT = 2;

export interface OpenedJournal {
  readonly journal: SqliteJournal;
  readonly recovered: Recovered;
}

export function openJournal(options: JournalOptions, clock: Clock): OpenedJournal | StartFault {
  const lock = lockDirectory(options.directory);
  if (lock instanceof StartFault) return lock;
  const path = join(options.directory, JOURNAL_FILE);
  let db: Database | undefined;
  try {
    const foreign = existsSync(path) ? checkForeign(path) : undefined;
    if (foreign !== undefined) {
      lock.release();
      return foreign;
    }
    db = new Database(path, { create: true });
    prepareDatabase(db, options.durability);
    const journal = new SqliteJournal(db, lock, options);
    return { journal, recovered: journal.recover(clock) };
  } catch (e) {
    db?.close();
    lock.release();
    return new StartFault(
      'journal-damaged',
      `${path} cannot be read: ${(e as Error).message}`,
      'Move the file away to start with an empty journal; it is not changed by this.',
    );
  }
}

function prepareDatabase(db: Database, durability: Durability): void {
  db.run('PRAGMA busy_timeout = 5000');
  db.run('PRAGMA journal_mode = WAL');
  db.run(`PRAGMA synchronous = ${durability === 'fsync' ? 'FULL' : 'NORMAL'}`);
  db.run('PRAGMA mmap_size = 1073741824');
  if (countTables(db) === 0) {
    db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    db.transaction(() => db.run(TABLES + VIEWS))();
  }
  db.run(INDEXES); // which a journal of before may lack
}

export class SqliteJournal implements Journal {
  private readonly db: Database;
  private readonly lock: DirectoryLock;
  private readonly options: JournalOptions;
  private readonly inserts: Record<KindName, Statement<unknown, SQLQueryBindings[]>>;
  private readonly begin: Statement;
  private readonly commit: Statement;
  private readonly tradesBefore: Statement<RecordRow, [number, number, number]>;
  private readonly instrumentIds = new Map<string, number>();
  private epoch = 0;
  private lastSeq = 0;
  private sinceCheckpoint = 0;
  private pending: JournalBatch[] = [];
  private pendingEvents = 0;
  private commitTimer: ReturnType<typeof setTimeout> | undefined;
  /** Told when a write fails; it must end the process. */
  failed: (error: unknown) => never = (error) => {
    throw error;
  };
  /** Gives the state after the newest batch; set once the market is there. */
  captureState: (() => string) | undefined;

  /** Of the file, for those who read it beside this. */
  get path(): string {
    return join(this.options.directory, 'journal.sqlite');
  }

  constructor(db: Database, lock: DirectoryLock, options: JournalOptions) {
    this.db = db;
    this.lock = lock;
    this.options = options;
    const kinds = Object.keys(KIND) as KindName[];
    this.inserts = Object.fromEntries(
      kinds.map((kind) => [kind, db.prepare(insertSql(kind))]),
    ) as typeof this.inserts;
    this.begin = db.prepare('BEGIN IMMEDIATE');
    this.commit = db.prepare('COMMIT');
    this.tradesBefore = db.prepare(
      `${SELECT_RECORD} WHERE kind = ${KIND.trade} AND instrument = ? AND seq < ? ORDER BY seq DESC LIMIT ?`,
    );
  }

  append(batch: JournalBatch, onDurable: () => void): void {
    if (this.options.durability !== 'async') {
      this.write([batch]);
      onDurable();
      return;
    }
    this.pending.push(batch);
    this.pendingEvents += batch.events.length;
    onDurable();
    if (this.pendingEvents >= PENDING_EVENTS_MAX) this.flush();
    else this.commitTimer ??= setTimeout(() => this.flush(), this.options.commitEveryMs);
  }

  trades(symbol: string, before: number, limit: number): Trade[] {
    this.flush();
    const id = this.instrumentIds.get(symbol);
    if (id === undefined) return [];
    return this.tradesBefore
      .all(id, before, limit)
      .map((row) => rowToTrade(row, symbol))
      .filter((trade) => trade !== undefined);
  }

  /** Lets go of the files without writing. */
  abandon(): void {
    // A statement that is still there would keep the database open behind its close.
    for (const statement of Object.values(this.inserts)) statement.finalize();
    for (const statement of [this.begin, this.commit, this.tradesBefore]) statement.finalize();
    this.db.close();
    this.lock.release();
  }

  close(): void {
    this.flush();
    // Also without new events: a book may have changed behind its tenth level, which is not one.
    this.writeCheckpoint();
    this.db.run('UPDATE epoch SET last_seq = ?, clean = 1 WHERE epoch = ?', [
      this.lastSeq,
      this.epoch,
    ]);
    this.db.run('PRAGMA wal_checkpoint(TRUNCATE)');
    this.abandon();
  }

  /** Reads what a start needs and opens the next epoch. */
  recover(clock: Clock): Recovered {
    for (const row of this.db.query('SELECT id, symbol FROM instrument').all()) {
      const { id, symbol } = row as { id: number; symbol: string };
      this.instrumentIds.set(symbol, id);
    }
    const newest = this.db.query('SELECT max(seq) AS seq FROM record').get() as {
      seq: number | null;
    };
    const past = this.db
      .query('SELECT max(epoch) AS epoch, max(last_seq) AS seq FROM epoch')
      .get() as { epoch: number | null; seq: number | null };
    this.lastSeq = Math.max(newest.seq ?? 0, past.seq ?? 0);
    this.db.run('UPDATE epoch SET last_seq = ? WHERE last_seq IS NULL', [this.lastSeq]);
    // The time makes an epoch unlike those of other journals, the maximum unlike its own past ones.
    this.epoch = Math.max(clock.now().millis, (past.epoch ?? 0) + 1);
    this.db.run('INSERT INTO epoch (epoch, first_seq) VALUES (?, ?)', [
      this.epoch,
      this.lastSeq + 1,
    ]);
    const checkpoint = this.soundCheckpoint();
    this.sinceCheckpoint = this.lastSeq - checkpoint.seq;
    return {
      epoch: this.epoch,
      lastSeq: this.lastSeq,
      checkpoint: checkpoint.state,
      tail: this.readFrom(checkpoint.seq),
    };
  }

  private soundCheckpoint(): { seq: number; state: string | null } {
    const rows = this.db.query('SELECT seq, crc, state FROM checkpoint ORDER BY seq DESC');
    for (const row of rows.all()) {
      const { seq, crc, state } = row as { seq: number; crc: number; state: string };
      if (Bun.hash.crc32(state) === crc) return { seq, state };
    }
    return { seq: 0, state: null };
  }

  private *readFrom(after: number): Iterable<BatchEvent> {
    const symbols = new Map([...this.instrumentIds].map(([symbol, id]) => [id, symbol]));
    for (const rows of readPages(this.db, after)) {
      for (const row of rows) {
        const event = rowToEvent(row, symbols.get(row.instrument) ?? '');
        if (event === undefined) throw new Error(`record ${row.seq} does not read`);
        yield event;
      }
    }
  }

  /** Commits what `async` still holds back. */
  flush(): void {
    clearTimeout(this.commitTimer);
    this.commitTimer = undefined;
    if (this.pending.length === 0) return;
    const batches = this.pending;
    this.pending = [];
    this.pendingEvents = 0;
    this.write(batches);
  }

  /** All of these batches, or, when the disk fails or is full, none and the end of the process. */
  private write(batches: readonly JournalBatch[]): void {
    try {
      this.writeAll(batches);
    } catch (e) {
      if (this.db.inTransaction) this.db.run('ROLLBACK');
      this.failed(e);
    }
    if (this.sinceCheckpoint >= this.options.checkpointEveryEvents) this.writeCheckpoint();
  }

  private writeAll(batches: readonly JournalBatch[]): void {
    this.begin.run();
    for (const batch of batches) {
      for (const event of batch.events) insertEvent(this.inserts, event, this.instrumentId(event));
      this.lastSeq = batch.lastSeq;
      this.sinceCheckpoint += batch.events.length;
    }
    this.commit.run();
  }

  private instrumentId(event: BatchEvent): number {
    if (event.type === 'instrument') return this.keepDefinition(event);
    const id = this.instrumentIds.get(event.symbol);
    if (id === undefined) throw new Error(`an event of ${event.symbol} precedes its definition`);
    return id;
  }

  private keepDefinition(d: Instrument): number {
    const row = this.db
      .query(
        `INSERT INTO instrument (symbol, price_scale, quantity_scale, definition)
         VALUES (?1, ?2, ?3, ?4) ON CONFLICT (symbol) DO UPDATE SET definition = ?4 RETURNING id`,
      )
      .get(d.symbol, d.priceScale, d.quantityScale, definitionText(d)) as { id: number };
    this.instrumentIds.set(d.symbol, row.id);
    return row.id;
  }

  private writeCheckpoint(): void {
    const state = this.captureState?.();
    if (state === undefined) return;
    this.db.run('INSERT OR REPLACE INTO checkpoint (seq, crc, state) VALUES (?, ?, ?)', [
      this.lastSeq,
      Bun.hash.crc32(state),
      state,
    ]);
    this.db.run(
      `DELETE FROM checkpoint WHERE seq NOT IN
         (SELECT seq FROM checkpoint ORDER BY seq DESC LIMIT ${CHECKPOINTS_KEPT})`,
    );
    this.sinceCheckpoint = 0;
  }
}
