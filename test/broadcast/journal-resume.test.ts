/** Resumes under every condition: complete and in order, or a reset; bounded under load; nothing is left behind. */

import { describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import { decodeFrame, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Fault } from '../../protocol/codes';
import type { Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { SHARE_CHUNKS, SHARE_IDLE_MS } from '../../src/broadcast/playback/playback';
import { Playbacks } from '../../src/broadcast/playback/playbacks';
import { Session } from '../../src/broadcast/sessions/session';
import { instrument, SYMBOL } from '../support/market-events';
import { LIMITS, socketWith } from '../support/sockets';
import { playbackLimits, SteeredPlaybacks, tradeAt } from './steered-playbacks';

setDefaultTimeout(60_000);

const EPOCH = 77;
const OPTIONS = { topicsMax: 10_000, sessionBoundary: 0 };

interface Reader {
  readonly session: Session;
  readonly received: Message[];
  /** How each resume ended. */
  readonly done: (Fault | undefined)[];
  resume(seq: number, more?: Partial<MessageOf<'resume'>>): void;
  pong(): boolean;
}

/** A broadcaster that keeps the newest events in memory, with a journal that the test steers. */
class Floor {
  readonly clock = new ManualClock();
  readonly source: SteeredPlaybacks;
  readonly playbacks: Playbacks;
  readonly broadcaster: Broadcaster;
  readonly readers: Reader[] = [];
  readonly events: BatchEvent[] = [{ ...instrument(), seq: 1 }];
  /** How many events in memory were scanned. */
  looked = 0;
  private readonly byNative = new Map<string, Set<Message[]>>();

  constructor(playbacksMax: number, framesMax: number, memory: number) {
    this.clock.advance(3_600e9); // a session has no current time until the server looks at it
    this.source = new SteeredPlaybacks(framesMax);
    this.playbacks = new Playbacks(this.source, playbackLimits(playbacksMax));
    const publish = (topic: string, data: string | Uint8Array): void => {
      for (const received of this.byNative.get(topic) ?? []) received.push(...messagesOf(data));
    };
    this.broadcaster = new Broadcaster(OPTIONS, { publish }, this.clock);
    const { subscriptions } = this.broadcaster;
    const numbering = this.broadcaster.numberings.at(0);
    numbering.epoch = EPOCH;
    subscriptions.playbacks = this.playbacks;
    numbering.since = (seq) => {
      const from = Math.max(0, this.events.length - memory);
      if (seq < from) return undefined;
      this.looked += this.events.length - seq;
      return [this.events.slice(seq)];
    };
    this.broadcaster.accept({ lastSeq: 1, events: this.events, executions: [] });
  }

  get lastSeq(): number {
    return this.events.length;
  }

  run(count: number): void {
    const events = Array.from({ length: count }, (_, i) => tradeAt(this.lastSeq + 1 + i));
    this.events.push(...events);
    this.broadcaster.accept({ lastSeq: this.lastSeq, events, executions: [] });
  }

  enter(limits = LIMITS): Reader {
    const received: Message[] = [];
    let pings = 0;
    let ponged = 0;
    const socket = socketWith({
      send: (data) => received.push(...messagesOf(data)),
      ping: () => (pings += 1),
      subscribe: (topic) => {
        const of = this.byNative.get(topic) ?? new Set();
        this.byNative.set(topic, of.add(received));
      },
      unsubscribe: (topic) => void this.byNative.get(topic)?.delete(received),
    });
    const { encoders, subscriptions } = this.broadcaster;
    const session = new Session(
      `s${this.readers.length}`,
      SUBPROTOCOL_MSGPACK,
      socket,
      encoders,
      limits,
    );
    this.broadcaster.enter(session);
    const done: (Fault | undefined)[] = [];
    const reader: Reader = {
      session,
      received,
      done,
      resume: (seq, more = {}) => {
        const request = {
          type: 'resume',
          id: 9,
          epoch: EPOCH,
          seq,
          topics: [`trade:${SYMBOL}`],
          newest: null,
          positions: null,
        } as const;
        const topics = more.topics ?? [...request.topics];
        subscriptions.resume(
          session,
          { ...request, ...more, topics },
          (refused) => void done.push(refused),
        );
      },
      pong: () => {
        if (ponged === pings) return false;
        ponged = pings;
        session.pong(this.clock.monotonicMs(), pings); // the pong also answers all earlier pings
        return true;
      },
    };
    this.readers.push(reader);
    return reader;
  }

  /** Lets everything happen that can happen without new market data. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 2;) {
      await new Promise((resolve) => setImmediate(resolve));
      let isMoving = this.source.asked.length > 0;
      await this.source.answerAll();
      for (const reader of this.readers) while (reader.pong()) isMoving = true;
      idle = isMoving ? 0 : idle + 1;
    }
  }
}

function messagesOf(data: string | Uint8Array): Message[] {
  return decodeFrame(data as Uint8Array).filter((m) => !isFault(m)) as Message[];
}

function seqsOf({ received }: Reader): number[] {
  return received.filter((m) => m.type === 'trade').map(({ seq }) => seq);
}

function fromTo(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

describe('many resumes at once', () => {
  test('from memory: eight a turn, each with as much as is allowed', async () => {
    const floor = new Floor(4, 500, 100_000);
    floor.run(5_000);
    const readers = Array.from({ length: 1_000 }, () => floor.enter());
    for (const reader of readers) reader.resume(4_500);
    const most = 8 * 500 + 8;
    expect(floor.looked).toBeLessThanOrEqual(most);
    while (readers.some(({ done }) => done.length === 0)) {
      floor.looked = 0;
      await new Promise((resolve) => setImmediate(resolve));
      expect(floor.looked).toBeLessThanOrEqual(most);
    }
    floor.run(3);
    await floor.settle();
    for (const reader of readers) expect(seqsOf(reader)).toEqual(fromTo(4_501, floor.lastSeq));
    expect(floor.source.requests).toEqual([]);
  });

  test('from the journal: a few at a time, the others in turn, while the market runs', async () => {
    const floor = new Floor(4, 400, 50);
    floor.run(600);
    const readers = Array.from({ length: 500 }, () => floor.enter());
    for (const reader of readers) reader.resume(100);
    for (let i = 0; readers.some(({ done }) => done.length === 0); i++) {
      if (i % 20 === 0 && floor.lastSeq < 800) floor.run(1);
      await new Promise((resolve) => setImmediate(resolve));
      await floor.source.answerAll();
      expect(floor.source.held.size).toBeLessThanOrEqual(4);
      for (const reader of readers) reader.pong();
    }
    await floor.settle();
    floor.run(2);
    await floor.settle();
    for (const reader of readers) {
      expect(seqsOf(reader)).toEqual(fromTo(101, floor.lastSeq));
      expect(reader.session.isNative).toBe(true);
    }
    expect(floor.playbacks.counts).toEqual({ open: 0, waiting: 0 });
  });
});

describe('many readers behind one address', () => {
  /**
   * Gives every answer and pong that is due, except pongs of the `standing` readers, and looks at sessions, until
   * the condition holds.
   */
  async function until(floor: Floor, isSo: () => boolean, standing: readonly Reader[] = []) {
    for (let lookedMs = 0; !isSo();) {
      await new Promise((resolve) => setImmediate(resolve));
      await floor.source.answer();
      for (const reader of floor.readers) if (!standing.includes(reader)) reader.pong();
      floor.playbacks.look((lookedMs += SHARE_IDLE_MS / 10));
      if (lookedMs > 1e6) throw new Error('nothing moves any more');
    }
  }
  const isDone = (reader: Reader): boolean => reader.done.length > 0;

  test('[R10] each is sent `queued` at once and after each heartbeat, is served in slices, and gets everything', async () => {
    const floor = new Floor(2, 20, 50);
    floor.run(700);
    const readers = Array.from({ length: 40 }, () => floor.enter());
    const starts = readers.map((_, i) => 5 + i);
    for (const [i, reader] of readers.entries()) reader.resume(starts[i]!);
    while (floor.playbacks.counts.waiting < 38)
      await new Promise((resolve) => setImmediate(resolve));
    const words = ({ received }: Reader) =>
      received.flatMap((m) => (m.type === 'queued' ? [m.ahead] : []));
    const behind = readers.slice(2);
    expect(behind.map((reader) => words(reader).length)).toEqual(behind.map(() => 1));
    floor.broadcaster.heartbeats.sendAll();
    floor.playbacks.notifyWaiting();
    for (const reader of behind) reader.pong();
    expect(behind.map((reader) => words(reader).at(-1))).toEqual(fromTo(0, 37));
    for (const { received } of behind)
      expect(received.map((m) => m.type)).toEqual(['queued', 'heartbeat', 'queued']);
    await until(floor, () => readers.some((reader) => seqsOf(reader).length > 0));
    floor.playbacks.notifyWaiting();
    await until(floor, () => readers.every(isDone));
    await floor.settle();
    for (const [i, reader] of readers.entries()) {
      expect(seqsOf(reader)).toEqual(fromTo(starts[i]! + 1, floor.lastSeq));
      const types = reader.received.map(({ type }) => type);
      expect(types.lastIndexOf('queued')).toBeLessThan(types.indexOf('instrument'));
    }
    // A turn has at most 20 chunks; what a reader has left after them is read in later turns.
    expect(floor.source.requests.length).toBeGreaterThan(40 * (600 / (20 * SHARE_CHUNKS)));
    expect(floor.playbacks.counts).toEqual({ open: 0, waiting: 0 });
  });

  test('[R10] a reader that got nothing in its turn waits for the next one and is sent `queued`', async () => {
    const floor = new Floor(1, 20, 50);
    floor.run(6 * 20 * SHARE_CHUNKS); // memory has the newest events: six turns each from the journal
    const readers = [floor.enter(), floor.enter()];
    for (const reader of readers) reader.resume(1, { topics: ['status'] });
    await until(floor, () => readers.every(isDone));
    const types = readers.map(({ received }) => received.map(({ type }) => type).join(' '));
    expect(types).toEqual([5, 6].map((turns) => `${'queued '.repeat(turns)}ack`));
    expect(floor.playbacks.counts).toEqual({ open: 0, waiting: 0 });
  });

  test('one that arrives late and missed little gets it within a few turns', async () => {
    const floor = new Floor(2, 20, 50);
    floor.run(700);
    for (let i = 0; i < 100; i++) floor.enter().resume(5);
    await until(floor, () => floor.source.requests.length > 20);
    const late = floor.enter();
    late.resume(floor.lastSeq - 70);
    const before = floor.source.requests.length;
    await until(floor, () => isDone(late));
    // It is second at the latest and gets everything in one turn; meanwhile others may begin another turn.
    expect(floor.source.requests.length - before).toBeLessThanOrEqual(5);
    expect(seqsOf(late)).toEqual(fromTo(floor.lastSeq - 69, floor.lastSeq));
    expect(floor.readers.filter(isDone).length).toBeLessThan(5);
    await floor.settle();
  });

  test('readers that read nothing release their slots, and continue later where they were', async () => {
    const floor = new Floor(2, 400, 50);
    floor.run(3_000);
    const standing = [floor.enter(), floor.enter()];
    for (const reader of standing) reader.resume(5);
    await until(floor, () => standing.every((reader) => seqsOf(reader).length > 0), standing);
    const readers = Array.from({ length: 10 }, () => floor.enter());
    for (const reader of readers) reader.resume(5);
    await until(floor, () => readers.every(isDone), standing);
    expect(standing.some(isDone)).toBe(false);
    expect(floor.source.held.size).toBeLessThanOrEqual(2);
    await floor.settle();
    for (const reader of floor.readers) expect(seqsOf(reader)).toEqual(fromTo(6, floor.lastSeq));
  });

  test('a resume keeps its slot, however slowly it reads, while nobody waits for the slot', async () => {
    const floor = new Floor(2, 400, 50);
    floor.run(3_000);
    const reader = floor.enter();
    reader.resume(5);
    for (let lookedMs = 0; !isDone(reader); lookedMs += 10 * SHARE_IDLE_MS) {
      await floor.source.answerAll();
      for (let i = 0; i < 3; i++) floor.playbacks.look(lookedMs + i * SHARE_IDLE_MS);
      reader.pong();
    }
    expect(floor.source.requests).toHaveLength(1);
    await floor.settle();
  });
});

describe('a resume from the journal', () => {
  test('is complete or ends in a reset with a reason, under random actions; nothing is left behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const prng = new Prng(seed);
        const floor = new Floor(prng.int(1, 2), prng.int(5, 60), prng.int(1, 80));
        floor.run(prng.int(100, 300));
        const readers = Array.from({ length: prng.int(1, 5) }, () => floor.enter());
        const fails = prng.chance(0.3);
        let lookedMs = 0;
        const seqsBefore = new Map<Reader, number>();
        const some = (): Reader => readers[prng.int(0, readers.length - 1)]!;
        const steps: (() => void | Promise<void>)[] = [
          () => {
            const reader = some();
            if (seqsBefore.has(reader) || reader.session.isGone) return;
            seqsBefore.set(reader, prng.int(1, floor.lastSeq));
            reader.resume(seqsBefore.get(reader)!);
          },
          () => floor.run(prng.int(1, 30)),
          () => floor.source.answerSome(prng, fails && prng.chance(0.1)),
          () => floor.source.answerSome(prng, false),
          () => void some().pong(),
          () => void some().pong(),
          () => new Promise((resolve) => setImmediate(resolve)),
          () => void (prng.chance(0.05) && some().session.gone()),
          // Not the clock of the sessions: by that they would count as slow.
          () => floor.playbacks.look((lookedMs += prng.int(0, 400))),
          () => floor.broadcaster.look(),
          () => floor.broadcaster.heartbeats.sendAll(),
        ];
        for (let i = 0; i < 150; i++) await steps[prng.int(0, steps.length - 1)]!();
        await floor.settle();
        floor.run(2);
        await floor.settle();
        expect(floor.playbacks.counts).toEqual({ open: 0, waiting: 0 });
        expect(floor.source.held.size).toBe(0);
        for (const [reader, positionBefore] of seqsBefore) {
          if (reader.session.isGone) continue;
          expect(reader.done).toEqual([undefined]);
          expect(reader.session.isNative).toBe(true);
          const reset = reader.received.find((m) => m.type === 'reset');
          const ack = reader.received.find((m) => m.type === 'ack')!;
          const seqs = seqsOf(reader);
          if (reset === undefined) expect(seqs).toEqual(fromTo(positionBefore + 1, floor.lastSeq));
          else {
            expect(['not-kept', 'too-slow']).toContain(reset.reason);
            expect(reset.seq).toBe(ack.seq);
            // What arrived before the reset is in order; live messages follow the answer.
            const before = seqs.filter((seq) => seq <= reset.seq);
            expect(before).toEqual(fromTo(positionBefore + 1, positionBefore + before.length));
            expect(seqs.slice(before.length)).toEqual(fromTo(ack.seq + 1, floor.lastSeq));
          }
          // The definition comes first, however the resume ends; only `queued` may come before it.
          const first = reader.received.findIndex(
            (m) => m.type !== 'queued' && m.type !== 'heartbeat',
          );
          expect(reader.received[first]).toMatchObject({
            type: 'instrument',
            symbol: SYMBOL,
            shard: null,
          });
          expect(reader.received.findLastIndex((m) => m.type === 'queued')).toBeLessThan(first);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('[R4] one that falls further behind in each round is sent the state instead', async () => {
    const floor = new Floor(1, 100_000, 10);
    floor.run(10_000);
    const reader = floor.enter({ ...LIMITS, outboxBytesMax: 16_384 }); // the window is four times that, for 1,000 trades
    reader.resume(5);
    let rounds = 0;
    while (reader.done.length === 0) {
      floor.run(2_000);
      rounds = floor.source.requests.length;
      await floor.source.answerAll();
      reader.pong();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await floor.settle(); // what waits for a slow reader, followed by its answer
    expect(rounds).toBeLessThan(10);
    expect(reader.received.find((m) => m.type === 'reset')).toMatchObject({
      reason: 'too-slow',
      topics: [`trade:${SYMBOL}`],
    });
    expect(floor.playbacks.counts).toEqual({ open: 0, waiting: 0 });
  });

  test('a session that has just connected does not count as one that stopped answering', async () => {
    const floor = new Floor(1, 10, 10);
    floor.run(500);
    const reader = floor.enter();
    reader.resume(5);
    await floor.source.answerAll();
    floor.broadcaster.look(); // before its pong
    expect(reader.session.isGone).toBe(false);
    await floor.settle();
    expect(seqsOf(reader)).toEqual(fromTo(6, floor.lastSeq));
  });

  test('[R3] events that the journal does not have are not skipped silently', async () => {
    const floor = new Floor(1, 10, 10);
    floor.run(500);
    floor.source.isBroken = true;
    const reader = floor.enter();
    reader.resume(5, { topics: [`trade:${SYMBOL}`, `tick:${SYMBOL}`] });
    await floor.settle();
    expect(reader.received.map((m) => m.type)).toEqual(['instrument', 'reset', 'ack']);
    expect(reader.received[1]).toMatchObject({ reason: 'not-kept', seq: floor.lastSeq });
  });

  test('[S6] a `*` also covers an instrument defined while the resume waits for its turn', async () => {
    const floor = new Floor(1, 10, 1_000);
    floor.run(10);
    for (let i = 0; i < 8; i++) floor.enter().resume(2); // the share of the turn
    const reader = floor.enter();
    reader.resume(2, { topics: ['trade:*'] });
    expect(reader.done).toEqual([]);
    const definition = { ...instrument('LATER'), seq: floor.lastSeq + 1 };
    floor.events.push(definition);
    floor.broadcaster.accept({ lastSeq: floor.lastSeq, events: [definition], executions: [] });
    await floor.settle();
    const trade = { ...tradeAt(floor.lastSeq + 1), symbol: 'LATER', prevSeq: 0 };
    floor.events.push(trade);
    floor.broadcaster.accept({ lastSeq: floor.lastSeq, events: [trade], executions: [] });
    expect(reader.received.at(-1)).toEqual(trade);
    expect(reader.received.filter((m) => 'seq' in m && m.seq === trade.seq)).toHaveLength(1);
  });
});
