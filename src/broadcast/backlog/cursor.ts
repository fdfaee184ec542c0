/**
 * Cursor: how far one reader has read the log of a topic, and what it gets of the rest.
 *
 * While the log holds the rest, it can be had message by message. What is conflated follows the
 * `conflation` of the channel in the table of channels:
 *
 * - `newest`: the newest message, with the count of updates that it replaces;
 * - `whole-book`: the same, with the whole book at present in its place;
 * - `each-bar`: the newest message of each bar, in the order of their seqs. A `gap` declares ends of
 *   bars that are not kept any more;
 * - `fresh`: every message; a `gap` declares those that are too old or have left the log;
 * - `all`: every message, however old; a `gap` declares those that have left the log.
 *
 * A cursor must be read between batches: then the current book is the one after the newest message
 * of the log.
 */

import { isReplaced } from '../../../protocol/channels';
import type { Bar, Message } from '../../../protocol/messages';
import type { TopicState } from '../topics/mirror';
import type { BacklogCounters } from '../topics/counters';
import { countOf, type Logged, type Sequenced, type TopicLog } from '../topics/topic-log';

export class Cursor {
  readonly topic: TopicState;
  /** At most one frame in this time, conflated; 0: no interval. */
  readonly intervalMs: number;
  /** Whether a newer message may replace older ones. */
  readonly isState: boolean;
  private readonly log: TopicLog;
  private position: number;
  private count: number;
  private bytes: number;
  /** The newest sequence number of the topic that the reader was sent. */
  private lastSeq: number;

  constructor(topic: TopicState, log: TopicLog, intervalMs: number) {
    this.topic = topic;
    this.log = log;
    this.intervalMs = intervalMs;
    this.isState = isReplaced(topic.def);
    this.position = log.end;
    this.count = log.count;
    this.bytes = log.bytes;
    this.lastSeq = topic.head;
  }

  get isBehind(): boolean {
    return this.position < this.log.end;
  }

  /** Approximate bytes that wait and are held. */
  get pendingBytes(): number {
    return Math.min(this.log.bytes - this.bytes, this.log.heldBytes);
  }

  /** Time of the oldest message that waits and is held, in ms. Only if `isBehind`. */
  get oldestMs(): number {
    return this.log.at(Math.max(this.position, this.log.start)).atMs;
  }

  /** Whether all that waits is held. */
  get isWhole(): boolean {
    return this.position >= this.log.start;
  }

  /** A sequence number up to which nothing of the topic waits. Only if `isBehind`. */
  get completeSeq(): number {
    return this.isWhole ? this.log.at(this.position).message.seq - 1 : this.lastSeq;
  }

  /** The next message. Only if `isBehind` and `isWhole`. */
  peek(): Logged {
    return this.log.at(this.position);
  }

  /** Passes the next message. */
  pass(): void {
    const { message, bytes } = this.log.at(this.position);
    this.position += 1;
    this.count += countOf(message);
    this.bytes += bytes;
    this.lastSeq = message.seq;
  }

  /**
   * Takes of a state what its reader needs although a snapshot follows: of bars the newest of each,
   * of any other nothing. Only if `isBehind`.
   */
  takeBeforeSnapshot(into: Message[], counters: BacklogCounters): void {
    if (this.topic.def.conflation === 'each-bar') return this.takeConflated(into, counters);
    this.conflated(this.log.end - this.position, counters);
    this.toEnd();
  }

  /** Takes everything that waits. Only if `isWhole`. */
  takeAll(into: Message[]): void {
    for (; this.position < this.log.end; this.position++)
      into.push(this.log.at(this.position).message);
    this.toEnd();
  }

  /** Takes the state that waits, conflated. Only if `isBehind`. */
  takeConflated(into: Message[], counters: BacklogCounters): void {
    const { log, position } = this;
    const from = into.length;
    const newest = log.at(log.end - 1).message;
    const { conflation } = this.topic.def;
    if (conflation === 'each-bar') this.takeBars(into, counters);
    else if (log.end - position === 1) into.push(newest);
    else {
      const whole = conflation === 'whole-book' ? this.topic.whole?.() : null;
      const { lastSeq: prevSeq } = this;
      into.push({ ...(whole ?? newest), prevSeq, count: log.count - this.count } as Sequenced);
    }
    this.conflated(log.end - position - (into.length - from), counters);
    this.toEnd();
  }

  private conflated(messages: number, counters: BacklogCounters): void {
    counters.conflated += messages;
    this.topic.counters.conflated += messages;
  }

  /**
   * Replaces messages that have left the log by a gap.
   * @param freshMs and, on a channel whose messages must be fresh, those that are older, in ms
   */
  dropOld(nowMs: number, freshMs: number, into: Message[], counters: BacklogCounters): void {
    const { log, lastSeq } = this;
    const ageMs = this.topic.def.conflation === 'fresh' ? freshMs : Infinity;
    let count = 0;
    if (!this.isWhole) {
      count = log.start - this.position;
      this.position = log.start;
      this.bytes = log.startBytes;
      this.lastSeq = log.at(this.position).message.prevSeq;
    }
    while (this.isBehind && nowMs - this.peek().atMs > ageMs) {
      this.pass();
      count += 1;
    }
    if (count > 0) into.push(this.gap(lastSeq + 1, this.lastSeq, count, counters));
  }

  private gap(from: number, to: number, count: number, counters: BacklogCounters): Message {
    for (const counts of [counters, this.topic.counters]) {
      counts.dropped += count;
      counts.gaps += 1;
    }
    return {
      type: 'gap',
      topic: this.topic.name,
      from,
      to,
      count,
      reason: 'slow-reader',
      shard: this.topic.numbering.shard,
    };
  }

  /**
   * Takes the newest message of each bar, with the count of those that it replaces, in the order
   * of their seqs, so that a reader that is disconnected among them can resume from the last one. A
   * gap before them declares ends of bars that are not kept any more.
   */
  private takeBars(into: Message[], counters: BacklogCounters): void {
    const { log, isWhole } = this;
    const newest = new Map<number, Bar>();
    let count = log.count - this.count;
    for (const message of log.barsFrom(this.position)) {
      const before = newest.get(message.openTime.seconds)?.count ?? 0;
      newest.set(message.openTime.seconds, { ...message, count: message.count + before });
      count -= message.count;
    }
    let prevSeq = isWhole ? this.peek().message.prevSeq : this.lastSeq;
    const lost = log.lostEnds(this.position);
    if (lost !== null) {
      const to = Math.max(prevSeq + 1, lost.seq);
      into.push(this.gap(prevSeq + 1, to, lost.count, counters));
      prevSeq = to;
    }
    if (!isWhole) {
      // The current state replaces what left the log: of the open bar and of those before it.
      const present = this.topic.whole!() as Bar;
      const own = newest.get(present.openTime.seconds)?.count ?? 0;
      newest.set(present.openTime.seconds, { ...present, count: own + count });
    }
    for (const bar of [...newest.values()].sort((a, b) => a.seq - b.seq)) {
      into.push({ ...bar, prevSeq });
      prevSeq = Math.max(prevSeq, bar.seq);
    }
  }

  private toEnd(): void {
    const { log } = this;
    this.position = log.end;
    this.count = log.count;
    this.bytes = log.bytes;
    this.lastSeq = this.topic.head;
  }
}
