/**
 * SQLite journal: events into frames, frames to the writer, and what that means for those who wait.
 *
 * A frame goes to the writer at once while fewer than two are on their way, and otherwise grows; so
 * commits group themselves by how fast the disk is. What is neither committed nor given up is bounded
 * (`queueBytesMax`). Beyond it `commit` and `fsync` ask their caller to wait; `async` gives up whole
 * batches, counts them, and when there is room again notes the gap and a checkpoint behind it.
 * Must hold: callbacks run in the order of the batches; every place is in the journal or in a gap.
 */

import type { Database } from 'bun:sqlite';

import type { Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { Clock } from '../base/clock';
import { Durations } from '../base/durations';
import { JournalDamage } from './checked-rows';
import { named, WriteError, type Cause } from './causes';
import type { DirectoryLock } from './directory';
import { Head } from './head';
import type {
  Durability,
  GapNote,
  Journal,
  JournalBatch,
  JournalNotices,
  JournalStatus,
} from './journal';
import { definitionText } from './records';
import { RowFrameWriter } from './row-frame';
import { suspect } from './suspicion';
import { TradeChains } from './trade-chain';
import type { JournalWriter, Retention, WriteFailure, WriterEvents } from './writer';

export interface JournalOptions {
  readonly directory: string;
  readonly durability: Durability;
  /** For `async`: the longest that an event stays uncommitted, in ms. */
  readonly commitEveryMs: number;
  /** A checkpoint is written after this many events. */
  readonly checkpointEveryEvents: number;
  /** The most that may wait for the disk. */
  readonly queueBytesMax: number;
  readonly retention: Retention;
}

/** What `openJournal` found and holds. */
export interface JournalParts {
  readonly db: Database;
  readonly lock: DirectoryLock;
  readonly clock: Clock;
  readonly epoch: number;
  readonly lastSeq: number;
  /** Whether another epoch was closed at this place. */
  readonly isEndTaken: boolean;
  /** What is missing before this life. */
  readonly gaps: readonly GapNote[];
  readonly instrumentIds: Map<string, number>;
  readonly sinceCheckpoint: number;
  readonly createWriter: (events: WriterEvents) => JournalWriter;
}

/** Frames on their way to the disk at once: one is written while the next is ready. */
const FRAMES_AWAY_MAX = 2;
/** For `async`: rows that are not held back any longer. */
const FRAME_ROWS = 4_096;

interface FrameAway {
  readonly bytes: number;
  readonly rows: number;
  readonly lastSeq: number;
  /** When its batches arrived. */
  readonly arrivals: readonly number[];
  readonly callbacks: (() => void)[];
}

interface Hole {
  readonly from: number;
  readonly definitions: Map<number, string>;
}

export class SqliteJournal implements Journal {
  readonly closed: Promise<Error | undefined>;
  /** Of each batch from the arrival of its oldest event, and of each transaction in the writer. */
  readonly durations = { committed: new Durations(), commit: new Durations() };
  /** Gives the state after the newest batch; set once the market is there. */
  captureState: (() => string) | undefined;
  /** Why the disk refuses now; null while it does not. */
  failing: string | null = null;
  private cause: Cause | null = null;
  notices: JournalNotices = {
    failed: (error) => {
      throw error;
    },
  };
  private readonly parts: JournalParts;
  private readonly chains: TradeChains;
  private readonly options: JournalOptions;
  private readonly isAsync: boolean;
  private writer: JournalWriter | undefined;
  private head: Head | undefined;
  private readonly frame = new RowFrameWriter();
  private callbacks: (() => void)[] = [];
  private arrivals: number[] = [];
  private readonly away: FrameAway[] = [];
  private awayBytes = 0;
  private lastSeq: number;
  /** The newest place that the frame in the making holds; in a hole it stays behind `lastSeq`. */
  private frameSeq: number;
  private sinceCheckpoint: number;
  private commitTimer: ReturnType<typeof setTimeout> | undefined;
  /** What waits goes as soon as the writer is not behind. */
  private isDue = false;
  private hole: Hole | null = null;
  private isAwaited = false;
  private readonly flushes = new Set<() => void>();
  private lastInstrumentId: number;
  private readonly counts = { rows: 0, commits: 0, failures: 0, holes: 0, holeRecords: 0 };
  private committedSeq: number;
  private resolveClosed!: (error: Error | undefined) => void;

  constructor(parts: JournalParts, options: JournalOptions) {
    this.parts = parts;
    this.chains = new TradeChains(parts.db);
    this.options = options;
    this.isAsync = options.durability === 'async';
    this.lastSeq = parts.lastSeq;
    this.frameSeq = parts.lastSeq;
    this.committedSeq = parts.lastSeq;
    this.lastInstrumentId = Math.max(0, ...parts.instrumentIds.values());
    this.sinceCheckpoint = parts.sinceCheckpoint;
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve));
  }

  /** Begins the epoch, when what stands before it was read and is good. */
  begin(): void {
    const { createWriter, clock, gaps, epoch, lastSeq } = this.parts;
    this.head = new Head(this.options.directory, { epoch, seq: lastSeq });
    this.writer = createWriter({
      committed: (frames, tookMs) => this.committed(frames, tookMs),
      failed: (failure) => this.failed(failure),
      bookless: (ids) => this.bookless(new Set(ids)),
    });
    const now = clock.now();
    for (const { from, to, reason } of gaps)
      this.frame.note({ kind: 'gap', from, reason }, to, now);
    this.frame.note({ kind: 'epoch', event: 'opened', epoch }, lastSeq, now);
    this.pump(true);
  }

  get epoch(): number {
    return this.parts.epoch;
  }

  private get waitingBytes(): number {
    return this.awayBytes + this.frame.bytes;
  }

  get hasRoom(): boolean {
    const has = this.isAsync || this.waitingBytes < this.options.queueBytesMax;
    this.isAwaited ||= !has;
    return has;
  }

  append(batch: JournalBatch, onDurable: () => void): void {
    this.lastSeq = batch.lastSeq;
    if (this.hole !== null || (this.isAsync && this.waitingBytes >= this.options.queueBytesMax)) {
      this.giveUp(batch);
    } else {
      for (const event of batch.events) this.frame.event(event, this.instrumentId(event));
      this.frameSeq = batch.lastSeq;
      if (batch.arrivedMs !== undefined) this.arrivals.push(batch.arrivedMs);
      this.sinceCheckpoint += batch.events.length;
      if (this.sinceCheckpoint >= this.options.checkpointEveryEvents) this.noteCheckpoint(false);
    }
    if (this.isAsync) {
      this.shown(batch.lastSeq, onDurable);
      this.endHole();
    } else {
      this.callbacks.push(() => this.shown(batch.lastSeq, onDurable));
    }
    this.pump(false);
  }

  behind(done: () => void): void {
    if (this.isAsync || !this.isWaiting) done();
    else this.callBehind(done);
  }

  flush(): Promise<void> {
    this.pump(true);
    if (this.failing !== null || !this.isWaiting) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.flushes.delete(done);
        resolve();
      };
      this.flushes.add(done);
      this.callBehind(done);
    });
  }

  status(): JournalStatus {
    const hole = this.hole === null ? 'ok' : 'hole';
    return {
      state: this.failing === null ? hole : 'failing',
      reason: this.failing ?? (this.hole === null ? '' : `records from ${this.hole.from} on are not journaled: the disk is too slow`), // prettier-ignore
      ...named(this.failing === null ? null : this.cause),
      waitingRows: this.frame.rows + this.away.reduce((rows, frame) => rows + frame.rows, 0),
      waitingBytes: this.waitingBytes,
      ...this.counts,
      committedSeq: this.committedSeq,
      lagRecords: this.lastSeq - this.committedSeq,
      lagMs: this.lagMs,
    };
  }

  private get lagMs(): number {
    const oldest = this.away.find(({ arrivals }) => arrivals.length > 0)?.arrivals ?? this.arrivals;
    if (oldest[0] === undefined) return 0;
    return Math.max(0, this.parts.clock.monotonicMs() - oldest[0]);
  }

  missing(): GapNote | null {
    const from = this.failing === null ? this.hole?.from : this.committedSeq + 1;
    if (from === undefined || from > this.lastSeq) return null;
    return { type: 'gap', from, to: this.lastSeq, reason: 'disk' };
  }

  trades(symbol: string, before: number, limit: number): Trade[] {
    const id = this.parts.instrumentIds.get(symbol);
    return id === undefined ? [] : this.chains.newest(id, symbol, before, limit);
  }

  /** Lets go of the files without writing. */
  abandon(): void {
    clearTimeout(this.commitTimer);
    this.writer?.abandon();
    this.release();
    this.resolveClosed(undefined);
  }

  close(): void {
    clearTimeout(this.commitTimer);
    const { hole } = this;
    if (hole !== null) this.noteHole(hole);
    // Also without new events: a book may have changed behind its tenth level, which is not one.
    else this.noteCheckpoint(false);
    const { clock, epoch, lastSeq, isEndTaken } = this.parts;
    // A life that numbered nothing leaves the end of the one before it where it is.
    if (this.lastSeq > lastSeq || !isEndTaken) {
      this.frame.note({ kind: 'epoch', event: 'closed', epoch }, this.lastSeq, clock.now());
    }
    this.send(hole?.definitions);
    this.writer!.close((failure) => {
      if (failure?.isDamage === true) suspect(this.options.directory, failure.message);
      this.release();
      this.resolveClosed(failure && new WriteError(failure.message, failure.cause));
    });
  }

  private get isWaiting(): boolean {
    return this.frame.rows > 0 || this.away.length > 0;
  }

  /** Only while something waits. */
  private callBehind(done: () => void): void {
    if (this.frame.rows > 0) this.callbacks.push(done);
    else this.away.at(-1)!.callbacks.push(done);
  }

  private release(): void {
    this.chains.finalize();
    this.parts.db.close();
    this.parts.lock.release();
  }

  private instrumentId(event: BatchEvent): number {
    const { instrumentIds } = this.parts;
    const known = instrumentIds.get(event.symbol);
    if (known !== undefined) return known;
    if (event.type !== 'instrument') {
      throw new Error(`an event of ${event.symbol} precedes its definition`);
    }
    const id = ++this.lastInstrumentId;
    instrumentIds.set(event.symbol, id);
    return id;
  }

  /** Called before anybody is shown what stands up to a place. */
  private shown(seq: number, onDurable: () => void): void {
    this.head!.set(seq);
    onDurable();
  }

  private noteCheckpoint(behindGap: boolean): void {
    const state = this.captureState?.();
    if (state === undefined) return;
    const now = this.parts.clock.now();
    this.frame.note({ kind: 'checkpoint', behindGap, state }, this.lastSeq, now);
    this.sinceCheckpoint = 0;
  }

  /** Sends what waits, if it is due and the writer is not behind. */
  private pump(isForced: boolean): void {
    if (this.frame.rows === 0) return;
    this.isDue ||= isForced || !this.isAsync || this.frame.rows >= FRAME_ROWS;
    if (!this.isDue) {
      const { turns } = this.parts.clock;
      const { commitEveryMs } = this.options;
      this.commitTimer ??= turns.later('commit', commitEveryMs, () => this.pump(true));
      return;
    }
    if (this.away.length < FRAMES_AWAY_MAX) this.send();
  }

  private send(definitions?: Hole['definitions']): void {
    clearTimeout(this.commitTimer);
    this.commitTimer = undefined;
    this.isDue = false;
    const { bytes } = this.frame;
    const frame = this.frame.take();
    this.awayBytes += bytes;
    const { arrivals, callbacks, frameSeq: lastSeq } = this;
    this.away.push({ bytes, rows: frame.rows, lastSeq, arrivals, callbacks });
    this.callbacks = [];
    this.arrivals = [];
    this.writer!.send(definitions === undefined ? frame : { ...frame, definitions: [...definitions] }); // prettier-ignore
  }

  private committed(frames: number, tookMs?: number): void {
    const nowMs = this.parts.clock.monotonicMs();
    if (tookMs !== undefined) this.durations.commit.observe(tookMs);
    if (this.failing !== null) {
      this.failing = null;
      this.notices.onRecovered?.();
    }
    this.counts.commits += 1;
    for (const frame of this.away.splice(0, frames)) {
      this.awayBytes -= frame.bytes;
      this.counts.rows += frame.rows;
      this.committedSeq = frame.lastSeq;
      for (const arrivedMs of frame.arrivals) this.durations.committed.observe(nowMs - arrivedMs);
      for (const callback of frame.callbacks) callback();
    }
    this.pump(false);
    this.endHole();
    if (this.isAwaited && this.waitingBytes <= this.options.queueBytesMax / 2) {
      this.isAwaited = false;
      this.notices.onRoom?.();
    }
  }

  private failed({ message, isRetried, isDamage, cause }: WriteFailure): void {
    this.counts.failures += 1;
    if (isDamage) suspect(this.options.directory, message);
    if (!isRetried) this.notices.failed(isDamage ? new JournalDamage(this.committedSeq, message) : new WriteError(message, cause)); // prettier-ignore
    if (this.failing === null || cause !== this.cause) this.notices.onFailing?.(message, cause);
    this.failing = message;
    this.cause = cause;
    for (const done of this.flushes) done();
  }

  private bookless(ids: ReadonlySet<number>): void {
    const symbols = [...this.parts.instrumentIds].filter(([, id]) => ids.has(id));
    this.notices.onBookless?.(new Set(symbols.map(([symbol]) => symbol)));
  }

  private giveUp(batch: JournalBatch): void {
    if (this.hole === null) {
      this.hole = { from: batch.firstSeq, definitions: new Map() };
      this.counts.holes += 1;
    }
    this.counts.holeRecords += batch.events.length;
    for (const event of batch.events) {
      if (event.type === 'instrument') {
        this.hole.definitions.set(this.instrumentId(event), definitionText(event));
      }
    }
  }

  /** Notes the gap when there is room again. Between turns, and at their ends, where the state is whole. */
  private endHole(): void {
    const { hole } = this;
    if (hole === null || this.failing !== null) return;
    if (this.waitingBytes > this.options.queueBytesMax / 2) return;
    this.noteHole(hole);
    this.send(hole.definitions);
    this.notices.onHole?.({ type: 'gap', from: hole.from, to: this.lastSeq, reason: 'disk' });
  }

  private noteHole({ from }: Hole): void {
    const now = this.parts.clock.now();
    this.frame.note({ kind: 'gap', from, reason: 'disk' }, this.lastSeq, now);
    this.frameSeq = this.lastSeq;
    this.noteCheckpoint(true);
    this.hole = null;
  }
}
