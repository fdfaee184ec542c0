/**
 * Backlog: what waits for one session that does not get its topics natively.
 *
 * Control messages (answers, executions, definitions, closing) wait in the backlog itself. They are
 * sent first and in order, and are never dropped. A long answer is made while it is sent
 * (`LongAnswer`), slice by slice; short control messages go between its slices.
 *
 * Published messages wait in the logs of their topics; the backlog has a cursor in each. While all
 * of it is fresh it is sent message by message, so a reader that was held up briefly misses
 * nothing. What is older, or has left the logs, is conflated: state topics first, taking turns, in
 * at least half of a window; then trades in the order of their sequence numbers, of which the
 * oldest are replaced by a `gap`. Messages of one topic stay in order; those of several topics may
 * not.
 *
 * Bounded: by the logs; control by the limits of its callers.
 */

import type { Message } from '../../../protocol/messages';
import type { Numbering } from '../numbering';
import { Cursor } from './cursor';
import { type BacklogCounters } from '../topics/counters';
import { ANSWER_SLICE_BYTES, type LongAnswer } from './long-answer';
import type { TopicState } from '../topics/mirror';
import { aboutBytes } from '../topics/topic-log';

export interface BacklogOptions {
  /** Bytes of the log of one topic, for all its readers. */
  readonly outboxBytesMax: number;
  /** What has waited longer is conflated before it is sent, in ms. */
  readonly staleMs: number;
  /** A trade that has waited longer is dropped, with a `gap`; in ms. */
  readonly tradeAgeMs: number;
}

/** How much control may wait. */
export interface ControlLimits {
  /**
   * A session is closed when its control has not moved for this long, in ms, or has more messages
   * than this.
   */
  readonly controlMs: number;
  readonly controlMessagesMax: number;
}

interface Interval {
  readonly cursors: Set<Cursor>;
  dueMs: number;
  /** Cursors that are due and were not sent yet, for lack of room. */
  due: Cursor[];
}

export class Backlog {
  readonly counters: BacklogCounters = { conflated: 0, dropped: 0, gaps: 0 };
  private readonly options: BacklogOptions;
  private readonly cursors = new Map<TopicState, Cursor>();
  /** Cursors with an interval, by interval in ms. */
  private readonly intervals = new Map<number, Interval>();
  private control: Message[] = [];
  /** How many of `control` were taken. */
  private taken = 0;
  /** Approximate bytes of control that was not taken. */
  private shortBytes = 0;
  /** Long answers, in order. */
  private readonly answers: LongAnswer[] = [];
  private controlSinceMs = 0;
  /** The state topic to start with when not all of them find room. */
  private nextState = 0;
  private ignoresIntervals = false;

  constructor(options: BacklogOptions) {
    this.options = options;
  }

  has(topic: TopicState): boolean {
    return this.cursors.has(topic);
  }

  /** Whether a topic has an interval. */
  isPaced(topic: TopicState): boolean {
    return (this.cursors.get(topic)?.intervalMs ?? 0) > 0;
  }

  /** Topics without an interval. */
  *unpaced(): Generator<TopicState, undefined> {
    for (const { topic, intervalMs } of this.cursors.values()) if (intervalMs === 0) yield topic;
  }

  /**
   * Starts to read a topic at the end of its log.
   * @param intervalMs at most one frame in this time; 0: no interval
   */
  attach(topic: TopicState, intervalMs: number, nowMs: number): void {
    const { outboxBytesMax, staleMs, tradeAgeMs } = this.options;
    const log = topic.read(outboxBytesMax);
    log.keep(Math.max(staleMs, tradeAgeMs, 2 * intervalMs));
    const cursor = new Cursor(topic, log, intervalMs);
    this.cursors.set(topic, cursor);
    if (intervalMs === 0) return;
    let interval = this.intervals.get(intervalMs);
    if (interval === undefined) {
      interval = { cursors: new Set(), dueMs: nowMs + intervalMs, due: [] };
      this.intervals.set(intervalMs, interval);
    }
    interval.cursors.add(cursor);
  }

