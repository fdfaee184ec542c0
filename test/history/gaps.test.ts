/** Missing records: a book is never a guess, and no page skips a gap silently. */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';
import { join } from 'node:path';

import type { Fault } from '../../protocol/codes';
import { formatLevels } from '../../protocol/json';
import type { BatchEvent } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { HistoryQueries } from '../../src/gateway/rest/history-queries';
import type { MissingRange, PastBarsPage, PastPage } from '../../src/base/contracts/past';
import { HistoryReader } from '../../src/journal/history/reader';
import { JOURNAL_FILE } from '../../src/journal/recover/reading';
import { ScratchDirectory } from '../support/scratch-directory';
import { deep } from '../support/tier';
import {
  bookStates,
  isIn,
  mustKnow,
  stateBy,
  ticksOf,
  timed,
  tradesOf,
  without,
} from './naive-answers';
import { bordersOf, expire, takeOut, Written, type Hole, type Profile } from './written';

setDefaultTimeout(60_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const PROFILES: readonly Profile[] = [
  { symbol: 'BUSY', weight: 300 },
  { symbol: 'AHEAD', weight: 100, aheadSeconds: 9_000_000 },
  { symbol: 'QUIET', weight: 5 },
];
const END = Number.MAX_SAFE_INTEGER;
const FAR = new Nanos(0x7fff_ffff, 0xffff_ffff);

interface Holed {
  readonly written: Written;
  readonly holes: readonly Hole[];
  /** The events that are left. */
  readonly events: readonly BatchEvent[];
  readonly reader: HistoryReader;
  readonly path: string;
}

/** A closed journal, and a copy from which records were removed. */
async function holed(
  prng: Prng,
  count: number,
  holes: (events: readonly BatchEvent[]) => Hole[],
): Promise<Holed> {
  const written = new Written(scratch.fresh(), prng, PROFILES);
  await written.write(count);
  await written.close();
  const path = join(scratch.copyOf(written.directory), JOURNAL_FILE);
  const taken = holes(written.events);
  takeOut(path, taken);
  const events = without(written.events, taken);
  return { written, holes: taken, events, reader: new HistoryReader(path), path };
}

/** Some end at a snapshot, as a hole does after which the state is written. */
function randomHoles(prng: Prng, events: readonly BatchEvent[]): Hole[] {
  const last = events.length;
  const holes: Hole[] = [];
  for (let from = prng.int(10, 900); from < last; from += prng.int(1, 1_500)) {
    let to = Math.min(last, from + prng.int(0, prng.chance(0.2) ? 1_200 : 60));
    const snapshot = events.findIndex((e) => e.seq > to && e.type === 'snapshot');
    if (snapshot > 0 && prng.chance(0.5)) to = snapshot;
    if (events[to]?.type === 'tick') to += 1; // in one batch with its trade: both are lost, or neither
    holes.push({ from, to, reason: 'disk' });
    from = to + 1;
  }
  return holes;
}

function wholeBooks(events: readonly BatchEvent[], symbol: string): number[] {
  return events
    .filter(
      (e) =>
        e.symbol === symbol &&
        (e.type === 'snapshot' || (e.type === 'book' && e.form === 'snapshot')),
    )
    .map(({ seq }) => seq);
}

function expectTruth(answer: object, all: Holed, symbol: string, pastTime: Nanos): void {
  const truth = stateBy(bookStates(all.written.events, symbol), pastTime)!;
  if (truth.levels === null) {
    expect(answer).toMatchObject({ code: 'book-incomplete' });
    return;
  }
  const definition = all.written.definitions.get(symbol)!;
  // If its own record is missing it is known from a snapshot, which has the same times.
  const { hi, lo } = truth.event.eventTime;
  expect(answer).toMatchObject({
    eventTime: { hi, lo },
    bids: formatLevels(truth.levels.bids, definition),
    asks: formatLevels(truth.levels.asks, definition),
  });
}

describe('books around gaps', () => {
  test('an answer is the truth or names what is missing; if it can be known it is given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), async (seed) => {
        const prng = new Prng(seed);
        const all = await holed(prng, 4_000, (events) => randomHoles(prng, events));
        let refused = 0;
        for (const { symbol } of PROFILES) {
          const events = timed(all.written.events, symbol);
          for (let i = 0; i < 150; i++) {
            const pastTime = events[prng.int(0, events.length - 1)]!.eventTime.plus(
              prng.int(-1, 1),
            );
            const answer = all.reader.answer({ kind: 'book', symbol, at: pastTime });
            const code = 'code' in answer ? answer.code : null;
            if (code === 'before-first-record') {
              expect(stateBy(bookStates(all.events, symbol), pastTime)).toBeUndefined();
            } else if (code === 'records-missing') {
              refused += 1;
              expect(mustKnow(all.written.events, all.holes, symbol, pastTime)).toBe(false);
              expect((answer as { message: string }).message).toMatch(/missing \(disk\)$/);
            } else if (code === 'no-data') {
              // Every whole book of it is missing, or it has none yet at that time.
              expect(wholeBooks(all.events, symbol)).toEqual([]);
            } else {
              expectTruth(answer, all, symbol, pastTime);
            }
          }
        }
        expect(refused).toBeGreaterThan(0);
        all.reader.close();
      }),
      { numRuns: deep(8, 2) },
    );
  });

  test('after a crash the book continues from before it, as the market did', async () => {
    const prng = new Prng(5);
    const written = new Written(scratch.fresh(), prng, PROFILES);
    await written.write(1_500);
    const lost: Hole[] = [];
    for (let i = 0; i < 3; i++) {
      lost.push(written.crash(prng.int(20, 80)));
      if (i < 2) await written.write(400);
    }
    const reader = new HistoryReader(written.path);
    const events = without(written.events, lost);
    for (const { symbol } of PROFILES) {
      const states = bookStates(events, symbol);
      for (const pastTime of [...timed(written.events, symbol).map((e) => e.eventTime), FAR]) {
        const expected = stateBy(states, pastTime);
        const answer = reader.answer({ kind: 'book', symbol, at: pastTime });
        if (expected === undefined) expect(answer).toMatchObject({ code: 'before-first-record' });
        else if (expected.levels === null) {
          expect(answer).toMatchObject({ code: 'book-incomplete' });
        } else expect(answer).toMatchObject({ seq: expected.event.seq });
      }
      const page = reader.answer({
        kind: 'trades',
        symbol,
        before: END,
        limit: 100_000,
      }) as PastPage;
      expect(page.count).toBe(tradesOf(events, symbol, END).length);
      expect(page.gaps).toEqual(lost);
    }
    reader.close();
    await written.close();
  });

  test('what a failing disk has not written is missing; what it wrote meanwhile is not', async () => {
    const written = new Written(scratch.fresh(), new Prng(6), PROFILES);
    await written.write(1_500);
    const reader = new HistoryReader(written.path);
    const question = { kind: 'book', symbol: 'BUSY', at: FAR } as const;
    const from = written.lastSeq + 1;
    const open = { from, to: from + 400, reason: 'disk' };
    expect(reader.answer(question)).toHaveProperty('seq');
    const range = `records ${from} to ${from + 400} are missing (disk)`;
    const answer = reader.answer(question, open);
    expect(answer).toMatchObject({ code: 'records-missing' });
    expect((answer as { message: string }).message).toContain(range);
    // Well before it, the book is known as before.
    const earlier = timed(written.events, 'BUSY')[400]!.eventTime;
    expect(reader.answer({ ...question, at: earlier }, open)).not.toMatchObject({
      code: 'records-missing',
    });
    const trades = { kind: 'trades', symbol: 'BUSY', before: END, limit: 5 } as const;
    expect(reader.answer(trades, open)).toMatchObject({ gaps: [open] });
    expect(reader.answer({ ...trades, before: from }, open)).toMatchObject({ gaps: [] });
    await written.write(100);
    const left = { ...open, from: written.lastSeq + 1 };
    expect(reader.answer(trades, open)).toMatchObject({ gaps: [left] });
    await written.write(500);
    expect(reader.answer(question, open)).not.toMatchObject({ code: 'records-missing' });
    expect(reader.answer(trades, open)).toMatchObject({ gaps: [] });
    reader.close();
    await written.close();
  });
});

