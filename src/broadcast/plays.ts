/**
 * Plays: the journal as frames, one chunk ready ahead of whoever takes them.
 *
 * A replay has its play for as long as it lasts, while others have their part of the slots (replay-slots.ts). A
 * resume takes turns, in slots of their own: a turn ends when all is read, or while others wait, when it
 * has had its share or its reader does not take what is ready. What it left is read again in its next one.
 * Bounded: plays open at once, of each of the two, in all and of one client. Of each at most two chunks are
 * in memory, so however many sessions read the past, what they hold is known.
 */

import type { Fault } from '../../protocol/codes';
import type { Nanos } from '../../protocol/time';
import { ChunkFrames, type PlayedChunk } from './feed';
import { ReplaySlots } from './replay-slots';
import { Turns, type Turn, type TurnLimits } from './turns';
import { WaitingTurns } from './waiting-turns';

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

/**
 * Chunks that are asked of the source at once. It reads one after the other, so what waits there waits in
 * the order in which it came; here the clients, and the shortest of each, come round soon. A few, so that
 * it has work while this thread is busy.
 */
const READS_AT_ONCE = 4;

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

/** As they are now. */
export interface PlayLimits extends TurnLimits {
  /** A replay that is paused, or not read, for longer gives its slot up. */
  readonly playbackIdleMs: number;
  /** What could not begin in so long is refused. */
  readonly playbackWaitMs: number;
}

/** What a play tells that takes turns. */
export interface TurnEvents extends PlayEvents {
  /** It has waited too long for its turn, which it does not get; without, it waits on. */
  readonly expired?: (reason: Fault) => void;
  /** It waits, and so many of its client have waited longer. */
  waits(ahead: number): void;
  /** Others wait, and its reader takes nothing. */
  idle(): void;
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
export class Play {
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

/** One that takes turns. */
interface InTurn {
  readonly play: Play;
  readonly events: TurnEvents;
}

export class Plays {
  private readonly source: PlaySource;
  readonly limits: PlayLimits;
  private readonly replaying: ReplaySlots;
  private readonly turns: Turns;
  private readonly reads = new Turns({
    playbacksMax: READS_AT_ONCE,
    playbacksPerClientMax: READS_AT_ONCE,
  });
  /** Those whose turn it is. */
  private readonly reading = new Set<InTurn>();
  private readonly waiting = new WaitingTurns();
  /** Told of the time now and then: replays, which may be idle. */
  private readonly watched = new Set<(nowMs: number) => void>();
  private lastId = 0;

  constructor(source: PlaySource, limits: PlayLimits) {
    this.source = source;
    this.limits = limits;
    this.replaying = new ReplaySlots(limits);
    this.turns = new Turns(limits);
  }

  /** Why a client gets no further replay; undefined when it does. */
  refusal(client: string): Fault | undefined {
    return this.replaying.refusal(client);
  }

  /** How many are open, and how many wait. */
  get counts(): { readonly open: number; readonly waiting: number } {
    const { open, waiting } = this.turns.counts;
    return { open: this.replaying.size + open, waiting };
  }

  /**
   * Opens the play of a replay, which was not refused.
   * @param client whom it is for @param yields gives its slot up, if it can
   */
  open(
    client: string,
    request: PlayRequest,
    events: PlayEvents,
    yields: () => boolean = () => false,
  ): Play {
    const release = this.replaying.take(client, yields);
    const play = this.create(client, request, events, release, () => false);
    void play.open();
    return play;
  }

  /** Opens a play of a resume in its turn. @param client whom it is for */
  openInTurn(client: string, request: PlayRequest, events: TurnEvents): Play {
    let isWaiting = true;
    const release = (): void => {
      this.waiting.delete(turn);
      if (isWaiting) return this.turns.withdraw(turn);
      this.reading.delete(inTurn);
      this.turns.end(client);
    };
    const isWanted = (): boolean => this.turns.isWanted(client);
    const play = this.create(client, request, events, release, isWanted);
    const inTurn = { play, events };
    const turn: Turn = {
      client,
      distance: request.toSeq - request.fromSeq,
      begin: () => {
        isWaiting = false;
        this.waiting.delete(turn);
        this.reading.add(inTurn);
        void play.open();
      },
      waits: (ahead) => events.waits(ahead),
    };
    const { expired } = events;
    if (!this.turns.ask(turn) && expired !== undefined) this.waiting.add(turn, expired);
    return play;
  }

  /** Ends turns whose readers take nothing, while others wait, and waits that are too long. Now and then. */
  look(nowMs: number): void {
    for (const tell of this.watched) tell(nowMs);
    this.waiting.look(nowMs, this.limits.playbackWaitMs);
    for (const { play, events } of this.reading) if (play.isIdle(nowMs)) events.idle();
  }

  /** Calls it at each look. @returns what ends that */
  watch(tell: (nowMs: number) => void): () => void {
    this.watched.add(tell);
    return () => this.watched.delete(tell);
  }

  /** Says to each that waits how many are before it. */
  tellWaiting(): void {
    this.turns.tellWaiting();
  }

  /** The limits are others: begins all that wait and may now. */
  beginWaiting(): void {
    this.turns.beginWaiting();
  }

  private create(
    client: string,
    request: PlayRequest,
    events: PlayEvents,
    release: () => void,
    isWanted: () => boolean,
  ): Play {
    const { source, reads } = this;
    return new Play({
      source,
      id: ++this.lastId,
      client,
      request,
      events,
      reads,
      release,
      isWanted,
    });
  }
}
