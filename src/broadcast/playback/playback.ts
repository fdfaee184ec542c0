/** Playback: the journal as frames, one chunk ahead. */

import type { Fault } from '../../../protocol/codes';
import type { Nanos } from '../../../protocol/time';
import { ChunkFrames, type PlayedChunk } from './chunk';
import type { Turns } from './fair-queue';

/**
 * A turn has had its share when it has read so many chunks, each of which is bounded in bytes and in rows.
 * More, and a crowd waits longer for its first message; fewer, and opening a play costs more than reading.
 */
export const TURN_CHUNKS = 4;
/**
 * A reader that has taken nothing for so long leaves its turn to others. Longer than the round trip of
 * nearly every line, so that windows and their pongs do not end a turn.
 */
export const TURN_IDLE_MS = 250;

export interface PlayRequest {
  readonly topics: readonly string[];
  readonly isText: boolean;
  /** Places, both inclusive. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly from: Nanos | null;
  readonly to: Nanos | null;
  readonly hasOpening: boolean;
  /** A replay that goes on: the reader has had the opening, and all before `fromSeq`. */
  readonly goesOn?: boolean;
  /** Hundredths of real time; 0: not timed. */
  readonly speed: number;
}

export interface PlayRange {
  readonly fromSeq: number;
  readonly toSeq: number;
  /** Whether some of it is missing; not what a crash took, of which each topic gets a `gap`. */
  readonly isBroken: boolean;
}

/** Who reads the journal. */
export interface PlaySource {
  open(play: number, request: PlayRequest): Promise<PlayRange | Fault>;
  next(play: number): Promise<PlayedChunk | Fault>;
  close(play: number): void;
}

/** What an open play tells. */
export interface PlayEvents {
  opened?(range: PlayRange): void;
  /** A frame is there, or the play is over, or its turn is. */
  ready(): void;
  failed(reason: Fault): void;
}

interface PlayParts {
  readonly source: PlaySource;
  readonly id: number;
  readonly client: string;
  readonly request: PlayRequest;
  readonly events: PlayEvents;
  /** Chunks that are being read, of all plays. */
  readonly reads: Turns;
  readonly release: () => void;
  /** Whether others wait for it to end. */
  readonly isWanted: () => boolean;
}

/** One play of the journal, from its opening to its last frame. */
export class Playback {
  /** A seq such that its frames so far have all up to there, and nothing above; null within such a step. */
  reachedSeq: number | null;
  private readonly parts: PlayParts;
  private readonly frames = new ChunkFrames();
  private spare: PlayedChunk | null = null;
  private chunks = 0;
  /** As `reachedSeq`, of what was read. */
  private readSeq: number;
  private takes = 0;
  private takesBefore = -1;
  private idleSinceMs = 0;
  private isReleased = false;
  private isAsking = false;
  private isAllRead = false;
  private isClosed = false;
  private isOpening = false;
  /** The source has it. */
  private isOpen = false;

  /** For `Plays` only. */
  constructor(parts: PlayParts) {
    this.parts = parts;
    this.readSeq = parts.request.fromSeq - 1;
    this.reachedSeq = this.readSeq;
  }

  get hasFrame(): boolean {
    return !this.frames.isEmpty;
  }

  /** Whether its last frame has been taken. */
  get isOver(): boolean {
    return this.frames.isEmpty && this.spare === null && this.isAllRead;
  }

  /** When the next frame is due, in ms since the first. Only while there is one. */
  get atMs(): number {
    return this.frames.atMs;
  }

  /** Whether all that it read was taken, and others wait for its slot. */
  get isSpent(): boolean {
    const hasMore = this.hasFrame || this.spare !== null || this.isAsking;
    return !hasMore && !this.isAllRead && this.hasHadTurn();
  }

  take(): { readonly data: string | Uint8Array; readonly seq: number } {
    const { data, seq, border } = this.frames.take();
    this.takes += 1;
    this.reachedSeq = border === 0 ? null : border;
    if (this.frames.isEmpty) this.refill();
    return { data, seq };
  }

  /** Reads on, where a turn that was up is wanted by nobody now. */
  goOn(): void {
    void this.ask();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.isOpen && !this.isAllRead) this.parts.source.close(this.parts.id);
    // What the source is still opening keeps its slot: else who comes and goes could ask without bound.
    if (!this.isOpening) this.letGo();
  }

  /** For `Plays` only. */
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

  /** For `Plays` only. @returns whether others wait, and its reader has left for long what is ready */
  isIdle(nowMs: number): boolean {
    if (this.takes !== this.takesBefore || !(this.hasFrame || this.isSpent)) {
      this.takesBefore = this.takes;
      this.idleSinceMs = nowMs;
    }
    const isLong = nowMs - this.idleSinceMs >= TURN_IDLE_MS;
    return isLong && this.reachedSeq !== null && this.parts.isWanted();
  }

  private hasHadTurn(): boolean {
    const { request, isWanted } = this.parts;
    // What does not come nearer in its turn would never arrive.
    return this.chunks >= TURN_CHUNKS && this.readSeq >= request.fromSeq && isWanted();
  }

  private refill(): void {
    if (this.spare !== null) {
      this.put(this.spare);
      this.spare = null;
    }
    this.settle();
    void this.ask();
  }

  private put(chunk: PlayedChunk): void {
    if (chunk.seqs.length > 0) this.frames.put(chunk);
    else this.reachedSeq = chunk.reached === 0 ? null : chunk.reached;
  }

  private async ask(): Promise<void> {
    if (!this.isOpen) return;
    const { events } = this.parts;
    while (!this.isAsking && !this.isAllRead && !this.isClosed && this.spare === null) {
      if (this.hasHadTurn()) return;
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

  /** Reads a chunk when it comes round; null when it was closed before that. */
  private read(): Promise<PlayedChunk | Fault | null> {
    const { source, id, client, request, reads } = this.parts;
    const { promise, resolve } = Promise.withResolvers<PlayedChunk | Fault | null>();
    const begin = async (): Promise<void> => {
      resolve(this.isClosed ? null : await source.next(id));
      reads.end(client);
    };
    const distance = request.toSeq - this.readSeq;
    reads.ask({ client, distance, begin: () => void begin(), waits: () => {} });
    return promise;
  }

  /** Nothing is to be read or kept for it: the slot is free, however long its reader takes to read. */
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
