/**
 * Backlog: what waits for one session that does not take its topics natively.
 *
 * Answers, executions, definitions and what closes (control) wait in it, go first and in their order, and
 * are never dropped. A long answer is made as it is sent (`LongAnswer`), a slice at a time; short messages go
 * between its slices. What is published waits in the logs of the topics; here is only how far the reader
 * has come in each. While that is fresh it goes out message by message, so a reader that was held up for a
 * moment misses nothing; when it has waited long, or has left the logs, conflated: state first, in half of
 * a window at least, the topics in turn; and trades in the order of their places, of which the oldest go
 * with a `gap`. Must hold: messages of one topic stay in their order; those of several may not.
 * Bounded: by the logs, and by whoever bounds the control.
 */

import type { Message } from '../../../protocol/messages';
import { Cursor } from './cursor';
import { type BacklogCounters } from '../topics/counters';
import { ANSWER_SLICE_BYTES, type LongAnswer } from './long-answer';
import type { TopicState } from '../topics/mirror';
import { aboutBytes } from '../topics/topic-log';

export interface BacklogOptions {
  /** Of one topic, for all that read its log. */
  readonly outboxBytesMax: number;
  /** What has waited longer is conflated before it is sent, in ms. */
  readonly staleMs: number;
  /** A trade that has waited longer is dropped, in ms. */
  readonly tradeAgeMs: number;
}

/** What of control may wait. */
export interface ControlLimits {
  /** Control that has not moved for longer closes the session, in ms; and so many messages. */
  readonly controlMs: number;
  readonly controlMessagesMax: number;
}

interface Interval {
  readonly cursors: Set<Cursor>;
  dueMs: number;
  /** Those that are due and have not been sent yet, for which there was no room. */
  due: Cursor[];
}

export class Backlog {
  readonly counters: BacklogCounters = { conflated: 0, dropped: 0, gaps: 0 };
  private readonly options: BacklogOptions;
  private readonly cursors = new Map<TopicState, Cursor>();
  /** Those that are to be had at most every so often, by how often. */
  private readonly intervals = new Map<number, Interval>();
  private control: Message[] = [];
  /** How many of them have been taken. */
  private taken = 0;
  /** About, of those that have not. */
  private shortBytes = 0;
  /** Answers that are made as they are sent, one after the other. */
  private readonly answers: LongAnswer[] = [];
  private controlSinceMs = 0;
  /** Whose turn it is when not all state finds room. */
  private turn = 0;
  private isHurried = false;

  constructor(options: BacklogOptions) {
    this.options = options;
  }

  has(topic: TopicState): boolean {
    return this.cursors.has(topic);
  }

  /** Whether it was asked for at intervals. */
  isPaced(topic: TopicState): boolean {
    return (this.cursors.get(topic)?.intervalMs ?? 0) > 0;
  }

  /** Those that were asked for as they come. */
  *unpaced(): Generator<TopicState, undefined> {
    for (const { topic, intervalMs } of this.cursors.values()) if (intervalMs === 0) yield topic;
  }

  /** Reads a topic from here on. @param intervalMs at most one frame in this time; 0: as it comes */
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

  /** What has to be sent of a topic before its state is sent anew: of state nothing, but for ends of bars. */
  settle(topic: TopicState): Message[] {
    const cursor = this.cursors.get(topic);
    const messages: Message[] = [];
    if (cursor === undefined || !cursor.isBehind) return messages;
    if (topic.name.startsWith('bar:')) cursor.takeConflated(messages, this.counters);
    else if (cursor.isState) cursor.skip(this.counters);
    else this.takeTrades(cursor, messages);
    return messages;
  }

  /** The server stops: nothing waits for its interval any more. */
  hurry(): void {
    this.isHurried = true;
  }

  /** Messages that are never dropped, in their order. */
  tell(messages: readonly Message[], nowMs: number): void {
    if (this.controlCount === 0) this.controlSinceMs = nowMs;
    for (const message of messages) {
      this.control.push(message);
      this.shortBytes += aboutBytes(message);
    }
  }

  /** An answer that is made as it is sent. */
  tellLong(answer: LongAnswer, nowMs: number): void {
    if (this.controlCount === 0) this.controlSinceMs = nowMs;
    this.answers.push(answer);
  }

  get controlCount(): number {
    let count = this.control.length - this.taken;
    for (const { remaining } of this.answers) count += remaining;
    return count;
  }

  /** Whether more of an answer is to be made. */
  get hasLong(): boolean {
    return this.answers.length > 0;
  }

  /** Since when the control has not moved; null when none waits. */
  get controlStuckMs(): number | null {
    return this.controlCount === 0 ? null : this.controlSinceMs;
  }

  /** Whether the control has not moved for long, nor the reader; or is too much. */
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

  /** Of what waits for this session alone, about. */
  get controlBytes(): number {
    let bytes = this.shortBytes;
    for (const answer of this.answers) bytes += answer.heldBytes;
    return bytes;
  }

  /** Of all that waits and is held, about: what is in the logs of topics is there once for all their readers. */
  get pendingBytes(): number {
    let bytes = this.controlBytes;
    for (const cursor of this.cursors.values()) bytes += cursor.pendingBytes;
    return bytes;
  }

  /** Since when the oldest does, in ms; null when nothing waits. */
  get oldestMs(): number | null {
    let oldest = this.controlStuckMs ?? Infinity;
    for (const cursor of this.cursors.values()) {
      if (cursor.isBehind) oldest = Math.min(oldest, cursor.oldestMs);
    }
    return oldest === Infinity ? null : oldest;
  }

