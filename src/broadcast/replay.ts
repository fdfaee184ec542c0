/**
 * Replay: the journal played to one session in the live format, at its times or as fast as it reads.
 *
 * The answer of `start` is the end of the replay. Those of `pause`, `continue` and `stop` come at once,
 * that of `seek` in its place: what came before it is of the time before, what follows of the time after.
 */

import { ERRORS, fault, fieldFault, type Fault } from '../../protocol/codes';
import { ackOf } from '../../protocol/answers';
import type { Message, MessageOf } from '../../protocol/messages';
import type { Clock } from '../base/clock';
import type { Feed, Frame } from './feed';
import type { Play, Plays, PlayRequest } from './plays';
import type { Session } from './session';

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
  private readonly request: PlayRequest;
  private play: Play;
  private isOpening = true;
  /** Where to go on from when the play is open, whose opening cannot be taken back. */
  private moved: Where | null = null;
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
    this.request = request;
    this.play = this.begin(request);
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
    if (this.pausedMs !== null || this.isEnded || this.play.isOver) return undefined;
    if (!this.play.hasFrame) return undefined;
    if (this.request.speed > 0) {
      const nowMs = this.clock.monotonicMs();
      this.originMs ??= nowMs - this.play.atMs;
      const waitMs = this.originMs + this.play.atMs - nowMs;
      if (waitMs > 0) {
        this.wakeIn(waitMs);
        return undefined;
      }
    }
    const { data, seq } = this.play.take();
    this.seq = Math.max(this.seq, seq);
    if (this.play.isOver) this.finish();
    return data;
  }

  pause(id: number): void {
    this.pausedMs ??= this.clock.monotonicMs();
    this.tell([ackOf(id, this.seq)]);
  }

  continue(id: number): void {
    if (this.pausedMs !== null && this.originMs !== null) {
      this.originMs += this.clock.monotonicMs() - this.pausedMs;
    }
    this.pausedMs = null;
    this.tell([ackOf(id, this.seq)]);
    this.pull();
  }

  /** Goes on from elsewhere; what was read and not sent is left out. */
  seek(id: number, where: Where): void {
    this.callOff();
    this.originMs = null;
    if (this.pausedMs !== null) this.pausedMs = this.clock.monotonicMs();
    this.seq = 0;
    this.due.push(ackOf(id, where.from === null ? where.fromSeq : 0));
    if (this.isOpening) this.moved = where;
    else this.move(where);
    this.pull();
  }

  stop(id: number): void {
    this.play.close();
    this.finish();
    this.due.push(ackOf(id, this.seq));
    this.pull();
  }

  end(): void {
    this.callOff();
    this.isEnded = true;
    this.play.close();
  }

  /** Nothing is to be done behind it. */
  finished(): void {}

  private move(where: Where): void {
    this.moved = null;
    this.play.close();
    this.play = this.begin({ ...this.request, ...where });
  }

  private begin(request: PlayRequest): Play {
    this.isOpening = true;
    const play: Play = this.plays.open(this.session.client, request, {
      opened: () => {
        this.isOpening = false;
        if (this.moved !== null) this.move(this.moved);
      },
      ready: () => {
        if (play !== this.play || this.isEnded) return;
        if (play.isOver) this.finish();
        this.pull();
      },
      failed: (reason) => {
        if (play !== this.play || this.isEnded) return;
        this.fail(reason);
      },
    });
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
