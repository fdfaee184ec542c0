/**
 * Replays of real journals: what was published is sent again, what is missing is declared, and
 * books match their checksums.
 */

import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import type { Book, Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent, Snapshot } from '../../protocol/records';
import type { Nanos } from '../../protocol/time';
import { topicOf } from '../../protocol/topics';
import { Prng } from '../../src/base/prng';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { bookStates } from '../history/naive-answers';
import { expire, takeOut, Written, type Hole, type Profile } from '../history/written';
import { ScratchDirectory } from '../support/scratch-directory';
import { deep } from '../support/tier';
import { asPushed, isOfTopics, replay, ReplayedReader, type Replayed } from './replays';

setDefaultTimeout(120_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 300, stepsBack: 0.1 },
  { symbol: 'AHEAD', weight: 100, aheadSeconds: 9_000_000 },
  { symbol: 'QUIET', weight: 5 },
];
const SYMBOLS = PROFILES.map(({ symbol }) => symbol);
const CHANNELS = ['tick', 'trade', 'bbo', 'book'];
const ALL = CHANNELS.map((channel) => `${channel}:*`);
const SEEDS = fc.integer({ min: 0, max: 1_000_000 });
/** Replays records 468 to 1,356, all of which are missing (fast-check seed 377347342, path 9). */
const RANGE_WITHIN_A_HOLE = 236_634;

async function written(prng: Prng, count: number): Promise<Written> {
  const all = new Written(scratch.fresh(), prng, PROFILES);
  await all.write(count);
  return all;
}

function readerOf(all: Written): PlaybackReader {
  return new PlaybackReader(all.path);
}

function pushedOf(events: readonly BatchEvent[], topics: readonly string[]): Message[] {
  return events.flatMap((e) => asPushed(e) ?? []).filter((m) => isOfTopics(m, topics));
}

/** Holds a journal open; otherwise it would be read as an immutable file. */
function beingWritten(path: string): Database {
  const db = new Database(path);
  db.run('PRAGMA journal_mode = WAL');
  db.run('PRAGMA user_version = 2');
  return db;
}

function randomTopics(prng: Prng): string[] {
  if (prng.chance(0.3)) return ALL.filter(() => prng.chance(0.7)).concat('tick:BUSY');
  const topics = CHANNELS.flatMap((c) => SYMBOLS.map((s) => `${c}:${s}`));
  return topics.filter(() => prng.chance(0.4)).concat('book:BUSY');
}

function withoutDefinitions(messages: readonly Message[]): Message[] {
  return messages.filter(({ type }) => type !== 'instrument');
}

