/**
 * Outbox: what waits for one session that does not take the native topics.
 *
 * While it is small it is a plain queue, so a reader that was held up for a moment misses nothing. When
 * it is full it is conflated by kind: of `tick`, `bbo`, `stats` and of a bar the newest stays, with the
 * count that it stands for; of a book the whole as it is now; trades and `status` stay one by one. State
 * that has waited long is conflated as well, and goes ahead of the trades, so that many of them do not
 * keep it back. When it is still full, of bars only the newest stays, and the oldest trades go, with a
 * `gap` that says which. Control (answers, executions, definitions, what closes) is never dropped, and
 * goes first. Must hold: messages of one topic stay in their order; those of several may not.
 * Bounded: `bytesMax`, but for one message of state a topic and the control, which the session bounds.
 */

import type { Message } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import type { TopicState } from './mirror';

/** About what one of the small messages takes. */
const ANSWER_BYTES = 48;

/** What of a topic can wait. */
type Sequenced = Extract<Message, { readonly prevSeq: number }>;

interface OfTopic {
  readonly topic: TopicState;
  readonly message: Sequenced;
  /** What came before has a lower one. */
  readonly order: number;
  readonly bytes: number;
  readonly atMs: number;
}

/** Part of an answer that has its place among them: it is neither conflated nor dropped. */
interface OfAnswer {
  readonly topic: null;
  readonly message: Message;
  readonly order: number;
  readonly bytes: number;
  readonly atMs: number;
}

type Waiting = OfTopic | OfAnswer;

/** What waited of a topic. */
export interface Extracted {
  readonly topic: TopicState;
  readonly waiting: readonly OfTopic[];
  readonly dropped: Dropped | undefined;
}

/** It as messages. */
export function messagesOf({ topic, waiting, dropped }: Extracted): Message[] {
  const gap = dropped === undefined ? [] : [gapOf(topic, dropped)];
  return [...gap, ...waiting.map(({ message }) => message)];
}

interface Dropped {
  from: number;
  to: number;
  count: number;
}

export interface OutboxOptions {
  /** About; a message is counted with what its kind takes on the binary wire. */
  readonly bytesMax: number;
  /** What has waited longer is conflated before it is sent, in ms. */
  readonly staleMs: number;
}

/** What became of messages since the session began. */
export interface OutboxCounters {
  /** Messages that another one stands for. */
  conflated: number;
  /** Messages that a gap declares. */
  dropped: number;
  gaps: number;
}

export class Outbox {
  readonly counters: OutboxCounters = { conflated: 0, dropped: 0, gaps: 0 };
  /** Of what waits of topics. */
  private bytes = 0;
  private readonly options: OutboxOptions;
  /** Of state; and all else, which is not conflated. Each in order. */
  private state: OfTopic[] = [];
  private queue: Waiting[] = [];
  private lastOrder = 0;
  private control: Message[] = [];
  private controlSinceMs = 0;
  private answers = 0;
  private readonly dropped = new Map<TopicState, Dropped>();
  /** Conflating is worth its while again when so much waits. */
  private dueBytes: number;

  constructor(options: OutboxOptions) {
    this.options = options;
    this.dueBytes = options.bytesMax;
  }

  get isEmpty(): boolean {
    return (
      this.state.length + this.queue.length === 0 &&
      this.control.length === 0 &&
      this.dropped.size === 0
    );
  }

  /** Messages that wait and are never dropped. */
  get controlCount(): number {
    return this.control.length + this.answers;
  }

  /** About what waits, in bytes; answers of the control with what they take at least. */
  get waitingBytes(): number {
    return this.bytes + this.control.length * ANSWER_BYTES;
  }

  /** Since when the oldest that waits does, in ms; null when nothing waits. */
  get oldestMs(): number | null {
    const { state, queue, oldestControlMs } = this;
    const since = Math.min(state[0]?.atMs ?? Infinity, queue[0]?.atMs ?? Infinity, oldestControlMs ?? Infinity); // prettier-ignore
    return since === Infinity ? null : since;
  }

  /** Since when control waits; null when none does. */
  get oldestControlMs(): number | null {
    return this.control.length === 0 ? null : this.controlSinceMs;
  }

  /** Takes messages of a topic on; `settle` follows when all of the batch are there. */
  add(topic: TopicState, messages: readonly Message[], nowMs: number): void {
    for (const message of messages) {
      if (!('prevSeq' in message)) throw new Error(`${message.type} is not of a topic`);
      const bytes = bytesOf(message);
      this.put({ topic, message, order: ++this.lastOrder, bytes, atMs: nowMs }); // prettier-ignore
    }
  }