/** Holes that the records of a page do not imply, though one may be in its range. */
function silent(
  all: Holed,
  wanted: readonly BatchEvent[],
  gaps: readonly MissingRange[],
): number[] {
  return wanted
    .map(({ seq }) => seq)
    .filter((seq) => all.holes.some((hole) => isIn(hole, seq)))
    .filter((seq) => !gaps.some((gap) => isIn(gap, seq)));
}

describe('pages over gaps', () => {
  test('ticks and trades: everything that exists, and a gap for everything that does not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), async (seed) => {
        const prng = new Prng(seed);
        const all = await holed(prng, 4_000, (events) => randomHoles(prng, events));
        const { reader } = all;
        for (const { symbol } of PROFILES) {
          const events = timed(all.written.events, symbol);
          for (let i = 0; i < 30; i++) {
            const [a, b] = [0, 1].map(() => events[prng.int(0, events.length - 1)]!.eventTime);
            const [from, to] = a!.compare(b!) < 0 ? [a!, b!] : [b!, a!.plus(1)];
            const limit = prng.int(1, 100);
            const gaps: MissingRange[] = [];
            const seen: number[] = [];
            for (let after = 0, count = limit; count === limit; after = seen.at(-1) ?? 0) {
              const page = reader.answer({
                kind: 'ticks',
                symbol,
                from,
                to,
                after,
                limit,
              }) as PastPage;
              seen.push(...(JSON.parse(page.items) as { seq: number }[]).map(({ seq }) => seq));
              gaps.push(...page.gaps);
              ({ count } = page);
            }
            expect(seen).toEqual(ticksOf(all.events, symbol, from, to).map(({ seq }) => seq));
            expect(silent(all, ticksOf(all.written.events, symbol, from, to), gaps)).toEqual([]);
            for (const gap of gaps) expect(all.holes).toContainEqual(gap);
          }
          const reported: MissingRange[] = [];
          const seen: number[] = [];
          for (let before = END, count = 70; count === 70; before = seen.at(-1) ?? 0) {
            const page = reader.answer({ kind: 'trades', symbol, before, limit: 70 }) as PastPage;
            seen.push(...(JSON.parse(page.items) as { seq: number }[]).map(({ seq }) => seq));
            reported.push(...page.gaps);
            ({ count } = page);
          }
          expect(seen).toEqual(tradesOf(all.events, symbol, END).map(({ seq }) => seq));
          // Each of them once.
          expect(reported.sort((x, y) => x.from - y.from)).toEqual([...all.holes]);
        }
        reader.close();
      }),
      { numRuns: deep(6, 2) },
    );
  });

  test('a range of time names its own gaps and not those of other times', async () => {
    const hole = { from: 1_000, to: 1_100, reason: 'disk' };
    const all = await holed(new Prng(9), 3_000, () => [hole]);
    for (const symbol of ['BUSY', 'AHEAD']) {
      const events = timed(all.written.events, symbol);
      const [before, inside, behind] = [500, 1_050, 1_500].map(
        (seq) => events.find((e) => e.seq > seq)!.eventTime,
      );
      const ask = (from: Nanos | null, to: Nanos | null): readonly MissingRange[] => {
        const ticks = all.reader.answer({
          kind: 'ticks',
          symbol,
          from,
          to,
          after: 0,
          limit: 1_000,
        });
        const bars = all.reader.answer({
          kind: 'bars',
          symbol,
          interval: '1s',
          from,
          to,
          limit: 1_000,
          tradesMax: 5_000_000,
          now: FAR,
        });
        if (from === null || from.floorToSeconds(1).compare(from) === 0) {
          expect((bars as PastBarsPage).gaps).toEqual((ticks as PastPage).gaps);
        }
        return (ticks as PastPage).gaps;
      };
      expect(ask(null, null)).toEqual([hole]);
      expect(ask(inside!, inside!.plus(1))).toEqual([hole]);
      expect(ask(before!, behind!)).toEqual([hole]);
      expect(ask(before!.floorToSeconds(1), null)).toEqual([hole]);
      expect(ask(null, before!)).toEqual([]);
      expect(ask(behind!, null)).toEqual([]);
    }
    all.reader.close();
  });

  test('bars are those of the existing trades', async () => {
    const hole = { from: 1_500, to: 2_100, reason: 'disk' };
    const all = await holed(new Prng(10), 6_000, () => [hole]);
    const page = all.reader.answer({
      kind: 'bars',
      symbol: 'BUSY',
      interval: '1s',
      from: Nanos.ZERO,
      to: null,
      limit: 1_000,
      tradesMax: 5_000_000,
      now: FAR,
    }) as PastBarsPage;
    const bars = JSON.parse(page.items) as { trades: number }[];
    const trades = tradesOf(all.events, 'BUSY', END);
    expect(bars.reduce((sum, bar) => sum + bar.trades, 0)).toBe(trades.length);
    expect(page.gaps).toEqual([hole]);
    all.reader.close();
  });
});

