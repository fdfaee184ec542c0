/**
 * WAL mover: keeps the WAL short without standing in the way of commits.
 *
 * What the WAL holds is moved into the file by a thread beside the writer (`wal-thread.ts`). Pages that
 * were committed meanwhile are left, and only when none are can SQLite begin the WAL anew; so the writer
 * itself moves that rest, which is short, when nothing waits to be written or when it is overdue.
 *
 * Nor does SQLite begin it anew while somebody reads it, and where the journal is read all the time that
 * is always the case: a WAL that has grown long for it is waited for, a moment at a time. Bounded: the
 * WAL by `longBytes`, and by what is written while a reader holds on longer than that.
 */

import type { Database } from 'bun:sqlite';
import { statSync } from 'node:fs';

import { hasDescriptors, THREAD_DESCRIPTORS } from '../../base/descriptors';
import { startThread } from '../threads';

/** Of the WAL, about: what is worth a move, and what is moved even while something waits. */
const DUE_BYTES = 16 * 1_024 * 1_024;
const OVERDUE_BYTES = 64 * 1_024 * 1_024;
/** Of the WAL: beyond it readers are waited for. */
const LONG_BYTES = 128 * 1_024 * 1_024;
/** So long, at most. */
const READERS_MS = 200;
/** What the writer waits for others else. */
export const BUSY_MS = 5_000;

/** What SQLite says of a move. */
interface Moved {
  readonly busy: number;
  /** Frames in the WAL; -1 when it was not even looked at. */
  readonly log: number;
}

/** Of the last move. */
const CLOSE_TRIES = 500;
const CLOSE_TRY_MS = 10;

export class WalMover {
  private readonly db: Database;
  private readonly path: string;
  private phase: 'short' | 'moving' | 'rest' = 'short';
  private bytes = 0;
  /** Started at once: where descriptors have run out, starting a thread ends the process. */
  private thread: Worker | undefined;
  private readonly longBytes: number;
  private waitAtBytes: number;

  /** @param longBytes a WAL of this size is long */
  constructor(db: Database, path: string, longBytes = LONG_BYTES) {
    this.db = db;
    this.path = path;
    this.longBytes = longBytes;
    this.waitAtBytes = longBytes;
    // One that was longer gives the room back when it begins anew.
    db.run(`PRAGMA journal_size_limit = ${OVERDUE_BYTES}`);
    this.thread = this.start();
  }

  /** So many bytes more are in the WAL, about. */
  written(bytes: number): void {
    this.bytes += bytes;
    if (this.phase === 'short' && this.bytes > DUE_BYTES) this.begin();
  }

  /** Between transactions. @param isIdle nothing waits to be written */
  between(isIdle: boolean): void {
    if (this.phase !== 'rest' || (!isIdle && this.bytes < OVERDUE_BYTES)) return;
    this.phase = 'short';
    this.bytes = 0;
    try {
      this.db.run('PRAGMA wal_checkpoint(PASSIVE)');
      if (this.isLong()) this.waitForReaders();
    } catch {
      // A full disk; the frames that come will say so.
    }
  }

  /** Moves all of it. @throws Error of SQLite */
  close(): void {
    this.thread?.terminate();
    const move = this.db.prepare<Moved, []>('PRAGMA wal_checkpoint(TRUNCATE)');
    for (let i = 0; i < CLOSE_TRIES; i++) {
      const { busy, log } = move.get()!;
      // SQLite waits for readers, but not for a connection that is closed at the same time: without it
      // the file of a server that was stopped in order would lack what its WAL holds.
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
   * Until none of them reads the WAL, so that what is written next begins it anew. Where one holds on,
   * they are waited for again when it is twice as long: commits must not wait for it each time.
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
      this.phase = 'rest'; // then all of it is moved by the writer
      this.thread = undefined;
    };
    return thread;
  }
}
