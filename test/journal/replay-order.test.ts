/**
 * Replays of journals with holes of every kind: all topics together are in the order of sequence
 * numbers, each gap has the reason of its hole and contains nothing that was sent, and each book
 * equals a copy. The copies are built from the written events, and know nothing of the
 * implementation of replays.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import type { Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { topicOf } from '../../protocol/topics';
import { Prng } from '../../src/base/prng';
import { extract, type Extracted } from '../../src/journal/export/extract';
import { sentReason } from '../../src/journal/history/gaps';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { openReading, type JournalReading } from '../../src/journal/recover/reading';
import { bookStates, without, type BookState } from '../history/naive-answers';
import {
  alter,
  bordersOf,
  expire,
  takeOut,
  Written,
  type Hole,
  type Profile,
} from '../history/written';
import { ScratchDirectory } from '../support/scratch-directory';
import { deep } from '../support/tier';
import { asPushed, isOfTopics, replay, ReplayedReader, type Replayed } from './replays';

setDefaultTimeout(120_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 100 },
  { symbol: 'OTHER', weight: 60, stepsBack: 0.1 },
  { symbol: 'SLOW', weight: 20, books: 1.6 },
  { symbol: 'QUIET', weight: 2 },
];
const SYMBOLS = PROFILES.map(({ symbol }) => symbol);
const CHANNELS = ['tick', 'trade', 'bbo', 'book'];
const ALL = CHANNELS.map((channel) => `${channel}:*`);
const SEEDS = fc.integer({ min: 0, max: 1_000_000_000 });

interface Holed {
  readonly written: Written;
  /** In order. */
  readonly holes: readonly Hole[];
  /** The events that exist and are sound. */
  readonly kept: readonly BatchEvent[];
  /**
   * The ranges that a crash lost, in order: the market went on behind them as if they had never
   * been.
   */
  readonly crashed: readonly Hole[];
  /** The books of each symbol as the market had them, without what a crash lost. */
  readonly books: ReadonlyMap<string, readonly BookState[]>;
}

async function holed(prng: Prng): Promise<Holed> {
  const written = new Written(scratch.fresh(), prng, PROFILES);
  const holes: Hole[] = [];
  await written.write(prng.int(500, 2_500));
  for (let crashes = prng.int(0, 2); crashes > 0; crashes--) {
    holes.push(written.crash(prng.int(5, 80)));
    await written.write(prng.int(500, 2_000));
  }
  await written.close();
  const crashed = [...holes];
  const truth = without(written.events, crashed);
  const books = new Map(SYMBOLS.map((symbol) => [symbol, bookStates(truth, symbol)]));
  const taken = randomHoles(prng, written, holes);
  takeOut(written.path, taken);
  holes.push(...taken);
  const { path } = written;
  if (bordersOf(path).length > 2 && prng.chance(0.5)) {
    const to = expire(path, prng.int(1, Math.min(2, bordersOf(path).length / 2 - 1)));
    for (const [i, hole] of [...holes].entries())
      if (hole.to <= to) holes[i] = { from: 1, to: 0, reason: '' };
    for (const hole of holes.splice(0))
      if (hole.to >= hole.from) holes.push({ ...hole, from: Math.max(hole.from, to + 1) });
    holes.push({ from: 1, to, reason: 'retention' });
  }
  const borders = bordersOf(path);
  for (let i = prng.int(0, 2); i > 0; i--) {
    const seq = prng.int(borders[0]!, borders.at(-1)!);
    const event = without(written.events, holes).find((e) => e.seq >= seq);
    if (event === undefined) continue;
    const block = alter(path, event.seq);
    if (holes.some(({ from, reason }) => from === block.from && reason === block.reason)) continue;
    const inside = holes.filter(({ from, to }) => to >= block.from && from <= block.to);
    holes.push(...outside(block, inside));
  }
  holes.sort((a, b) => a.from - b.from);
  return { written, holes, kept: without(written.events, holes), crashed, books };
}

function randomHoles(prng: Prng, { events }: Written, known: readonly Hole[]): Hole[] {
  const holes: Hole[] = [];
  let at = 1;
  if (prng.chance(0.15)) {
    holes.push({ from: 1, to: prng.int(1, 300), reason: 'missing' });
    at = holes[0]!.to + 2;
  }
  for (let from = at + prng.int(5, 600); from < events.length; from += prng.int(2, 900)) {
    let to = Math.min(events.length, from + prng.int(0, prng.chance(0.2) ? 600 : 60));
    const snapshot = events.findIndex((e) => e.seq > to && e.type === 'snapshot');
    if (snapshot > 0 && prng.chance(0.5)) to = snapshot; // it follows the hole directly
    const hole = { from, to, reason: prng.chance(0.75) ? 'disk' : 'damage' };
    from = to + 1;
    if (!known.some((k) => k.from <= hole.to + 1 && k.to >= hole.from - 1)) holes.push(hole);
  }
  return holes;
}