  /** @returns whether it was read here */
  detach(topic: TopicState): boolean {
    const cursor = this.cursors.get(topic);
    if (cursor === undefined) return false;
    this.cursors.delete(topic);
    topic.unread();
    const interval = this.intervals.get(cursor.intervalMs);
    interval?.cursors.delete(cursor);
    if (interval?.cursors.size === 0) this.intervals.delete(cursor.intervalMs);
    return true;
  }

  /**
   * The messages of a topic that must be sent before a new snapshot of it: trades, statuses and
   * ends of bars. Other state is skipped, since the snapshot replaces it.
   */
  settle(topic: TopicState): Message[] {
    const cursor = this.cursors.get(topic);
    const messages: Message[] = [];
    if (cursor === undefined || !cursor.isBehind) return messages;
    if (cursor.isState) cursor.takeBeforeSnapshot(messages, this.counters);
    else this.takeTrades(cursor, messages);
    return messages;
  }

  /** The server stops: intervals do not delay anything any more. */
  ignoreIntervals(): void {
    this.ignoresIntervals = true;
  }

  /** Adds messages that are never dropped, in order. */
  addControl(messages: readonly Message[], nowMs: number): void {
    if (this.controlCount === 0) this.controlSinceMs = nowMs;
    for (const message of messages) {
      this.control.push(message);
      this.shortBytes += aboutBytes(message);
    }
  }

  /** Adds an answer that is made while it is sent. */
  addAnswer(answer: LongAnswer, nowMs: number): void {
    if (this.controlCount === 0) this.controlSinceMs = nowMs;
    this.answers.push(answer);
  }

  get controlCount(): number {
    let count = this.control.length - this.taken;
    for (const { remaining } of this.answers) count += remaining;
    return count;
  }

  /** Whether a long answer is not finished. */
  get hasLong(): boolean {
    return this.answers.length > 0;
  }

  /** Since when control has not moved; null if none waits. */
  get controlStuckMs(): number | null {
    return this.controlCount === 0 ? null : this.controlSinceMs;
  }

  /** Whether control and reader have not moved for too long, or too much control waits. */
  isStuck(limits: ControlLimits, nowMs: number, aliveMs: number): boolean {
    const { controlStuckMs, controlCount } = this;
    const stuckMs = controlStuckMs === null ? 0 : nowMs - Math.max(controlStuckMs, aliveMs);
    return stuckMs > limits.controlMs || controlCount > limits.controlMessagesMax;
  }

  get isEmpty(): boolean {
    if (this.controlCount > 0) return false;
    for (const cursor of this.cursors.values()) if (cursor.isBehind) return false;
    return true;
  }

  /** Approximate bytes that wait for this session alone. */
  get controlBytes(): number {
    let bytes = this.shortBytes;
    for (const answer of this.answers) bytes += answer.heldBytes;
    return bytes;
  }

  /**
   * Approximate bytes of all that waits; what is in the logs of topics is held once for all their
   * readers.
   */
  get pendingBytes(): number {
    let bytes = this.controlBytes;
    for (const cursor of this.cursors.values()) bytes += cursor.pendingBytes;
    return bytes;
  }

  /** Time of the oldest waiting message, in ms; null if nothing waits. */
  get oldestMs(): number | null {
    let oldest = this.controlStuckMs ?? Infinity;
    for (const cursor of this.cursors.values()) {
      if (cursor.isBehind) oldest = Math.min(oldest, cursor.oldestMs);
    }
    return oldest === Infinity ? null : oldest;
  }

  /**
   * A sequence number up to which nothing of the topics of a numbering waits; infinity if nothing
   * waits at all.
   */
  completeSeqOf(numbering: Numbering): number {
    let complete = Infinity;
    for (const cursor of this.cursors.values()) {
      if (!cursor.isBehind || cursor.topic.numbering !== numbering) continue;
      complete = Math.min(complete, cursor.completeSeq);
    }
    return complete;
  }

