/**
 * Session: one reader's connection, its topics, and the lane that it is on.
 *
 * On the express lane it takes Bun's native topics. After some bytes it is sent a ping; while the pongs
 * come in time the reader keeps up. When one is late, or the socket holds data back, the session leaves the
 * native topics and is served from its backlog, one window at a time: a frame and a ping, and nothing more
 * until the pong. So what is on its way to a slow reader is at most a window. When no more waits than a
 * window, and the pong came soon, that goes out and it is back on the native topics. Both changes happen
 * between batches, so nothing is lost, doubled or reordered by them.
 * An answer that is longer than the largest window goes out in windows as well, however well the reader keeps
 * up, since as one frame it might fill the socket's backlog; its topics wait behind it.
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
import {
  BUFFERED_BYTES_MAX,
  PING_BYTES,
  WINDOW_BYTES,
  WINDOW_BYTES_MAX,
  WINDOW_BYTES_MIN,
  WINDOW_LATE_MS,
  WINDOW_SOON_MS,
  type SessionLimits,
} from './session-limits';
import type { Encoders, SessionCounters } from './session-parts';
import type { SessionState } from './session-state';
import type { Socket } from './socket';
import { Wire } from './wire';

/** With when the ping was sent whose pong has not come; null: none is under way. */
type Lane =
  | { readonly is: 'express'; askedMs: number | null; pingedBytes: number }
  | { readonly is: 'windows'; askedMs: number | null; windowBytes: number }
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
  private lane: Lane = { is: 'express', askedMs: null, pingedBytes: 0 };
  private feed: Feed | null = null;
  /** It is in windows for a long answer, and not for being slow. */
  private isAnswered = false;
  private rttMinMs = Infinity;
  private rttMs: number | null = null;
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

  get counters(): SessionCounters {
    return { ...this.backlog.counters, lagged: this.lagged, resets: this.resets };
  }

  get state(): SessionState {
    const { backlog, rttMs } = this;
    const sinceMs = backlog.oldestMs;
    return {
      form: this.isText ? 'json' : 'msgpack',
      lane: this.isLagging ? 'lagging' : 'express',
      topics: this.topics.size,
      sentBytes: this.wire.sentBytes(),
      sentFrames: this.wire.sentFrames(),
      waitingBytes: this.waitingBytes,
      lagMs: sinceMs === null ? 0 : Math.max(0, this.nowMs - sinceMs),
      rttMs,
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
      this.wire.write(messages);
      return;
    }
    this.backlog.tell(messages, this.nowMs);
    this.flush();
  }

  /** Sends an answer, which may be long, ahead of what its topics bring from now on. */
  answer(messages: readonly Message[], nowMs: number): void {
    const { lane } = this;
    const windowBytes = Math.min(WINDOW_BYTES_MAX, this.limits.outboxBytesMax);
    if (lane.is === 'express' && sizeOf(messages) > windowBytes) {
      this.nowMs = nowMs; // of a new session it is not known yet
      this.isAnswered = true;
      // Nobody knows it to be slow, so the first window is a large one.
      this.useWindows(lane.askedMs, windowBytes);
    }
    this.send(messages);
  }

  /** Serves a feed until it is over; one at a time. */
  serve(feed: Feed, nowMs: number): void {
    const { lane } = this;
    this.nowMs = nowMs; // of a new session it is not known yet
    if (lane.is === 'gone') return feed.end();
    this.feed = feed;
    if (lane.is === 'express') this.useWindows(lane.askedMs);
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
    if (lane.is === 'gone') return undefined;
    const waitedMs = lane.askedMs === null ? 0 : nowMs - lane.askedMs;
    if (waitedMs > limits.pongMs) return 'unresponsive';
    if (lane.is === 'express') {
      const due = this.backlog.due(nowMs);
      if (due.length > 0) this.wire.write(due);
      this.lookExpress(lane, waitedMs, publishedBytes);
      return undefined;
    }
    const { controlStuckMs, controlCount } = this.backlog;
    const isStuck = controlStuckMs !== null && nowMs - controlStuckMs > limits.controlMs;
    if (isStuck || controlCount > limits.controlMessagesMax) return 'too-slow';
    this.flush();
    return undefined;
  }

  /** The reader has had all before the newest ping; there is one at a time. */
  pong(nowMs: number): void {
    const { lane } = this;
    if (lane.is === 'gone' || lane.askedMs === null) return;
    this.nowMs = nowMs;
    const rttMs = nowMs - lane.askedMs;
    this.rttMs = rttMs;
    this.rttMinMs = Math.min(this.rttMinMs, rttMs);
    lane.askedMs = null;
    if (lane.is === 'express') return;
    const isQuick = rttMs < this.rttMinMs + WINDOW_SOON_MS;
    if (isQuick) {
      const { outboxBytesMax } = this.limits; // so that a backlog can be told to hold a window
      lane.windowBytes = Math.min(lane.windowBytes * 2, WINDOW_BYTES_MAX, outboxBytesMax);
    } else if (rttMs > this.rttMinMs + WINDOW_LATE_MS) {
      lane.windowBytes = Math.max(lane.windowBytes / 2, WINDOW_BYTES_MIN);
    }
    if (!this.catchUp(isQuick ? lane.windowBytes : 0)) this.flush();
  }

  /** The server stops: tells it so, and sends all that waits; `isDrained` says when it has that. */
  goAway(closing: Message, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    this.backlog.hurry();
    this.send([closing]);
    const { lane } = this;
    if (lane.is !== 'express') return;
    const waiting = this.backlog.due(nowMs);
    if (waiting.length > 0) this.wire.write(waiting);
    lane.askedMs ??= this.ask();
  }

  /** Nothing waits, and the reader has had what was sent before the newest ping. */
  get isDrained(): boolean {
    const { lane } = this;
    if (lane.is === 'gone' || this.wire.overrun) return true;
    if (lane.askedMs !== null || this.wire.bufferedBytes > 0) return false;
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

  private lookExpress(
    lane: Extract<Lane, { is: 'express' }>,
    waitedMs: number,
    publishedBytes: number,
  ): void {
    const late = this.limits.lagMs + (this.rttMinMs === Infinity ? 0 : this.rttMinMs);
    const buffered = this.wire.bufferedBytes;
    if (waitedMs > late || buffered > BUFFERED_BYTES_MAX) return this.fallBehind(lane);
    if (lane.askedMs !== null) return;
    // It was sent no more than all were since; to know how much goes through all of its topics.
    const most = publishedBytes + this.wire.ownTotal;
    if (most < this.bytesDue) return;
    const bytes = this.wire.sentBytes();
    const rest = PING_BYTES - (bytes - lane.pingedBytes);
    this.bytesDue = most + Math.max(0, rest);
    if (rest > 0) return;
    lane.pingedBytes = bytes;
    lane.askedMs = this.ask();
  }

  private ask(): number {
    this.wire.ping();
    return this.nowMs;
  }

  /** Leaves the native topics. A ping that is under way already closes the first window. */
  private fallBehind({ askedMs }: Extract<Lane, { is: 'express' }>): void {
    this.lagged += 1;
    this.useWindows(askedMs ?? this.ask());
  }

  private useWindows(askedMs: number | null, windowBytes = WINDOW_BYTES): void {
    this.lane = { is: 'windows', askedMs, windowBytes };
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
    if (rest.length > 0) this.wire.write(rest);
    this.isAnswered = false;
    for (const topic of this.topics.keys()) {
      if (this.backlog.isPaced(topic)) continue;
      this.backlog.detach(topic);
      this.wire.join(topic);
    }
    this.lane = { is: 'express', askedMs: null, pingedBytes: this.wire.sentBytes() };
    return true;
  }

  /** Sends a window, if it is open and something waits. */
  private flush(): void {
    const { lane } = this;
    if (lane.is !== 'windows' || lane.askedMs !== null) return;
    const messages = this.backlog.take(lane.windowBytes, this.nowMs);
    if (this.backlog.controlCount === 0) this.isAnswered = false;
    let bytes = messages.length === 0 ? 0 : this.wire.write(messages);
    bytes += this.sendFed(lane.windowBytes - bytes);
    if (bytes > 0) lane.askedMs = this.ask();
    const { feed } = this;
    if (feed === null || !feed.isOver) return;
    this.feed = null;
    feed.finished();
    // With nothing under way there is no pong that would bring it back.
    if (this.lane === lane && lane.askedMs === null) this.catchUp(0);
  }

  /** @returns what it sent, in bytes */
  private sendFed(roomBytes: number): number {
    let bytes = 0;
    while (this.feed !== null && bytes < roomBytes && !this.wire.overrun) {
      const frame = this.feed.take(this.nowMs);
      if (frame === undefined) break;
      bytes += this.wire.write(frame);
    }
    return bytes;
  }

  private detach(topic: TopicState): void {
    if (!this.backlog.detach(topic)) this.wire.leave(topic);
  }
}