  /**
   * Keeps the bound, between batches: only then is a book as it is now that behind the newest message
   * of it which waits.
   */
  settle(): void {
    if (this.bytes <= this.dueBytes) return;
    this.conflate();
    if (this.bytes > this.options.bytesMax) {
      this.conflate(true);
      this.drop();
    }
    // What cannot go is at least doubled before it is looked at again.
    this.dueBytes = Math.max(this.options.bytesMax, this.bytes * 2);
  }

  /** Messages that belong together and are never dropped, such as a state with its answer. */
  addControl(messages: readonly Message[], nowMs: number): void {
    if (this.control.length === 0) this.controlSinceMs = nowMs;
    for (const message of messages) this.control.push(message);
  }

  /** A place up to which nothing of the topics waits; null when nothing waits at all. */
  get toldSeq(): number | null {
    let told = Infinity;
    for (const w of [...this.state, ...this.queue]) {
      if (w.topic === null) continue;
      const { seq, prevSeq } = w.message;
      const isConflated = 'count' in w.message && w.message.count !== 1;
      told = Math.min(told, isConflated ? prevSeq : seq - 1);
    }
    for (const { from } of this.dropped.values()) told = Math.min(told, from - 1);
    return told === Infinity ? null : told;
  }

  /** Nothing of a topic is to follow, nor what an answer would tell of it. */
  forget(topic: TopicState): void {
    this.extract(topic);
    this.queue = this.queue.filter((w) => {
      const isOfIt =
        w.topic === null && 'prevSeq' in w.message && topicOf(w.message) === topic.name;
      if (isOfIt) this.answers -= 1;
      return !isOfIt;
    });
    this.bytes = sizeOf(this.state) + sizeOf(this.queue);
  }

  /** Lets go of what waits of a topic, and gives it back. */
  extract(topic: TopicState): Extracted {
    const isOf = (w: Waiting): w is OfTopic => w.topic === topic;
    const waiting = [...this.state.filter(isOf), ...this.queue.filter(isOf)];
    this.state = this.state.filter((w) => w.topic !== topic);
    this.queue = this.queue.filter((w) => w.topic !== topic);
    for (const { bytes } of waiting) this.bytes -= bytes;
    const dropped = this.dropped.get(topic);
    this.dropped.delete(topic);
    return { topic, waiting, dropped };
  }

  /** Takes on what waited of a topic elsewhere, behind what waits of it here. */
  adopt({ topic, waiting, dropped }: Extracted): void {
    if (dropped !== undefined) {
      // It is told first, so what waits here goes as well.
      const here = this.extract(topic);
      if (here.dropped !== undefined) this.dropped.set(topic, here.dropped);
      for (const w of here.waiting) this.note(w);
      const known = this.dropped.get(topic);
      if (known === undefined) this.dropped.set(topic, { ...dropped });
      else {
        known.to = dropped.to;
        known.count += dropped.count;
      }
    }
    for (const w of waiting) this.put({ ...w, order: ++this.lastOrder });
  }

  /** An answer that belongs behind what waits: a state, whose topics go on behind it. */
  addAnswer(messages: readonly Message[], nowMs: number): void {
    for (const message of messages) {
      const bytes = 'prevSeq' in message ? bytesOf(message) : ANSWER_BYTES;
      this.queue.push({
        topic: null,
        message,
        order: ++this.lastOrder,
        bytes,
        atMs: nowMs,
      });
      this.answers += 1;
      this.bytes += bytes;
    }
  }

  private put(w: OfTopic): void {
    (isState(w.message) ? this.state : this.queue).push(w);
    this.bytes += w.bytes;
  }

  /** Up to about so many bytes of what is to be sent next, and at least one message if any waits. */
  take(bytesMax: number, nowMs: number): Message[] {
    // State that has waited goes ahead of the trades, but for an answer, which has its place.
    const isStale = nowMs - (this.state[0]?.atMs ?? nowMs) > this.options.staleMs;
    if (isStale) this.conflate();
    const isStateFirst = isStale && this.answers === 0;
    const messages = this.control;
    this.control = [];
    for (const [topic, gap] of this.dropped) messages.push(gapOf(topic, gap));
    this.dropped.clear();
    const { state, queue } = this;
    let ofState = 0;
    let ofQueue = 0;
    let bytes = 0;
    while (ofState + ofQueue < state.length + queue.length && bytes < bytesMax) {
      const [s, q] = [state[ofState], queue[ofQueue]];
      const next = q === undefined || (s !== undefined && (isStateFirst || s.order < q.order)) ? s! : q; // prettier-ignore
      if (next === s) ofState += 1;
      else ofQueue += 1;
      messages.push(next.message);
      if (next.topic === null) this.answers -= 1;
      bytes += next.bytes;
    }
    this.state = state.slice(ofState);
    this.queue = queue.slice(ofQueue);
    this.bytes -= bytes;
    if (this.isEmpty) this.dueBytes = this.options.bytesMax;
    return messages;
  }

