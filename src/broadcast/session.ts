/**
 * Session: one reader's connection, its topics, and the lane that it is on.
 *
 * On the express lane it takes Bun's native topics. After some bytes it is sent a ping; while the pongs
 * come in time the reader keeps up. When one is late, or the socket holds data back, the session leaves the
 * native topics and is served from its backlog, in windows: frames with a ping behind each, and no more
 * under way than the window (`Flight`). When no more waits than there is room for, and the pong came soon,
 * that goes out and it is back on the native topics. Both changes happen between batches, so nothing is
 * lost, doubled or reordered by them.
 * An answer that is longer than the window goes out in windows as well, however well the reader keeps up:
 * a slow line takes it at its own pace, and shows its progress with each pong. Its topics wait behind it.
 * Topics that a client asked to have at most every so often come from the backlog always. What is read from
 * the journal for it (a feed) goes out in windows too, behind what waits of topics.
 * Bounded: the window, the control that waits and how long (`SessionLimits`); the backlog by the logs.
 */

import type { Subprotocol } from '../../protocol/codec';
import type { CloseReason } from '../../protocol/codes';
import type { Message } from '../../protocol/messages';
import { Backlog, sizeOf } from './backlog';
import type { Feed } from './feed';
import type { TopicState } from './mirror';
import { Outlet } from './outlet';
import {
  BUFFERED_BYTES_MAX,
  PING_BYTES,
  TEXT_FACTOR,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_SLOW,
  type SessionLimits,
} from './session-limits';
import type { Encoders, SessionCounters } from './session-parts';
import type { SessionState } from './session-state';
import type { Socket } from './socket';
import { Wire } from './wire';

type Lane =
  | { readonly is: 'express'; pingedBytes: number }
  | { readonly is: 'windows' }
  | { readonly is: 'gone' };

export class Session {
  readonly name: string;
  /** Topics it is on, with the head that its last heartbeat told. */
  readonly topics = new Map<TopicState, number>();
  /** Channels it is on for every symbol, now and later, with the interval that was asked for; 0: none. */
  readonly wildcards = new Map<string, number>();
  /** Who it counts as where limits are of a client: the name of a key, or an address. */
  client = '';
  /** Whose orders it is told of; null when it may not trade. */
  owner: string | null = null;
  /** Symbols of which it was told an execution, and so had the definition. */
  readonly traded = new Set<string>();
  private lagged = 0;
  /** Of resumes that could not be; whoever answers them counts. */
  resets = 0;
  private readonly wire: Wire;
  private readonly limits: SessionLimits;
  /** Of topics that it does not take natively, and control while it is not on the express lane. */
  private readonly backlog: Backlog;
  private lane: Lane = { is: 'express', pingedBytes: 0 };
  private readonly outlet: Outlet;
  private feed: Feed | null = null;
  /** It is in windows for a long answer, and not for being slow. */
  private isAnswered = false;
  /** When so much was published and sent to it alone, it may be due for a ping. */
  private bytesDue = 0;
  private nowMs = 0;

  constructor(
    name: string,
    form: Subprotocol,
    socket: Socket,
    encoders: Encoders,
    limits: SessionLimits,
  ) {
    this.name = name;
    this.wire = new Wire(form, socket, encoders);
    this.limits = limits;
    this.backlog = new Backlog(limits);
    const windowBytes = Math.min(WINDOW_BYTES_MAX, TEXT_FACTOR * limits.outboxBytesMax);
    this.outlet = new Outlet(this.wire, windowBytes);
  }

  get isText(): boolean {
    return this.wire.isText;
  }

  /** What it was sent last is lost, and its socket is being closed. */
  get overrun(): boolean {
    return this.wire.overrun;
  }

  isPaced(topic: TopicState): boolean {
    return this.backlog.isPaced(topic);
  }

  /** Whether it gets its topics as they are pushed, and so has them all. */
  get isExpress(): boolean {
    return this.lane.is === 'express';
  }

  get isGone(): boolean {
    return this.lane.is === 'gone';
  }

  /** Whether something is read from the journal for it. */
  get isFed(): boolean {
    return this.feed !== null;
  }

  /** Whether it does not keep up. */
  get isLagging(): boolean {
    return this.lane.is === 'windows' && this.feed === null && !this.isAnswered;
  }

  /** Whether an answer waits for it, or what is to come in its order. */
  get isAnswering(): boolean {
    return this.backlog.controlCount > 0;
  }

  get counters(): SessionCounters {
    return { ...this.backlog.counters, lagged: this.lagged, resets: this.resets };
  }

  get state(): SessionState {
    const { backlog, outlet } = this;
    const sinceMs = backlog.oldestMs;
    return {
      form: this.isText ? 'json' : 'msgpack',
      lane: this.isLagging ? 'lagging' : 'express',
      topics: this.topics.size,
      sentBytes: this.wire.sentBytes(),
      sentFrames: this.wire.sentFrames(),
      waitingBytes: this.waitingBytes,
      lagMs: sinceMs === null ? 0 : Math.max(0, this.nowMs - sinceMs),
      rttMs: outlet.flight.rttMs,
      ...this.counters,
    };
  }

