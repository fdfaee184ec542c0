/**
 * Writer thread: holds the connection that writes the journal of a running server.
 *
 * All frames that have arrived are one transaction (group commit). A transaction that fails is undone and
 * tried again with the same frames; how many can wait is bounded by the main thread. SQLite's own
 * checkpoint, which moves the WAL into the file, runs when nothing waits, or when it is overdue.
 */

import { Database } from 'bun:sqlite';

import type { RowFrame } from './row-frame';
import { Retainer } from './retention';
import { RowWriter } from './row-writer';
import type { FromWriter, ToWriter } from './thread-messages';
import type { WriteFailure, WriterSettings } from './writer';

interface Port {
  onmessage: ((event: MessageEvent<ToWriter>) => void) | null;
  postMessage(message: FromWriter): void;
}

const port = globalThis as unknown as Port;

const RETRY_MS = 200;
const PAGE_BYTES = 4_096;
/** Of the WAL, about: moved into the file when nothing waits, and when something does. */
const WAL_BYTES_IDLE = 4 * 1_024 * 1_024;
const WAL_BYTES_BUSY = 32 * 1_024 * 1_024;

/** About what a step of deleting writes. */
const RETAINED_WAL_BYTES = 512 * 1_024;

/** Between looks for what is too old or too much, and while there is some. */
const RETAIN_EVERY_MS = 1_000;
const RETAIN_NEXT_MS = 20;

/** What SQLite says of a disk that is full, slow, gone or read-only, and may be well again. */
const RETRIED = /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|PROTOCOL|NOMEM)/;

class WriterThread {
  private readonly db: Database;
  private readonly rows: RowWriter;
  private waiting: RowFrame[] = [];
  private isScheduled = false;
  private isFailing = false;
  private walBytes = 0;
  private readonly retainer: Retainer;
  private retainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor({ path, synchronous, retention }: WriterSettings) {
    this.db = new Database(path, { create: false, readwrite: true });
    this.db.run('PRAGMA busy_timeout = 5000');
    this.db.run(`PRAGMA synchronous = ${synchronous}`);
    this.db.run('PRAGMA wal_autocheckpoint = 0');
    this.rows = new RowWriter(this.db);
    this.retainer = new Retainer(this.db, retention);
    if (retention.hours > 0 || retention.bytes > 0) this.retainIn(RETAIN_EVERY_MS);
  }

  take(frame: RowFrame): void {
    this.waiting.push(frame);
    if (!this.isFailing) this.schedule(0);
  }

  close(): WriteFailure | undefined {
    clearTimeout(this.retainTimer);
    const failure = this.flush();
    if (failure !== undefined) return failure;
    try {
      this.rows.endBlock();
      this.rows.finalize();
      this.db.run('PRAGMA wal_checkpoint(TRUNCATE)');
      this.db.close();
      return undefined;
    } catch (e) {
      return asFailure(e);
    }
  }

  private schedule(afterMs: number): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    const run = (): void => {
      this.isScheduled = false;
      this.flush();
    };
    // Behind the messages that have arrived already, so that they are one transaction.
    if (afterMs === 0) setImmediate(run);
    else setTimeout(run, afterMs);
  }

  private flush(): WriteFailure | undefined {
    const frames = this.waiting;
    if (frames.length === 0) return undefined;
    try {
      this.db.run('BEGIN IMMEDIATE');
      for (const frame of frames) this.rows.write(frame);
      this.db.run('COMMIT');
    } catch (e) {
      return this.failed(asFailure(e));
    }
    this.isFailing = false;
    this.waiting = [];
    port.postMessage({ type: 'committed', frames: frames.length });
    this.walBytes += PAGE_BYTES * 2;
    for (const { numbers, blobs } of frames) this.walBytes += numbers.byteLength / 2 + blobs.length;
    if (this.walBytes > WAL_BYTES_IDLE) this.moveWalSoon();
    return undefined;
  }

  private failed(failure: WriteFailure): WriteFailure {
    if (this.db.inTransaction) {
      try {
        this.db.run('ROLLBACK');
      } catch {
        // SQLite has undone it by itself, as it does when the disk is full.
      }
    }
    this.isFailing = true;
    port.postMessage({ type: 'failed', failure });
    if (!failure.isRetried) return failure;
    try {
      this.rows.resume();
    } catch {
      // It does not read either now; the next attempt fails as this one did.
    }
    this.schedule(RETRY_MS);
    return failure;
  }

  private retainIn(ms: number): void {
    this.retainTimer = setTimeout(() => {
      this.retainIn(this.retain() ? RETAIN_NEXT_MS : RETAIN_EVERY_MS);
    }, ms);
  }

  /** When nothing waits to be written. @returns whether there is more to delete */
  private retain(): boolean {
    if (this.waiting.length > 0 || this.isFailing) return true;
    try {
      const isMore = this.retainer.step();
      if (isMore) this.walBytes += RETAINED_WAL_BYTES;
      return isMore;
    } catch {
      return false; // the disk is full or busy; the next look tries again
    }
  }

  private moveWalSoon(): void {
    setImmediate(() => {
      if (this.waiting.length > 0 && this.walBytes < WAL_BYTES_BUSY) return;
      try {
        this.db.run('PRAGMA wal_checkpoint(PASSIVE)');
        this.walBytes = 0;
      } catch {
        // A full disk; the frames that come will say so.
      }
    });
  }
}

function asFailure(e: unknown): WriteFailure {
  const { code, message } = e as { code?: string; message: string };
  return { message, isRetried: RETRIED.test(code ?? '') };
}

let thread: WriterThread | undefined;

port.onmessage = ({ data }): void => {
  switch (data.type) {
    case 'open':
      try {
        thread = new WriterThread(data.settings);
      } catch (e) {
        port.postMessage({ type: 'failed', failure: { ...asFailure(e), isRetried: false } });
      }
      return;
    case 'frame':
      thread?.take(data.frame);
      return;
    case 'close': {
      const failure = thread?.close();
      port.postMessage(failure === undefined ? { type: 'closed' } : { type: 'closed', failure });
    }
  }
};
