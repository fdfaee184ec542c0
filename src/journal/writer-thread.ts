/**
 * Writer thread: holds the connection that writes the journal of a running server.
 *
 * All frames that have arrived form one transaction (group commit). A failed transaction is rolled
 * back and tried again with the same frames. The main thread bounds how many can wait.
 */

import { Database } from 'bun:sqlite';

import { SystemClock } from '../base/clock';
import { OwnWrites } from './write/own-writes';
import { pieceBytes } from './write/piece';
import type { RowFrame } from './write/row-frame';
import { Retainer } from './write/retention';
import { RowWriter } from './write/row-writer';
import { BUSY_MS, WalMover } from './write/wal-mover';
import type { FromWriter, ToWriter } from './write/thread-messages';
import { writeFailure, type WriteFailure, type WriterSettings } from './write/writer';

interface Port {
  onmessage: ((event: MessageEvent<ToWriter>) => void) | null;
  postMessage(message: FromWriter): void;
}

const port = globalThis as unknown as Port;

const RETRY_MS = 200;
/** About how many bytes a commit adds to the WAL besides its rows, as partial pages. */
const COMMIT_BYTES = 8_192;
/** About how many bytes a deletion step writes. */
const RETAINED_WAL_BYTES = 512 * 1_024;

/** Intervals between retention steps: normally, and while there is more to delete. */
const RETAIN_EVERY_MS = 1_000;
const RETAIN_NEXT_MS = 20;

class WriterThread {
  private readonly db: Database;
  private readonly rows: RowWriter;
  private readonly own: OwnWrites;
  private readonly clock = new SystemClock();
  private waiting: RowFrame[] = [];
  private isScheduled = false;
  private isFailing = false;
  private readonly wal: WalMover;
  private readonly retainer: Retainer;
  private retainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor({ path, synchronous, retention }: WriterSettings) {
    this.db = new Database(path, { create: false, readwrite: true });
    this.db.run(`PRAGMA busy_timeout = ${BUSY_MS}`);
    this.db.run(`PRAGMA synchronous = ${synchronous}`);
    this.db.run('PRAGMA wal_autocheckpoint = 0');
    this.rows = new RowWriter(this.db);
    this.own = new OwnWrites(this.db);
    this.wal = new WalMover(this.db, path);
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
      this.own.finalize();
      this.wal.close();
      this.db.close();
      return undefined;
    } catch (e) {
      return writeFailure(e, this.db.filename);
    }
  }

  private schedule(afterMs: number): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    const run = (): void => {
      this.isScheduled = false;
      this.flush();
    };
    // Runs after the messages that have already arrived, so that they join the transaction.
    if (afterMs === 0) setImmediate(run);
    else setTimeout(run, afterMs);
  }

  private flush(): WriteFailure | undefined {
    const frames = this.waiting;
    if (frames.length === 0) return undefined;
    const beganMs = this.clock.monotonicMs();
    try {
      this.db.run('BEGIN IMMEDIATE');
      const written = this.own.within(() => {
        for (const frame of frames) this.rows.write(frame);
      });
      this.db.run('COMMIT');
      written.commit();
    } catch (e) {
      return this.failed(writeFailure(e, this.db.filename));
    }
    this.isFailing = false;
    this.waiting = [];
    const tookMs = this.clock.monotonicMs() - beganMs;
    port.postMessage({ type: 'committed', frames: frames.length, tookMs });
    let bytes = COMMIT_BYTES;
    for (const { numbers, blobs, pieces } of frames) {
      bytes += numbers.byteLength / 2 + blobs.length;
      for (const piece of pieces ?? []) bytes += pieceBytes(piece) / 2;
    }
    this.wal.written(bytes);
    setImmediate(() => this.wal.between(this.waiting.length === 0));
    return undefined;
  }

  private failed(failure: WriteFailure): WriteFailure {
    if (this.db.inTransaction) {
      try {
        this.db.run('ROLLBACK');
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
    }
    this.isFailing = true;
    port.postMessage({ type: 'failed', failure });
    if (!failure.isRetried) return failure;
    try {
      this.rows.resume();
    } catch {
      // Reading fails as well now; the next attempt fails in the same way.
    }
    this.schedule(RETRY_MS);
    return failure;
  }

  private retainIn(ms: number): void {
    this.retainTimer = setTimeout(() => {
      this.retainIn(this.retain() ? RETAIN_NEXT_MS : RETAIN_EVERY_MS);
    }, ms);
  }

  /** Runs when nothing waits to be written. @returns whether there is more to delete */
  private retain(): boolean {
    if (this.waiting.length > 0 || this.isFailing) return true;
    try {
      const bookless = this.retainer.step();
      if (bookless === undefined) return false;
      this.wal.written(RETAINED_WAL_BYTES);
      if (bookless.length > 0) port.postMessage({ type: 'bookless', instruments: bookless });
      return true;
    } catch (e) {
      const failure = writeFailure(e, this.db.filename);
      if (failure.isDamage) this.failed(failure);
      return false; // the disk is full or busy; the next step tries again
    }
  }
}

/** The first message opens the journal; the others go to the thread object that it creates. */
port.onmessage = ({ data: first }): void => {
  if (first.type !== 'open') throw new Error('a frame before the journal is open');
  try {
    const thread = new WriterThread(first.settings);
    port.onmessage = ({ data }): void => {
      if (data.type === 'frame') thread.take(data.frame);
      else if (data.type === 'close') port.postMessage(closed(thread.close()));
    };
  } catch (e) {
    const failure = { ...writeFailure(e, first.settings.path), isRetried: false };
    port.postMessage({ type: 'failed', failure });
    port.onmessage = ({ data }): void => {
      if (data.type === 'close') port.postMessage(closed(failure));
    };
  }
};

function closed(failure: WriteFailure | undefined): FromWriter {
  return failure === undefined ? { type: 'closed' } : { type: 'closed', failure };
}
