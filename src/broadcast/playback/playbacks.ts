/**
 * Playbacks: reads the journal for replays and resumes, within limits.
 *
 * A replay keeps its playback for as long as it lasts, while other clients have their part of the
 * slots (`replay-slots.ts`). A resume reads in shares, in a queue of their own (`fair-queue.ts`): a
 * share ends when everything was read or, while others wait, when it has read enough or its reader
 * takes nothing. What was read and not taken is read again in the next share.
 *
 * Bounded: open playbacks of both kinds, in total and for each client. Each has at most two chunks
 * in memory, so the memory of all readers of the past is bounded.
 */

import type { Fault } from '../../../protocol/codes';
import {
  Playback,
  type PlaybackEvents,
  type PlaybackRequest,
  type PlaybackSource,
} from './playback';
import { ReplaySlots } from './replay-slots';
import { FairQueue, type Read, type ReadLimits } from './fair-queue';
import { WaitTimeouts } from './wait-timeouts';

/**
 * Chunks that are requested from the source at once. The source reads them in order of arrival, so
 * the fair order is decided here. A few, so that the source has work while this thread is busy.
 */
const READS_AT_ONCE = 4;

/** The current limits. */
export interface PlaybackLimits extends ReadLimits {
  /** A replay that is paused or not read for longer gives up its slot, in ms. */
  readonly playbackIdleMs: number;
  /** What could not begin in this time is refused, in ms. */
  readonly playbackWaitMs: number;
}

/** Events of a playback that reads in shares. */
export interface QueuedEvents extends PlaybackEvents {
  /** It has waited too long and is withdrawn; without this callback it waits on. */
  readonly expired?: (reason: Fault) => void;
  /** It waits behind this many others of its client. */
  waits(ahead: number): void;
  /** Others wait, and its reader takes nothing. */
  idle(): void;
}

/** A playback that reads in shares. */
interface QueuedPlayback {
  readonly playback: Playback;
  readonly events: QueuedEvents;
}

export class Playbacks {
  private readonly source: PlaybackSource;
  readonly limits: PlaybackLimits;
  private readonly replaying: ReplaySlots;
  private readonly queue: FairQueue;
  private readonly reads = new FairQueue({
    playbacksMax: READS_AT_ONCE,
    playbacksPerClientMax: READS_AT_ONCE,
  });
  /** Playbacks in a share. */
  private readonly reading = new Set<QueuedPlayback>();
  private readonly waiting = new WaitTimeouts();
  /** Called at each look; replays, which may be idle. */
  private readonly watched = new Set<(nowMs: number) => void>();
  private lastId = 0;

  constructor(source: PlaybackSource, limits: PlaybackLimits) {
    this.source = source;
    this.limits = limits;
    this.replaying = new ReplaySlots(limits);
    this.queue = new FairQueue(limits);
  }

  /** Why a client gets no further replay; undefined if it gets one. */
  refusal(client: string): Fault | undefined {
    return this.replaying.refusal(client);
  }

  /** How many are open, and how many wait. */
  get counts(): { readonly open: number; readonly waiting: number } {
    const { open, waiting } = this.queue.counts;
    return { open: this.replaying.size + open, waiting };
  }

  /**
   * Opens the playback of a replay, after `refusal` returned undefined.
   * @param client that it is for
   * @param yields gives up its slot if it can, and returns whether it did
   */
  open(
    client: string,
    request: PlaybackRequest,
    events: PlaybackEvents,
    yields: () => boolean = () => false,
  ): Playback {
    const release = this.replaying.take(client, yields);
    const playback = this.create(client, request, events, release, () => false);
    void playback.open();
    return playback;
  }

  /** Opens a playback of a resume when it comes round in the queue. @param client that it is for */
  openQueued(client: string, request: PlaybackRequest, events: QueuedEvents): Playback {
    let isWaiting = true;
    const release = (): void => {
      this.waiting.delete(read);
      if (isWaiting) return this.queue.withdraw(read);
      this.reading.delete(queued);
      this.queue.end(client);
    };
    const isWanted = (): boolean => this.queue.isWanted(client);
    const playback = this.create(client, request, events, release, isWanted);
    const queued = { playback, events };
    const read: Read = {
      client,
      distance: request.toSeq - request.fromSeq,
      begin: () => {
        isWaiting = false;
        this.waiting.delete(read);
        this.reading.add(queued);
        void playback.open();
      },
      waits: (ahead) => events.waits(ahead),
    };
    const { expired } = events;
    if (!this.queue.ask(read) && expired !== undefined) this.waiting.add(read, expired);
    return playback;
  }

  /**
   * Ends shares whose readers take nothing while others wait, and waits that are too long. To be
   * called periodically.
   */
  look(nowMs: number): void {
    for (const tell of this.watched) tell(nowMs);
    this.waiting.look(nowMs, this.limits.playbackWaitMs);
    for (const { playback, events } of this.reading) if (playback.isIdle(nowMs)) events.idle();
  }

  /** Calls it at each look. @returns what ends that */
  watch(look: (nowMs: number) => void): () => void {
    this.watched.add(look);
    return () => this.watched.delete(look);
  }

  /** Reports to each that waits how many are before it. */
  notifyWaiting(): void {
    this.queue.notifyWaiting();
  }

  /** The limits have changed: begins all that may begin now. */
  beginWaiting(): void {
    this.queue.beginWaiting();
  }

  private create(
    client: string,
    request: PlaybackRequest,
    events: PlaybackEvents,
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