test('REST names the gaps of a page, and omits the field where there are none', async () => {
  const hole = { from: 1_000, to: 1_100, reason: 'disk' };
  const { written, reader } = await holed(new Prng(14), 3_000, () => [hole]);
  const queries = new HistoryQueries({
    past: {
      book: async (symbol, pastTime) =>
        reader.answer({ kind: 'book', symbol, at: pastTime }) as Fault,
      trades: async (symbol, before, limit) =>
        reader.answer({ kind: 'trades', symbol, before, limit }) as PastPage,
      ticks: async (symbol, range, after, limit) =>
        reader.answer({ kind: 'ticks', symbol, ...range, after, limit }) as PastPage,
      bars: async (symbol, interval, range, limit) =>
        reader.answer({
          kind: 'bars',
          symbol,
          interval,
          ...range,
          limit,
          tradesMax: 5_000_000,
          now: FAR,
        }) as PastBarsPage,
    },
    unknown: () => undefined,
    recentTicks: () => undefined,
    numbersOf: () => ({ epoch: 1, lastSeq: written.lastSeq }),
    now: () => FAR,
    ageMs: () => 0,
  });
  const read = async (answer: Promise<string | Fault>): Promise<Record<string, unknown>> =>
    JSON.parse((await answer) as string) as Record<string, unknown>;
  const whole = { symbol: 'BUSY', seq: written.lastSeq, epoch: 1, source: 'l3', ageMs: 0 };
  const books = timed(written.events, 'BUSY');
  const behind = books.find((e) => e.seq > 1_500)!.eventTime;
  for (const [answer, gaps] of [
    [queries.ticks('BUSY', { limit: 1_000 }), [hole]],
    [queries.ticks('BUSY', { from: behind, limit: 100 }), undefined],
    [queries.trades('BUSY', 1_200, 100), [hole]],
    [queries.trades('BUSY', 2_500, 10), undefined],
    [queries.bars('BUSY', { interval: '1s', limit: 1_000 }), [hole]],
    [queries.bars('BUSY', { interval: '1s', limit: 1_000, from: behind }), undefined],
  ] as const) {
    const body = await read(answer);
    expect(body).toMatchObject(whole);
    expect(body['gaps']).toEqual(gaps as never);
  }
  reader.close();
});

