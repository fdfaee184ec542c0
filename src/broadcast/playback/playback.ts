/** Playback: reads a range of the journal as frames, with one chunk ready ahead of its reader. */

import type { Fault } from '../../../protocol/codes';
import type { Nanos } from '../../../protocol/time';
import { ChunkFrames, type PlaybackChunk } from './chunk';
import type { FairQueue } from './fair-queue';

/**
 * Chunks in one share; each is bounded in bytes and rows. With more, a crowd waits longer for its
 * first message; with fewer, opening costs more than reading.
 */
export const SHARE_CHUNKS = 4;
/**
 * A reader that has taken nothing for this long gives up its share if others wait, in ms. Longer
 * than the round trip of nearly every line, so that windows and their pongs do not end a share.
 */
export const SHARE_IDLE_MS = 250;

export interface PlaybackRequest {
  readonly topics: readonly string[];
  readonly isText: boolean;
  /** Sequence numbers, both inclusive. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly from: Nanos | null;
  readonly to: Nanos | null;
  readonly hasOpening: boolean;
  /** Whose journal it reads; null: the server names none. */
  readonly shard: string | null;
  /** A replay that continues: the reader has the opening and everything before `fromSeq`. */
  readonly goesOn?: boolean;
  /** Speed in hundredths of real time; 0: as fast as it is read. */
  readonly speed: number;
}

export interface PlaybackRange {
  readonly fromSeq: number;
  readonly toSeq: number;
  /**
   * Whether some of it is missing, other than what was lost in a crash, which is declared by gaps.
   */
  readonly isBroken: boolean;
}

/** The reader of the journal. */
export interface PlaybackSource {
  open(id: number, request: PlaybackRequest): Promise<PlaybackRange | Fault>;
  next(id: number): Promise<PlaybackChunk | Fault>;
  close(id: number): void;
}

/** Events of a playback. */
export interface PlaybackEvents {
  opened?(range: PlaybackRange): void;
  /** A frame is available, or the playback or its share is over. */
  ready(): void;
  failed(reason: Fault): void;
}

interface PlaybackParts {
  readonly source: PlaybackSource;
  readonly id: number;
  readonly client: string;
  readonly request: PlaybackRequest;
  readonly events: PlaybackEvents;
  /** The queue of chunk reads of all playbacks. */
  readonly reads: FairQueue;
  readonly release: () => void;
  /** Whether others wait for it to end. */
  readonly isWanted: () => boolean;
}

/** One playback of the journal, from its opening to its last frame. */
export class Playback {
  /**
   * A sequence number such that the frames taken so far contain everything up to it and nothing
   * after it; null within a step.
   */
  reachedSeq: number | null;
  private readonly parts: PlaybackParts;
  private readonly frames = new ChunkFrames();
  private spare: PlaybackChunk | null = null;
  private chunks = 0;
  /** As `reachedSeq`, for what was read. */
  private readSeq: number;
  private takes = 0;
  private takesBefore = -1;
  private idleSinceMs = 0;
  private isReleased = false;
  private isAsking = false;
  private isAllRead = false;
  private isClosed = false;
  private isOpening = false;
  /** The source has opened it. */
  private isOpen = false;

  /** For `Playbacks` only. */
  constructor(parts: PlaybackParts) {
    this.parts = parts;
    this.readSeq = parts.request.fromSeq - 1;
    this.reachedSeq = this.readSeq;
  }

  get hasFrame(): boolean {
    return !this.frames.isEmpty;
  }

  /** Whether its last frame was taken. */
  get isOver(): boolean {
    return this.frames.isEmpty && this.spare === null && this.isAllRead;
  }

  /** Time of the next frame, in ms since the first. Only if `hasFrame`. */
  get atMs(): number {
    return this.frames.atMs;
  }

  /** Whether everything that was read was taken, and others wait for the share. */
  get isSpent(): boolean {
    const hasMore = this.hasFrame || this.spare !== null || this.isAsking;
    return !hasMore && !this.isAllRead && this.hasHadShare();
  }