  /** Takes about this many bytes of what is to be sent next; at least one message if any waits. */
  take(bytesMax: number, nowMs: number): Message[] {
    const messages = this.takeControl(bytesMax, nowMs);
    if (this.controlCount > 0) return messages;
    const behind = this.behind();
    const roomBytes = bytesMax - sizeOf(messages);
    if (!this.isFresh(behind, nowMs)) this.takeSome(behind, roomBytes, nowMs, messages);
    else if (bytesOf(behind) <= roomBytes) takeAll(behind, messages);
    else takeInOrder(behind, roomBytes, messages);
    const leftBytes = bytesMax - sizeOf(messages);
    if (leftBytes > 0) for (const message of this.due(nowMs, leftBytes)) messages.push(message);
    return messages;
  }

  /**
   * Takes everything that waits, message by message; undefined if it is more than this many bytes,
   * too old or has a long answer.
   */
  takeWhole(bytesMax: number, nowMs: number): Message[] | undefined {
    if (this.hasLong) return undefined;
    const behind = this.behind();
    const bytes = bytesOf(behind) + this.controlBytes;
    if (bytes > bytesMax || this.hasDue || !this.isFresh(behind, nowMs)) return undefined;
    const messages = this.takeControl(Infinity, nowMs);
    takeAll(behind, messages);
    return messages;
  }

  /** When the next interval is due; infinity if there is none. */
  get nextDueMs(): number {
    let next = Infinity;
    for (const { dueMs } of this.intervals.values()) next = Math.min(next, dueMs);
    return next;
  }

  /** Whether something is due that found no room. */
  get hasDue(): boolean {
    for (const { due } of this.intervals.values()) if (due.length > 0) return true;
    return false;
  }

  /**
   * Takes what is due by intervals, conflated, up to about this many bytes, one interval after the
   * other.
   */
  due(nowMs: number, bytesMax = Infinity): Message[] {
    const messages: Message[] = [];
    let bytes = 0;
    for (const [intervalMs, interval] of this.intervals) {
      if (interval.due.length === 0 && (nowMs >= interval.dueMs || this.ignoresIntervals)) {
        interval.dueMs = nowMs + intervalMs;
        interval.due = [...interval.cursors].filter(({ isBehind }) => isBehind).reverse();
      }
      const from = messages.length;
      while (interval.due.length > 0 && bytes < bytesMax) {
        const at = messages.length;
        this.takePaced(interval.due.pop()!, messages);
        bytes += sizeOf(messages, at);
      }
      sortFrom(messages, from);
    }
    return messages;
  }

  private takePaced(cursor: Cursor, messages: Message[]): void {
    if (this.cursors.get(cursor.topic) !== cursor || !cursor.isBehind) return; // it was left meanwhile
    if (cursor.isState) cursor.takeConflated(messages, this.counters);
    else this.takeTrades(cursor, messages);
  }

  private behind(): Cursor[] {
    const behind: Cursor[] = [];
    for (const cursor of this.cursors.values()) {
      const isPaced = cursor.intervalMs > 0 && !this.ignoresIntervals;
      if (!isPaced && cursor.isBehind) behind.push(cursor);
    }
    return behind;
  }

  private takeControl(bytesMax: number, nowMs: number): Message[] {
    const { control, taken } = this;
    let bytes = 0;
    let end = taken;
    while (end < control.length && bytes < bytesMax) bytes += aboutBytes(control[end++]!);
    this.shortBytes -= bytes;
    const messages = control.slice(taken, end);
    this.taken = end;
    // Taken messages are removed when they are half of all, so that a long list is not copied for each window.
    if (end * 2 >= control.length) {
      this.control = control.slice(end);
      this.taken = 0;
    }
    if (bytes < bytesMax) this.takeLong(Math.min(bytesMax - bytes, ANSWER_SLICE_BYTES), messages);
    if (messages.length > 0) this.controlSinceMs = nowMs;
    return messages;
  }

  /** Takes the next slice of the first long answer. */
  private takeLong(bytesMax: number, messages: Message[]): void {
    const [answer] = this.answers;
    if (answer === undefined) return;
    for (const message of answer.take(bytesMax)) messages.push(message);
    if (answer.remaining > 0) return;
    this.answers.shift();
    answer.sent();
  }