describe('a complete journal', () => {
  test('is replayed for any topics in order, message by message', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await written(prng, 6_000);
        await all.close();
        const reader = readerOf(all);
        for (const topics of [ALL, randomTopics(prng), randomTopics(prng)]) {
          const replayed = replay(reader, topics, { isText: prng.chance(0.3) });
          expect(withoutDefinitions(replayed.messages)).toEqual(pushedOf(all.events, topics));
          const newest = (frame: readonly Message[]): number =>
            Math.max(...frame.map((m) => ('seq' in m ? m.seq : 0)));
          const [opening, ...seqs] = replayed.chunks.flatMap((chunk) => chunk.seqs);
          expect(opening).toBe(0);
          expect(seqs).toEqual(replayed.frames.slice(1).map(newest));
        }
        // Between two sequence numbers: books begin as they were then, and match their checksums.
        const fromSeq = prng.int(2, all.lastSeq);
        const toSeq = prng.int(fromSeq, all.lastSeq);
        const replayed = replay(reader, ALL, { fromSeq, toSeq });
        expect(replayed.opened).toMatchObject({ fromSeq, toSeq, gaps: [] });
        const inside = (m: Message): boolean => 'seq' in m && m.seq >= fromSeq;
        expect(withoutDefinitions(replayed.messages).filter(inside)).toEqual(
          pushedOf(all.events, ALL).filter((m) => inside(m) && 'seq' in m && m.seq <= toSeq),
        );
        expectBooks(all, replayed);
        for (const symbol of SYMBOLS) {
          const before = bookStates(all.events, symbol).findLast(
            ({ event }) => event.seq < fromSeq,
          );
          const opening = replayed.messages.find(
            (m): m is Book => m.type === 'book' && m.symbol === symbol && m.seq < fromSeq,
          );
          expect(opening?.seq).toBe(before?.event.seq);
          if (opening !== undefined) {
            const form = before!.levels === null ? 'incomplete' : 'snapshot';
            expect(opening).toMatchObject({ form, prevSeq: 0, ...before!.levels });
          }
        }
        reader.close();
      }),
      { numRuns: deep(6, 3) },
    );
  });

  test('by time: from the first record at or after the start to the last at or before the end', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await written(prng, 3_000);
        await all.close();
        const reader = readerOf(all);
        for (let i = 0; i < 20; i++) {
          const topics = randomTopics(prng);
          const of = pushedOf(all.events, topics).filter((m) => 'eventTime' in m);
          const time = (): Nanos => of[prng.int(0, of.length - 1)]!.eventTime;
          const [from, to] = [time(), time()];
          const { opened, messages } = replay(reader, topics, { from, to });
          const first = of.find((m) => m.eventTime.compare(from) >= 0)!.seq;
          const last = of.findLast((m) => m.eventTime.compare(to) <= 0)!.seq;
          expect(opened).toMatchObject({ fromSeq: first, toSeq: last });
          const inside = (m: Message): boolean => 'prevSeq' in m && m.seq >= first;
          const wanted = of.filter((m) => m.seq >= first && m.seq <= last);
          expect(messages.filter(inside)).toEqual([...wanted] as Message[]);
        }
        reader.close();
      }),
      { numRuns: deep(6, 3) },
    );
  });

  test('timed: due times never decrease, a frame is a slice, and the speed divides them', async () => {
    const all = await written(new Prng(11), 3_000);
    await all.close();
    const reader = readerOf(all);
    const topics = ['trade:BUSY', 'book:BUSY'];
    const real = replay(reader, topics, { speed: 100 });
    const fast = replay(reader, topics, { speed: 1_000 });
    expect(real.messages).toEqual(fast.messages);
    expect(real.messages).toEqual(replay(reader, topics).messages);
    const dueOf = ({ chunks }: Replayed): number[] => chunks.flatMap(({ atMs }) => atMs);
    const due = dueOf(real);
    expect(due).toEqual(due.toSorted((a, b) => a - b));
    expect(due.at(-1)! / dueOf(fast).at(-1)!).toBeCloseTo(10, 1);
    // Each message is due by the latest time so far, at most one slice after its frame.
    const first = real.messages.find((m) => 'eventTime' in m)!.eventTime;
    let latestMs = 0;
    for (const [i, frame] of real.frames.entries()) {
      for (const m of frame) {
        if (!('eventTime' in m)) continue;
        latestMs = Math.max(latestMs, m.eventTime.since(first) / 1e6);
        expect(latestMs).toBeGreaterThan(due[i]! - 0.001);
        expect(latestMs).toBeLessThan(due[i]! + 5.001);
      }
    }
    reader.close();
  });

  test('a chunk is bounded, whatever there is to send and however little fits', async () => {
    const all = await written(new Prng(5), 30_000);
    await all.close();
    const reader = readerOf(all);
    for (const topics of [ALL, ['trade:QUIET']]) {
      const { chunks } = replay(reader, topics);
      for (const { bytes } of chunks) expect(bytes.length).toBeLessThan(400_000);
      if (topics === ALL) expect(chunks.length).toBeGreaterThan(5);
    }
    reader.close();
  });
});

/** Every book of the reader of a replay equals that of the market. */
function expectBooks(all: Written, replayed: Replayed): ReplayedReader {
  const reader = new ReplayedReader(replayed.opened.fromSeq);
  for (const message of replayed.messages) reader.take(message);
  const truth = new Map(SYMBOLS.map((symbol) => [symbol, bookStates(all.events, symbol)]));
  for (const { symbol, seq, levels } of reader.states) {
    const known = truth.get(symbol)!.findLast(({ event }) => event.seq <= seq);
    expect({ symbol, seq, levels }).toEqual({ symbol, seq, levels: known!.levels });
  }
  return reader;
}