  take(): { readonly data: string | Uint8Array; readonly seq: number } {
    const { data, seq, border } = this.frames.take();
    this.takes += 1;
    this.reachedSeq = border === 0 ? null : border;
    if (this.frames.isEmpty) this.refill();
    return { data, seq };
  }

  /** Reads on if nobody else waits any more. */
  goOn(): void {
    void this.ask();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.isOpen && !this.isAllRead) this.parts.source.close(this.parts.id);
    // What the source is still opening keeps its place in the limits; otherwise clients that come and go could open without bound.
    if (!this.isOpening) this.letGo();
  }

  /** For `Playbacks` only. */
  async open(): Promise<void> {
    const { source, id, request, events } = this.parts;
    this.isOpening = true;
    const range = await source.open(id, request);
    this.isOpening = false;
    const isRefused = 'code' in range;
    if (this.isClosed) {
      if (!isRefused) source.close(id);
      return this.letGo();
    }
    if (isRefused) return this.fail(range);
    this.isOpen = true;
    events.opened?.(range);
    await this.ask();
  }

  /**
   * For `Playbacks` only.
   * @returns whether others wait and the reader has left available frames for long
   */
  isIdle(nowMs: number): boolean {
    if (this.takes !== this.takesBefore || !(this.hasFrame || this.isSpent)) {
      this.takesBefore = this.takes;
      this.idleSinceMs = nowMs;
    }
    const isLong = nowMs - this.idleSinceMs >= SHARE_IDLE_MS;
    return isLong && this.reachedSeq !== null && this.parts.isWanted();
  }

  private hasHadShare(): boolean {
    const { request, isWanted } = this.parts;
    // A share without progress would repeat for ever.
    return this.chunks >= SHARE_CHUNKS && this.readSeq >= request.fromSeq && isWanted();
  }

  private refill(): void {
    if (this.spare !== null) {
      this.put(this.spare);
      this.spare = null;
    }
    this.settle();
    void this.ask();
  }

  private put(chunk: PlaybackChunk): void {
    if (chunk.seqs.length > 0) this.frames.put(chunk);
    else this.reachedSeq = chunk.reached === 0 ? null : chunk.reached;
  }

  private async ask(): Promise<void> {
    if (!this.isOpen) return;
    const { events } = this.parts;
    while (!this.isAsking && !this.isAllRead && !this.isClosed && this.spare === null) {
      if (this.hasHadShare()) return;
      this.isAsking = true;
      const chunk = await this.read();
      this.isAsking = false;
      if (chunk === null || this.isClosed) return;
      if ('code' in chunk) return this.fail(chunk);
      this.chunks += 1;
      this.readSeq = chunk.reached;
      this.isAllRead = chunk.isLast;
      if (this.frames.isEmpty) this.put(chunk);
      else this.spare = chunk;
      this.settle();
      if (this.hasFrame || this.isOver || this.isSpent) events.ready();
    }
  }

  /** Reads a chunk when it comes round in the queue; null if the playback was closed before. */
  private read(): Promise<PlaybackChunk | Fault | null> {
    const { source, id, client, request, reads } = this.parts;
    const { promise, resolve } = Promise.withResolvers<PlaybackChunk | Fault | null>();
    const begin = async (): Promise<void> => {
      resolve(this.isClosed ? null : await source.next(id));
      reads.end(client);
    };
    const distance = request.toSeq - this.readSeq;
    reads.ask({ client, distance, begin: () => void begin(), waits: () => {} });
    return promise;
  }

  /**
   * Gives up the share when nothing is left to read or keep, however long the reader takes to
   * receive it.
   */
  private settle(): void {
    if (this.isOver) this.letGo();
  }

  private letGo(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.parts.release();
  }

  private fail(reason: Fault): void {
    this.close();
    this.isAllRead = true;
    this.parts.events.failed(reason);
  }
}
