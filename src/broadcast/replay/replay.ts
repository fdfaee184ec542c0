/**
 * Replay: the journal played to one session in the live format, at its times or as fast as it reads.
 *
 * The answer of `start` is the end of the replay. Those of `pause`, `continue` and `stop` come at once,
 * that of `seek` in its place: what came before it is of the time before, what follows of the time after.
 *
 * While it is paused, not read, or waits long for its time, it gives its slot up (*parked*): nothing is held
 * of it but where it goes on. It asks for a slot again when it goes on; where it gets none for long, it ends
 * with an error that says up to which seq it was played.
 */

import { ERRORS, fault, fieldFault, type Fault } from '../../../protocol/codes';
import { ackOf } from '../../../protocol/answers';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { Clock } from '../../base/clock';
import type { Feed, Frame } from '../sessions/frame-source';
import type { Playback, PlayRange, PlayRequest } from '../playback/playback';
import type { Plays } from '../playback/playbacks';
import type { Session } from '../sessions/session';

export type ReplayMessage = MessageOf<'replay'>;

type Where = Pick<PlayRequest, 'from' | 'fromSeq'>;

/** Calls back once, in so many ms. @returns what calls that off */
export type Later = (ms: number, call: () => void) => () => void;

function realLater({ turns }: Clock): Later {
  return (ms, call) => {
    const timer = turns.later('replay', ms, call);
    return () => clearTimeout(timer);
  };
}

export interface ReplayParts {
  readonly plays: Plays;
  readonly clock: Clock;
  /** The machine's timers, unless time is steered. */
  readonly later?: Later;
}

export class Replay implements Feed {
  private readonly session: Session;
  private readonly plays: Plays;
  private readonly clock: Clock;
  private readonly later: Later;
  private readonly startId: number;
  /** Null while it is parked. */
  private play: Playback | null;
  private isOpening = true;
  /** What is played, known when it has opened. */
  private range: PlayRange | null = null;
  /** All up to there was taken, and of what is above nothing or a part; null: something of the opening, at most. */
  private border: number | null = null;
  /** Since when nothing was taken that could be, or it waits for a slot. */
  private idleSinceMs: number | null = null;
  private waitSinceMs: number | null = null;
  /** The next frame is not due before, by the clock, in ms. */
  private dueMs = -Infinity;
  private readonly unwatch: () => void;
  /** What the present play was asked for, or the one that follows when that is open, which cannot be taken back. */
  private asked: PlayRequest;
  private isMoved = false;
  /** Messages that have their place before the next frame. */
  private due: Message[] = [];
  /** When the first frame was due, by the clock, in ms; null before there is one. */
  private originMs: number | null = null;
  private pausedMs: number | null = null;
  private callOff: () => void = () => {};
  private seq = 0;
  private isEnded = false;

  constructor(
    session: Session,
    { plays, clock, later = realLater(clock) }: ReplayParts,
    startId: number,
    request: PlayRequest,
  ) {
    this.session = session;
    this.plays = plays;
    this.clock = clock;
    this.later = later;
    this.startId = startId;
    this.asked = request;
    this.play = this.begin(request);
    this.unwatch = plays.watch((nowMs) => this.look(nowMs));
  }

  get isOver(): boolean {
    return this.isEnded && this.due.length === 0;
  }

