/**
 * Lanes over real sockets: a market of some thousand events a second, readers that keep up and readers that take 50
 * kB/s. The former get everything. The latter get everything or a declaration of what they miss, books whose
 * checksums are right, and at the end, on the express lane again, the books of the server.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test';

import { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import { SystemClock } from '../../src/base/clock';
import { LocalBook } from '../../src/client/local-book';
import { generateMarket } from '../bench/generated-market';
import { PacedSocket } from '../bench/slow-reader-socket';
import { StreamClient } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const SYMBOLS = ['BTC', 'ETH', 'SOL'];
const TOPICS = ['tick', 'trade', 'bbo', 'book'].flatMap((c) => SYMBOLS.map((s) => `${c}:${s}`));
const EVENTS_PER_SECOND = 4_000;
const FRAME_EVENTS = 40;
// More than twice `lagMs` and `staleMs` below, otherwise nothing would be conflated.
const RUN_MS = 2_500;
const SLOW_BYTES_PER_SECOND = 50_000;

let server: ServerProcess;

beforeAll(async () => {
  // A busy machine may delay a fast reader for a while, which must not cause conflation.
  server = await ServerProcess.start({
    config: '[push]\nlagMs = 1000\nstaleMs = 1000\ntradeAgeMs = 1000\nheartbeatMs = 100',
  });
});
afterAll(() => server.remove());

/** A reader that checks what it receives. */
class Reader {
  readonly counts = new Map<string, number>();
  readonly books = new Map<string, LocalBook>();
  readonly faults: string[] = [];
  readonly socket: PacedSocket;
  conflated = 0;
  missed = 0;
  proven = 0;
  isSubscribed = false;
  /** Heads from heartbeats; a session that is behind gets none. */
  readonly heads = new Map<string, number>();
  readonly seqs = new Map<string, number>();

  constructor(bytesPerSecond: number) {
    this.socket = new PacedSocket(server.url, bytesPerSecond, (message) => this.take(message));
    this.socket.subscribe(TOPICS);
  }

  private take(m: Message): void {
    if (m.type === 'ack') this.isSubscribed = true;
    if (m.type === 'error' || m.type === 'closing') this.faults.push(JSON.stringify(m));
    if (m.type === 'heartbeat') for (const { topic, seq } of m.heads) this.heads.set(topic, seq);
    if (m.type === 'gap') {
      if (m.from <= (this.seqs.get(m.topic) ?? 0) || m.to < m.from)
        this.faults.push(`gap ${m.from}`);
      this.advance(m.topic, m.to, m.count);
      this.missed += m.count;
    }
    if (!('prevSeq' in m) || m.type === 'execution') return;
    const topic = topicOf(m)!;
    const known = this.seqs.get(topic) ?? m.prevSeq; // the topic had no state yet
    if (this.isSubscribed && m.prevSeq !== known)
      this.faults.push(`${topic}: ${m.seq} follows ${m.prevSeq}, not ${known}`);
    const count = 'count' in m ? m.count : 1;
    if (count > 1) this.conflated += 1;
    this.advance(topic, m.seq, count);
    if (m.type !== 'book') return;
    const book = this.books.get(m.symbol) ?? new LocalBook();
    this.books.set(m.symbol, book);
    const outcome = book.apply(m);
    if (outcome !== 'applied') this.faults.push(`${topic} at ${m.seq}: ${outcome}`);
    if (m.crc !== null) this.proven += 1;
  }

  private advance(topic: string, seq: number, count: number): void {
    this.seqs.set(topic, seq);
    // What came with the answer is older state.
    if (this.isSubscribed) this.counts.set(topic, (this.counts.get(topic) ?? 0) + count);
  }
}