/** Some end at a snapshot, as a hole does behind which the state is written. */
function randomHoles(prng: Prng, events: readonly BatchEvent[]): Hole[] {
  const holes: Hole[] = [];
  for (let from = prng.int(10, 900); from < events.length; from += prng.int(1, 1_500)) {
    let to = Math.min(events.length, from + prng.int(0, prng.chance(0.2) ? 1_200 : 60));
    const snapshot = events.findIndex((e) => e.seq >= to && e.type === 'snapshot');
    if (snapshot > 0 && prng.chance(0.5)) to = snapshot;
    holes.push({ from, to, reason: prng.chance(0.7) ? 'disk' : 'queue-full' });
    from = to + 1;
  }
  return holes;
}

/**
 * The sequence numbers that a replay must send: all that exist; changes of a book only while its
 * state is known.
 */
function sendable(
  all: Written,
  holes: readonly Hole[],
  range: Hole,
  topics: readonly string[],
  opening: ReadonlyMap<string, number>,
): Set<number> {
  const isThere = ({ seq }: { seq: number }): boolean =>
    seq >= range.from && seq <= range.to && !holes.some(({ from, to }) => seq >= from && seq <= to);
  const seqs = new Set<number>();
  const books = new Map<string, { isKnown: boolean }>();
  const whole = (e: Book | Snapshot): boolean => e.type === 'snapshot' || e.form !== 'delta';
  for (const event of all.events) {
    const { symbol } = event;
    if (event.type !== 'book' && event.type !== 'snapshot') {
      const pushed = asPushed(event);
      if (pushed !== undefined && isOfTopics(pushed, topics) && isThere(event)) seqs.add(event.seq);
      continue;
    }
    if (event.seq > range.to) continue;
    if (event.seq < range.from) {
      if (event.type === 'book') books.set(symbol, { isKnown: opening.get(symbol) === event.seq });
      continue;
    }
    const book = books.get(symbol) ?? { isKnown: true };
    books.set(symbol, book);
    if (isThere(event)) {
      if (whole(event)) book.isKnown = true;
      if (event.type === 'book' && book.isKnown && isOfTopics(event, topics)) seqs.add(event.seq);
    } else if (event.type === 'book') book.isKnown = false;
  }
  return seqs;
}

function expectDeclared(
  all: Written,
  holes: readonly Hole[],
  replayed: Replayed,
  topics: readonly string[],
  isFull = true,
): void {
  const { fromSeq, toSeq } = replayed.opened;
  const range = { from: fromSeq, to: toSeq, reason: '' };
  const reader = expectBooks(all, replayed);
  const received = new Map(reader.received.map((m) => [`${topicOf(m)} ${m.seq}`, m]));
  const before = replayed.messages.filter((m): m is Book => m.type === 'book' && m.seq < fromSeq);
  const opening = new Map(before.map(({ symbol, seq }) => [symbol, seq]));
  const must = sendable(all, holes, range, topics, opening);
  let receivedCount = 0;
  for (const event of all.events) {
    const pushed = asPushed(event);
    if (pushed === undefined || !isOfTopics(pushed, topics)) continue;
    if (event.seq < fromSeq || event.seq > toSeq) continue;
    const topic = topicOf(pushed)!;
    const own = received.get(`${topic} ${event.seq}`);
    const isGap = reader.gaps.some(
      (g) => g.topic === topic && event.seq >= g.from && event.seq <= g.to,
    );
    const isRepeated = own?.type === 'book' && own.prevSeq === own.seq;
    if (own !== undefined && !isRepeated) {
      expect(own).toEqual(pushed as typeof own);
      expect(isGap).toBe(false);
      receivedCount += 1;
    } else {
      expect({ topic, seq: event.seq, isGap }).toEqual({ topic, seq: event.seq, isGap: true });
      if (isFull)
        expect({ topic, seq: event.seq, must: must.has(event.seq) }).toEqual({
          topic,
          seq: event.seq,
          must: false,
        });
    }
  }
  // If the range lies within a hole, there is nothing to send.
  if (must.size > 0) expect(receivedCount).toBeGreaterThan(0);
}