  /** The session has closed. */
  end(): void {
    this.control = [];
    this.taken = 0;
    this.shortBytes = 0;
    this.answers.length = 0;
  }

  /**
   * Whether everything that waits is in the logs and fresh enough to be sent message by message.
   */
  private isFresh(behind: readonly Cursor[], nowMs: number): boolean {
    return behind.every((c) => c.isWhole && nowMs - c.oldestMs <= this.options.staleMs);
  }

  private takeSome(
    behind: readonly Cursor[],
    roomBytes: number,
    nowMs: number,
    messages: Message[],
  ): void {
    const trades = behind.filter(({ isState }) => !isState);
    const first = messages.length;
    for (const cursor of trades) {
      cursor.dropOld(nowMs, this.options.tradeAgeMs, messages, this.counters);
    }
    const stateBytes = Math.max(roomBytes / 2, roomBytes - bytesOf(trades));
    this.takeState(
      behind.filter(({ isState }) => isState),
      stateBytes,
      messages,
    );
    takeInOrder(trades, roomBytes - sizeOf(messages, first), messages);
  }

  private takeState(behind: readonly Cursor[], roomBytes: number, messages: Message[]): void {
    let bytes = 0;
    let taken = 0;
    for (; taken < behind.length && bytes < roomBytes; taken++) {
      const at = messages.length;
      behind[(this.nextState + taken) % behind.length]!.takeConflated(messages, this.counters);
      bytes += sizeOf(messages, at);
    }
    if (behind.length > 0) this.nextState = (this.nextState + taken) % behind.length;
  }

  /** Takes all that the log holds, after a gap for what has left it. */
  private takeTrades(cursor: Cursor, messages: Message[]): void {
    cursor.dropOld(0, Infinity, messages, this.counters);
    cursor.takeAll(messages);
  }
}

function takeAll(behind: readonly Cursor[], messages: Message[]): void {
  const from = messages.length;
  for (const cursor of behind) cursor.takeAll(messages);
  if (behind.length > 1) sortFrom(messages, from);
}

/**
 * Takes the next messages of several topics in the order of their sequence numbers; at least one if
 * any waits.
 */
function takeInOrder(cursors: readonly Cursor[], roomBytes: number, messages: Message[]): void {
  const seqOf = (cursor: Cursor): number => cursor.peek().message.seq;
  const waiting = cursors.filter(({ isBehind }) => isBehind).sort((a, b) => seqOf(a) - seqOf(b));
  for (let bytes = 0; bytes < roomBytes || messages.length === 0;) {
    const cursor = waiting.shift();
    if (cursor === undefined) return;
    const { message, bytes: own } = cursor.peek();
    messages.push(message);
    bytes += own;
    cursor.pass();
    if (!cursor.isBehind) continue;
    const seq = seqOf(cursor);
    let low = 0;
    let high = waiting.length; // the first one with a later seq is in low … high
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqOf(waiting[middle]!) <= seq) low = middle + 1;
      else high = middle;
    }
    waiting.splice(low, 0, cursor);
  }
}

/** Sorts messages from an index on by sequence number; messages of one topic keep their order. */
function sortFrom(messages: Message[], from: number): void {
  const sorted = messages.splice(from).sort((a, b) => orderOf(a) - orderOf(b));
  for (const message of sorted) messages.push(message);
}

/** The sequence number to sort by; a gap precedes what follows it. */
function orderOf(message: Message): number {
  if (message.type === 'gap') return message.to;
  // The seq of a revised bar may be below that of the message before it.
  return 'prevSeq' in message ? Math.max(message.seq, message.prevSeq) : 0;
}

function bytesOf(behind: readonly Cursor[]): number {
  return behind.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0);
}

/** Approximate bytes of messages, from an index on. */
export function sizeOf(messages: readonly Message[], from = 0): number {
  let bytes = 0;
  for (let i = from; i < messages.length; i++) bytes += aboutBytes(messages[i]!);
  return bytes;
}
