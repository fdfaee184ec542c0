/**
 * Replay: sends the journal to one session in the live format, at the pace of its times or as fast
 * as the session reads.
 *
 * The answer to `start` comes at the end of the replay. Those to `pause`, `continue` and `stop`
 * come at once; that to `seek` separates what was sent before it from what follows.
 *
 * While it is paused, not read, or waits long for the time of its next frame, it gives up its slot
 * (it is *parked*) and keeps only its position. It takes a slot again to continue; if it gets none
 * for long, it ends with an error that states the sequence number it has reached.
 */

import { ERRORS, fault, fieldFault, type Fault } from '../../../protocol/codes';
import { ackOf } from '../../../protocol/answers';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { Clock } from '../../base/clock';
import type { FrameSource, Frame } from '../sessions/frame-source';
import type { Playback, PlaybackRange, PlaybackRequest } from '../playback/playback';
import type { Playbacks } from '../playback/playbacks';
import type { Session } from '../sessions/session';

export type ReplayMessage = MessageOf<'replay'>;

type Where = Pick<PlaybackRequest, 'from' | 'fromSeq'>;

/** Calls back once, after this many ms. @returns what cancels it */
export type Later = (ms: number, call: () => void) => () => void;

function realLater({ turns }: Clock): Later {
  return (ms, call) => {
    const timer = turns.later('replay', ms, call);
    return () => clearTimeout(timer);
  };
}

export interface ReplayParts {
  readonly playbacks: Playbacks;
  readonly clock: Clock;
  /** Real timers unless a test steers time. */
  readonly later?: Later;
}

export class Replay implements FrameSource {
  private readonly session: Session;
  private readonly playbacks: Playbacks;
  private readonly clock: Clock;
  private readonly later: Later;
  private readonly startId: number;
  /** Null while it is parked. */
  private playback: Playback | null;
  private isOpening = true;
  /** The range, known when it was opened. */
  private range: PlaybackRange | null = null;
  /**
   * Everything up to this sequence number was taken, and of later ones nothing or a part; null:
   * nothing or part of the opening.
   */
  private border: number | null = null;
  /** Since when available frames were not taken, or it waits for a slot. */
  private idleSinceMs: number | null = null;
  private waitSinceMs: number | null = null;
  /** Time of the next frame by the clock, in ms. */
  private dueMs = -Infinity;
  private readonly unwatch: () => void;
  /**
   * The request of the current playback, or of the one that follows it once its opening, which
   * cannot be cancelled, has ended.
   */
  private request: PlaybackRequest;
  private isMoved = false;
  /** Messages that precede the next frame. */
  private due: Message[] = [];
  /** When the first frame was due, by the clock, in ms; null before the first frame. */
  private originMs: number | null = null;
  private pausedMs: number | null = null;
  private callOff: () => void = () => {};
  private seq = 0;
  private isEnded = false;

  constructor(
    session: Session,
    { playbacks, clock, later = realLater(clock) }: ReplayParts,
    startId: number,
    request: PlaybackRequest,
  ) {
    this.session = session;
    this.playbacks = playbacks;
    this.clock = clock;
    this.later = later;
    this.startId = startId;
    this.request = request;
    this.playback = this.begin(request);
    this.unwatch = playbacks.watch((nowMs) => this.look(nowMs));
  }

  get isOver(): boolean {
    return this.isEnded && this.due.length === 0;
  }

  /** Whether its last message was made; it may still wait for the reader. */
  get hasEnded(): boolean {
    return this.isEnded;
  }

  take(): Frame | undefined {
    if (this.due.length > 0) {
      const messages = this.due;
      this.due = [];
      return messages;
    }
    if (this.pausedMs !== null || this.isEnded) return undefined;
    const nowMs = this.clock.monotonicMs();
    if (nowMs < this.dueMs) {
      this.wakeIn(this.dueMs - nowMs);
      return undefined;
    }
    const playback = this.playback ?? this.unpark();
    if (playback === null || playback.isOver || !playback.hasFrame) return undefined;
    if (this.request.speed > 0) {
      this.originMs ??= nowMs - playback.atMs;
      const dueMs = this.originMs + playback.atMs;
      if (dueMs > nowMs) {
        this.wait(playback, dueMs, dueMs - nowMs);
        return undefined;
      }
    }
    this.idleSinceMs = null;
    const { data, seq } = playback.take();
    this.seq = Math.max(this.seq, seq);
    const { reachedSeq } = playback;
    if (reachedSeq !== null && reachedSeq >= (this.range?.fromSeq ?? 0)) this.border = reachedSeq;
    if (playback.isOver) this.finish();
    return data;
  }