  /** About what is held for it alone: answers, and what its socket has not sent. */
  get ownBytes(): number {
    return this.backlog.controlBytes + this.wire.bufferedBytes;
  }

  /** About what waits for it: in its backlog, of which topics hold a part for others too, and in its socket. */
  get waitingBytes(): number {
    return this.lane.is === 'gone' ? 0 : this.backlog.pendingBytes + this.wire.bufferedBytes;
  }

  /** Sends messages that belong together, ahead of what waits of topics. */
  send(messages: readonly Message[]): void {
    if (this.lane.is === 'gone') return;
    if (this.lane.is === 'express') {
      this.write(messages);
      return;
    }
    this.backlog.tell(messages, this.nowMs);
    this.flush();
  }

  /** Sends an answer, which may be long, ahead of what its topics bring from now on. */
  answer(messages: readonly Message[], nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    if (this.lane.is === 'express' && sizeOf(messages) > this.outlet.room) {
      this.isAnswered = true;
      this.useWindows();
    }
    this.send(messages);
  }

  /** Serves a feed until it is over; one at a time. */
  serve(feed: Feed, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    if (this.lane.is === 'gone') return feed.end();
    this.feed = feed;
    if (this.lane.is === 'express') this.useWindows();
    this.flush();
  }

  /** The feed has a frame, or is over. */
  pull(nowMs: number): void {
    this.nowMs = nowMs;
    this.flush();
  }

  /**
   * Goes on with a topic from its state as it is now, which the answer that follows tells.
   * @param intervalMs at most one frame of it in this time; 0: as it comes
   */
  join(topic: TopicState, intervalMs: number): void {
    const { backlog } = this;
    if (this.topics.has(topic)) {
      const messages = backlog.settle(topic);
      if (messages.length > 0) this.send(messages);
      const isKept = intervalMs === 0 && !backlog.isPaced(topic);
      if (isKept) return;
      this.detach(topic);
    } else {
      this.topics.set(topic, topic.head);
    }
    if (intervalMs > 0 || this.lane.is === 'windows') backlog.attach(topic, intervalMs, this.nowMs);
    else this.wire.join(topic);
  }

  leave(topic: TopicState): void {
    if (this.topics.delete(topic)) this.detach(topic);
  }

  /** A place up to which it was told everything, if the newest pushed is this. */
  toldUpTo(lastSeq: number): number {
    return Math.min(lastSeq, this.backlog.toldSeq);
  }

  /**
   * Now and then: is it slow, is something due, is it dead?
   * @param publishedBytes on all native topics so far
   * @returns why it has to be closed, if so
   */
  look(nowMs: number, publishedBytes: number): CloseReason | undefined {
    this.nowMs = nowMs;
    const { lane, limits } = this;
    const { flight } = this.outlet;
    if (lane.is === 'gone') return undefined;
    flight.look(this.wire.bufferedBytes, nowMs);
    if (flight.silentMs(nowMs) > limits.pongMs) return 'unresponsive';
    if (lane.is === 'express') {
      this.lookExpress(lane, publishedBytes);
      return undefined;
    }
    const { controlStuckMs, controlCount } = this.backlog;
    const stuckMs = controlStuckMs === null ? 0 : nowMs - Math.max(controlStuckMs, flight.aliveMs);
    if (stuckMs > limits.controlMs || controlCount > limits.controlMessagesMax) return 'too-slow';
    this.flush();
    return undefined;
  }

  /**
   * The reader has had all before a ping.
   * @param number of the ping; undefined: the oldest that waits
   */
  pong(nowMs: number, number?: number): void {
    const { lane, outlet } = this;
    const { flight } = outlet;
    if (lane.is === 'gone') return;
    const pace = flight.pong(number, nowMs);
    if (pace === undefined) return;
    this.nowMs = nowMs;
    if (lane.is === 'express') return;
    if (pace === 'late' && this.isAnswered && !this.isAnswering) this.lag();
    const isWell = pace === 'soon' || flight.isEmpty;
    if (isWell && this.catchUp(pace === 'soon' ? outlet.spare : 0)) return;
    this.flush();
  }

  /** A ping in the middle of much that is sent to it natively. */
  mark(nowMs: number): void {
    if (this.lane.is !== 'gone') this.outlet.ask(0, nowMs);
  }

  /** The server stops: tells it so, and sends all that waits; `isDrained` says when it has that. */
  goAway(closing: Message, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    this.backlog.hurry();
    this.send([closing]);
    const { lane } = this;
    if (lane.is !== 'express') return;
    this.write(this.backlog.due(nowMs));
    if (this.outlet.flight.isEmpty) this.outlet.ask(0, nowMs);
  }

  /** Nothing waits, and the reader has had what was sent before the newest ping. */
  get isDrained(): boolean {
    const { lane } = this;
    if (lane.is === 'gone' || this.wire.overrun) return true;
    if (!this.outlet.flight.isEmpty || this.wire.bufferedBytes > 0) return false;
    return this.backlog.isEmpty;
  }

