/**
 * Session: one reader's connection, its topics, and the lane that it is on.
 * On the express lane it takes Bun's native topics. After some bytes, and every so often, it is sent a ping;
 * while the pongs come in time the reader keeps up. When one is late, or the socket holds data back, the
 * session leaves the native topics and is served from its backlog, in windows: frames with a ping behind
 * each, and no more under way than the window (`Flight`). When no more waits than there is room for, and the
 * pong came soon, that goes out and it is native again; both between batches, so the order of each topic
 * stays. Long answers and what is read from the journal (a feed) go out in windows as well, topics with an
 * interval from the backlog always. It costs nothing while nothing happens (`wake`, `nextLookMs`).
 * Bounded: the window, the control that waits and how long (`SessionLimits`); the backlog by the logs.
 */

import type { Subprotocol } from '../../../protocol/codec';
import type { CloseReason } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import { ByteAccount, type Meter } from '../../base/byte-account';
import { Backlog, sizeOf } from '../backlog/backlog';
import type { Feed } from './frame-source';
import { ANSWER_SLICE_BYTES, LongAnswer } from '../backlog/long-answer';
import type { TopicState } from '../topics/mirror';
import type { NativeReader } from '../topics/native-readers';
import { Outlet } from './sender';
import {
  BUFFERED_BYTES_MAX,
  MEMORY_FACTOR,
  PING_BYTES,
  STALLED_LOOK_MS,
  UNBOUNDED,
  WINDOW_BYTES_SLOW,
  type SessionLimits,
} from './session-limits';
import type { Encoders } from './encoders';
import type { SessionFigures } from '../../base/contracts/figures';
import type { SessionCounters } from './session-counters';
import { SessionTopics } from './session-topics';
import type { Socket } from './socket';
import { Wire } from './connection';

/** Who looks after sessions when they ask for it. */
export interface SessionCare {
  /** It is to be looked at soon, or at a time; infinity: at none, unless that was asked for soon. */
  wake(session: Session, atMs?: number): void;
  /** One has left the express lane for being slow. */
  fellBehind(): void;
  /** A turn of the event loop, for a part of what the end of a session takes. */
  soon(act: () => void): void;
  nowMs(): number;
}

export class Session implements NativeReader {
  readonly name: string;
  /** Channels it is on for every symbol, now and later, with the interval that was asked for; 0: none. */
  readonly wildcards = new Map<string, number>();
  readonly isText: boolean;
  /** What it causes to be held, and whose that is: the name of a key, or an address. */
  readonly meter: Meter;
  private lagged = 0;
  /** Of resumes that could not be; whoever answers them counts. */
  resets = 0;
  private readonly wire: Wire;
  private readonly limits: SessionLimits;
  /** Of topics that it does not take natively, and control while it is not on the express lane. */
  private readonly backlog: Backlog;
  private readonly on: SessionTopics;
  private lane: 'express' | 'windows' | 'gone' = 'express';
  private readonly outlet: Outlet;
  private feed: Feed | null = null;
  /** It is in windows for a long answer, and not for being slow. */
  private isAnswered = false;
  private care: SessionCare | null = null;
  private nowMs = 0;

  constructor(
    name: string,
    form: Subprotocol,
    socket: Socket,
    encoders: Encoders,
    limits: SessionLimits,
    meter: Meter = new ByteAccount(UNBOUNDED).open(''),
  ) {
    this.name = name;
    this.meter = meter;
    this.wire = new Wire(form, socket, encoders);
    this.isText = this.wire.isText;
    this.limits = limits;
    this.backlog = new Backlog(limits);
    const soon = (act: () => void): void => (this.care === null ? act() : this.care.soon(act));
    this.on = new SessionTopics(this.wire, this.backlog, this, soon, limits.movedATurn);
    this.outlet = new Outlet(this.wire, limits);
  }

  /** Topics it is on, with the head that its last heartbeat told. */
  get topics(): Map<TopicState, number> {
    return this.on.heads;
  }

