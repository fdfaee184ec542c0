/**
 * The past of a journal of many blocks: sparse instruments among busy ones, clocks years apart, times that step
 * back, and queries at the borders of blocks; compared with answers that scan everything.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { formatLevels } from '../../protocol/json';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import type { PastBook, PastPage } from '../../src/base/contracts/past';
import { HistoryReader } from '../../src/journal/history/reader';
import { at } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { bookStates, stateBy, ticksOf, timed, tradesOf } from './naive-answers';
import { bordersOf, Written, type Profile } from './written';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const YEAR = 365 * 86_400;
const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 400 },
  { symbol: 'FAST', weight: 400, aheadSeconds: 3 * YEAR },
  { symbol: 'LATE', weight: 150, stepsBack: 0.3 },
  { symbol: 'QUIET', weight: 4, aheadSeconds: -2 * YEAR, stepsBack: 0.2 },
  { symbol: 'RARE', weight: 1, aheadSeconds: 40 * YEAR },
  { symbol: 'TRADES', weight: 30, books: 0 },
  { symbol: 'BOOKS', weight: 30, books: 2 },
];
const SYMBOLS = PROFILES.map(({ symbol }) => symbol);
const END = Number.MAX_SAFE_INTEGER;

function pageOf(answer: unknown): PastPage & { seqs: number[] } {
  const page = answer as PastPage;
  if (!('items' in page)) throw new Error(JSON.stringify(answer));
  const seqs = (JSON.parse(page.items) as { seq: number }[]).map(({ seq }) => seq);
  expect(page).toMatchObject({ count: seqs.length, last: seqs.at(-1) ?? 0, gaps: [] });
  return { ...page, seqs };
}

/** Compares single answers with those of a full scan. */
class Checked {
  private readonly written: Written;
  private readonly reader: HistoryReader;

  constructor(written: Written) {
    this.written = written;
    this.reader = new HistoryReader(written.path);
  }

  book(symbol: string, pastTime: Nanos): void {
    const states = bookStates(this.written.events, symbol);
    const expected = stateBy(states, pastTime);
    const answer = this.reader.answer({ kind: 'book', symbol, at: pastTime });
    if (states.length === 0) expect(answer).toMatchObject({ code: 'no-data' });
    else if (expected === undefined) expect(answer).toMatchObject({ code: 'before-first-record' });
    else if (expected.levels === null) expect(answer).toMatchObject({ code: 'book-incomplete' });
    else {
      const definition = this.written.definitions.get(symbol)!;
      const { seq, eventTime } = expected.event;
      expect(answer as PastBook).toMatchObject({
        seq,
        eventTime: { hi: eventTime.hi, lo: eventTime.lo },
        bids: formatLevels(expected.levels.bids, definition),
        asks: formatLevels(expected.levels.asks, definition),
      });
    }
  }

  ticks(symbol: string, from: Nanos | null, to: Nanos | null, after: number, limit: number): void {
    const answer = this.reader.answer({ kind: 'ticks', symbol, from, to, after, limit });
    const expected = ticksOf(this.written.events, symbol, from, to).map(({ seq }) => seq);
    expect(pageOf(answer).seqs).toEqual(expected.filter((seq) => seq > after).slice(0, limit));
  }

  trades(symbol: string, before: number, limit: number): void {
    const answer = this.reader.answer({ kind: 'trades', symbol, before, limit });
    const expected = tradesOf(this.written.events, symbol, before).map(({ seq }) => seq);
    expect(pageOf(answer).seqs).toEqual(expected.slice(0, limit));
  }

  close(): void {
    this.reader.close();
  }
}

function around(pastTime: Nanos): Nanos[] {
  return [pastTime.plus(-1), pastTime, pastTime.plus(1)];
}

describe.each([
  ['twelve blocks and the records after them', 12_500, true],
  ['only what is in no block yet', 700, true],
  ['a journal at rest, all in blocks', 6_000, false],
])('%s', (_name, count, isOpen) => {
  const prng = new Prng(count);
  let written: Written;
  let checked: Checked;
  let borders: number[];
  beforeAll(async () => {
    written = new Written(scratch.fresh(), prng, PROFILES);
    await written.write(count);
    if (!isOpen) await written.close();
    checked = new Checked(written);
    borders = bordersOf(written.path);
  });
  afterAll(async () => {
    checked.close();
    if (isOpen) await written.close();
  });
  const anywhere = (): number => prng.int(1, written.lastSeq);

  test('has the expected blocks', () => {
    const inBlocks = isOpen
      ? Math.floor(written.lastSeq / 1_024)
      : Math.ceil(written.lastSeq / 1_024);
    expect(borders.length / 2).toBe(inBlocks);
  });

  test('books at any time', () => {
    for (const symbol of SYMBOLS) {
      const events = timed(written.events, symbol);
      for (let i = 0; i < 60; i++) {
        const pastTime = events[prng.int(0, events.length - 1)]?.eventTime ?? at(0);
        for (const beside of around(pastTime)) checked.book(symbol, beside);
      }
      for (const pastTime of [Nanos.ZERO, new Nanos(0x7fff_ffff, 0xffff_ffff)]) {
        checked.book(symbol, pastTime);
      }
    }
  });

  test('ticks and trades of any range', () => {
    for (const symbol of SYMBOLS) {
      const events = timed(written.events, symbol);
      const pastTime = (): Nanos => events[prng.int(0, events.length - 1)]?.eventTime ?? at(0);
      for (let i = 0; i < 60; i++) {
        const [a, b] = [pastTime(), pastTime().plus(prng.int(0, 1))];
        const [from, to] = a.compare(b) < 0 ? [a, b] : [b, a.plus(1)];
        const after = prng.chance(0.5) ? 0 : anywhere();
        const limit = prng.chance(0.5) ? 1_000 : prng.int(1, 30);
        checked.ticks(
          symbol,
          prng.chance(0.3) ? null : from,
          prng.chance(0.3) ? null : to,
          after,
          limit,
        );
        checked.trades(symbol, prng.chance(0.2) ? END : anywhere(), limit);
      }
    }
  });

  test('at the borders of blocks', () => {
    const seqs = [...borders, 1, written.lastSeq];
    for (const symbol of SYMBOLS) {
      for (const seq of seqs) {
        for (const beside of [seq - 1, seq, seq + 1]) {
          checked.ticks(symbol, null, null, Math.max(0, beside), 3);
          checked.trades(symbol, Math.max(1, beside), 3);
        }
        const event = written.events[seq - 1]!;
        if (event.type === 'instrument') continue;
        for (const beside of around(event.eventTime)) {
          checked.book(event.symbol, beside);
          checked.ticks(symbol, beside, null, 0, 3);
          checked.ticks(symbol, null, beside, 0, 1_000);
          checked.ticks(symbol, beside.plus(-1), beside, 0, 1_000);
        }
      }
    }
  });

  test('the whole of a topic, page by page', () => {
    for (const symbol of SYMBOLS) {
      checked.ticks(symbol, null, null, 0, 100_000);
      checked.trades(symbol, END, 100_000);
    }
  });
});

