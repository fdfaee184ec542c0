/**
 * SQLite journal: puts events into frames, sends the frames to the writer, and calls back when they
 * are committed.
 *
 * While fewer than two frames are under way, a frame is sent at once; otherwise it grows. So the
 * speed of the disk determines how many events a commit has. The data that are neither committed
 * nor given up are bounded (`queueBytesMax`). Beyond that bound `commit` and `fsync` ask the caller
 * to wait. `async` gives up whole batches and counts them; when there is room again, it notes the
 * gap and begins a checkpoint behind it. Pieces of checkpoints travel with the frames and have a
 * bound of their own (`PIECES_MAX`). Must hold: callbacks run in the order of the batches; every
 * seq is in the journal or in a gap.
 */

import type { Trade } from '../../../protocol/messages';
import type { BatchEvent } from '../../../protocol/records';
import { Durations } from '../../base/durations';
import { JournalDamage } from '../checked-rows';
import { named, WriteError, type Cause } from './causes';
import { Checkpoints, type CheckpointPort, type KnownPieces } from './checkpoints';
import { Head } from './head';
import type { JournalBatch } from '../../base/contracts/batch';
import {
  isAsync,
  type GapNote,
  type Journal,
  type JournalNotices,
  type JournalStatus,
} from '../journal';
import type { Callback, FrameAway, Hole, JournalOptions, JournalParts } from './journal-parts';
import { definitionText } from '../records';
import { Release } from './release';
import { RowFrameWriter } from './row-frame';
import { suspect } from './suspicion';
import { TradeChains } from './trade-chain';
import type { JournalWriter, WriteFailure } from './writer';

/** The most frames under way: one is being written while the next is ready. */
const FRAMES_AWAY_MAX = 2;
/**
 * About how many bytes of pieces a frame has, since a commit of records must stay short. One piece
 * may exceed it.
 */
const PIECES_MAX = 512 * 1_024;
/** With `async`: a frame of this many rows is not held back any longer. */
const FRAME_ROWS = 4_096;

export class SqliteJournal implements Journal {
  readonly closed: Promise<Error | undefined>;
  /**
   * Durations: of each batch from the arrival of its oldest event, and of each transaction in the
   * writer.
   */
  readonly durations = { committed: new Durations(), commit: new Durations() };
  readonly checkpoints: Checkpoints;
  /** Why the disk refuses; null while it works. */
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
  /** The epoch of the events that are appended. */
  epoch: number;
  /** Whether a leader elsewhere begins and ends the epochs. */
  private isFollowing: boolean;
  /** The seq after which the epoch began, and whether the end of the previous epoch is noted there. */
  private epochFrom: number;
  private isEndTaken: boolean;
  private writer: JournalWriter | undefined;
  private head: Head | undefined;
  private readonly frame = new RowFrameWriter();
  private callbacks: Callback[] = [];
  private readonly release: Release;
  private arrivals: number[] = [];
  private readonly away: FrameAway[] = [];
  private awayBytes = 0;
  private lastSeq: number;
  /** The newest seq in the current frame; during a hole it stays behind `lastSeq`. */
  private frameSeq: number;
  private commitTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the current frame is to be sent as soon as the writer has caught up. */
  private isDue = false;
  private hole: Hole | null = null;
  /** Instruments whose records were given up; they are sent with the next frame. */
  private readonly definitions: (readonly [id: number, text: string])[] = [];
  /** The incomplete checkpoint of the previous epoch; it is removed with the first frame. */
  private unfinished: KnownPieces | undefined;
  private isAwaited = false;
  private readonly flushes = new Set<() => void>();
  private lastInstrumentId: number;
  private isClosing = false;
  private readonly counts = { rows: 0, commits: 0, failures: 0, holes: 0, holeRecords: 0 };
  private committedSeq: number;
  private resolveClosed!: (error: Error | undefined) => void;

