/**
 * Writer: writes frames to the disk in their order, each completely or not at all. In a server it
 * is a thread of its own (`thread-writer.ts`). In commands that do nothing else, and in tests that
 * steer time, it is the thread of the caller (below).
 */

import type { Database } from 'bun:sqlite';
import { dirname } from 'node:path';

import { causeOf, type Cause } from './causes';
import { OwnWrites } from './own-writes';
import type { RowFrame } from './row-frame';
import { RowWriter } from './row-writer';

/** Why a frame could not be written. */
export interface WriteFailure {
  readonly message: string;
  /** Whether the writer tries again by itself: the disk may have room, or be available, later. */
  readonly isRetried: boolean;
  /** Whether SQLite found that the file is damaged. */
  readonly isDamage: boolean;
  readonly cause: Cause;
}

/** SQLite's errors for a disk that is full, slow, gone or read-only, and may recover. */
const RETRIED = /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|PROTOCOL|NOMEM)/;
const DAMAGE = /^SQLITE_(CORRUPT|NOTADB)/;

/** @param path of the journal */
export function writeFailure(e: unknown, path: string): WriteFailure {
  const { code = '', message } = e as { code?: string; message: string };
  const cause = causeOf(e, dirname(path));
  return { message, isRetried: RETRIED.test(code), isDamage: DAMAGE.test(code), cause };
}

export interface WriterEvents {
  /**
   * The oldest `frames` of those sent are committed.
   * @param tookMs duration of the transaction, if measured
   */
  committed(frames: number, tookMs?: number): void;
  failed(failure: WriteFailure): void;
  /** The newest whole book of these instruments was deleted by retention. */
  bookless(instruments: readonly number[]): void;
}

export interface JournalWriter {
  send(frame: RowFrame): void;
  /**
   * Writes what was sent, moves the WAL into the file and closes the file.
   * @param done called with what prevented that, if anything
   */
  close(done: (failure?: WriteFailure) => void): void;
  /** Releases the file without writing. */
  abandon(): void;
}

export interface WriterSettings {
  readonly path: string;
  readonly synchronous: 'NORMAL' | 'FULL';
  readonly retention: Retention;
}

/** Older records, or more bytes, are deleted in the background; 0: no limit. */
export interface Retention {
  readonly hours: number;
  readonly bytes: number;
}

/** @param db a connection to the file, which stays open beside the writer's */
export type CreateWriter = (
  settings: WriterSettings,
  db: Database,
  events: WriterEvents,
) => JournalWriter;

/** Writes at once. A frame that cannot be written is a final failure. */
export class InlineWriter implements JournalWriter {
  private readonly db: Database;
  private readonly events: WriterEvents;
  private readonly rows: RowWriter;
  private readonly own: OwnWrites;

  constructor(db: Database, events: WriterEvents) {
    this.db = db;
    this.events = events;
    this.rows = new RowWriter(db);
    this.own = new OwnWrites(db);
  }

  send(frame: RowFrame): void {
    try {
      this.db.run('BEGIN IMMEDIATE');
      const written = this.own.within(() => this.rows.write(frame));
      this.db.run('COMMIT');
      written.commit();
    } catch (e) {
      if (this.db.inTransaction) this.db.run('ROLLBACK');
      this.events.failed({ ...writeFailure(e, this.db.filename), isRetried: false });
      return;
    }
    this.events.committed(1);
  }

  close(done: (failure?: WriteFailure) => void): void {
    try {
      this.rows.endBlock();
      this.finalize();
      this.db.run('PRAGMA wal_checkpoint(TRUNCATE)');
      done();
    } catch (e) {
      done(writeFailure(e, this.db.filename));
    }
  }

  abandon(): void {
    this.finalize();
  }

  private finalize(): void {
    this.rows.finalize();
    this.own.finalize();
  }
}