  /**
   * One message of state a topic (and bar), at the place of the oldest. Before an answer that tells the
   * state of a topic anew there is none of it: what the reader holds then begins with the answer.
   */
  conflate(isOneBar = false): void {
    const answered = this.answered();
    const runs: { openTime: string; at: number; first: OfTopic; newest: OfTopic; count: number }[] = []; // prettier-ignore
    const open = new Map<TopicState, (typeof runs)[number]>();
    const kept: OfTopic[] = [];
    for (const newest of this.state) {
      const { topic, message } = newest;
      if (newest.order < (answered.get(topic.name) ?? 0)) continue;
      const openTime = message.type === 'bar' && !isOneBar ? message.openTime.toString() : '';
      const { count } = message as State;
      const run = open.get(topic);
      if (run !== undefined && run.openTime === openTime) {
        run.newest = newest;
        run.count += count;
        continue;
      }
      const next = { openTime, at: kept.length, first: newest, newest, count };
      open.set(topic, next);
      runs.push(next);
      kept.push(newest);
    }
    for (const { at, first, newest, count } of runs) {
      if (first !== newest) kept[at] = this.merged(first, newest, count);
    }
    this.counters.conflated += this.state.length - kept.length;
    this.bytes += sizeOf(kept) - sizeOf(this.state);
    this.state = kept;
  }

  /** Topics whose state is in an answer that waits, with its order. */
  private answered(): ReadonlyMap<string, number> {
    const answered = new Map<string, number>();
    if (this.answers === 0) return answered;
    for (const { topic, message, order } of this.queue) {
      if (topic === null && 'prevSeq' in message && isState(message)) answered.set(topicOf(message)!, order); // prettier-ignore
    }
    return answered;
  }

  /** The newest, standing for all from the first on; of a book the whole as it is now. */
  private merged(first: OfTopic, newest: OfTopic, count: number): OfTopic {
    const { topic, message } = newest;
    const { order } = first;
    const { prevSeq } = first.message;
    const whole = message.type === 'book' ? topic.wholeBook?.() : undefined;
    const merged = { ...(whole ?? message), prevSeq, count } as Sequenced;
    return {
      topic,
      message: merged,
      order,
      bytes: bytesOf(merged),
      atMs: newest.atMs,
    };
  }

  /** The oldest trades go, down to three quarters of the room. */
  private drop(): void {
    const downTo = this.options.bytesMax * 0.75;
    const kept: Waiting[] = [];
    for (const w of this.queue) {
      if (w.topic === null || this.bytes <= downTo || w.message.type !== 'trade') {
        kept.push(w);
        continue;
      }
      this.bytes -= w.bytes;
      this.note(w);
    }
    this.queue = kept;
  }

  private note({ topic, message }: OfTopic): void {
    this.counters.dropped += 1;
    const { seq } = message;
    const known = this.dropped.get(topic);
    if (known === undefined) {
      this.counters.gaps += 1;
      this.dropped.set(topic, { from: seq, to: seq, count: 1 });
      return;
    }
    known.to = seq;
    known.count += 1;
  }
}

function sizeOf(waiting: readonly Waiting[]): number {
  return waiting.reduce((sum, { bytes }) => sum + bytes, 0);
}

function gapOf(topic: TopicState, { from, to, count }: Dropped): Message {
  return {
    type: 'gap',
    topic: topic.name,
    from,
    to,
    count,
    reason: 'slow-reader',
  };
}

type State = Extract<Sequenced, { readonly type: 'tick' | 'bbo' | 'book' | 'bar' | 'stats' }>;

function isState(message: Sequenced): message is State {
  switch (message.type) {
    case 'tick':
    case 'bbo':
    case 'book':
    case 'bar':
    case 'stats':
      return true;
    default:
      return false;
  }
}

/** About what a message takes. */
function bytesOf(message: Sequenced): number {
  if (message.type === 'book') return 64 + (message.bids.length + message.asks.length) * 6;
  return message.type === 'bar' || message.type === 'stats' ? 128 : 80;
}
