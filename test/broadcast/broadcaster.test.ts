/**
 * Broadcaster over virtual sockets: random batches, subscriptions and departures. After each step, every message of
 * every session is checked against § 3 to § 5 of the protocol.
 */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import {
  decodeFrame,
  decodeTextFrame,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from '../../protocol/codec';
import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Book, Instrument, MarketEvent, Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import type { Scales } from '../../protocol/units';
import { Prng } from '../../src/base/prng';
import { ManualClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import type { Socket } from '../../src/broadcast/sessions/socket';
import { LocalBook } from '../../src/client/local-book';
import { instrument } from '../support/feed';
import { asMessage, SCALES } from '../support/stream-client';
import { LIMITS, socketWith } from '../support/sockets';

const CHANNELS = ['tick', 'trade', 'bbo', 'book'] as const;
const SYMBOLS = ['A', 'B', 'C', 'D'];
const TIMES = { eventTime: Nanos.fromMillis(1), receiveTime: Nanos.fromMillis(2) };

/** The input: dense sequence numbers, a chain for each topic, books of up to ten levels. */
class Flow {
  seq = 0;
  readonly defined: string[] = [];
  private readonly heads = new Map<string, number>();
  private readonly books = new Map<string, { bids: number[]; asks: number[] } | null>();
  private readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  batch(): MarketEvent[] {
    const events: MarketEvent[] = [];
    if (this.defined.length < SYMBOLS.length && this.random.chance(0.15))
      events.push(this.define());
    for (let i = this.random.int(0, 6); i > 0 && this.defined.length > 0; i--) {
      events.push(this.event(this.defined[this.random.int(0, this.defined.length - 1)]!));
    }
    // The checksum of the last book of a batch proves the levels.
    const last = new Map<string, Book>();
    for (const event of events) if (event.type === 'book') last.set(event.symbol, event);
    for (const [symbol, book] of last) {
      const levels = this.books.get(symbol);
      if (levels) book.crc = bookChecksum(levels.bids, levels.asks);
    }
    return events;
  }

  private define(): Instrument {
    const symbol = SYMBOLS[this.defined.length]!;
    this.defined.push(symbol);
    return { ...(asMessage(instrument(symbol)) as Instrument), seq: ++this.seq };
  }

  private nextPosition(topic: string) {
    const prevSeq = this.heads.get(topic) ?? 0;
    const seq = ++this.seq;
    this.heads.set(topic, seq);
    return { seq, prevSeq, ...TIMES };
  }

  private event(symbol: string): MarketEvent {
    switch (this.random.int(0, 5)) {
      case 0:
        return {
          type: 'trade',
          symbol,
          ...this.nextPosition(`trade:${symbol}`),
          price: 100,
          quantity: 1,
          aggressor: 'buy',
          tradeId: 0,
          timing: null,
        };
      case 1:
        return {
          type: 'tick',
          symbol,
          ...this.nextPosition(`tick:${symbol}`),
          last: 100,
          bid: null,
          ask: 101,
          quantity: 1,
          volume: 9,
          count: 1,
        };
      case 2:
        return {
          type: 'bbo',
          symbol,
          ...this.nextPosition(`bbo:${symbol}`),
          bid: 99,
          bidQuantity: 1,
          ask: null,
          askQuantity: 0,
          count: 1,
          mark: null,
        };
      case 3:
        return {
          type: 'status',
          symbol,
          ...this.nextPosition('status'),
          state: 'live',
          reason: 'test',
          missed: 0,
          events: null,
        };
      default:
        return this.book(symbol);
    }
  }

  private book(symbol: string): Book {
    const before = this.books.get(symbol) ?? null;
    const common = {
      type: 'book',
      symbol,
      ...this.nextPosition(`book:${symbol}`),
      crc: null,
      count: 1,
      mark: null,
    } as const;
    if (before !== null && this.random.chance(0.1)) {
      this.books.set(symbol, null);
      return { ...common, form: 'incomplete', bids: [], asks: [] };
    }
    const bids = this.side(100, -1);
    const asks = this.side(101, 1);
    this.books.set(symbol, { bids, asks });
    if (before === null) return { ...common, form: 'snapshot', bids, asks };
    const changes = {
      bids: diffLevels(before.bids, bids, 'bid'),
      asks: diffLevels(before.asks, asks, 'ask'),
    };
    return { ...common, form: 'delta', ...changes };
  }

  private side(best: number, sign: 1 | -1): number[] {
    const levels: number[] = [];
    let price = best;
    for (let i = this.random.int(0, 10); i > 0; i--) {
      levels.push(price, this.random.int(1, 5));
      price += sign * this.random.int(1, 3);
    }
    return levels;
  }
}

/** A reader that knows only what it asked for and checks everything it gets. */
class Reader {
  readonly session: Session;
  readonly socket: Socket;
  readonly native = new Set<string>();
  readonly received: Message[] = [];
  readonly topics = new Set<string>();
  readonly wildcards = new Set<string>();
  private readonly known = new Map<string, Scales>();
  private readonly heads = new Map<string, number>();
  private readonly books = new Map<string, LocalBook>();
  /** True until the `ack` arrives: messages before it are state. */
  asking = false;
  private ackSeq = 0;

  constructor(name: string, text: boolean, broadcaster: Broadcaster) {
    this.socket = socketWith({
      send: (data) => {
        this.take(data);
        return 1;
      },
      subscribe: (topic) => void this.native.add(topic),
      unsubscribe: (topic) => void this.native.delete(topic),
    });
    const form = text ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
    this.session = new Session(name, form, this.socket, broadcaster.encoders, LIMITS);
    broadcaster.enter(this.session);
  }

  take(data: string | Uint8Array): void {
    const frame =
      typeof data === 'string'
        ? decodeTextFrame(data, (symbol) => this.known.get(symbol) ?? SCALES)
        : decodeFrame(data);
    for (const message of frame) {
      if (isFault(message)) throw new Error(message.message);
      this.received.push(message);
      this.judge(message);
    }
  }

  private judge(m: Message): void {
    if (m.type === 'instrument') {
      const isNew = !this.asking && !this.known.has(m.symbol);
      this.known.set(m.symbol, m);
      if (isNew) for (const channel of this.wildcards) this.topics.add(`${channel}:${m.symbol}`);
    } else if (m.type === 'ack') {
      this.asking = false;
      this.ackSeq = m.seq;
    } else if (m.type === 'heartbeat') {
      for (const head of m.heads) this.heartbeat(head.topic, head.seq);
    } else if ('prevSeq' in m) {
      this.market(m as Exclude<MarketEvent, Instrument>);
    }
  }

  private market(m: Exclude<MarketEvent, Instrument>): void {
    const topic = topicOf(m)!;
    expect(this.topics).toContain(topic);
    if (m.type !== 'status') expect(this.known.has(m.symbol)).toBe(true); // [N4]
    const head = this.heads.get(topic);
    if (!this.asking && head !== undefined) {
      expect(m.prevSeq).toBe(head); // [T5]
    } else if (!this.asking) {
      expect(m.prevSeq).toBeLessThanOrEqual(this.ackSeq); // [S5]
    }
    if (!this.asking) expect(m.seq).toBeGreaterThan(head ?? 0);
    this.heads.set(topic, m.seq);
    if (m.type === 'book') this.book(topic, m);
  }

  private book(topic: string, m: Book): void {
    const copy = this.books.get(topic) ?? new LocalBook();
    this.books.set(topic, copy);
    expect(copy.apply(m)).toBe(m.form === 'incomplete' ? 'incomplete' : 'applied'); // [B7]
  }

  /** [T7] a head above the newest received message would be a loss. */
  private heartbeat(topic: string, seq: number): void {
    expect(this.topics).toContain(topic);
    if (seq > this.ackSeq) expect(this.heads.get(topic)).toBe(seq);
  }

  left(topic: string): void {
    this.topics.delete(topic);
    this.heads.delete(topic);
    this.books.delete(topic);
  }
}

/** A broadcaster with virtual sockets; the test steers everything that happens to it. */
class World {
  readonly readers: Reader[] = [];
  readonly flow: Flow;
  readonly broadcaster: Broadcaster;
  private readonly random: Prng;
  private id = 0;

  constructor(seed: number) {
    this.random = new Prng(seed);
    this.flow = new Flow(this.random);
    const native = {
      publish: (topic: string, data: string | Uint8Array<ArrayBuffer>) => {
        for (const reader of this.readers) if (reader.native.has(topic)) reader.take(data);
      },
    };
    const clock = new ManualClock(Nanos.ZERO);
    this.broadcaster = new Broadcaster({ topicsMax: 1000, sessionBoundary: 0 }, native, clock);
  }

  step(): void {
    switch (this.random.int(0, 9)) {
      case 0:
        if (this.readers.length < 6) this.enter();
        return;
      case 1:
        return this.leave();
      case 2:
      case 3:
        return this.subscribe();
      case 4:
        return this.unsubscribe();
      case 5:
        return this.broadcaster.heartbeats.sendAll();
      default:
        return this.push();
    }
  }

  push(): void {
    const events = this.flow.batch();
    const batch = { epoch: 1, lastSeq: this.flow.seq, events, executions: [] };
    this.broadcaster.accept(batch);
  }

  enter(text = this.random.chance(0.5)): Reader {
    const reader = new Reader(`r${++this.id}`, text, this.broadcaster);
    this.readers.push(reader);
    return reader;
  }

  private leave(): void {
    const at = this.random.int(0, 20);
    const reader = this.readers[at];
    if (reader === undefined) return;
    this.readers.splice(at, 1);
    this.broadcaster.leave(reader.session);
  }

  private someTopics(): string[] {
    return Array.from({ length: this.random.int(1, 4) }, () => {
      const channel = CHANNELS[this.random.int(0, 3)]!;
      const pick = this.random.int(0, 7);
      if (pick === 0) return 'status';
      if (pick === 1) return `${channel}:*`;
      return `${channel}:${SYMBOLS[this.random.int(0, 3)]!}`;
    });
  }

  private someReader(): Reader | undefined {
    return this.readers[this.random.int(0, Math.max(0, this.readers.length - 1))];
  }

  private expand(topic: string): string[] {
    if (!topic.endsWith(':*')) return [topic];
    return this.flow.defined.map((symbol) => topic.replace('*', symbol));
  }

  private subscribe(): void {
    const reader = this.someReader();
    if (reader === undefined) return;
    const topics = this.someTopics();
    const unknown = topics.some(
      (t) => !t.endsWith('*') && t !== 'status' && !this.flow.defined.includes(t.split(':')[1]!),
    );
    const before = new Set(reader.topics);
    if (!unknown)
      for (const topic of topics.flatMap((t) => this.expand(t))) reader.topics.add(topic);
    reader.asking = true;
    const count = reader.received.length;
    const fault = this.broadcaster.subscriptions.subscribe(reader.session, ++this.id, topics, 0);
    expect(fault?.code).toBe(unknown ? 'unknown-symbol' : (undefined as never));
    if (unknown) {
      reader.asking = false;
      expect(reader.received.length).toBe(count); // [S2] the refused request changed nothing
      expect(reader.topics).toEqual(before);
      return;
    }
    expect(reader.asking).toBe(false);
    expect(reader.received.at(-1)).toMatchObject({
      type: 'ack',
      seq: this.broadcaster.numberings.at(0).lastSeq,
    });
    for (const topic of topics)
      if (topic.endsWith(':*')) reader.wildcards.add(topic.split(':')[0]!);
  }

  private unsubscribe(): void {
    const reader = this.someReader();
    if (reader === undefined) return;
    const [topic] = this.someTopics() as [string];
    const fault = this.broadcaster.subscriptions.unsubscribe(reader.session, [topic]);
    if (fault !== undefined) {
      expect(['not-subscribed', 'unknown-symbol']).toContain(fault.code);
      return;
    }
    for (const one of this.expand(topic)) reader.left(one);
    if (topic.endsWith(':*')) reader.wildcards.delete(topic.split(':')[0]!);
  }
}

describe('broadcaster', () => {
  test('every stream keeps its promises under random actions [T5] [T7] [S2] … [S8] [B2] [B7]', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = new World(seed);
        for (let i = 0; i < 120; i++) world.step();
        // Sessions that left are not counted.
        for (const reader of world.readers)
          expect(reader.session.topics.size).toBe(reader.topics.size);
      }),
      { numRuns: 150 },
    );
  }, 60_000);

  test('a session that left is no longer counted, and nothing is encoded when no session is left', () => {
    const world = new World(1);
    while (world.flow.defined.length < 2) world.push();
    const [a, b] = [world.enter(false), world.enter(true)];
    for (const reader of [a, b]) {
      for (const topic of ['tick:A', 'trade:A', 'book:A']) reader.topics.add(topic);
      reader.asking = true;
      world.broadcaster.subscriptions.subscribe(
        reader.session,
        1,
        ['tick:A', 'trade:A', 'book:A'],
        0,
      );
    }
    a.session.gone();
    b.session.gone();
    expect([a.session.topics.size, b.session.topics.size]).toEqual([0, 0]);
    world.readers.length = 0;
    const published: string[] = [];
    Object.assign(world.broadcaster, {
      native: { publish: (topic: string) => void published.push(topic) },
    });
    for (let i = 0; i < 50; i++) world.push();
    expect(published.filter((topic) => !topic.endsWith(':instrument'))).toEqual([]);
  });

  test('[S2] a request for more topics than allowed is refused and changes nothing', () => {
    const world = new World(2);
    while (world.flow.defined.length < 4) world.push();
    const small = new Broadcaster(
      { topicsMax: 4, sessionBoundary: 0 },
      { publish: () => {} },
      new ManualClock(Nanos.ZERO),
    );
    small.hydrate(
      SYMBOLS.map((s, i) => ({ ...(asMessage(instrument(s)) as Instrument), seq: i + 1 })),
      4,
    );
    const reader = new Reader('r', false, small);
    for (const symbol of SYMBOLS) reader.topics.add(`book:${symbol}`);
    expect(small.subscriptions.subscribe(reader.session, 1, ['book:*'], 0)).toBeUndefined();
    expect(small.subscriptions.subscribe(reader.session, 2, ['status'], 0)).toMatchObject({
      code: 'too-many-topics',
    });
    expect(
      small.subscriptions.subscribe(reader.session, 3, ['book:A', 'book:*'], 0),
    ).toBeUndefined();
    expect(reader.session.topics.size).toBe(4);
  });
});