  /** Whether its last message is made, which may wait for the reader. */
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
    const play = this.play ?? this.unpark();
    if (play === null || play.isOver || !play.hasFrame) return undefined;
    if (this.asked.speed > 0) {
      this.originMs ??= nowMs - play.atMs;
      const dueMs = this.originMs + play.atMs;
      if (dueMs > nowMs) {
        this.wait(play, dueMs, dueMs - nowMs);
        return undefined;
      }
    }
    this.idleSinceMs = null;
    const { data, seq } = play.take();
    this.seq = Math.max(this.seq, seq);
    const { reachedSeq } = play;
    if (reachedSeq !== null && reachedSeq >= (this.range?.fromSeq ?? 0)) this.border = reachedSeq;
    if (play.isOver) this.finish();
    return data;
  }

  pause(id: number): void {
    this.pausedMs ??= this.clock.monotonicMs();
    this.tell([ackOf(id, this.seq)]);
  }

  continue(id: number): void {
    if (this.pausedMs !== null) {
      const pausedMs = this.clock.monotonicMs() - this.pausedMs;
      if (this.originMs !== null) this.originMs += pausedMs;
      this.dueMs += pausedMs;
    }
    this.pausedMs = null;
    this.tell([ackOf(id, this.seq)]);
    this.pull();
  }

  /** Goes on from elsewhere; what was read and not sent is left out. */
  seek(id: number, where: Where): void {
    this.callOff();
    this.originMs = null;
    this.border = null;
    this.dueMs = -Infinity;
    if (this.pausedMs !== null) this.pausedMs = this.clock.monotonicMs();
    this.seq = 0;
    this.due.push(ackOf(id, where.from === null ? where.fromSeq : 0));
    this.asked = { ...this.asked, ...where };
    if (this.isOpening) this.isMoved = true;
    else if (this.play !== null) this.move(this.play);
    this.pull();
  }

  stop(id: number): void {
    this.play?.close();
    this.finish();
    this.due.push(ackOf(id, this.seq));
    this.pull();
  }

  end(): void {
    this.callOff();
    this.unwatch();
    this.isEnded = true;
    this.play?.close();
  }

  /** Nothing is to be done behind it. */
  finished(): void {}

  /** Gives its slot up, where it is paused or not read for long. */
  private look(nowMs: number): void {
    const { play, plays, pausedMs } = this;
    const { playbackIdleMs, playbackWaitMs } = plays.limits;
    if (play === null) {
      if (this.waitSinceMs === null || pausedMs !== null) return;
      if (nowMs - this.waitSinceMs > playbackWaitMs) this.fail(this.noSlot());
      else this.unpark();
      return;
    }
    const isIdle = pausedMs !== null || (play.hasFrame && nowMs >= this.dueMs);
    if (!isIdle || this.isOpening) {
      this.idleSinceMs = null;
      return;
    }
    const idleMs = nowMs - (this.idleSinceMs ??= nowMs);
    if (idleMs > playbackIdleMs && this.canPark(play)) this.park(play);
    else if (idleMs > playbackWaitMs) this.fail(this.leftWithin());
  }

  /** Whether it could go on exactly where it is: within a step a part of it would come again. */
  private canPark(play: Playback): boolean {
    return this.border === null || this.border === play.reachedSeq;
  }

  /** Another client has fewer slots: waits for one, if it can go on exactly where it is. */
  private yieldSlot(play: Playback): boolean {
    if (play !== this.play || this.isOpening || this.isEnded) return false;
    if (!this.canPark(play)) return false;
    this.park(play);
    this.waitSinceMs = this.pausedMs === null ? this.clock.monotonicMs() : null;
    return true;
  }

  /** Until the next frame is due; long waits without a slot. */
  private wait(play: Playback, dueMs: number, waitMs: number): void {
    this.dueMs = dueMs;
    this.wakeIn(waitMs);
    if (waitMs > this.plays.limits.playbackIdleMs && this.canPark(play)) this.park(play);
  }

  /** Nothing is held of it but where it goes on: what was read and not taken is read again. */
  private park(play: Playback): void {
    if (this.originMs !== null) this.originMs = play.hasFrame ? this.originMs + play.atMs : null;
    this.idleSinceMs = null;
    this.play = null;
    play.close();
  }

  /** Goes on where it was, if there is a slot for it; else it waits for one. */
  private unpark(): Playback | null {
    if (this.plays.refusal(this.session.meter.client) !== undefined) {
      this.waitSinceMs ??= this.clock.monotonicMs();
      return null;
    }
    this.waitSinceMs = null;
    const { asked, border, range } = this;
    const goesOn = {
      ...asked,
      from: null,
      to: null,
      fromSeq: (border ?? 0) + 1,
      toSeq: range?.toSeq ?? 0,
      goesOn: true,
    };
    this.play = this.begin(border === null ? asked : goesOn);
    return this.play;
  }

  private noSlot(): Fault {
    const where = this.seq === 0 ? '' : `; this one was played up to ${this.seq}`;
    return fault('overloaded', `as many replays as there may be are under way${where}`);
  }

  private leftWithin(): Fault {
    const { playbackWaitMs } = this.plays.limits;
    return fault(
      'overloaded',
      `it was left within one step for ${playbackWaitMs} ms; it was played up to ${this.seq}`,
    );
  }

  private move(play: Playback): void {
    this.isMoved = false;
    play.close();
    this.play = this.begin(this.asked);
  }

  private begin(request: PlayRequest): Playback {
    this.isOpening = true;
    const events = {
      opened: (range: PlayRange) => {
        this.isOpening = false;
        this.range = range;
        if (this.isMoved) this.move(play);
      },
      ready: () => {
        if (play !== this.play || this.isEnded) return;
        if (play.isOver) this.finish();
        this.pull();
      },
      failed: (reason: Fault) => {
        if (play !== this.play || this.isEnded) return;
        this.fail(reason);
      },
    };
    const { client } = this.session.meter;
    const play: Playback = this.plays.open(client, request, events, () => this.yieldSlot(play));
    return play;
  }

  /** Its last frame has been taken: the answer of `start` follows. */
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

  private tell(messages: readonly Message[]): void {
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

/** Where to play from and to, or what is wrong with it. @param lastSeq the newest place pushed */
export function replayRange(
  m: ReplayMessage,
  lastSeq: number,
): Pick<PlayRequest, 'from' | 'to' | 'fromSeq' | 'toSeq'> | Fault {
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
    return fieldFault('toSeq', toSeq, `a place not before fromSeq, ${m.fromSeq}`);
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
    return fieldFault('fromSeq', fromSeq, `at most ${lastSeq}, the newest place`);
  }
  return { from, fromSeq: Math.max(1, fromSeq ?? 1) };
}

export function noReplay(): Fault {
  return fault('no-replay', 'this session has no replay under way');
}

export function replayUnderWay(): Fault {
  return fault('replay-under-way', 'this session has a replay under way');
}