  /** A place up to which nothing of the topics waits; infinity when nothing waits at all. */
  get toldSeq(): number {
    let told = Infinity;
    for (const cursor of this.cursors.values()) {
      if (cursor.isBehind) told = Math.min(told, cursor.toldSeq);
    }
    return told;
  }

  /** Up to about so many bytes of what is to be sent next, and something if anything waits. */
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

  /** All that waits, message by message, and what is due; undefined when that is more than so many bytes, or old. */
  takeWhole(bytesMax: number, nowMs: number): Message[] | undefined {
    if (this.hasLong) return undefined;
    const behind = this.behind();
    const bytes = bytesOf(behind) + this.controlBytes;
    if (bytes > bytesMax || this.hasDue || !this.isFresh(behind, nowMs)) return undefined;
    const messages = this.takeControl(Infinity, nowMs);
    takeAll(behind, messages);
    return messages;
  }

  /** When something that was asked for at intervals is due next; infinity: nothing is. */
  get nextDueMs(): number {
    let next = Infinity;
    for (const { dueMs } of this.intervals.values()) next = Math.min(next, dueMs);
    return next;
  }

  /** Whether something is due for which there was no room. */
  get hasDue(): boolean {
    for (const { due } of this.intervals.values()) if (due.length > 0) return true;
    return false;
  }

  /** Of what was asked for at intervals that is due, up to about so many bytes, conflated, an interval after the other. */
  due(nowMs: number, bytesMax = Infinity): Message[] {
    const messages: Message[] = [];
    let bytes = 0;
    for (const [intervalMs, interval] of this.intervals) {
      if (interval.due.length === 0 && (nowMs >= interval.dueMs || this.isHurried)) {
        interval.dueMs = nowMs + intervalMs;
        interval.due = [...interval.cursors].filter(({ isBehind }) => isBehind).reverse();
      }
      const from = messages.length;
      while (interval.due.length > 0 && bytes < bytesMax) {
        const at = messages.length;
        this.takePaced(interval.due.pop()!, messages);
        bytes += sizeOf(messages, at);
      }
      sortPlaces(messages, from);
    }
    return messages;
  }

  private takePaced(cursor: Cursor, messages: Message[]): void {
    if (this.cursors.get(cursor.topic) !== cursor || !cursor.isBehind) return; // left meanwhile
    if (cursor.isState) cursor.takeConflated(messages, this.counters);
    else this.takeTrades(cursor, messages);
  }

  private behind(): Cursor[] {
    const behind: Cursor[] = [];
    for (const cursor of this.cursors.values()) {
      const isPaced = cursor.intervalMs > 0 && !this.isHurried;
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
    // What was taken goes when it is half of all, so that a long answer is not copied for each window.
    if (end * 2 >= control.length) {
      this.control = control.slice(end);
      this.taken = 0;
    }
    if (bytes < bytesMax) this.takeLong(Math.min(bytesMax - bytes, ANSWER_SLICE_BYTES), messages);
    if (messages.length > 0) this.controlSinceMs = nowMs;
    return messages;
  }

  /** The next slice of the answer whose turn it is. */
  private takeLong(bytesMax: number, messages: Message[]): void {
    const [answer] = this.answers;
    if (answer === undefined) return;
    for (const message of answer.take(bytesMax)) messages.push(message);
    if (answer.remaining > 0) return;
    this.answers.shift();
    answer.sent();
  }

  /** The session has gone. */
  end(): void {
    this.control = [];
    this.taken = 0;
    this.shortBytes = 0;
    this.answers.length = 0;
  }

  /** Whether all that waits is there, and may go as it is. */
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
      const isFresh = cursor.topic.def.conflation === 'fresh';
      const ageMs = isFresh ? this.options.tradeAgeMs : Infinity;
      cursor.dropOld(nowMs, ageMs, messages, this.counters);
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
      behind[(this.turn + taken) % behind.length]!.takeConflated(messages, this.counters);
      bytes += sizeOf(messages, at);
    }
    if (behind.length > 0) this.turn = (this.turn + taken) % behind.length;
  }

  /** All that the log holds, and a gap for what has left it. */
  private takeTrades(cursor: Cursor, messages: Message[]): void {
    cursor.dropOld(0, Infinity, messages, this.counters);
    cursor.takeAll(messages);
  }
}

function takeAll(behind: readonly Cursor[], messages: Message[]): void {
  const from = messages.length;
  for (const cursor of behind) cursor.takeAll(messages);
  if (behind.length > 1) sortPlaces(messages, from);
}

/** The next messages of several topics in the order of their places, at least one if any waits. */
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
    let high = waiting.length; // the first that comes behind it is in low … high
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seqOf(waiting[middle]!) <= seq) low = middle + 1;
      else high = middle;
    }
    waiting.splice(low, 0, cursor);
  }
}

/** From a position on, in the order of places; those of one topic stay in theirs. */
function sortPlaces(messages: Message[], from: number): void {
  const sorted = messages.splice(from).sort((a, b) => placeOf(a) - placeOf(b));
  for (const message of sorted) messages.push(message);
}

/** A gap goes before what follows it. */
function placeOf(message: Message): number {
  if (message.type === 'gap') return message.to;
  // The seq of a bar that was revised may be below that of the message before it.
  return 'prevSeq' in message ? Math.max(message.seq, message.prevSeq) : 0;
}

function bytesOf(behind: readonly Cursor[]): number {
  return behind.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0);
}

/** About, in bytes, from a position on. */
export function sizeOf(messages: readonly Message[], from = 0): number {
  let bytes = 0;
  for (let i = from; i < messages.length; i++) bytes += aboutBytes(messages[i]!);
  return bytes;
}