  constructor(parts: JournalParts, options: JournalOptions) {
    this.parts = parts;
    this.chains = new TradeChains(parts.db);
    this.options = options;
    this.isAsync = isAsync(options.durability);
    this.epoch = parts.epoch;
    this.isFollowing = parts.isFollowing;
    this.epochFrom = parts.epochFrom;
    this.isEndTaken = parts.isEndTaken;
    this.unfinished = parts.known;
    this.lastSeq = parts.lastSeq;
    this.frameSeq = parts.lastSeq;
    this.committedSeq = parts.lastSeq;
    this.lastInstrumentId = Math.max(0, ...parts.instrumentIds.values());
    this.checkpoints = this.createCheckpoints();
    this.release = new Release(parts.clock, parts.slices !== undefined, () => this.offerRoom());
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve));
  }

  /** Begins the epoch, once the records before it were read and are good. */
  begin(): void {
    const { parts, epoch } = this;
    const { createWriter, clock, gaps, lastSeq } = parts;
    this.head = new Head(this.options.directory, { epoch, seq: lastSeq });
    this.writer = createWriter({
      committed: (frames, tookMs) => this.committed(frames, tookMs),
      failed: (failure) => this.failed(failure),
      bookless: (ids) => this.bookless(new Set(ids)),
    });
    const now = clock.now();
    for (const { from, to, reason } of gaps)
      this.frame.note({ kind: 'gap', from, reason }, to, now);
    if (!this.isFollowing) {
      this.frame.note({ kind: 'epoch', event: 'opened', epoch }, lastSeq, now);
    }
    this.pump(true);
    this.checkpoints.watch();
  }

  /**
   * A replica: the epoch ends with the newest record, and another begins.
   * @param leads whether this process begins it, as the leader from now on
   */
  beginEpoch(epoch: number, leads: boolean): void {
    const { lastSeq, frame } = this;
    const now = this.parts.clock.now();
    // An epoch that numbered nothing is replaced by the next one.
    if (this.epoch !== 0 && lastSeq > this.epochFrom) {
      frame.note({ kind: 'epoch', event: 'closed', epoch: this.epoch }, lastSeq, now);
      this.isEndTaken = true;
    }
    this.epochFrom = lastSeq;
    frame.note({ kind: 'epoch', event: 'opened', epoch }, lastSeq, now);
    this.epoch = epoch;
    this.isFollowing = !leads;
    this.head!.begin(epoch);
    this.pump(true);
  }

  private get waitingBytes(): number {
    return this.awayBytes + this.frame.bytes;
  }

  get hasRoom(): boolean {
    const isShort = this.waitingBytes < this.options.queueBytesMax;
    const has = this.isAsync || (isShort && this.release.hasRoom);
    this.isAwaited ||= !has;
    return has;
  }

  append(batch: JournalBatch, onDurable: () => void): void {
    this.lastSeq = batch.lastSeq;
    const { bytes } = this.frame;
    const isTaken =
      this.hole === null && !(this.isAsync && this.waitingBytes >= this.options.queueBytesMax);
    if (isTaken) {
      for (const event of batch.events) this.frame.event(event, this.instrumentId(event));
      this.frameSeq = batch.lastSeq;
      if (batch.arrivedMs !== undefined) this.arrivals.push(batch.arrivedMs);
    } else {
      this.giveUp(batch);
    }
    const taken = this.frame.bytes - bytes;
    if (this.isAsync) {
      this.beforePublished(batch.lastSeq, onDurable);
      this.endHole();
    } else {
      this.callbacks.push([
        () => this.beforePublished(batch.lastSeq, onDurable),
        batch.events.length,
      ]);
    }
    if (isTaken) this.checkpoints.took(batch.events.length, taken);
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
      reason:
        this.failing ??
        (this.hole === null
          ? ''
          : `records from ${this.hole.from} on are not journaled: the disk is too slow`),
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

  /** Releases the files without writing. */
  abandon(): void {
    clearTimeout(this.commitTimer);
    this.checkpoints.stop();
    this.writer?.abandon();
    this.letGo();
    this.resolveClosed(undefined);
  }

  close(): void {
    clearTimeout(this.commitTimer);
    this.isClosing = true;
    // If the disk refuses, no checkpoint can follow a gap. The next start then takes the missing
    // records for lost by a crash.
    if (this.failing !== null) this.checkpoints.stop();
    else if (this.hole !== null) this.noteHole(this.hole);
    this.checkpoints.close(() => this.closeWriter());
  }

  private closeWriter(): void {
    clearTimeout(this.commitTimer);
    const { epoch, isFollowing, epochFrom, isEndTaken } = this;
    const { clock } = this.parts;
    // An epoch that numbered nothing leaves the end of the previous epoch in place.
    if (!isFollowing && this.hole === null && (this.lastSeq > epochFrom || !isEndTaken)) {
      this.frame.note({ kind: 'epoch', event: 'closed', epoch }, this.lastSeq, clock.now());
    }
    this.send();
    this.writer!.close((failure) => {
      this.release.drain();
      if (failure?.isDamage === true) suspect(this.options.directory, failure.message);
      this.letGo();
      this.resolveClosed(failure && new WriteError(failure.message, failure.cause));
    });
  }

  private get isWaiting(): boolean {
    return this.frame.rows > 0 || this.away.length > 0 || !this.release.isEmpty;
  }

  /** Call it only while something waits. */
  private callBehind(done: () => void): void {
    const callbacks = this.frame.rows > 0 ? this.callbacks : this.away.at(-1)?.callbacks;
    if (callbacks === undefined) this.release.push(done);
    else callbacks.push([done, 1]);
  }

  private letGo(): void {
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

  /** Called before anybody gets the events up to a seq. */
  private beforePublished(seq: number, onDurable: () => void): void {
    this.head!.set(seq);
    onDurable();
  }

  private createCheckpoints(): Checkpoints {
    const { parts, frame } = this;
    const { known, slices, clock } = parts;
    const { checkpointEveryEvents: everyEvents } = this.options;
    const port: CheckpointPort = {
      at: () => this.lastSeq,
      isWhole: () => this.hole === null,
      hasPieceRoom: () => frame.pieceBytes < PIECES_MAX,
      idOf: (symbol) => parts.instrumentIds.get(symbol)!,
      piece: (piece) => frame.piece(piece),
      mark: (text, from) =>
        frame.note({ kind: 'checkpoint', from, text }, this.lastSeq, clock.now()),
      pump: () => this.pump(true),
    };
    return new Checkpoints(port, { everyEvents, slices }, known, clock);
  }

  /** Sends the current frame, if it is due and the writer has caught up. */
  private pump(isForced: boolean): void {
    if (this.frame.isEmpty) return;
    this.isDue ||= isForced || !this.isAsync || this.frame.rows >= FRAME_ROWS;
    if (!this.isDue) {
      const { turns } = this.parts.clock;
      const { commitEveryMs } = this.options;
      this.commitTimer ??= turns.later('commit', commitEveryMs, () => this.pump(true));
      return;
    }
    if (this.away.length < FRAMES_AWAY_MAX) this.send();
  }

  private send(): void {
    clearTimeout(this.commitTimer);
    this.commitTimer = undefined;
    this.isDue = false;
    const { bytes } = this.frame;
    const frame = this.frame.take();
    const definitions = this.definitions.splice(0);
    this.awayBytes += bytes;
    const { arrivals, callbacks, frameSeq: lastSeq } = this;
    this.away.push({ bytes, rows: frame.rows, lastSeq, arrivals, callbacks });
    this.callbacks = [];
    this.arrivals = [];
    const { unfinished } = this;
    this.unfinished = undefined;
    this.writer!.send({ ...frame, definitions, ...(unfinished !== undefined && { unfinished }) });
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
      for (const [act, events] of frame.callbacks) this.release.push(act, events);
    }
    this.release.run();
    this.pump(false);
    this.endHole();
    this.checkpoints.room();
    this.offerRoom();
  }

  private offerRoom(): void {
    if (!this.isAwaited || !this.release.hasRoom) return;
    if (this.waitingBytes > this.options.queueBytesMax / 2) return;
    this.isAwaited = false;
    this.notices.onRoom?.();
  }

  private failed({ message, isRetried, isDamage, cause }: WriteFailure): void {
    this.counts.failures += 1;
    if (isDamage) suspect(this.options.directory, message);
    if (!isRetried)
      this.notices.failed(
        isDamage ? new JournalDamage(this.committedSeq, message) : new WriteError(message, cause),
      );
    if (this.failing === null || cause !== this.cause) this.notices.onFailing?.(message, cause);
    this.failing = message;
    this.cause = cause;
    for (const done of this.flushes) done();
    if (this.isClosing) this.checkpoints.stop(); // the close of the writer still writes what can be written
  }

  private bookless(ids: ReadonlySet<number>): void {
    const symbols = [...this.parts.instrumentIds].filter(([, id]) => ids.has(id));
    this.notices.onBookless?.(new Set(symbols.map(([symbol]) => symbol)));
  }

  private giveUp(batch: JournalBatch): void {
    if (this.hole === null) {
      this.checkpoints.abort();
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

  /**
   * Notes the gap when there is room again. Called between turns and at their ends, where the state
   * is consistent.
   */
  private endHole(): void {
    const { hole } = this;
    if (hole === null || this.failing !== null) return;
    if (this.waitingBytes > this.options.queueBytesMax / 2) return;
    this.noteHole(hole);
    this.send();
    this.checkpoints.begin(true);
    this.notices.onHole?.({ type: 'gap', from: hole.from, to: this.lastSeq, reason: 'disk' });
  }

  private noteHole({ from, definitions }: Hole): void {
    const now = this.parts.clock.now();
    this.frame.note({ kind: 'gap', from, reason: 'disk' }, this.lastSeq, now);
    this.frameSeq = this.lastSeq;
    this.definitions.push(...definitions);
    this.hole = null;
  }
}
