/** Cursor: conflated messages lead a reader that is behind to the same bars, books and marks [S9]. */

import { describe, expect, test } from 'bun:test';

import { bookChecksum } from '../../protocol/checksum';
import { diffLevels } from '../../protocol/levels';
import type { Bar, Bbo, Book, Message, MessageOf } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { Cursor } from '../../src/broadcast/backlog/cursor';
import { type BacklogCounters } from '../../src/broadcast/topics/counters';
import { MirroredInstrument, type TopicState } from '../../src/broadcast/topics/mirror';
import { ENDS_MAX } from '../../src/broadcast/topics/topic-log';
import { LocalBook } from '../../src/client/local-book';
import { BarReader, BarStream } from '../support/bar-stream';
import { asMessage } from '../support/stream-client';
import { instrument } from '../support/feed';
import { readSeed } from '../support/seed';
import type { Instrument } from '../../protocol/messages';

const ROOM = 1_000_000;
const RUNS = 60;

/** Reads a topic at random times, as a session that is behind does. */
class Behind {
  readonly counters: BacklogCounters = { conflated: 0, dropped: 0, gaps: 0 };
  private readonly cursor: Cursor;

  constructor(topic: TopicState, bytesMax = ROOM) {
    const log = topic.read(bytesMax);
    log.keep(Number.MAX_SAFE_INTEGER);
    this.cursor = new Cursor(topic, log, 0);
  }

  take(): Message[] {
    const messages: Message[] = [];
    if (this.cursor.isBehind) this.cursor.takeConflated(messages, this.counters);
    return messages;
  }
}

/** @param bytesMax limit of the log @returns how many messages were replaced by others */
function readBars(seed: number, bytesMax: number): number {
  const random = new Prng(seed);
  const stream: BarStream = new BarStream(random, (m) => stream.topic.log!.append([m], 0));
  const behind = new Behind(stream.topic, bytesMax);
  const reader = new BarReader();
  for (let i = 0; i < 120; i++) {
    stream.batch();
    if (!random.chance(i === 119 ? 1 : 0.1)) continue;
    const taken = behind.take() as Bar[];
    for (const message of taken) reader.take(message);
    expect(new Set(taken.map(({ openTime }) => openTime.seconds)).size).toBe(taken.length);
    // The newest bar is the open one, whichever bars were revised.
    const bars = stream.bars();
    const newest = Math.max(...bars.keys());
    expect([seed, i, reader.newest!.openTime.seconds]).toEqual([seed, i, newest]);
    expect(reader.newest).toMatchObject(bars.get(newest)!);
    expect(reader.last).toBe(stream.topic.head);
    expect([seed, i, reader.naive()]).toEqual([seed, i, bars]);
    expect(reader.counted).toBe(stream.trades - stream.pastTrades);
    for (const [open, { final }] of reader.bars) expect(final || open === newest).toBe(true);
    const seqs = taken.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  }
  return behind.counters.conflated;
}

describe('[S9] revised bars', () => {
  test('[D9] of each bar the newest state is kept, in the order of seq', () => {
    const seed = readSeed();
    let conflated = 0;
    for (let i = 0; i < RUNS; i++) conflated += readBars(seed + i, ROOM);
    expect(conflated).toBeGreaterThan(RUNS * 20);
  });

  test('the final states of bars are kept when everything else has left the log', () => {
    const seed = readSeed();
    for (let i = 0; i < RUNS; i++) readBars(seed + i, 600);
  });

  test('[D9] a gap is sent first where more bars ended than the server keeps', () => {
    const seed = readSeed();
    const random = new Prng(seed);
    const stream: BarStream = new BarStream(random, (m) => stream.topic.log!.append([m], 0));
    const behind = new Behind(stream.topic, 600);
    const reader = new BarReader();
    stream.batch();
    for (const message of behind.take()) reader.take(message as Bar);
    const before = reader.last;
    while (stream.bars().size < ENDS_MAX + 50) for (let i = 0; i < 100; i++) stream.batch();
    const [gap, ...rest] = behind.take() as [MessageOf<'gap'>, ...Bar[]];
    expect(gap).toMatchObject({
      type: 'gap',
      topic: 'bar:AAA:1s',
      from: before + 1,
      reason: 'slow-reader',
    });
    reader.last = gap.to;
    for (const message of rest) reader.take(message);
    const bars = stream.bars();
    const newest = Math.max(...bars.keys());
    const lacking = [...bars].filter(([open, bar]) => {
      const own = reader.bars.get(open);
      return own?.trades !== bar.trades || (!own.final && open !== newest);
    });
    // Something is missing, and all of it lies before the end of the gap.
    expect(lacking.length).toBeGreaterThan(0);
    expect(gap.count).toBeGreaterThanOrEqual(lacking.length);
    expect(behind.counters).toMatchObject({ gaps: 1, dropped: gap.count });
    expect(rest.length).toBeGreaterThan(ENDS_MAX / 2);
    // The gap is declared once.
    stream.batch();
    expect(behind.take().map(({ type }) => type)).not.toContain('gap');
  });
});

