/**
 * Plays: the journal as frames, one chunk ready ahead of whoever takes them.
 *
 * A replay has its play for as long as it lasts, while others have their part of the slots (replay-slots.ts). A
 * resume takes turns, in slots of their own: a turn ends when all is read, or while others wait, when it
 * has had its share or its reader does not take what is ready. What it left is read again in its next one.
 * Bounded: plays open at once, of each of the two, in all and of one client. Of each at most two chunks are
 * in memory, so however many sessions read the past, what they hold is known.
 */

import type { Fault } from '../../../protocol/codes';
import { Playback, type PlayEvents, type PlayRequest, type PlaySource } from './playback';
import { ReplaySlots } from './replay-slots';
import { Turns, type Turn, type TurnLimits } from './fair-queue';
import { WaitingTurns } from './wait-timeouts';

/**
 * Chunks that are asked of the source at once. It reads one after the other, so what waits there waits in
 * the order in which it came; here the clients, and the shortest of each, come round soon. A few, so that
 * it has work while this thread is busy.
 */
const READS_AT_ONCE = 4;

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

/** One that takes turns. */
interface InTurn {
  readonly play: Playback;
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
  ): Playback {
    const release = this.replaying.take(client, yields);
    const play = this.create(client, request, events, release, () => false);
    void play.open();
    return play;
  }

  /** Opens a play of a resume in its turn. @param client whom it is for */
  openInTurn(client: string, request: PlayRequest, events: TurnEvents): Playback {
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
  ): Playback {
    const { source, reads } = this;
    return new Playback({
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