  pause(id: number): void {
    this.pausedMs ??= this.clock.monotonicMs();
    this.send([ackOf(id, this.seq)]);
  }

  continue(id: number): void {
    if (this.pausedMs !== null) {
      const pausedMs = this.clock.monotonicMs() - this.pausedMs;
      if (this.originMs !== null) this.originMs += pausedMs;
      this.dueMs += pausedMs;
    }
    this.pausedMs = null;
    this.send([ackOf(id, this.seq)]);
    this.pull();
  }

  /** Continues at another position; what was read and not sent is dropped. */
  seek(id: number, where: Where): void {
    this.callOff();
    this.originMs = null;
    this.border = null;
    this.dueMs = -Infinity;
    if (this.pausedMs !== null) this.pausedMs = this.clock.monotonicMs();
    this.seq = 0;
    this.due.push(ackOf(id, where.from === null ? where.fromSeq : 0));
    this.request = { ...this.request, ...where };
    if (this.isOpening) this.isMoved = true;
    else if (this.playback !== null) this.move(this.playback);
    this.pull();
  }

  stop(id: number): void {
    this.playback?.close();
    this.finish();
    this.due.push(ackOf(id, this.seq));
    this.pull();
  }

  end(): void {
    this.callOff();
    this.unwatch();
    this.isEnded = true;
    this.playback?.close();
  }

  /** Nothing follows a replay. */
  finished(): void {}

  /** Gives up its slot if it is paused or was not read for long. */
  private look(nowMs: number): void {
    const { playback, playbacks, pausedMs } = this;
    const { playbackIdleMs, playbackWaitMs } = playbacks.limits;
    if (playback === null) {
      if (this.waitSinceMs === null || pausedMs !== null) return;
      if (nowMs - this.waitSinceMs > playbackWaitMs) this.fail(this.noSlot());
      else this.unpark();
      return;
    }
    const isIdle = pausedMs !== null || (playback.hasFrame && nowMs >= this.dueMs);
    if (!isIdle || this.isOpening) {
      this.idleSinceMs = null;
      return;
    }
    const idleMs = nowMs - (this.idleSinceMs ??= nowMs);
    if (idleMs > playbackIdleMs && this.canPark(playback)) this.park(playback);
    else if (idleMs > playbackWaitMs) this.fail(this.leftWithin());
  }

  /**
   * Whether it can continue exactly where it is: within a step, part of the step would be sent
   * twice.
   */
  private canPark(playback: Playback): boolean {
    return this.border === null || this.border === playback.reachedSeq;
  }

  /**
   * Another client has fewer slots: gives up its slot and waits for one, if it can continue exactly
   * where it is.
   */
  private yieldSlot(playback: Playback): boolean {
    if (playback !== this.playback || this.isOpening || this.isEnded) return false;
    if (!this.canPark(playback)) return false;
    this.park(playback);
    this.waitSinceMs = this.pausedMs === null ? this.clock.monotonicMs() : null;
    return true;
  }

  /** Waits until the next frame is due; gives up its slot for a long wait. */
  private wait(playback: Playback, dueMs: number, waitMs: number): void {
    this.dueMs = dueMs;
    this.wakeIn(waitMs);
    if (waitMs > this.playbacks.limits.playbackIdleMs && this.canPark(playback))
      this.park(playback);
  }

  /** Gives up its slot and keeps only its position: what was read and not taken is read again. */
  private park(playback: Playback): void {
    // One that has sent no more than its opening begins again, with the same times.
    if (this.originMs !== null && this.border !== null)
      this.originMs = playback.hasFrame ? this.originMs + playback.atMs : null;
    this.idleSinceMs = null;
    this.playback = null;
    playback.close();
  }

