/**
 * What a reader that resumes after a crash is sent: the gap, its whole books, and everything that follows.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';

import type { Book, Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { Prng } from '../../src/base/prng';
import { LocalBook } from '../../src/client/local-book';
import type { ReplayChunk } from '../../src/journal/playback/messages';
import { PlaybackReader } from '../../src/journal/playback/reader';
import { bookStates, isIn } from '../history/naive-answers';
import { Written, type Hole, type Profile } from '../history/written';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { asPushed, framesOf, isOfTopics, replay } from './replays';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 300 },
  { symbol: 'CALM', weight: 100 },
  { symbol: 'QUIET', weight: 5 },
];
const SYMBOLS = PROFILES.map(({ symbol }) => symbol);
const CHANNELS = ['tick', 'trade', 'bbo', 'book'];
const ALL = CHANNELS.map((channel) => `${channel}:*`);

/** A journal of three epochs, and the ranges that two crashes lost. */
async function crashedTwice(): Promise<{ all: Written; holes: readonly [Hole, Hole] }> {
  const all = new Written(scratch.fresh(), new Prng(4), PROFILES);
  await all.write(2_000);
  const first = all.crash(300);
  await all.write(1_500);
  const second = all.crash(200);
  await all.write(1_500);
  await all.close();
  return { all, holes: [first, second] };
}

function checkGaps(
  received: readonly Message[],
  { from, to }: Hole,
  names: readonly string[],
): void {
  const first = received.findIndex((m) => m.type === 'gap' && m.to === to);
  const gaps = received.slice(first, first + names.length) as MessageOf<'gap'>[];
  const gap = {
    type: 'gap',
    from,
    to,
    count: to - from + 1,
    reason: 'not-journaled',
    shard: null,
  };
  const inOrder = gaps.toSorted((a, b) => (a.topic < b.topic ? -1 : 1));
  expect(inOrder).toEqual(
    names.toSorted().map((topic) => Object.assign({}, gap, { topic })) as typeof gaps,
  );
  expect(received.slice(0, first).some((m) => 'seq' in m && m.seq > to)).toBe(false);
}

/** Checks that books are as before the crash, and that everything that follows continues them. */
function checkBooks(
  received: readonly Message[],
  { from, to }: Hole,
  names: readonly string[],
  kept: readonly BatchEvent[],
): void {
  const ofBooks = received.filter((m): m is Book => m.type === 'book');
  const whole = ofBooks.filter((m) => m.seq === to && m.prevSeq === to);
  const symbols = names.filter((name) => name.startsWith('book:')).map((name) => name.slice(5));
  expect(whole.map(({ symbol }) => symbol).sort()).toEqual(symbols.sort());
  for (const book of whole) {
    const before = bookStates(kept, book.symbol).findLast(({ event }) => event.seq < from)!;
    const { form, bids, asks } = book;
    const levels: unknown = form === 'incomplete' ? null : { bids, asks };
    expect(levels).toEqual(before.levels);
    const copy = new LocalBook();
    for (const m of ofBooks.slice(ofBooks.indexOf(book))) {
      if (m.symbol !== book.symbol) continue;
      expect(copy.apply(m)).toBe(m.form === 'incomplete' ? 'incomplete' : 'applied');
    }
  }
}

test.each([
  ['all', ALL, CHANNELS.flatMap((channel) => SYMBOLS.map((symbol) => `${channel}:${symbol}`))],
  ['few', ['trade:QUIET', 'book:CALM'], ['trade:QUIET', 'book:CALM']],
  ['one', ['book:BUSY', 'tick:BUSY'], ['book:BUSY', 'tick:BUSY']],
] as const)('[R5] of %s topics, each gap precedes what follows it', async (_, topics, names) => {
  const { all, holes } = await crashedTwice();
  const reader = new PlaybackReader(all.path);
  const kept = all.events.filter(({ seq }) => !holes.some((hole) => isIn(hole, seq)));
  for (const fromSeq of [holes[0].from - 700, holes[0].from]) {
    for (const isText of [false, true]) {
      const range = { hasOpening: false, fromSeq, toSeq: all.lastSeq, isText };
      const received = replay(reader, topics, range).messages.filter(
        ({ type }) => type !== 'instrument',
      );
      for (const hole of holes) {
        checkGaps(received, hole, names);
        checkBooks(received, hole, names, kept);
      }
      const isPushed = (m: Message): boolean => 'prevSeq' in m && m.prevSeq !== m.seq;
      const wanted = kept.filter(({ seq }) => seq >= fromSeq).flatMap((e) => asPushed(e) ?? []);
      expect(received.filter(isPushed)).toEqual(
        wanted.filter((m) => m.type !== 'instrument' && isOfTopics(m, topics)),
      );
    }
  }
  reader.close();
});

/**
 * A replay in parts: each ends at a border of a frame or a chunk, and the next continues behind it.
 */
function inSlices(
  reader: PlaybackReader,
  topics: readonly string[],
  range: { readonly fromSeq: number; readonly toSeq: number; readonly isText: boolean },
  framesMax: number,
  random: Prng,
): { messages: Message[]; slices: number } {
  const messages: Message[] = [];
  let { fromSeq } = range;
  for (let slices = 1; ; slices++) {
    const open = {
      kind: 'replay-open',
      replay: slices,
      topics,
      from: null,
      to: null,
      hasOpening: false,
      speed: 0,
    } as const;
    reader.answer({ ...open, ...range, fromSeq });
    const leave = random.int(1, framesMax);
    let frames = 0;
    let from: number | null = null;
    while (from === null) {
      const chunk = reader.answer({ kind: 'replay-next', replay: slices }) as ReplayChunk;
      const all = framesOf(chunk);
      expect(chunk.borders).toHaveLength(all.length);
      for (const [i, frame] of all.entries()) {
        messages.push(...frame);
        frames += 1;
        if (frames < leave || chunk.borders[i] === 0) continue;
        from = chunk.borders[i]! + 1;
        break;
      }
      if (from !== null) break;
      if (chunk.isLast) return { messages, slices };
      if (all.length === 0 && random.chance(0.5) && chunk.reached >= fromSeq)
        from = chunk.reached + 1;
    }
    reader.answer({ kind: 'replay-close', replay: slices });
    fromSeq = from;
  }
}

test.each([
  ['all', ALL],
  ['few', ['trade:QUIET', 'book:CALM']],
  ['one', ['book:BUSY', 'tick:BUSY']],
] as const)(
  '[R5] [R10] of %s topics, read in slices it is the same as in one',
  async (_, topics) => {
    const { all, holes } = await crashedTwice();
    const reader = new PlaybackReader(all.path);
    const seed = readSeed();
    const random = new Prng(seed);
    let sliced = 0;
    const step = deep(6, 18);
    const runs = deep(60, 10);
    for (let run = 0; run < runs; run++) {
      // So some frame ends within each crossing, whose middle is no border.
      const first = run === 0 ? holes[0].to : holes[0].from - run * step;
      const range = { fromSeq: first, toSeq: all.lastSeq, isText: run % 3 === 0 };
      const whole = replay(reader, topics, { hasOpening: false, ...range }).messages;
      const framesMax = run % 2 === 0 ? 1 : 8;
      const { messages, slices } = inSlices(reader, topics, range, framesMax, random);
      sliced += slices - 1;
      expect({ seed, messages }).toEqual({ seed, messages: [...whole] });
    }
    expect(sliced).toBeGreaterThan(0);
    reader.close();
  },
);
