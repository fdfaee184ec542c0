/**
 * Cursor: how far one reader has come in the log of a topic, and what it gets of the rest.
 *
 * As long as the log holds it, the rest can be had message by message. Conflated, of `tick`, `bbo`, `stats`
 * the newest stays, with the count that it stands for; of bars the newest of each, in the order of their
 * seqs; of a book the whole as it is now. Trades and `status` stay one by one; those that are older than the
 * reader is to be sent, or have left the log, are a `gap`, and so are ends of bars that are not kept. Must hold: a cursor is read between batches, when a book as it is now is
 * that behind the newest message of the log.
 */

import type { Bar, Message } from '../../../protocol/messages';
import type { TopicState } from '../topics/mirror';
import type { BacklogCounters } from '../topics/counters';
import { countOf, type Logged, type Sequenced, type TopicLog } from '../topics/topic-log';

export class Cursor {
  readonly topic: TopicState;
  /** At most one frame in this time, conflated; 0: none was asked for. */
  readonly intervalMs: number;
  /** Whether of its topic only the newest matters. */
  readonly isState: boolean;
  private readonly log: TopicLog;
  private place: number;
  private count: number;
  private bytes: number;
  /** The newest place that the reader has been told of the topic. */
  private lastSeq: number;

  constructor(topic: TopicState, log: TopicLog, intervalMs: number) {
    this.topic = topic;
    this.log = log;
    this.intervalMs = intervalMs;
    this.isState = topic.def.nature !== 'stream';
    this.place = log.end;
    this.count = log.count;
    this.bytes = log.bytes;
    this.lastSeq = topic.head;
  }

  get isBehind(): boolean {
    return this.place < this.log.end;
  }

  /** Of what waits and is held, about. */
  get pendingBytes(): number {
    return Math.min(this.log.bytes - this.bytes, this.log.heldBytes);
  }

  /** Since when the oldest that waits and is held does, in ms. Only while it is behind. */
  get oldestMs(): number {
    return this.log.at(Math.max(this.place, this.log.start)).atMs;
  }

  /** Whether all that waits is held. */
  get isWhole(): boolean {
    return this.place >= this.log.start;
  }

  /** A place up to which nothing of the topic waits. Only while it is behind. */
  get toldSeq(): number {
    return this.isWhole ? this.log.at(this.place).message.seq - 1 : this.lastSeq;
  }

  /** The next message. Only while it is behind, and all of it is held. */
  peek(): Logged {
    return this.log.at(this.place);
  }

  /** Goes over the next message. */
  pass(): void {
    const { message, bytes } = this.log.at(this.place);
    this.place += 1;
    this.count += countOf(message);
    this.bytes += bytes;
    this.lastSeq = message.seq;
  }

  /** Leaves out what waits: the reader is told the state otherwise. */
  skip(counters: BacklogCounters): void {
    this.conflated(this.log.end - this.place, counters);
    this.toEnd();
  }

  /** Everything that waits, where all is held. */
  takeAll(into: Message[]): void {
    for (; this.place < this.log.end; this.place++) into.push(this.log.at(this.place).message);
    this.toEnd();
  }

  /** What waits of state, conflated. Only while it is behind. */
  takeConflated(into: Message[], counters: BacklogCounters): void {
    const { log, place } = this;
    const from = into.length;
    const newest = log.at(log.end - 1).message;
    if (newest.type === 'bar') this.takeBars(into, counters);
    else if (log.end - place === 1) into.push(newest);
    else {
      const whole = this.topic.whole?.();
      const { lastSeq: prevSeq } = this;
      into.push({ ...(whole ?? newest), prevSeq, count: log.count - this.count } as Sequenced);
    }
    this.conflated(log.end - place - (into.length - from), counters);
    this.toEnd();
  }

  private conflated(messages: number, counters: BacklogCounters): void {
    counters.conflated += messages;
    this.topic.tally.conflated += messages;
  }

  /** Of trades: a gap for those that have left, and for those that are older than `ageMs`. */
  dropOld(nowMs: number, ageMs: number, into: Message[], counters: BacklogCounters): void {
    const { log, lastSeq } = this;
    let count = 0;
    if (!this.isWhole) {
      count = log.start - this.place;
      this.place = log.start;
      this.bytes = log.startBytes;
      this.lastSeq = log.at(this.place).message.prevSeq;
    }
    while (this.isBehind && nowMs - this.peek().atMs > ageMs) {
      this.pass();
      count += 1;
    }
    if (count > 0) into.push(this.gap(lastSeq + 1, this.lastSeq, count, counters));
  }

  private gap(from: number, to: number, count: number, counters: BacklogCounters): Message {
    for (const counts of [counters, this.topic.tally]) {
      counts.dropped += count;
      counts.gaps += 1;
    }
    return { type: 'gap', topic: this.topic.name, from, to, count, reason: 'slow-reader' };
  }

  /**
   * The newest of each bar, with the count of those that it stands for, in the order of their seqs: a reader
   * that is cut off among them resumes from the last it has. Before them a gap for ends of bars that are not
   * kept any more.
   */
  private takeBars(into: Message[], counters: BacklogCounters): void {
    const { log, isWhole } = this;
    const newest = new Map<number, Bar>();
    let count = log.count - this.count;
    for (const message of log.barsFrom(this.place)) {
      const before = newest.get(message.openTime.seconds)?.count ?? 0;
      newest.set(message.openTime.seconds, { ...message, count: message.count + before });
      count -= message.count;
    }
    let prevSeq = isWhole ? this.peek().message.prevSeq : this.lastSeq;
    const lost = log.lostEnds(this.place);
    if (lost !== null) {
      const to = Math.max(prevSeq + 1, lost.seq);
      into.push(this.gap(prevSeq + 1, to, lost.count, counters));
      prevSeq = to;
    }
    if (!isWhole) {
      // What left the log of the present bar and of those before it.
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
    this.place = log.end;
    this.count = log.count;
    this.bytes = log.bytes;
    this.lastSeq = this.topic.head;
  }
}
