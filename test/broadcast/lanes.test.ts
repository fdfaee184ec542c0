/**
 * Lanes: readers on virtual sockets that stall, crawl, change their topics and come back, while the
 * market runs. Whatever happens, each topic's stream is whole or its gaps are declared, in order and
 * without a message twice, and each book is the server's. Seeds of faults that were found stay below.
 */

import { describe, expect, test } from 'bun:test';

import { decodeFrame, decodeTextFrame, isFault, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from '../../protocol/codec'; // prettier-ignore
import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Book, Instrument, MarketEvent, Message } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/session';
import type { SessionLimits } from '../../src/broadcast/session-limits';
import { LocalBook } from '../../src/client/local-book';
import { instrument } from '../support/feed';
import { readSeed } from '../support/seed';
import { socketWith } from '../support/sockets';
import { asMessage, SCALES } from '../support/stream-client';

const SYMBOLS = ['A', 'B', 'C'];
const CHANNELS = ['tick', 'trade', 'bbo', 'book', 'stats', 'bar'] as const;
const LIMITS: SessionLimits = {
  outboxBytesMax: 4_000,
  staleMs: 100,
  tradeAgeMs: 300,
  lagMs: 50,
  pongMs: 60_000,
  controlMs: 60_000,
  controlMessagesMax: 100_000,
};

/** What goes in: trades with their ticks, quotes, books. */
class Flow {
  seq = 0;
  readonly books = new Map<string, { bids: number[]; asks: number[] }>();
  private readonly heads = new Map<string, number>();
  private readonly random: Prng;
  private readonly clock: ManualClock;

  constructor(random: Prng, clock: ManualClock) {
    this.random = random;
    this.clock = clock;
  }

  definitions(): Instrument[] {
    return SYMBOLS.map((s) => ({ ...(asMessage(instrument(s)) as Instrument), seq: ++this.seq }));
  }

  batch(): MarketEvent[] {
    const events: MarketEvent[] = [];
    for (let i = this.random.int(1, 8); i > 0; i--) {
      events.push(...this.some(SYMBOLS[this.random.int(0, SYMBOLS.length - 1)]!));
    }
    const last = new Map<string, Book>();
    for (const event of events) if (event.type === 'book') last.set(event.symbol, event);
    for (const [symbol, book] of last) {
      const { bids, asks } = this.books.get(symbol)!;
      book.crc = bookChecksum(bids, asks);
    }
    return events;
  }

  private place(topic: string) {
    const prevSeq = this.heads.get(topic) ?? 0;
    const seq = ++this.seq;
    this.heads.set(topic, seq);
    const now = this.clock.now();
    return { seq, prevSeq, eventTime: now, receiveTime: now };
  }

  private some(symbol: string): MarketEvent[] {
    const price = 100 + this.random.int(-5, 5);
    switch (this.random.int(0, 3)) {
      case 0:
        return [
          { type: 'trade', symbol, ...this.place(`trade:${symbol}`), price, quantity: 1, aggressor: 'buy', tradeId: 0 }, // prettier-ignore
          { type: 'tick', symbol, ...this.place(`tick:${symbol}`), last: price, bid: null, ask: null, quantity: 1, volume: 9, count: 1 }, // prettier-ignore
        ];
      case 1:
        return [{ type: 'bbo', symbol, ...this.place(`bbo:${symbol}`), bid: price, bidQuantity: 1, ask: null, askQuantity: 0, count: 1 }]; // prettier-ignore
      default:
        return [this.book(symbol)];
    }
  }

  private book(symbol: string): Book {
    const before = this.books.get(symbol);
    const side = (from: number, step: number): number[] =>
      Array.from({ length: this.random.int(0, 10) }, (_, i) => [from + step * (i + 1), this.random.int(1, 9)]).flat(); // prettier-ignore
    const after = { bids: side(100, -1), asks: side(100, 1) };
    this.books.set(symbol, after);
    const opening = { type: 'book' as const, symbol, ...this.place(`book:${symbol}`), crc: null, count: 1 }; // prettier-ignore
    if (before === undefined || this.random.chance(0.05)) return { ...opening, form: 'snapshot', ...after }; // prettier-ignore
    const [bids, asks] = [diffLevels(before.bids, after.bids, 'bid'), diffLevels(before.asks, after.asks, 'ask')]; // prettier-ignore
    return { ...opening, form: 'delta', bids, asks };
  }
}

