/**
 * Outbox: what waits for one session that does not take the native topics, in the order of places.
 *
 * While it is small it is a plain queue, so a reader that was held up for a moment misses nothing. When
 * it is full, or what waits has become old, it is conflated by kind: of `tick`, `bbo`, `stats` and of a
 * bar the newest stays, with the count that it stands for; of a book the whole as it is now; trades and
 * `status` stay one by one. When it is still full the oldest trades (and bars that are over) go, and a
 * `gap` says which. Control (answers, executions, definitions, what closes) is never dropped and goes first.
 * Bounded: `bytesMax`, but for one message of state a topic and the control, which the session bounds.
 */

import type { Message } from '../../protocol/messages';
import type { TopicState } from './mirror';

/** What of a topic can wait. */
type Sequenced = Extract<Message, { readonly prevSeq: number }>;

interface Waiting {
  readonly topic: TopicState;
  readonly message: Sequenced;
  readonly bytes: number;
  readonly atMs: number;
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
  bytes = 0;
  private readonly options: OutboxOptions;
  private market: Waiting[] = [];
  private control: Message[] = [];
  private controlSinceMs = 0;
  private readonly dropped = new Map<TopicState, Dropped>();
  /** Conflating is worth its while again when so much waits. */
  private dueBytes: number;

  constructor(options: OutboxOptions) {
    this.options = options;
    this.dueBytes = options.bytesMax;
  }

  get isEmpty(): boolean {
    return this.market.length === 0 && this.control.length === 0 && this.dropped.size === 0;
  }

  /** Control messages that wait. */
  get controlCount(): number {
    return this.control.length;
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
      this.market.push({ topic, message, bytes, atMs: nowMs });
      this.bytes += bytes;
    }
  }

  /**
   * Keeps the bound, between batches: only then is a book as it is now that behind the newest message
   * of it which waits.
   */
  settle(): 'queued' | 'conflated' | 'dropped' {
    if (this.bytes <= this.dueBytes) return 'queued';
    this.conflate();
    const droppedBefore = this.counters.dropped;
    if (this.bytes > this.options.bytesMax) this.drop();
    // What cannot go is at least doubled before it is looked at again.
    this.dueBytes = Math.max(this.options.bytesMax, this.bytes * 2);
    return this.counters.dropped > droppedBefore ? 'dropped' : 'conflated';
  }

  /** Messages that belong together and are never dropped, such as a state with its answer. */
  addControl(messages: readonly Message[], nowMs: number): void {
    if (this.control.length === 0) this.controlSinceMs = nowMs;
    for (const message of messages) this.control.push(message);
  }

  /** What waits of a topic is not wanted any more. */
  forget(topic: TopicState): void {
    this.dropped.delete(topic);
    this.market = this.market.filter((w) => w.topic !== topic);
    this.bytes = this.market.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Up to about so many bytes of what is to be sent next, and at least one message if any waits. */
  take(bytesMax: number, nowMs: number): Message[] {
    const oldest = this.market[0];
    if (oldest !== undefined && nowMs - oldest.atMs > this.options.staleMs) this.conflate();
    const messages = this.control;
    this.control = [];
    for (const [topic, { from, to, count }] of this.dropped) {
      messages.push({ type: 'gap', topic: topic.name, from, to, count, reason: 'slow-reader' });
    }
    this.counters.gaps += this.dropped.size;
    this.dropped.clear();
    let taken = 0;
    let bytes = 0;
    while (taken < this.market.length && bytes < bytesMax) {
      const { message, bytes: size } = this.market[taken]!;
      messages.push(message);
      bytes += size;
      taken += 1;
    }
    this.market = this.market.slice(taken);
    this.bytes -= bytes;
    if (this.market.length === 0) this.dueBytes = this.options.bytesMax;
    return messages;
  }

  /** One message of state a topic (and bar) from here on, at the place of the newest. */
  conflate(): void {
    const runs = new Map<TopicState, { openTime: string; first: number; last: number; count: number }>(); // prettier-ignore
    const kept: (Waiting | null)[] = [...this.market];
    for (const [i, { topic, message }] of this.market.entries()) {
      if (!isState(message)) continue;
      const openTime = message.type === 'bar' ? message.openTime.toString() : '';
      const run = runs.get(topic);
      if (run === undefined || run.openTime !== openTime) {
        runs.set(topic, { openTime, first: i, last: i, count: message.count });
        continue;
      }
      kept[run.last] = null;
      run.last = i;
      run.count += message.count;
      kept[i] = this.merged(this.market[run.first]!, this.market[i]!, run.count);
    }
    const market = kept.filter((w) => w !== null);
    this.counters.conflated += this.market.length - market.length;
    this.market = market;
    this.bytes = market.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The newest, standing for all from the first on; of a book the whole as it is now. */
  private merged(first: Waiting, newest: Waiting, count: number): Waiting {
    const { topic, message } = newest;
    const { prevSeq } = first.message;
    const whole = message.type === 'book' ? topic.wholeBook?.() : undefined;
    const merged = { ...(whole ?? message), prevSeq, count } as Sequenced;
    return { topic, message: merged, bytes: bytesOf(merged), atMs: newest.atMs };
  }

  /** The oldest of what is told one by one go, down to three quarters of the room. */
  private drop(): void {
    const downTo = this.options.bytesMax * 0.75;
    const newestOf = new Map<TopicState, Waiting>();
    for (const w of this.market) newestOf.set(w.topic, w);
    const kept: Waiting[] = [];
    for (const w of this.market) {
      const isDropped = this.bytes > downTo && isOneByOne(w, newestOf);
      if (!isDropped) {
        kept.push(w);
        continue;
      }
      this.bytes -= w.bytes;
      this.note(w);
    }
    this.market = kept;
  }

  private note({ topic, message }: Waiting): void {
    this.counters.dropped += 1;
    const { seq } = message;
    const known = this.dropped.get(topic);
    if (known === undefined) this.dropped.set(topic, { from: seq, to: seq, count: 1 });
    else {
      known.to = seq;
      known.count += 1;
    }
  }
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

/** Trades, and bars behind which there is a newer one. */
function isOneByOne(w: Waiting, newestOf: ReadonlyMap<TopicState, Waiting>): boolean {
  const { type } = w.message;
  return type === 'trade' || (type === 'bar' && newestOf.get(w.topic) !== w);
}

/** About what a message takes. */
function bytesOf(message: Sequenced): number {
  if (message.type === 'book') return 64 + (message.bids.length + message.asks.length) * 6;
  return message.type === 'bar' || message.type === 'stats' ? 128 : 80;
}
