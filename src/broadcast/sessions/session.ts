/**
 * Session: one reader's connection, its topics, and how it is served.
 *
 * A native session is on Bun's native topics. It is sent a ping after some bytes and at an
 * interval; while the pongs come in time, the reader keeps up. When a pong is late, or the socket's
 * buffer grows, the session leaves the native topics and is served in windows from its backlog:
 * each frame is followed by a ping, and no more than the window is in flight (`FlowControl`). When
 * little enough waits and a pong came soon, the rest is sent at once and the session is native
 * again. Both changes happen between batches, so the order within each topic stays.
 *
 * Long answers and frames of a source (resume, replay) are sent in windows as well. Topics with an
 * interval always come from the backlog. An idle session is not polled: it asks for a look when it
 * needs one (`wake`, `nextLookMs`). It costs its heartbeats and pings.
 *
 * Bounded: what is in flight by the window, waiting control messages by number and age
 * (`SessionLimits`), the backlog by the logs of the topics.
 */

import type { Subprotocol } from '../../../protocol/codec';
import type { CloseReason } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import { ByteAccount, type Meter } from '../../base/byte-account';
import { Backlog, sizeOf } from '../backlog/backlog';
import type { FrameSource } from './frame-source';
import { ANSWER_SLICE_BYTES, LongAnswer } from '../backlog/long-answer';
import type { Numbering } from '../numbering';
import type { TopicState } from '../topics/mirror';
import type { NativeReader } from '../topics/native-readers';
import { Sender } from './sender';
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
import { Connection } from './connection';

/** What a session needs of the broadcaster. */
export interface SessionHost {
  /**
   * Asks for a look at the session: at `atMs`, or soon without it. Infinity cancels the request for
   * a time, not one for soon.
   */
  wake(session: Session, atMs?: number): void;
  /** A session became lagging. */
  fellBehind(): void;
  /** Runs a part of long work in another turn of the event loop. */
  soon(act: () => void): void;
  nowMs(): number;
}