  /** It has come. @param phase of its pings, from 0 to 1 */
  begin(care: SessionCare, phase: number): void {
    this.care = care;
    this.outlet.pings.begin(care.nowMs(), phase);
    this.wake();
  }

  /** What it was sent last is lost, and its socket is being closed. */
  get overrun(): boolean {
    return this.wire.overrun;
  }

  isPaced(topic: TopicState): boolean {
    return this.backlog.isPaced(topic);
  }

  /** Whether it gets all its topics as they are pushed. */
  get isExpress(): boolean {
    return this.lane === 'express';
  }

  get isGone(): boolean {
    return this.lane === 'gone';
  }

  /** Whether something is read from the journal for it. */
  get isFed(): boolean {
    return this.feed !== null;
  }

  /** Whether it does not keep up. */
  get isLagging(): boolean {
    return this.lane === 'windows' && this.feed === null && !this.isAnswered;
  }

  /** Whether an answer waits for it, or what is to come in its order. */
  get isAnswering(): boolean {
    return this.backlog.controlCount > 0;
  }

  get counters(): SessionCounters {
    return { ...this.backlog.counters, lagged: this.lagged, resets: this.resets };
  }

  get state(): SessionFigures {
    const { wire, backlog } = this;
    const sinceMs = backlog.oldestMs;
    return {
      form: this.isText ? 'json' : 'msgpack',
      lane: this.isLagging ? 'lagging' : 'express',
      topics: this.topics.size,
      sentBytes: wire.sentBytes(),
      sentFrames: wire.sentFrames(),
      waitingBytes: this.waitingBytes,
      lagMs: sinceMs === null ? 0 : Math.max(0, this.nowMs - sinceMs),
      rttMs: this.outlet.flight.rttMs,
      ...this.counters,
    };
  }

  /** About what is held for it alone, by its socket too. */
  get ownBytes(): number {
    return this.backlog.controlBytes + this.wire.bufferedBytes;
  }

  /** About what waits for it: in its backlog, of which topics hold a part for others too, and in its socket. */
  get waitingBytes(): number {
    return this.lane === 'gone' ? 0 : this.backlog.pendingBytes + this.wire.bufferedBytes;
  }

  /** Sends messages that belong together, ahead of what waits of topics. */
  send(messages: readonly Message[]): void {
    if (this.lane === 'gone') return;
    if (this.lane !== 'express') {
      this.backlog.tell(messages, this.nowMs);
      return this.flush();
    }
    if (!this.outlet.isShort(messages)) this.lookAtTime();
    this.write(messages);
  }

  /** Writes the frame of the heartbeat of a time, on the express lane. @param everyMs between heartbeats */
  beat(frame: string | Uint8Array, beatMs: number, everyMs: number, nowMs: number): void {
    if (this.outlet.beat(frame, beatMs, everyMs, nowMs)) this.wake(this.nextLookMs);
  }