test.each([0, 1, 2])(
  'a tick in another block than its trade, with %i trades after it',
  async (more) => {
    const written = new Written(scratch.fresh(), new Prng(1), [{ symbol: 'EDGE', weight: 1 }]);
    for (const end of [1_023, 3_071, 4_095]) {
      while (written.lastSeq < end) written.addOne('quote', 'EDGE');
      written.addOne('trade', 'EDGE'); // the last record of a block, with its tick the first of the next
      for (let i = 0; i < more; i++) written.addOne('trade', 'EDGE');
    }
    await written.write(1_000);
    expect(bordersOf(written.path).slice(0, 3)).toEqual([1, 1_024, 1_025]);
    const checked = new Checked(written);
    for (const after of [0, 1_023, 1_024, 1_025, 1_026, 2_048, 3_071, 3_072, 3_073, 4_096, 4_097]) {
      checked.ticks('EDGE', null, null, after, 1_000);
      checked.trades('EDGE', after + 1, 1_000);
      const { eventTime } = timed(written.events, 'EDGE').find(({ seq }) => seq > after)!;
      for (const beside of around(eventTime)) {
        checked.ticks('EDGE', beside, beside.plus(1), 0, 10);
        checked.ticks('EDGE', beside, null, 0, 10);
      }
    }
    checked.close();
    await written.close();
  },
);

test('a cursor continues across blocks that are written meanwhile', async () => {
  const prng = new Prng(77);
  const written = new Written(scratch.fresh(), prng, PROFILES);
  await written.write(500);
  const reader = new HistoryReader(written.path);
  const seen = new Map(SYMBOLS.map((symbol) => [symbol, [] as number[]]));
  for (let turn = 0; turn < 60; turn++) {
    for (const [symbol, seqs] of seen) {
      const limit = prng.int(1, 60);
      const after = seqs.at(-1) ?? 0;
      const page = pageOf(
        reader.answer({ kind: 'ticks', symbol, from: null, to: null, after, limit }),
      );
      seqs.push(...page.seqs);
    }
    if (turn < 40) await written.write(prng.int(1, 300));
  }
  for (const [symbol, seqs] of seen) {
    const expected = ticksOf(written.events, symbol, null, null).map(({ seq }) => seq);
    expect(seqs).toEqual(expected.slice(0, seqs.length));
    if (symbol !== 'BUSY' && symbol !== 'FAST') expect(seqs.length).toBe(expected.length);
  }
  expect(bordersOf(written.path).length).toBeGreaterThan(10);
  reader.close();
  await written.close();
});

test.each(['ticks', 'trades'] as const)(
  '%s of a rare instrument: a page ends after a bounded number of blocks, and none is lost',
  async (kind) => {
    const written = new Written(scratch.fresh(), new Prng(9), PROFILES);
    await written.write(25_000);
    expect(bordersOf(written.path).length).toBeGreaterThan(20);
    const blocksMax = 3;
    for (const symbol of ['RARE', 'BOOKS', 'QUIET', 'FAST']) {
      // Another reader, which has proven no block yet.
      const reader = new HistoryReader(written.path);
      const seqs: number[] = [];
      let [pages, blocks] = [0, 0];
      for (let position = kind === 'ticks' ? 0 : END, isOver = false; !isOver; pages++) {
        const question =
          kind === 'ticks'
            ? { kind, symbol, from: null, to: null, after: position, limit: 1_000, blocksMax }
            : { kind, symbol, before: position, limit: 1_000, blocksMax };
        const page = reader.answer(question) as PastPage;
        for (const { seq } of JSON.parse(page.items) as { seq: number }[]) seqs.push(seq);
        // One more row may lie in another block.
        expect(page.blocks).toBeLessThanOrEqual(blocksMax + 2);
        blocks += page.blocks!;
        isOver = !page.isCut && page.count < 1_000;
        position = page.last;
      }
      const expected =
        kind === 'ticks'
          ? ticksOf(written.events, symbol, null, null)
          : tradesOf(written.events, symbol, END);
      expect([symbol, seqs]).toEqual([symbol, expected.map(({ seq }) => seq)]);
      if (blocks > 12) expect(pages).toBeGreaterThan(2);
      if (symbol === 'FAST') expect(blocks).toBeGreaterThan(12);
      reader.close();
    }
    await written.close();
  },
);