function outside(block: Hole, holes: readonly Hole[]): Hole[] {
  const left: Hole[] = [];
  let { from } = block;
  for (const hole of holes.toSorted((a, b) => a.from - b.from)) {
    if (hole.from > from) left.push({ ...block, from, to: hole.from - 1 });
    from = Math.max(from, hole.to + 1);
  }
  if (from <= block.to) left.push({ ...block, from });
  return left;
}

function randomTopics(prng: Prng): string[] {
  if (prng.chance(0.4)) return ALL;
  const topics = CHANNELS.flatMap((c) => SYMBOLS.map((s) => `${c}:${s}`));
  return topics.filter(() => prng.chance(0.5)).concat('book:BUSY', 'trade:OTHER');
}

type Gap = MessageOf<'gap'>;

/** In the order of sequence numbers, all topics together. */
function expectOrder(messages: readonly Message[]): void {
  let last = 0;
  for (const m of messages) {
    if (!('seq' in m)) continue;
    expect(m.seq).toBeGreaterThan(last);
    last = m.seq;
  }
}

/** Each gap has the reason of its hole, and contains nothing that was sent. */
function expectGaps(
  all: Holed,
  gaps: readonly Gap[],
  sent: ReadonlyMap<string, Set<number>>,
): void {
  for (const gap of gaps) {
    const { topic, from, to, reason } = gap;
    const seqs = [...(sent.get(topic) ?? [])].filter((seq) => seq >= from && seq <= to);
    expect({ gap, seqs }).toEqual({ gap, seqs: [] });
    const met = all.holes.filter((hole) => hole.to >= from && hole.from <= to);
    // The changes of an incomplete book are missing for the reason of the hole before them that
    // took some.
    const before = all.holes.findLast(
      (hole) => hole.to < from && hole.reason !== 'crash' && tookOf(all, topic, hole),
    );
    const own = met.length > 0 || !topic.startsWith('book:') ? met : [before!].filter(Boolean);
    const reasons = own.map((hole) => sentReason(hole.reason));
    if (topic.startsWith('book:') && before !== undefined && met.length > 0) {
      // A gap may begin with changes that the previous hole made useless.
      const isFromBefore = !all.holes.some((hole) => hole.from <= from && hole.to >= from);
      if (isFromBefore) reasons.push(sentReason(before.reason));
    }
    expect({ gap, fits: reasons.includes(reason), reasons }).toEqual({ gap, fits: true, reasons });
    if (topic.startsWith('book:')) continue;
    const outer = met.filter((hole) => sentReason(hole.reason) === reason);
    const isWithin = outer.some((hole) => hole.from <= from && hole.to >= to);
    expect({ gap, isWithin }).toEqual({ gap, isWithin: true });
  }
}

function tookOf({ written }: Holed, topic: string, { from, to }: Hole): boolean {
  return written.events.some(
    (e) => e.seq >= from && e.seq <= to && `${e.type}:${e.symbol}` === topic,
  );
}

function expectBooks(all: Holed, reader: ReplayedReader): void {
  for (const { symbol, seq, levels } of reader.states) {
    const known = all.books.get(symbol)!.findLast(({ event }) => event.seq <= seq);
    expect({ symbol, seq, levels }).toEqual({ symbol, seq, levels: known!.levels });
  }
}

function expectComplete(
  all: Holed,
  replayed: Replayed,
  topics: readonly string[],
  gaps: readonly Gap[],
  sent: ReadonlyMap<string, Set<number>>,
): void {
  const { fromSeq, toSeq } = replayed.opened;
  for (const event of all.written.events) {
    const pushed = asPushed(event);
    if (pushed === undefined || !isOfTopics(pushed, topics)) continue;
    if (event.seq < fromSeq || event.seq > toSeq) continue;
    // No chain shows what a crash lost, and its note is gone with the records around it.
    if (isGoneTwice(all, event)) continue;
    const topic = topicOf(pushed)!;
    const isSent = sent.get(topic)?.has(event.seq) ?? false;
    const isGap = gaps.some((g) => g.topic === topic && event.seq >= g.from && event.seq <= g.to);
    expect({ topic, seq: event.seq, isSent, isGap }).toEqual({
      topic,
      seq: event.seq,
      isSent,
      isGap: !isSent,
    });
  }
}

function isGoneTwice({ crashed, holes }: Holed, { seq }: { seq: number }): boolean {
  const isIn = (list: readonly Hole[], reason: string): boolean =>
    list.some((hole) => hole.reason === reason && hole.from <= seq && hole.to >= seq);
  return isIn(crashed, 'crash') && !isIn(holes, 'crash');
}