  /** The connection has gone; the socket has left its native topics by itself. */
  gone(): void {
    for (const topic of this.topics.keys()) this.backlog.detach(topic);
    this.wire.gone();
    this.topics.clear();
    this.wildcards.clear();
    this.lane = { is: 'gone' };
    this.feed?.end();
    this.feed = null;
  }

  close(code: number, reason: string): void {
    this.wire.close(code, reason);
  }

  terminate(): void {
    this.wire.terminate();
  }

  private lookExpress(lane: Extract<Lane, { is: 'express' }>, publishedBytes: number): void {
    const { outlet, wire, backlog } = this;
    const { flight } = outlet;
    this.write(backlog.due(this.nowMs, outlet.room));
    if (backlog.hasDue) {
      this.isAnswered = true;
      return this.useWindows();
    }
    const late = this.limits.lagMs + (flight.rttMinMs === Infinity ? 0 : flight.rttMinMs);
    const isLate = flight.waitedMs(this.nowMs) > late;
    if (isLate || wire.bufferedBytes > BUFFERED_BYTES_MAX) return this.fallBehind(lane);
    if (!flight.isEmpty) return;
    // It was sent no more than all were since; to know how much goes through all of its topics.
    const most = publishedBytes + wire.ownTotal;
    if (most < this.bytesDue) return;
    const bytes = wire.sentBytes();
    const rest = PING_BYTES - (bytes - lane.pingedBytes);
    this.bytesDue = most + Math.max(0, rest);
    if (rest > 0) return;
    outlet.ask(bytes - lane.pingedBytes, this.nowMs);
    lane.pingedBytes = bytes;
  }

  /** Leaves the native topics. A ping that is under way already closes the first window. */
  private fallBehind({ pingedBytes }: Extract<Lane, { is: 'express' }>): void {
    const { outlet } = this;
    if (outlet.flight.isEmpty) outlet.ask(this.wire.sentBytes() - pingedBytes, this.nowMs);
    outlet.flight.hold(WINDOW_BYTES_SLOW);
    this.lag();
    this.useWindows();
  }

  private lag(): void {
    this.isAnswered = false;
    this.lagged += 1;
  }

  private useWindows(): void {
    // Ahead of everything, so that its pong tells the delay of the line alone.
    if (this.outlet.flight.isEmpty) this.outlet.ask(0, this.nowMs);
    this.lane = { is: 'windows' };
    for (const topic of this.topics.keys()) {
      if (this.backlog.has(topic)) continue;
      this.wire.leave(topic);
      this.backlog.attach(topic, 0, this.nowMs);
    }
  }

  /**
   * Back to the native topics, when no more waits than so many bytes, which go out in the same step.
   * Without that a quick reader of a busy market would never find that nothing waits.
   */
  private catchUp(bytesMax: number): boolean {
    if (this.feed !== null) return false;
    const rest = this.backlog.takeWhole(bytesMax, this.nowMs);
    if (rest === undefined) return false;
    this.write(rest);
    this.isAnswered = false;
    for (const topic of this.topics.keys()) {
      if (this.backlog.isPaced(topic)) continue;
      this.backlog.detach(topic);
      this.wire.join(topic);
    }
    this.lane = { is: 'express', pingedBytes: this.wire.sentBytes() };
    return true;
  }

  /** Sends what waits, as far as there is room for it. */
  private flush(): void {
    if (this.lane.is !== 'windows') return;
    const { lane, outlet, nowMs } = this;
    const { windowBytes } = outlet.flight;
    let { roomBytes } = outlet.flight;
    // Again where that was less than it was taken for, but not for little: to look has its price.
    for (let bytes = 1; bytes > 0 && roomBytes > windowBytes / 2; roomBytes -= bytes) {
      bytes = this.write(this.backlog.take(outlet.room, nowMs));
    }
    if (this.feed !== null) outlet.writeFed(this.feed, roomBytes, nowMs);
    const { feed } = this;
    if (feed === null || !feed.isOver) return;
    this.feed = null;
    feed.finished();
    // With nothing under way there is no pong that would bring it back.
    if (this.lane === lane && outlet.flight.isEmpty) this.catchUp(0);
  }

  /** In frames; in windows, and where it takes several, with a ping behind each. */
  private write(messages: readonly Message[]): number {
    const { lane, outlet, wire, nowMs } = this;
    if (lane.is === 'windows') return outlet.write(messages, true, nowMs);
    const isShort = outlet.isShort(messages);
    // Of a session that nobody has looked at the time is not known.
    const bytes = outlet.write(messages, !isShort && nowMs > 0, nowMs);
    if (!isShort && lane.is === 'express') lane.pingedBytes = wire.sentBytes();
    return bytes;
  }

  private detach(topic: TopicState): void {
    if (!this.backlog.detach(topic)) this.wire.leave(topic);
  }
}