test('fast readers get everything, slow ones everything or a declaration of what they miss, and recover', async () => {
  const events = generateMarket({
    symbols: SYMBOLS,
    events: (EVENTS_PER_SECOND * RUN_MS) / 1000,
    seed: 5,
    start: new SystemClock().now(),
  });
  const source = await StreamClient.open(server.url, undefined, {
    authorization: `Bearer ${PUBLISH_KEY}`,
  });
  const encoder = new FrameEncoder();
  const publish = (from: number, to: number): void =>
    source.raw(
      encoder.encode([
        { type: 'publish', id: from + 1, events: events.slice(from, to), continues: null },
      ]),
    );
  const opening = SYMBOLS.length * 2;
  publish(0, opening);
  await source.next('ack');

  const quick = Array.from({ length: 3 }, () => new Reader(Infinity));
  const slow = Array.from({ length: 3 }, () => new Reader(SLOW_BYTES_PER_SECOND));
  const all = [...quick, ...slow];
  await until(() => all.every(({ isSubscribed }) => isSubscribed), 'subscribed');

  // These readers are behind even if a busy machine slows the market down.
  for (const { socket } of slow) socket.pace(0);
  const startMs = performance.now();
  for (let i = opening; i < events.length; i += FRAME_EVENTS) {
    publish(i, Math.min(events.length, i + FRAME_EVENTS));
    const dueMs = startMs + ((i - opening) * 1000) / EVENTS_PER_SECOND;
    if (dueMs > performance.now()) await Bun.sleep(dueMs - performance.now());
  }
  const isAt = (reader: Reader): boolean =>
    reader.seqs.get('trade:BTC') === quick[0]!.seqs.get('trade:BTC');
  expect(slow.some(isAt)).toBe(false);
  await source.settle();
  for (const { socket } of slow) socket.pace(SLOW_BYTES_PER_SECOND);

  // Back on the express lane a heartbeat has the heads of all topics that have moved.
  const isThere = (r: Reader): boolean => TOPICS.every((t) => r.heads.get(t) === r.seqs.get(t));
  await until(() => quick.every(isThere), 'quick readers at the head');
  const [first] = quick;
  const isBack = (r: Reader): boolean =>
    TOPICS.every((t) => r.heads.get(t) === first!.heads.get(t));
  await until(() => slow.every(isBack), 'slow readers caught up');

  // New messages reach all of them.
  const one = events.findLast(({ type }) => type === 'trade')!;
  const before = first!.counts.get('trade:BTC')!;
  source.raw(
    encoder.encode([
      {
        type: 'publish',
        id: 1,
        events: [{ ...one, symbol: 'BTC', seq: 0, prevSeq: 0 } as typeof one],
        continues: null,
      },
    ]),
  );
  await until(() => all.every((r) => r.counts.get('trade:BTC') === before + 1), 'live');

  for (const symbol of SYMBOLS) {
    const made = events.filter((e) => e.type === 'trade' && e.symbol === symbol).length;
    expect(first!.counts.get(`trade:${symbol}`)).toBe(made + (symbol === 'BTC' ? 1 : 0));
  }
  for (const reader of all) {
    expect(reader.faults).toEqual([]);
    expect(reader.socket.closeCode).toBeUndefined();
    expect(Object.fromEntries(reader.counts)).toEqual(Object.fromEntries(first!.counts));
    expect(Object.fromEntries(reader.seqs)).toEqual(Object.fromEntries(first!.seqs));
    expect(reader.proven).toBeGreaterThan(10);
    for (const [symbol, { bids, asks, trusted }] of reader.books) {
      const truth = first!.books.get(symbol)!;
      expect([symbol, trusted, bids, asks]).toEqual([symbol, true, truth.bids, truth.asks]);
    }
  }
  for (const { conflated, missed } of quick) expect([conflated, missed]).toEqual([0, 0]);
  for (const { conflated, missed } of slow) {
    expect(conflated).toBeGreaterThan(0);
    expect(missed).toBeGreaterThan(0);
  }
  for (const { socket } of all) socket.end();
  await source.close();
}, 90_000);