function expectReplay(all: Holed, replayed: Replayed, topics: readonly string[]): void {
  const { fromSeq } = replayed.opened;
  const isOpening = (m: Message): boolean =>
    m.type === 'instrument' || ('seq' in m && m.seq < fromSeq);
  const start = replayed.messages.findIndex((m) => !isOpening(m));
  const messages = start < 0 ? [] : replayed.messages.slice(start);
  expectOrder(messages);
  const sent = new Map<string, Set<number>>();
  for (const m of messages) {
    const topic = m.type === 'gap' || m.type === 'instrument' ? undefined : topicOf(m);
    if (topic === undefined || !('seq' in m)) continue;
    if (!sent.has(topic)) sent.set(topic, new Set());
    sent.get(topic)!.add(m.seq);
  }
  const reader = new ReplayedReader(fromSeq);
  for (const message of replayed.messages) reader.take(message);
  expectGaps(all, reader.gaps, sent);
  expectBooks(all, reader);
  expectComplete(all, replayed, topics, reader.gaps, sent);
}

describe('holes of every reason', () => {
  test('a replay is in order, and declares each hole with its reason', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const prng = new Prng(seed);
        const all = await holed(prng);
        const reader = new PlaybackReader(all.written.path);
        for (let i = 0; i < 4; i++) {
          const topics = i === 0 ? ALL : randomTopics(prng);
          const fromSeq = i < 2 ? 1 : prng.int(2, all.written.lastSeq);
          const toSeq = i < 2 ? all.written.lastSeq : prng.int(fromSeq, all.written.lastSeq);
          expectReplay(all, replay(reader, topics, { fromSeq, toSeq }), topics);
        }
        reader.close();
      }),
      { numRuns: deep(25, 9), examples: [[300607615], [321605108], [782240789]] },
    );
  });

  test('a crash loses its records even if a checkpoint would be due with them', async () => {
    const written = new Written(scratch.fresh(), new Prng(1), PROFILES);
    await written.write(2_980);
    const crash = written.crash(80);
    // A checkpoint is due every 3,000 events.
    expect(crash.from).toBeLessThan(3_000);
    expect(crash.to).toBeGreaterThan(3_000);
    await written.write(300);
    await written.close();
    const kept = without(written.events, [crash]);
    const books = new Map(SYMBOLS.map((symbol) => [symbol, bookStates(kept, symbol)]));
    const reader = new PlaybackReader(written.path);
    const replayed = replay(reader, ALL);
    reader.close();
    expect(replayed.opened.gaps).toEqual([crash]);
    expectReplay({ written, holes: [crash], kept, crashed: [crash], books }, replayed, ALL);
  });

  test('so is an export of each kind', async () => {
    await fc.assert(
      fc.asyncProperty(SEEDS, async (seed) => {
        const all = await holed(new Prng(seed));
        const reading = openReading(all.written.directory) as JournalReading;
        for (const symbol of ['BUSY', 'SLOW']) {
          for (const kind of ['trade', 'tick', 'bbo', 'book'] as const) {
            const instrument = reading.instruments.find((each) => each.symbol === symbol)!;
            const given = [...extract(reading, { kind, instrument, from: null, to: null })].flat();
            expectExport(all, given, kind, symbol);
          }
        }
        reading.close();
      }),
      { numRuns: deep(12, 5) },
    );
  });
});

function expectExport(all: Holed, given: readonly Extracted[], kind: string, symbol: string): void {
  let last = 0;
  const seqs = new Set<number>();
  const gaps = given.filter((e) => e.type === 'gap');
  for (const e of given) {
    if (e.type === 'gap') {
      const holes = all.holes.filter((hole) => hole.from === e.from && hole.to === e.to);
      expect(holes.map(({ reason }) => reason)).toEqual([e.reason]);
      expect(e.from).toBeGreaterThan(last);
      last = e.to;
    } else if (e.type !== 'instrument') {
      // A whole book has the seq of the change that leads to it.
      const isWhole = e.type === 'book' && e.form !== 'delta' && e.prevSeq === 0;
      if (!isWhole) expect(e.seq).toBeGreaterThan(last);
      last = Math.max(last, e.seq);
      seqs.add(e.seq);
    }
  }
  const end = all.written.lastSeq;
  for (const e of all.kept) {
    if (e.type !== kind || e.symbol !== symbol || kind === 'book') continue;
    expect({ kind, seq: e.seq, isGiven: seqs.has(e.seq) }).toEqual({
      kind,
      seq: e.seq,
      isGiven: true,
    });
  }
  for (const e of all.written.events) {
    if (e.type !== kind || e.symbol !== symbol || e.seq > end || seqs.has(e.seq)) continue;
    if (kind === 'book' && all.kept.includes(e)) continue; // it is in the whole book behind it
    const isGap = gaps.some((gap) => gap.from <= e.seq && gap.to >= e.seq);
    expect({ kind, seq: e.seq, isGap }).toEqual({ kind, seq: e.seq, isGap: true });
  }
}