  /** Sends an answer, which may be long, ahead of what its topics bring from now on. @param join joins them */
  answer(answer: readonly Message[] | LongAnswer, nowMs: number, join?: () => void): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    const isMade = !(answer instanceof LongAnswer);
    const isLong = !isMade || sizeOf(answer) > this.outlet.room;
    if (this.lane === 'express' && isLong) this.useWindows(true);
    join?.();
    if (isMade) return this.send(answer);
    this.backlog.tellLong(answer, nowMs);
    this.flush();
  }

  /** Serves a feed until it is over; one at a time. */
  serve(feed: Feed, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    if (this.lane === 'gone') return feed.end();
    this.feed = feed;
    if (this.lane === 'express') this.useWindows();
    this.flush();
  }

  /** The feed has a frame, or is over; or a long answer goes on. */
  pull(nowMs: number): void {
    this.nowMs = nowMs;
    this.flush();
  }

  /**
   * Goes on with a topic from its state as it is now, which the answer that follows tells.
   * @param intervalMs at most one frame of it in this time; 0: as it comes
   * @returns what of the topic goes before its state
   */
  join(topic: TopicState, intervalMs: number): Message[] {
    if (intervalMs > 0 && this.lane === 'express') this.lookAtTime();
    if (intervalMs > 0 || this.lane === 'windows') this.wake();
    return this.on.enter(topic, intervalMs, this.lane !== 'windows', this.nowMs);
  }

  leave(topic: TopicState): void {
    this.on.leave(topic);
  }

  /** Up to here it was told everything, if the newest pushed is this. */
  toldUpTo(lastSeq: number): number {
    return Math.min(lastSeq, this.backlog.toldSeq);
  }

  /** A native topic has brought it so much. */
  took(bytes: number): void {
    if (this.outlet.pings.took(bytes)) this.wake();
  }

  /**
   * Is it slow, is something due, is it dead? Called when it asks for that, and at `nextLookMs`.
   * @returns why it has to be closed, if so
   */
  look(nowMs: number): CloseReason | undefined {
    this.nowMs = nowMs;
    if (this.lane === 'gone') return undefined;
    const { lane, limits } = this;
    const { flight } = this.outlet;
    this.meter.set('sockets', this.wire.bufferedBytes);
    flight.look(this.meter.of('sockets'), nowMs);
    if (flight.silentMs(nowMs) > limits.pongMs) return 'unresponsive';
    const isDue = this.outlet.pings.pass(nowMs);
    if (lane === 'express') {
      this.lookExpress(isDue);
      return undefined;
    }
    if (this.backlog.isStuck(limits, nowMs, flight.aliveMs)) return 'too-slow';
    flight.renew(nowMs);
    if (isDue || flight.wantsMeasure) this.outlet.askAhead(nowMs);
    this.flush();
    return undefined;
  }

  /** When it is to be looked at next, if nothing wakes it before; 0: soon. */
  get nextLookMs(): number {
    const { lane, outlet, backlog } = this;
    if (lane === 'gone') return Infinity;
    if (lane === 'express') return Math.min(outlet.nextLookMs(this.limits), backlog.nextDueMs);
    return outlet.flight.roomBytes > 0 ? 0 : this.nowMs + STALLED_LOOK_MS;
  }

  /** The reader has had all before a ping of ours. @param number its own; undefined: the oldest @returns whether that waited */
  pong(nowMs: number, number?: number): boolean {
    if (this.lane === 'gone') return true;
    const { lane, outlet } = this;
    const { flight } = outlet;
    const pace = flight.pong(number, nowMs);
    if (pace === undefined) return false;
    this.nowMs = nowMs;
    if (lane === 'express') {
      // What its socket held is less now; otherwise there may be nothing left to look for.
      this.wake(this.meter.of('sockets') > 0 ? 0 : this.nextLookMs);
      return true;
    }
    if (flight.wantsMeasure) outlet.askAhead(nowMs);
    this.wake();
    if (pace === 'late' && this.isAnswered && !this.isAnswering) this.lag();
    const isWell = pace === 'soon' || flight.isEmpty;
    if (!isWell || !this.catchUp(pace === 'soon' ? outlet.spare : 0)) this.flush();
    return true;
  }

  /** A ping in the middle of much that is sent to it natively. */
  mark(nowMs: number): void {
    if (this.lane === 'gone') return;
    this.outlet.ask(0, nowMs);
    this.wake();
  }

  /** The server stops: tells it so, and sends all that waits; `isDrained` says when it has that. */
  goAway(closing: Message, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    this.backlog.hurry();
    this.send([closing]);
    if (this.lane !== 'express') return;
    this.write(this.backlog.due(nowMs));
    this.outlet.askAhead(nowMs);
    this.wake();
  }

  /** Nothing waits, and the reader has had what was sent before the newest ping. */
  get isDrained(): boolean {
    if (this.lane === 'gone' || this.wire.overrun) return true;
    return this.outlet.flight.isEmpty && this.wire.bufferedBytes === 0 && this.backlog.isEmpty;
  }

  /** The connection has gone; the socket has left its native topics by itself. */
  gone(): void {
    this.on.end();
    this.wildcards.clear();
    this.lane = 'gone';
    this.feed?.end();
    this.feed = null;
  }

  close(code: number, reason: string): void {
    this.wire.close(code, reason);
  }

  terminate(): void {
    this.wire.terminate();
  }

  private wake(atMs = 0): void {
    this.care?.wake(this, atMs);
  }

  /** While nobody looks at it, its time stands still. */
  private lookAtTime(): void {
    if (this.care !== null) this.nowMs = this.care.nowMs();
  }

  private lookExpress(isDue: boolean): void {
    const { outlet, wire, backlog } = this;
    if (backlog.nextDueMs < Infinity) this.write(backlog.due(this.nowMs, outlet.room));
    if (backlog.hasDue) return this.useWindows(true);
    const isLate = outlet.flight.isLate(this.nowMs, this.limits.lagMs);
    if (isLate || wire.bufferedBytes > BUFFERED_BYTES_MAX) return this.fallBehind();
    if (isDue || outlet.pings.sinceBytes >= PING_BYTES) outlet.askExpress(this.nowMs);
  }

  /** Leaves the native topics. A ping that is under way already closes the first window. */
  private fallBehind(): void {
    this.outlet.askExpress(this.nowMs);
    this.outlet.flight.hold(WINDOW_BYTES_SLOW);
    this.lag();
    this.useWindows();
  }

  private lag(): void {
    this.isAnswered = false;
    this.lagged += 1;
    this.care?.fellBehind();
  }

  private useWindows(isAnswered = this.isAnswered): void {
    this.isAnswered = isAnswered;
    this.outlet.askAhead(this.nowMs);
    this.lane = 'windows';
    this.wake();
    this.on.readAll();
  }

  /**
   * Back to the native topics, of many in turns, when no more waits than so many bytes, which go out in the
   * same step. Without that a quick reader of a busy market would never find that nothing waits.
   */
  private catchUp(bytesMax: number): boolean {
    this.lookAtTime();
    if (this.feed !== null) return false;
    const rest = this.backlog.takeWhole(bytesMax, this.nowMs);
    if (rest === undefined) return false;
    this.meter.set('answers', 0);
    this.write(rest);
    if (!this.on.joinSome(() => this.catchUp(this.outlet.spare))) return true;
    this.isAnswered = false;
    this.lane = 'express';
    this.outlet.pings.pinged();
    this.wake();
    return true;
  }

  /** Sends what waits, as far as there is room for it. */
  private flush(): void {
    if (this.lane !== 'windows') return;
    const { lane, outlet, nowMs } = this;
    const { windowBytes } = outlet.flight;
    let { roomBytes } = outlet.flight;
    // Again where that was less than it was taken for, but not for little: to look has its price.
    for (let [bytes, sum] = [1, 0]; bytes > 0 && roomBytes > windowBytes / 2; roomBytes -= bytes) {
      bytes = this.write(this.backlog.take(outlet.room, nowMs));
      sum += bytes;
      if (sum > ANSWER_SLICE_BYTES && this.backlog.hasLong) break; // the next slice is made in another turn
    }
    this.meter.set('answers', MEMORY_FACTOR * this.backlog.controlBytes);
    const { feed } = this;
    if (feed !== null) outlet.writeFed(feed, roomBytes, nowMs);
    if (feed === null || !feed.isOver) return;
    this.feed = null;
    feed.finished();
    // With nothing under way there is no pong that would bring it back.
    if (this.lane === lane && outlet.flight.isEmpty) this.catchUp(0);
  }

  /** In frames; in windows, and where it takes several, with a ping behind each. */
  private write(messages: readonly Message[]): number {
    const { lane, outlet, nowMs } = this;
    if (lane === 'windows') return outlet.write(messages, true, nowMs);
    const isShort = outlet.isShort(messages);
    // Of a session that nobody has looked at the time is not known.
    const bytes = outlet.write(messages, !isShort && nowMs > 0, nowMs);
    this.took(bytes);
    if (isShort || lane !== 'express') return bytes;
    this.outlet.pings.pinged();
    this.wake();
    return bytes;
  }
}