  /** Continues where it was if there is a slot; otherwise waits for one. */
  private unpark(): Playback | null {
    if (this.playbacks.refusal(this.session.meter.client) !== undefined) {
      this.waitSinceMs ??= this.clock.monotonicMs();
      return null;
    }
    this.waitSinceMs = null;
    const { request, border, range } = this;
    const goesOn = {
      ...request,
      from: null,
      to: null,
      fromSeq: (border ?? 0) + 1,
      toSeq: range?.toSeq ?? 0,
      goesOn: true,
    };
    this.playback = this.begin(border === null ? request : goesOn);
    return this.playback;
  }

  private noSlot(): Fault {
    const where = this.seq === 0 ? '' : `; this one was replayed up to ${this.seq}`;
    return fault('overloaded', `the limit of open replays is reached${where}`);
  }

  private leftWithin(): Fault {
    const { playbackWaitMs } = this.playbacks.limits;
    return fault(
      'overloaded',
      `it was left within one step for ${playbackWaitMs} ms; it was replayed up to ${this.seq}`,
    );
  }

  private move(playback: Playback): void {
    this.isMoved = false;
    playback.close();
    this.playback = this.begin(this.request);
  }

  private begin(request: PlaybackRequest): Playback {
    this.isOpening = true;
    const events = {
      opened: (range: PlaybackRange) => {
        this.isOpening = false;
        this.range = range;
        if (this.isMoved) this.move(playback);
      },
      ready: () => {
        if (playback !== this.playback || this.isEnded) return;
        if (playback.isOver) this.finish();
        this.pull();
      },
      failed: (reason: Fault) => {
        if (playback !== this.playback || this.isEnded) return;
        this.fail(reason);
      },
    };
    const { client } = this.session.meter;
    const playback: Playback = this.playbacks.open(client, request, events, () =>
      this.yieldSlot(playback),
    );
    return playback;
  }

  /** Its last frame was taken: the answer to `start` follows. */
  private finish(): void {
    this.end();
    this.due.push(ackOf(this.startId, this.seq));
  }

  private fail({ code, message, field }: Fault): void {
    this.end();
    const { hint } = ERRORS[code];
    this.due.push({ type: 'error', id: this.startId, code, message, field: field ?? null, hint });
    this.pull();
  }

  private send(messages: readonly Message[]): void {
    this.session.send(messages);
  }

  private wakeIn(ms: number): void {
    this.callOff();
    this.callOff = this.later(Math.min(ms, 86_400_000), () => this.pull());
  }

  private pull(): void {
    this.session.pull(this.clock.monotonicMs());
  }
}

/**
 * The range to replay, or what is wrong with it.
 * @param lastSeq the newest published sequence number
 */
export function replayRange(
  m: ReplayMessage,
  lastSeq: number,
): Pick<PlaybackRequest, 'from' | 'to' | 'fromSeq' | 'toSeq'> | Fault {
  const where = replayStart(m, lastSeq);
  if ('code' in where) return where;
  const { to, toSeq } = m;
  if (to !== null && toSeq !== null) {
    return fieldFault('toSeq', toSeq, 'nil where to is given');
  }
  if (m.from !== null && to !== null && m.from.compare(to) > 0) {
    return fieldFault('to', to.toString(), `a time not before from, ${m.from.toString()}`);
  }
  if (m.fromSeq !== null && toSeq !== null && m.fromSeq > toSeq) {
    return fieldFault('toSeq', toSeq, `a sequence number not before fromSeq, ${m.fromSeq}`);
  }
  return { ...where, to, toSeq: Math.min(toSeq ?? lastSeq, lastSeq) };
}

/** Where to begin, or what is wrong with it. */
export function replayStart(
  { from, fromSeq }: Pick<ReplayMessage, 'from' | 'fromSeq'>,
  lastSeq: number,
): Where | Fault {
  if (from !== null && fromSeq !== null) {
    return fieldFault('fromSeq', fromSeq, 'nil where from is given');
  }
  if (fromSeq !== null && fromSeq > lastSeq) {
    return fieldFault('fromSeq', fromSeq, `at most ${lastSeq}, the newest sequence number`);
  }
  return { from, fromSeq: Math.max(1, fromSeq ?? 1) };
}

export function noReplay(): Fault {
  return fault('no-replay', 'this session has no replay under way');
}

export function replayUnderWay(): Fault {
  return fault('replay-under-way', 'this session has a replay under way');
}