describe('a journal with gaps', () => {
  test('each topic is complete or its gaps are declared; everything that exists is sent', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await written(prng, 5_000);
        await all.close();
        const holes = randomHoles(prng, all.events);
        takeOut(all.path, holes);
        const reader = readerOf(all);
        for (let i = 0; i < 4; i++) {
          const topics = i === 0 ? ALL : randomTopics(prng);
          const fromSeq = i < 2 ? 1 : prng.int(2, all.lastSeq >> 1);
          const toSeq = i < 2 ? all.lastSeq : prng.int(fromSeq + 500, all.lastSeq);
          const replayed = replay(reader, topics, { fromSeq, toSeq });
          const concerned = holes.filter(({ from, to }) => to >= fromSeq && from <= toSeq);
          expect(replayed.opened.gaps).toEqual(concerned);
          expectDeclared(all, holes, replayed, topics);
        }
        reader.close();
      }),
      { numRuns: deep(12, 4), examples: [[RANGE_WITHIN_A_HOLE]] },
    );
  });

  test('a crash: the market continues from its state before, which no chain reveals, so every topic is sent the gap', async () => {
    const prng = new Prng(3);
    const all = await written(prng, 2_000);
    const hole = all.crash(300);
    await all.write(2_000);
    await all.close();
    const reader = readerOf(all);
    const { gaps } = replay(reader, ALL).opened;
    expect(gaps).toEqual([hole]);
    for (const topics of [ALL, ['trade:QUIET', 'book:AHEAD'], ['book:BUSY']]) {
      const replayed = replay(reader, topics);
      const received = replayed.messages.filter((m): m is MessageOf<'gap'> => m.type === 'gap');
      const names =
        topics === ALL ? CHANNELS.flatMap((c) => SYMBOLS.map((s) => `${c}:${s}`)) : topics;
      expect(received.map((m) => m.topic).sort()).toEqual(names.toSorted());
      for (const gap of received)
        expect(gap).toMatchObject({ from: hole.from, to: hole.to, reason: 'not-journaled' });
      // What was lost is void, so the truth is the rest.
      const kept = all.events.filter(({ seq }) => seq < hole.from || seq > hole.to);
      const pushed = pushedOf(kept, topics);
      const messages = withoutDefinitions(replayed.messages).filter((m) => m.type !== 'gap');
      expect(messages).toEqual(pushed as typeof messages);
    }
    reader.close();
  });

  test('after retention: what is left, with a gap before it', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await written(prng, 6_000);
        await all.close();
        const to = expire(all.path, prng.int(1, 4));
        const reader = readerOf(all);
        const hole = { from: 1, to, reason: 'retention' };
        for (const fromSeq of [1, prng.int(2, to), prng.int(to, to + 500)]) {
          const topics = randomTopics(prng);
          const replayed = replay(reader, topics, { fromSeq, toSeq: all.lastSeq });
          expectDeclared(all, [hole], replayed, topics);
        }
        reader.close();
      }),
      { numRuns: deep(8, 4) },
    );
  });

  test('records that are deleted during the replay are declared missing', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await written(prng, 20_000);
        const holes = prng.chance(0.5) ? [] : randomHoles(prng, all.events).slice(0, 6);
        await all.close();
        takeOut(all.path, holes);
        const { path } = all;
        const db = beingWritten(path);
        const reader = readerOf(all);
        const topics = prng.chance(0.5) ? ALL : randomTopics(prng);
        let blocks = 0;
        let chunks = 0;
        let gone = 0;
        const replayed = replay(reader, topics, { toSeq: all.lastSeq }, () => {
          chunks += 1;
          if (chunks % 2 === 0 || blocks >= 12) return;
          blocks += 4;
          gone = expire(path, 4);
        });
        const lost = gone === 0 ? [] : [{ from: 1, to: gone, reason: 'retention' }];
        expectDeclared(all, [...holes, ...lost], replayed, topics, false);
        const { received } = expectBooks(all, replayed);
        expect(received.at(-1)!.seq).toBeGreaterThan(gone);
        // A reader that resumes at its position needs all or nothing.
        const again = { toSeq: all.lastSeq, hasOpening: false, fromSeq: gone + 1 };
        expect(() => replay(reader, ALL, again, () => void expire(path, 4))).toThrow(
          'records-missing',
        );
        expect(reader.answer({ kind: 'replay-next', replay: 1 })).toMatchObject({
          code: 'history-failed',
        });
        reader.close();
        db.close();
      }),
      { numRuns: deep(5, 2) },
    );
  });
});