/** A reader that takes so many frames at a time, and answers pings in their place between them. */
class Reader {
  readonly session: Session;
  readonly native = new Set<string>();
  readonly topics = new Map<string, { seq: number; isNew: boolean }>();
  readonly books = new Map<string, LocalBook>();
  readonly gaps: { topic: string; count: number }[] = [];
  /** Topics by request, until its answer is there. */
  readonly asked = new Map<number, string[]>();
  readonly counts = new Map<string, number>();
  conflated = 0;
  /** On its way: frames, and null for a ping. */
  private readonly pipe: (string | Uint8Array | null)[] = [];
  private readonly clock: ManualClock;
  private pipeBytes = 0;

  constructor(broadcaster: Broadcaster, clock: ManualClock, text: boolean) {
    this.clock = clock;
    const socket = socketWith({
      send: (data) => {
        this.put(data);
        return 1;
      },
      ping: () => this.pipe.push(null),
      getBufferedAmount: () => this.pipeBytes,
      subscribe: (topic) => void this.native.add(topic),
      unsubscribe: (topic) => void this.native.delete(topic),
    });
    const form = text ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
    this.session = new Session('r', form, socket, broadcaster.encoders, LIMITS);
    broadcaster.sessions.add(this.session);
  }

  put(data: string | Uint8Array): void {
    this.pipe.push(data);
    this.pipeBytes += data.length;
  }

  /** Reads so many frames. */
  read(frames: number): void {
    while (this.pipe.length > 0 && frames > 0) {
      const next = this.pipe.shift()!;
      if (next === null) {
        this.session.pong(this.clock.monotonicMs());
        continue;
      }
      frames -= 1;
      this.pipeBytes -= next.length;
      const items =
        typeof next === 'string' ? decodeTextFrame(next, () => SCALES) : decodeFrame(next);
      for (const item of items) {
        if (isFault(item)) throw new Error(item.message);
        this.take(item);
      }
    }
  }

  get isIdle(): boolean {
    return this.pipe.length === 0;
  }

  private take(m: Message): void {
    if (m.type === 'gap') {
      const known = this.topics.get(m.topic);
      expect(m.from).toBeGreaterThan(known!.seq);
      expect(m.to).toBeGreaterThanOrEqual(m.from);
      known!.seq = m.to;
      this.gaps.push({ topic: m.topic, count: m.count });
      this.counts.set(m.topic, (this.counts.get(m.topic) ?? 0) + m.count);
      return;
    }
    if (m.type === 'ack') this.asked.delete(m.id);
    if (!('prevSeq' in m) || m.type === 'execution') return;
    const topic = topicOf(m)!;
    const known = this.topics.get(topic);
    if (known === undefined) throw new Error(`${topic} is not subscribed`);
    if (known.isNew) {
      known.isNew = false; // state, or what follows it [S5]
    } else {
      // [T5]: what is old is dropped (a state that was asked for anew); [D8] a bar's end repeats its place.
      if (m.seq < known.seq || (m.seq === known.seq && m.type !== 'bar')) return;
      // A state that was asked for anew is what the reader goes on from.
      const isAsked = [...this.asked.values()].some((topics) => topics.includes(topic));
      if (m.prevSeq !== 0 && !isAsked) expect([topic, m.prevSeq]).toEqual([topic, known.seq]);
    }
    known.seq = m.seq;
    if ('count' in m) {
      if (m.count > 1 && m.type !== 'stats' && m.type !== 'bar') this.conflated += 1;
      this.counts.set(topic, (this.counts.get(topic) ?? 0) + m.count);
    } else this.counts.set(topic, (this.counts.get(topic) ?? 0) + 1);
    if (m.type !== 'book') return;
    let book = this.books.get(m.symbol);
    if (book === undefined) this.books.set(m.symbol, (book = new LocalBook()));
    expect(book.apply(m)).toBe('applied');
  }
}