describe('after retention', () => {
  test('the answer says since when there is data, and what is gone', async () => {
    const all = await holed(new Prng(12), 6_000, () => []);
    all.reader.close();
    const to = expire(all.path, 2);
    expect(bordersOf(all.path)[0]).toBe(to + 1);
    const reader = new HistoryReader(all.path);
    const hole = { from: 1, to, reason: 'retention' };
    const events = without(all.written.events, [hole]);
    for (const symbol of ['BUSY', 'AHEAD']) {
      const books = timed(events, symbol).filter((e) => e.type === 'book' || e.type === 'snapshot');
      const first = books.find(
        (e) => e.type === 'snapshot' || (e.type === 'book' && e.form !== 'delta'),
      )!;
      for (const pastTime of [Nanos.ZERO, books[0]!.eventTime]) {
        if (books[0] === first && pastTime !== Nanos.ZERO) continue;
        const answer = reader.answer({ kind: 'book', symbol, at: pastTime });
        expect(answer).toMatchObject({ code: 'before-first-record', field: 'at' });
        expect((answer as { message: string }).message).toContain(
          `exist since ${first.eventTime.toString()} (`,
        );
      }
      for (const { seq, eventTime } of books) {
        if (seq < first.seq || eventTime.compare(first.eventTime) < 0) continue;
        expectTruth(reader.answer({ kind: 'book', symbol, at: eventTime }), all, symbol, eventTime);
      }
      const ticks = reader.answer({
        kind: 'ticks',
        symbol,
        from: null,
        to: null,
        after: 0,
        limit: 1_000,
      }) as PastPage;
      const expected = ticksOf(events, symbol, null, null).map(({ seq }) => seq);
      expect((JSON.parse(ticks.items) as { seq: number }[]).map(({ seq }) => seq)).toEqual(
        expected.slice(0, 1_000),
      );
      expect(ticks.gaps).toEqual([hole]);
    }
    reader.close();
  });
});