export class Session implements NativeReader {
  readonly name: string;
  /** Channels subscribed with `*`, with their intervals in ms; 0: no interval. */
  readonly wildcards = new Map<string, number>();
  readonly isText: boolean;
  /** Accounts the memory that it uses to its client: the name of a key, or an address. */
  readonly meter: Meter;
  private lagged = 0;
  /** Topics for which it was sent a reset; counted where the resume is answered. */
  resets = 0;
  private readonly connection: Connection;
  private readonly limits: SessionLimits;
  /**
   * What waits: of topics that it does not get natively, and control messages while it is not
   * native.
   */
  private readonly backlog: Backlog;
  private readonly topicStates: SessionTopics;
  private delivery: 'native' | 'windowed' | 'gone' = 'native';
  private readonly sender: Sender;
  private source: FrameSource | null = null;
  /** It is served in windows for a long answer, not for being slow. */
  private isAnswered = false;
  private host: SessionHost | null = null;
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
    this.connection = new Connection(form, socket, encoders);
    this.isText = this.connection.isText;
    this.limits = limits;
    this.backlog = new Backlog(limits);
    const soon = (act: () => void): void => (this.host === null ? act() : this.host.soon(act));
    this.topicStates = new SessionTopics(
      this.connection,
      this.backlog,
      this,
      soon,
      limits.movedATurn,
    );
    this.sender = new Sender(this.connection, limits);
  }

  /** Its topics, with the head that its last heartbeat stated. */
  get topics(): Map<TopicState, number> {
    return this.topicStates.heads;
  }

  /** Starts the session. @param phase of its pings, from 0 to 1 */
  begin(care: SessionHost, phase: number): void {
    this.host = care;
    this.sender.pings.begin(care.nowMs(), phase);
    this.wake();
  }

  /**
   * The socket's buffer is over its limit: the last frame is lost and the socket is being closed.
   */
  get overrun(): boolean {
    return this.connection.overrun;
  }

  isPaced(topic: TopicState): boolean {
    return this.backlog.isPaced(topic);
  }

  /** Whether its topics come natively. */
  get isNative(): boolean {
    return this.delivery === 'native';
  }

  get isGone(): boolean {
    return this.delivery === 'gone';
  }

  /** Whether it is served by a frame source: a resume or a replay. */
  get hasSource(): boolean {
    return this.source !== null;
  }

  /** Whether it does not keep up. */
  get isLagging(): boolean {
    return this.delivery === 'windowed' && this.source === null && !this.isAnswered;
  }

  /** Whether control messages wait for it. */
  get isAnswering(): boolean {
    return this.backlog.controlCount > 0;
  }

  get counters(): SessionCounters {
    return { ...this.backlog.counters, lagged: this.lagged, resets: this.resets };
  }

  get state(): SessionFigures {
    const { connection, backlog } = this;
    const sinceMs = backlog.oldestMs;
    return {
      form: this.isText ? 'json' : 'msgpack',
      lane: this.isLagging ? 'lagging' : 'express',
      topics: this.topics.size,
      sentBytes: connection.sentBytes(),
      sentFrames: connection.sentFrames(),
      waitingBytes: this.waitingBytes,
      lagMs: sinceMs === null ? 0 : Math.max(0, this.nowMs - sinceMs),
      rttMs: this.sender.flow.rttMs,
      ...this.counters,
    };
  }

  /** Approximate bytes held for this session alone, including its socket's buffer. */
  get ownBytes(): number {
    return this.backlog.controlBytes + this.connection.bufferedBytes;
  }

  /**
   * Approximate bytes that wait for it, in its socket and in its backlog; part of the latter is
   * shared with other readers of its topics.
   */
  get waitingBytes(): number {
    return this.delivery === 'gone' ? 0 : this.backlog.pendingBytes + this.connection.bufferedBytes;
  }

  /** Sends messages in order, before waiting messages of topics. */
  send(messages: readonly Message[]): void {
    if (this.delivery === 'gone') return;
    if (this.delivery !== 'native') {
      this.backlog.addControl(messages, this.nowMs);
      return this.flush();
    }
    if (!this.sender.isShort(messages)) this.readClock();
    this.write(messages);
  }

  /** Writes a heartbeat to a native session. @param everyMs between heartbeats */
  beat(frame: string | Uint8Array, beatMs: number, everyMs: number, nowMs: number): void {
    if (this.sender.beat(frame, beatMs, everyMs, nowMs)) this.wake(this.nextLookMs);
  }

  /**
   * Sends an answer, which may be long, before new messages of its topics.
   * @param join joins the topics
   */
  answer(answer: readonly Message[] | LongAnswer, nowMs: number, join?: () => void): void {
    this.nowMs = nowMs; // a new session has no time yet
    const isMade = !(answer instanceof LongAnswer);
    const isLong = !isMade || sizeOf(answer) > this.sender.room;
    if (this.delivery === 'native' && isLong) this.useWindows(true);
    join?.();
    if (isMade) return this.send(answer);
    this.backlog.addAnswer(answer, nowMs);
    this.flush();
  }

  /** Serves a frame source until it is over; one at a time. */
  serve(source: FrameSource, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    if (this.delivery === 'gone') return source.end();
    this.source = source;
    if (this.delivery === 'native') this.useWindows();
    this.flush();
  }

  /** Continues after a frame source has a frame or is over, or a long answer can go on. */
  pull(nowMs: number): void {
    this.nowMs = nowMs;
    this.flush();
  }

  /**
   * Joins a topic at its current state, which the answer that follows contains.
   * @param intervalMs at most one frame of it in this time; 0: no interval
   * @returns messages of the topic that must be sent before its state
   */
  join(topic: TopicState, intervalMs: number): Message[] {
    if (intervalMs > 0 && this.delivery === 'native') this.readClock();
    if (intervalMs > 0 || this.delivery === 'windowed') this.wake();
    return this.topicStates.enter(topic, intervalMs, this.delivery !== 'windowed', this.nowMs);
  }

  leave(topic: TopicState): void {
    this.topicStates.leave(topic);
  }

  /** The sequence number of a numbering up to which it was sent everything. */
  sentUpTo(numbering: Numbering): number {
    return Math.min(numbering.lastSeq, this.backlog.completeSeqOf(numbering));
  }

  /** Credits bytes that native topics have sent to it. */
  took(bytes: number): void {
    if (this.sender.pings.took(bytes)) this.wake();
  }

  /**
   * Looks after the session: is it slow, is something due, is it dead? Called when it asked for
   * that, and at `nextLookMs`.
   * @returns the reason to close it, if there is one
   */
  look(nowMs: number): CloseReason | undefined {
    this.nowMs = nowMs;
    if (this.delivery === 'gone') return undefined;
    const { delivery, limits } = this;
    const { flow } = this.sender;
    this.meter.set('sockets', this.connection.bufferedBytes);
    flow.look(this.meter.of('sockets'), nowMs);
    if (flow.silentMs(nowMs) > limits.pongMs) return 'unresponsive';
    const isDue = this.sender.pings.pass(nowMs);
    if (delivery === 'native') {
      this.lookNative(isDue);
      return undefined;
    }
    if (this.backlog.isStuck(limits, nowMs, flow.aliveMs)) return 'too-slow';
    flow.renew(nowMs);
    if (isDue || flow.wantsMeasure) this.sender.pingAhead(nowMs);
    this.flush();
    return undefined;
  }

  /** When it needs the next look if nothing wakes it before, in ms; 0: soon. */
  get nextLookMs(): number {
    const { delivery, sender, backlog } = this;
    if (delivery === 'gone') return Infinity;
    if (delivery === 'native') return Math.min(sender.nextLookMs(this.limits), backlog.nextDueMs);
    return sender.flow.roomBytes > 0 ? 0 : this.nowMs + STALLED_LOOK_MS;
  }

  /**
   * A pong came: the reader has received everything before a ping.
   * @param number of the ping; undefined: the oldest in flight
   * @returns whether the ping was in flight
   */
  pong(nowMs: number, number?: number): boolean {
    if (this.delivery === 'gone') return true;
    const { delivery, sender } = this;
    const { flow } = sender;
    const pace = flow.pong(number, nowMs);
    if (pace === undefined) return false;
    this.nowMs = nowMs;
    if (delivery === 'native') {
      // If the socket buffered data, it buffers less now; otherwise there may be nothing to look for.
      this.wake(this.meter.of('sockets') > 0 ? 0 : this.nextLookMs);
      return true;
    }
    if (flow.wantsMeasure) sender.pingAhead(nowMs);
    this.wake();
    if (pace === 'late' && this.isAnswered && !this.isAnswering) this.lag();
    const isWell = pace === 'soon' || flow.isEmpty;
    if (!isWell || !this.catchUp(pace === 'soon' ? sender.spare : 0)) this.flush();
    return true;
  }

  /** Sends a ping within a long batch that goes to it natively. */
  mark(nowMs: number): void {
    if (this.delivery === 'gone') return;
    this.sender.ping(0, nowMs);
    this.wake();
  }

  /**
   * The server stops: sends the closing message and all that waits; `isDrained` says when it was
   * received.
   */
  goAway(closing: Message, nowMs: number): void {
    this.nowMs = nowMs; // of a new session it is not known yet
    this.backlog.ignoreIntervals();
    this.send([closing]);
    if (this.delivery !== 'native') return;
    this.write(this.backlog.due(nowMs));
    this.sender.pingAhead(nowMs);
    this.wake();
  }

  /** Whether nothing waits and the reader has received everything before the newest ping. */
  get isDrained(): boolean {
    if (this.delivery === 'gone' || this.connection.overrun) return true;
    return this.sender.flow.isEmpty && this.connection.bufferedBytes === 0 && this.backlog.isEmpty;
  }

  /** The connection is closed; the socket has left its native topics by itself. */
  gone(): void {
    this.topicStates.end();
    this.wildcards.clear();
    this.delivery = 'gone';
    this.source?.end();
    this.source = null;
  }

  close(code: number, reason: string): void {
    this.connection.close(code, reason);
  }

  terminate(): void {
    this.connection.terminate();
  }

  private wake(atMs = 0): void {
    this.host?.wake(this, atMs);
  }

  /** Reads the clock: between looks the session's time is not updated. */
  private readClock(): void {
    if (this.host !== null) this.nowMs = this.host.nowMs();
  }

  private lookNative(isDue: boolean): void {
    const { sender, connection, backlog } = this;
    if (backlog.nextDueMs < Infinity) this.write(backlog.due(this.nowMs, sender.room));
    if (backlog.hasDue) return this.useWindows(true);
    const isLate = sender.flow.isLate(this.nowMs, this.limits.lagMs);
    if (isLate || connection.bufferedBytes > BUFFERED_BYTES_MAX) return this.fallBehind();
    if (isDue || sender.pings.sinceBytes >= PING_BYTES) sender.pingNative(this.nowMs);
  }

  /** Leaves the native topics. A ping that is in flight already ends the first window. */
  private fallBehind(): void {
    this.sender.pingNative(this.nowMs);
    this.sender.flow.pause(WINDOW_BYTES_SLOW);
    this.lag();
    this.useWindows();
  }

  private lag(): void {
    this.isAnswered = false;
    this.lagged += 1;
    this.host?.fellBehind();
  }

  private useWindows(isAnswered = this.isAnswered): void {
    this.isAnswered = isAnswered;
    this.sender.pingAhead(this.nowMs);
    this.delivery = 'windowed';
    this.wake();
    this.topicStates.readAll();
  }

  /**
   * Returns to the native topics, with many topics over several turns, if no more than this many
   * bytes wait; those are sent in the same step. Without that, a quick reader of a busy market
   * would never find its backlog empty.
   */
  private catchUp(bytesMax: number): boolean {
    this.readClock();
    if (this.source !== null) return false;
    const rest = this.backlog.takeWhole(bytesMax, this.nowMs);
    if (rest === undefined) return false;
    this.meter.set('answers', 0);
    this.write(rest);
    if (!this.topicStates.joinSome(() => this.catchUp(this.sender.spare))) return true;
    this.isAnswered = false;
    this.delivery = 'native';
    this.sender.pings.pinged();
    this.wake();
    return true;
  }

  /** Sends what waits, as far as there is room for it. */
  private flush(): void {
    if (this.delivery !== 'windowed') return;
    const { delivery, sender, nowMs } = this;
    const { windowBytes } = sender.flow;
    let { roomBytes } = sender.flow;
    // Repeats if less was written than estimated, but not for a small rest: looking has a cost.
    for (let [bytes, sum] = [1, 0]; bytes > 0 && roomBytes > windowBytes / 2; roomBytes -= bytes) {
      bytes = this.write(this.backlog.take(sender.room, nowMs));
      sum += bytes;
      if (sum > ANSWER_SLICE_BYTES && this.backlog.hasLong) break; // the next slice is made in another turn
    }
    this.meter.set('answers', MEMORY_FACTOR * this.backlog.controlBytes);
    const { source } = this;
    if (source !== null) sender.writeFrom(source, roomBytes, nowMs);
    if (source === null || !source.isOver) return;
    this.source = null;
    source.finished();
    // With nothing in flight no pong would bring it back.
    if (this.delivery === delivery && sender.flow.isEmpty) this.catchUp(0);
  }

  /**
   * Writes messages as frames. Pings follow the frames in windows, and where there are several
   * frames.
   */
  private write(messages: readonly Message[]): number {
    const { delivery, sender, nowMs } = this;
    if (delivery === 'windowed') return sender.write(messages, true, nowMs);
    const isShort = sender.isShort(messages);
    // The time of a session without a look is not known.
    const bytes = sender.write(messages, !isShort && nowMs > 0, nowMs);
    this.took(bytes);
    if (isShort || delivery !== 'native') return bytes;
    this.sender.pings.pinged();
    this.wake();
    return bytes;
  }
}
