/**
 * WAL mover: keeps the write-ahead log short without delaying commits.
 *
 * A thread beside the writer (`wal-thread.ts`) moves the content of the WAL into the database file.
 * Pages that were committed meanwhile stay. SQLite can restart the WAL only when no pages are left.
 * So the writer itself moves this short rest, when nothing waits to be written or when it is
 * overdue.
 *
 * SQLite does not restart the WAL while somebody reads it. If the journal is read all the time, the
 * writer waits for the readers once the WAL has grown long, for a short time. Bounded: the WAL by
 * `longBytes`, plus what is written while a reader holds on longer than that.
 */

import type { Database } from 'bun:sqlite';
import { statSync } from 'node:fs';

import { hasDescriptors, THREAD_DESCRIPTORS } from '../../base/descriptors';
import { startThread } from '../threads';

/**
 * Sizes of the WAL: above `DUE_BYTES` it is moved, above `OVERDUE_BYTES` even while frames wait.
 */
const DUE_BYTES = 16 * 1_024 * 1_024;
const OVERDUE_BYTES = 64 * 1_024 * 1_024;
/** Above this size of the WAL the writer waits for readers. */
const LONG_BYTES = 128 * 1_024 * 1_024;
/** The longest wait for readers. */
const READERS_MS = 200;
/** The longest wait for other locks. */
export const BUSY_MS = 5_000;

/** SQLite's answer to a checkpoint of the WAL. */
interface Moved {
  readonly busy: number;
  /** Frames in the WAL; -1 if SQLite did not even look at it. */
  readonly log: number;
}

/** Attempts of the last move, when the journal is closed. */
const CLOSE_TRIES = 500;
const CLOSE_TRY_MS = 10;

export class WalMover {
  private readonly db: Database;
  private readonly path: string;
  private phase: 'short' | 'moving' | 'rest' = 'short';
  private bytes = 0;
  /** Started early: if no file descriptors are left, starting a thread ends the process. */
  private thread: Worker | undefined;
  private readonly longBytes: number;
  private waitAtBytes: number;

  /** @param longBytes the size from which a WAL is long */
  constructor(db: Database, path: string, longBytes = LONG_BYTES) {
    this.db = db;
    this.path = path;
    this.longBytes = longBytes;
    this.waitAtBytes = longBytes;
    // SQLite shortens a longer WAL file when it restarts it.
    db.run(`PRAGMA journal_size_limit = ${OVERDUE_BYTES}`);
    this.thread = this.start();
  }

  /** Counts about how many bytes were added to the WAL. */
  written(bytes: number): void {
    this.bytes += bytes;
    if (this.phase === 'short' && this.bytes > DUE_BYTES) this.begin();
  }

  /** Called between transactions. @param isIdle whether nothing waits to be written */
  between(isIdle: boolean): void {
    if (this.phase !== 'rest' || (!isIdle && this.bytes < OVERDUE_BYTES)) return;
    this.phase = 'short';
    this.bytes = 0;
    try {
      this.db.run('PRAGMA wal_checkpoint(PASSIVE)');
      if (this.isLong()) this.waitForReaders();
    } catch {
      // The disk is full; the next frames report it.
    }
  }

  /** Moves the whole WAL. @throws Error of SQLite */
  close(): void {
    this.thread?.terminate();
    const move = this.db.prepare<Moved, []>('PRAGMA wal_checkpoint(TRUNCATE)');
    for (let i = 0; i < CLOSE_TRIES; i++) {
      const { busy, log } = move.get()!;
      // SQLite waits for readers, but not for a connection that is being closed at the same time.
      // Without this loop, the database file would lack the content of the WAL after an orderly
      // end.
      if (busy === 0 || log >= 0) break;
      Bun.sleepSync(CLOSE_TRY_MS);
    }
    move.finalize();
  }

  private isLong(): boolean {
    return this.walBytes() > this.waitAtBytes;
  }

  private walBytes(): number {
    return statSync(`${this.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  /**
   * Waits until nobody reads the WAL, so that the next write restarts it. If a reader holds on, the
   * writer waits again only when the WAL is twice as long: commits must not wait each time.
   */
  private waitForReaders(): void {
    this.db.run(`PRAGMA busy_timeout = ${READERS_MS}`);
    try {
      const done = this.db.query<Moved, []>('PRAGMA wal_checkpoint(RESTART)').get()!;
      this.waitAtBytes = done.busy === 0 ? this.longBytes : 2 * this.walBytes();
    } finally {
      this.db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    }
  }

  private begin(): void {
    this.thread ??= hasDescriptors(THREAD_DESCRIPTORS) ? this.start() : undefined;
    this.phase = this.thread === undefined ? 'rest' : 'moving';
    if (this.thread === undefined) return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
    this.thread.postMessage({ path: this.path });
  }

  private start(): Worker {
    const thread = startThread('wal');
    thread.onmessage = (): void => {
      this.phase = 'rest';
    };
    thread.onerror = (): void => {
      this.phase = 'rest'; // the writer then moves everything
      this.thread = undefined;
    };
    return thread;
  }
}
