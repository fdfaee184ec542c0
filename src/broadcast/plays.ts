/**
 * Plays: the journal as frames, one chunk ready ahead of whoever takes them.
 *
 * Bounded: plays open at once, in all and of one client; who wants one more is refused, or waits for its
 * turn. Of each play at most two chunks are in memory, so however many sessions read the past, what they
 * hold is known.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';
import { Counts } from '../base/counts';
import { ChunkFrames, type PlayedChunk } from './feed';

export interface PlayRequest {
  readonly topics: readonly string[];
  readonly isText: boolean;
  /** Places, both inclusive. */
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly from: Nanos | null;
  readonly to: Nanos | null;
  readonly hasOpening: boolean;
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
  /** A frame is there, or the play is over. */
  ready(): void;
  failed(reason: Fault): void;
}

/** How many may be open, in all and of one client; as they are now. */
export interface PlayLimits {
  readonly playbacksMax: number;
  readonly playbacksPerClientMax: number;
}

/** One play of the journal, from its opening to its last frame. */
export class Play {
  private readonly source: PlaySource;
  private readonly id: number;
  private readonly events: PlayEvents;
  private readonly release: () => void;
  private readonly frames = new ChunkFrames();
  private spare: PlayedChunk | null = null;
  private isAsking = false;
  private isAllRead = false;
  private isClosed = false;
  private isOpening = false;
  /** The source has it. */
  private isOpen = false;

  /** For `Plays` only. */
  constructor(source: PlaySource, id: number, events: PlayEvents, release: () => void) {
    this.source = source;
    this.id = id;
    this.events = events;
    this.release = release;
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

  take(): { readonly data: string | Uint8Array; readonly seq: number } {
    const frame = this.frames.take();
    if (this.frames.isEmpty) this.refill();
    return frame;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.isOpen && !this.isAllRead) this.source.close(this.id);
    // What the source is still opening keeps its slot: else who comes and goes could ask without bound.
    if (!this.isOpening) this.release();
  }

  /** For `Plays` only. */
  async open(request: PlayRequest): Promise<void> {
    this.isOpening = true;
    const range = await this.source.open(this.id, request);
    this.isOpening = false;
    const isRefused = 'code' in range;
    if (this.isClosed) {
      if (!isRefused) this.source.close(this.id);
      return this.release();
    }
    if (isRefused) return this.fail(range);
    this.isOpen = true;
    this.events.opened?.(range);
    await this.ask();
  }

  private refill(): void {
    if (this.spare !== null) {
      this.frames.put(this.spare);
      this.spare = null;
    }
    void this.ask();
  }

  private async ask(): Promise<void> {
    while (!this.isAsking && !this.isAllRead && !this.isClosed && this.spare === null) {
      this.isAsking = true;
      const chunk = await this.source.next(this.id);
      this.isAsking = false;
      if (this.isClosed) return;
      if ('code' in chunk) return this.fail(chunk);
      this.isAllRead = chunk.isLast;
      if (!this.frames.isEmpty) this.spare = chunk;
      else if (chunk.seqs.length > 0) this.frames.put(chunk);
      if (this.hasFrame || this.isOver) this.events.ready();
    }
  }

  private fail(reason: Fault): void {
    this.close();
    this.isAllRead = true;
    this.events.failed(reason);
  }
}

interface Turn {
  readonly client: string;
  begin(): void;
}

export class Plays {
  private readonly source: PlaySource;
  private readonly limits: PlayLimits;
  private readonly playing = new Counts();
  /** In the order in which they came. */
  private readonly waiting: Turn[] = [];
  private lastId = 0;

  constructor(source: PlaySource, limits: PlayLimits) {
    this.source = source;
    this.limits = limits;
  }

  /** Why a client gets no further play at once; undefined when it does. */
  refusal(client: string): Fault | undefined {
    if (this.hasRoom(client)) return undefined;
    const { playbacksPerClientMax } = this.limits;
    if (this.playing.of(client) < playbacksPerClientMax) {
      return fault('overloaded', 'as many replays as there may be are under way');
    }
    const message = `${client} has ${playbacksPerClientMax} replays and resumes under way already`;
    return fault('limit-reached', message);
  }

  /** How many are open, and how many wait. */
  get counts(): { readonly open: number; readonly waiting: number } {
    return { open: this.playing.size, waiting: this.waiting.length };
  }

  /** Opens a play, in its turn if there are too many. @param client whom it is for */
  open(client: string, request: PlayRequest, events: PlayEvents): Play {
    let isWaiting = !this.hasRoom(client);
    const play: Play = new Play(this.source, ++this.lastId, events, () => {
      if (isWaiting) this.waiting.splice(this.waiting.indexOf(turn), 1);
      else this.freed(client);
    });
    const begin = (): void => {
      isWaiting = false;
      this.playing.change(client, 1);
      void play.open(request);
    };
    const turn: Turn = { client, begin };
    if (isWaiting) this.waiting.push(turn);
    else begin();
    return play;
  }

  /** The limits are others: begins all that wait and may now. */
  beginWaiting(): void {
    while (this.beginNext());
  }

  private freed(client: string): void {
    this.playing.change(client, -1);
    this.beginNext();
  }

  /** The first that may; who has as many as it may does not hold up the others. @returns whether there was one */
  private beginNext(): boolean {
    const next = this.waiting.findIndex((turn) => this.hasRoom(turn.client));
    if (next < 0) return false;
    this.waiting.splice(next, 1)[0]!.begin();
    return true;
  }

  private hasRoom(client: string): boolean {
    const { playbacksMax, playbacksPerClientMax } = this.limits;
    return this.playing.size < playbacksMax && this.playing.of(client) < playbacksPerClientMax;
  }
}