class World {
  readonly random: Prng;
  readonly clock = new ManualClock();
  readonly readers: Reader[] = [];
  readonly flow: Flow;
  readonly broadcaster: Broadcaster;
  private id = 0;

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.flow = new Flow(this.random, this.clock);
    const publish = (topic: string, data: string | Uint8Array): void => {
      for (const reader of this.readers) if (reader.native.has(topic)) reader.put(data);
    };
    this.broadcaster = new Broadcaster({ topicsMax: 1_000, sessionBoundary: 0 }, { publish }, this.clock); // prettier-ignore
    this.push(this.flow.definitions());
    for (let i = 0; i < 10; i++) this.push(this.flow.batch());
  }

  push(events: MarketEvent[]): void {
    this.broadcaster.accept({ lastSeq: this.flow.seq, events, executions: [] });
  }

  enter(): Reader {
    const reader = new Reader(this.broadcaster, this.clock, this.random.chance(0.3));
    this.readers.push(reader);
    return reader;
  }

  subscribe(reader: Reader, intervalMs = 0): void {
    const topics = CHANNELS.flatMap((c) => SYMBOLS.map((s) => (c === 'bar' ? `bar:${s}:1s` : `${c}:${s}`))).filter(() => this.random.chance(0.4)); // prettier-ignore
    if (topics.length === 0) return;
    for (const topic of topics) {
      if (!reader.topics.has(topic)) reader.topics.set(topic, { seq: 0, isNew: true });
    }
    reader.asked.set(++this.id, topics);
    expect(
      this.broadcaster.subscriptions.subscribe(reader.session, this.id, topics, intervalMs),
    ).toBeUndefined();
  }

  step(): void {
    if (this.random.chance(0.8)) this.push(this.flow.batch());
    if (this.random.chance(0.5)) this.clock.set(this.clock.now().plus(this.random.int(1, 80) * 1_000_000)); // prettier-ignore
    if (this.random.chance(0.5)) this.broadcaster.look();
    for (const reader of this.readers) {
      if (this.random.chance(0.3)) reader.read(this.random.int(1, 3));
      if (this.random.chance(0.03)) reader.read(Infinity);
      if (this.random.chance(0.02)) this.subscribe(reader, this.random.chance(0.3) ? 40 : 0);
    }
  }

  /** Everybody reads to the end. */
  settle(): void {
    for (let i = 0; i < 400; i++) {
      this.clock.set(this.clock.now().plus(50_000_000));
      this.broadcaster.look();
      for (const reader of this.readers) reader.read(Infinity);
    }
  }
}

function run(seed: number): { lagged: number; conflated: number; gaps: number; dropped: number } {
  const world = new World(seed);
  for (let i = world.random.int(1, 4); i > 0; i--) world.subscribe(world.enter());
  for (let i = world.random.int(50, 400); i > 0; i--) world.step();
  world.settle();
  for (const reader of world.readers) {
    expect([seed, reader.isIdle, reader.session.isLagging]).toEqual([seed, true, false]);
    for (const [symbol, book] of reader.books) {
      const truth = world.flow.books.get(symbol)!;
      expect([seed, symbol, book.bids, book.asks]).toEqual([seed, symbol, truth.bids, truth.asks]);
    }
    // The head of each topic was told, whatever was conflated or dropped before it.
    for (const [topic] of reader.session.topics) {
      const known = reader.topics.get(topic.name)!;
      if (!known.isNew)
        expect([seed, topic.name, known.seq]).toEqual([seed, topic.name, topic.head]);
    }
    const declared = reader.gaps.reduce((sum, { count }) => sum + count, 0);
    expect([seed, declared]).toEqual([seed, reader.session.counters.dropped]);
  }
  const { lagged, dropped } = world.broadcaster.lanes;
  return {
    lagged,
    dropped,
    conflated: world.readers.reduce((sum, r) => sum + r.conflated, 0),
    gaps: world.readers.reduce((sum, r) => sum + r.gaps.length, 0),
  };
}

/** `TAPEDECK_SIM_RUNS=10000` for a long run by hand. */
const RUNS = Number(Bun.env['TAPEDECK_SIM_RUNS'] ?? 150);

describe('readers of every pace', () => {
  test(`are told everything or what they miss: ${RUNS} runs`, () => {
    const seed = readSeed();
    const sum = { lagged: 0, conflated: 0, gaps: 0, dropped: 0 };
    for (let i = 0; i < RUNS; i++) {
      const one = run(seed + i);
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += one[key];
    }
    // Each way was gone.
    for (const [what, count] of Object.entries(sum))
      expect([what, count > 0]).toEqual([what, true]);
  }, 600_000);
});