describe('[S9] [B9] marks', () => {
  test('the marks of a book and of a bbo are those of its newest message', () => {
    const seed = readSeed();
    for (let i = 0; i < RUNS; i++) readMarks(seed + i);
  });
});

function readMarks(seed: number): void {
  const random = new Prng(seed);
  const mirrored = new MirroredInstrument(asMessage(instrument('AAA')) as Instrument, 0);
  const { book: bookTopic, bbo: bboTopic } = mirrored.topics;
  const books = new Behind(bookTopic);
  const quotes = new Behind(bboTopic);
  const copy = new LocalBook();
  const market = new MarkedMarket(random);
  let mark: Bbo['mark'] | undefined;
  for (let i = 0; i < 150; i++) {
    const book = market.book();
    mirrored.applyBook(book);
    bookTopic.head = book.seq;
    bookTopic.log!.append([book], 0);
    const bbo = market.bbo();
    bboTopic.head = bbo.seq;
    bboTopic.log!.append([bbo], 0);
    if (!random.chance(0.2)) continue;
    for (const message of books.take())
      expect(copy.apply(message as Book)).toBe(market.isWhole ? 'applied' : 'incomplete');
    for (const message of quotes.take()) ({ mark } = message as Bbo);
    expect([seed, i, copy.mark, mark]).toEqual([
      seed,
      i,
      market.isWhole ? market.mark : null,
      market.mark,
    ]);
    expect([copy.bids, copy.asks]).toEqual([market.bids, []]);
  }
}

/** A market whose book source disconnects and reconnects. */
class MarkedMarket {
  mark: Book['mark'] = null;
  isWhole = false;
  bids: number[] = [];
  private readonly random: Prng;
  private seq = 0;
  private readonly heads = { book: 0, bbo: 0 };

  constructor(random: Prng) {
    this.random = random;
  }

  book(): Book {
    const { random, isWhole, bids: before } = this;
    const head = this.head('book');
    if (isWhole && random.chance(0.1)) {
      this.isWhole = false;
      this.mark = null;
      this.bids = [];
      return {
        type: 'book',
        ...head,
        form: 'incomplete',
        bids: [],
        asks: [],
        crc: null,
        count: 1,
        mark: null,
      };
    }
    this.isWhole = true;
    // A change of the mark alone is an empty delta.
    const isMark = isWhole && random.chance(0.3);
    this.mark = isMark ? (random.chance(0.5) ? 'stale' : 'recovered') : null;
    if (!isMark) this.bids = [100, random.int(1, 9)];
    const bids = isWhole ? diffLevels(before, this.bids, 'bid') : this.bids;
    const crc = bookChecksum(this.bids, []);
    return {
      type: 'book',
      ...head,
      form: isWhole ? 'delta' : 'snapshot',
      bids,
      asks: [],
      crc,
      count: 1,
      mark: this.mark,
    };
  }

  bbo(): Bbo {
    return {
      type: 'bbo',
      ...this.head('bbo'),
      bid: 100,
      bidQuantity: 1,
      ask: null,
      askQuantity: 0,
      count: 1,
      mark: this.mark,
    };
  }

  private head(channel: 'book' | 'bbo') {
    const prevSeq = this.heads[channel];
    this.heads[channel] = this.seq += 1;
    return {
      symbol: 'AAA',
      seq: this.seq,
      prevSeq,
      eventTime: Nanos.ZERO,
      receiveTime: Nanos.ZERO,
    };
  }
}
