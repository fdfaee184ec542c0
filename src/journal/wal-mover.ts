/**
 * WAL mover: keeps the WAL short without standing in the way of commits.
 *
 * What the WAL holds is moved into the file by a thread beside the writer (`wal-thread.ts`). Pages that
 * were committed meanwhile are left, and only when none are can SQLite begin the WAL anew; so the writer
 * itself moves that rest, which is short, when nothing waits to be written or when it is overdue.
 */

import type { Database } from 'bun:sqlite';

import { hasDescriptors, THREAD_DESCRIPTORS } from '../base/descriptors';
import { startThread } from './threads';

/** Of the WAL, about: what is worth a move, and what is moved even while something waits. */
const DUE_BYTES = 16 * 1_024 * 1_024;
const OVERDUE_BYTES = 64 * 1_024 * 1_024;

export class WalMover {
  private readonly db: Database;
  private readonly path: string;
  private phase: 'short' | 'moving' | 'rest' = 'short';
  private bytes = 0;
  /** Started at once: where descriptors have run out, starting a thread ends the process. */
  private thread: Worker | undefined;

  constructor(db: Database, path: string) {
    this.db = db;
    this.path = path;
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
    } catch {
      // A full disk; the frames that come will say so.
    }
  }

  /** Moves all of it. @throws Error of SQLite */
  close(): void {
    this.thread?.terminate();
    this.db.run('PRAGMA wal_checkpoint(TRUNCATE)');
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
