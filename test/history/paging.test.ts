/**
 * Ticks, trades and bars of the past: complete, in order, once each, and as they were published
 * live.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { toJson } from '../../protocol/json';
import { BAR_INTERVALS, type Bar, type Trade } from '../../protocol/messages';
import { orderTime } from '../../protocol/records';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { HistoryQueries } from '../../src/gateway/rest/history-queries';
import type { PastBarsPage } from '../../src/base/contracts/past';
import { HistoryReader } from '../../src/journal/history/reader';
import { naiveBars, summary } from '../derived/naive-statistics';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf } from '../support/test-recorder';
import { recordPast, type Past } from './past';

setDefaultTimeout(30_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/**
 * Trades of two symbols, received one after another: most in order, some early or a little late,
 * some from long ago, and some dated impossibly far ahead.
 */
function writeTrades(past: Past, prng: Prng, count: number, from: number): void {
  for (let i = 0; i < count; i++) {
    const symbol = prng.chance(0.7) ? 'ACME' : 'OTHER';
    const received = at(5_000_000 + (from + i) * 400_000);
    const own = prng.chance(0.1) ? received.plus(prng.int(-5e9, 5e9)) : received;
    const old = prng.chance(0.05) ? at(0).plus(-prng.int(0, 86_400) * 1e9) : own;
    const eventTime = prng.chance(0.05) ? received.plus(prng.int(10_001, 9e9) * 1e6) : old;
    const more = { price: prng.int(1, 500), quantity: prng.int(1, 50), seq: 0 };
    const { sequencer } = past.recorder;
    sequencer.submit(1, [trade({ symbol, eventTime, ...more })], () => {}, {
      receiveTime: received,
    });
    if (prng.chance(0.3)) sequencer.drain();
  }
  past.recorder.sequencer.drain();
}

function queriesOf({ history, recorder }: Past): HistoryQueries {
  return new HistoryQueries({
    past: {
      book: (symbol, pastTime) => history.ask({ kind: 'book', symbol, at: pastTime }),
      trades: (symbol, before, limit) => history.ask({ kind: 'trades', symbol, before, limit }),
      ticks: (symbol, range, after, limit) =>
        history.ask({ kind: 'ticks', symbol, ...range, after, limit }),
      bars: (symbol, interval, range, limit) =>
        history.ask({
          kind: 'bars',
          symbol,
          interval,
          ...range,
          limit,
          tradesMax: 5_000_000,
          now: Nanos.ZERO,
        }),
    },
    unknown: () => undefined,
    recentTicks: () => undefined,
    numbersOf: () => ({ epoch: 1, lastSeq: recorder.sequencer.lastSeq }),
    now: () => Nanos.fromBigInt(1n << 62n),
    ageMs: () => 0,
  });
}

interface Answer {
  readonly ticks: { seq: number }[];
  readonly trades: unknown[];
  readonly bars: { openTime: string; final: boolean }[];
  readonly next: string | null;
}

async function ask(answer: Promise<unknown>): Promise<Answer> {
  const text = await answer;
  if (typeof text !== 'string') throw new Error(JSON.stringify(text));
  return JSON.parse(text) as Answer;
}

function start(seed: number): { past: Past; prng: Prng; queries: HistoryQueries } {
  const past = recordPast(scratch.fresh(), { durability: 'async' });
  past.recorder.sequencer.submit(1, [instrument('ACME'), instrument('OTHER')], () => {});
  const prng = new Prng(seed);
  return { past, prng, queries: queriesOf(past) };
}

describe('ticks', () => {
  test('every tick of a range, in order and once, while writing goes on', async () => {
    const { past, prng, queries } = start(11);
    writeTrades(past, prng, 300, 0);
    for (const [from, to] of [
      [null, null],
      [at(20_000_000), null],
      [null, at(60_000_000)],
      [at(20_000_000), at(60_000_000)],
      [at(9e9), at(9e9 + 1)],
    ] as const) {
      const seen: number[] = [];
      let next: string | null = null;
      for (let page = 0; page === 0 || next !== null; page++) {
        const answer: Answer = await ask(
          queries.ticks('ACME', {
            // A cursor includes the range; later pages may repeat it.
            ...(from !== null && page % 2 === 0 ? { from } : {}),
            ...(to !== null && page % 2 === 0 ? { to } : {}),
            limit: prng.int(1, 20),
            ...(next === null ? {} : { next }),
          }),
        );
        seen.push(...answer.ticks.map((t) => t.seq));
        next = answer.next;
        if (page < 40) writeTrades(past, prng, 4, 150 + page * 4);
      }
      const expected = eventsOf(past.batches).filter(
        (e) =>
          e.type === 'tick' &&
          e.symbol === 'ACME' &&
          (from === null || orderTime(e).compare(from) >= 0) &&
          (to === null || orderTime(e).compare(to) < 0),
      );
      // What is written after the last page is for the next query.
      const known = expected.map((e) => e.seq);
      expect(seen).toEqual(known.filter((seq) => seq <= (seen.at(-1) ?? 0)));
      expect(known.length - seen.length).toBeLessThanOrEqual(4);
    }
    await past.close();
  });

  test('a tick has the fields that were pushed, and trades page backwards', async () => {
    const { past, prng, queries } = start(12);
    writeTrades(past, prng, 100, 0);
    const { definition } = past.recorder.market.get('ACME')!;
    const pushed = (type: string): unknown[] =>
      eventsOf(past.batches)
        .filter((e) => e.type === type && 'symbol' in e && e.symbol === 'ACME')
        .map((e) => {
          const { sourceSeq: _, ...message } = e as Trade & { sourceSeq?: number };
          return toJson(message, () => definition);
        });
    const ticks = await ask(queries.ticks('ACME', { limit: 1_000 }));
    expect<unknown[]>(ticks.ticks).toEqual(pushed('tick'));
    expect(ticks).toMatchObject({ symbol: 'ACME', next: null, source: 'l3', epoch: 1 });
    const seen: unknown[] = [];
    for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null;) {
      const page: Answer = await ask(queries.trades('ACME', before, 7));
      seen.push(...page.trades);
      before = page.next === null ? null : Number(page.next);
    }
    expect(seen).toEqual(pushed('trade').reverse());
    await past.close();
  });
});

/** The bars of a list of trades as an answer has them, from the rules [D2] to [D5] alone. */
function expectedBars(trades: readonly Trade[], interval: Bar['interval'], past: Past): Bars {
  const { definition } = past.recorder.market.get('ACME')!;
  const bars = naiveBars(trades, interval);
  return bars.map(({ openTime, trades: own }, i) => {
    const newest = own.reduce((a, b) => (a.seq > b.seq ? a : b));
    const message: Bar = {
      type: 'bar',
      symbol: 'ACME',
      prevSeq: 0,
      eventTime: newest.eventTime,
      receiveTime: newest.receiveTime,
      interval,
      openTime: Nanos.fromBigInt(openTime),
      ...summary(own),
      final: i < bars.length - 1,
      count: 1,
    };
    return { openTime, json: toJson(message, () => definition) };
  });
}

type Bars = { readonly openTime: bigint; readonly json: unknown }[];

function tradesOf(past: Past): Trade[] {
  return eventsOf(past.batches).filter(
    (e): e is Trade => e.type === 'trade' && e.symbol === 'ACME',
  );
}

interface PublishedBars {
  readonly bars: { openTime: string; final: boolean }[];
  readonly next: string | null;
}

/** Answers on this thread, because there are many queries. */
class Pages {
  private readonly reader: HistoryReader;

  constructor(path: string) {
    this.reader = new HistoryReader(path);
  }

  bars(
    interval: Bar['interval'],
    limit: number,
    from: bigint | null,
    to: bigint | null,
  ): PublishedBars {
    const [first, end] = [from, to].map((time) => (time === null ? null : Nanos.fromBigInt(time)));
    const answer = this.reader.answer({
      kind: 'bars',
      symbol: 'ACME',
      interval,
      from: first ?? null,
      to: end ?? null,
      limit,
      tradesMax: 5_000_000,
      now: Nanos.ZERO,
    }) as PastBarsPage;
    return { bars: JSON.parse(answer.items) as PublishedBars['bars'], next: answer.next };
  }

  /** All pages of a range together. */
  all(interval: Bar['interval'], limit: number, from: bigint, to: bigint | null): unknown[] {
    const seen: unknown[] = [];
    const end = to ?? 1n << 63n;
    for (let begin = from; begin < end;) {
      const { bars, next } = this.bars(interval, limit, begin, to);
      expect(bars.length).toBeLessThanOrEqual(limit);
      seen.push(...bars);
      begin = next === null ? end : BigInt(next);
    }
    return seen;
  }
}

const BEGINNING = 10n ** 17n;

describe('bars', () => {
  test('[D1] of any range, in pages of any size, equal those of the set of trades', async () => {
    const { past, prng } = start(13);
    writeTrades(past, prng, 4_000, 0); // some blocks, and an open one
    await past.recorder.journal.flush();
    const pages = new Pages(past.path);
    const trades = tradesOf(past);
    for (const timing of [null, 'late', 'ahead'] as const)
      expect(trades.map((t) => t.timing)).toContain(timing);
    const earliest = at(-86_400_000_000).toBigInt();
    for (const interval of BAR_INTERVALS) {
      const all = expectedBars(trades, interval, past);
      for (let i = 0; i < 25; i++) {
        const isOld = prng.chance(0.2);
        const old = earliest + BigInt(prng.int(0, 86_400)) * 1_000_000_000n;
        const from = isOld ? old : at(prng.int(0, 1_700_000_000)).toBigInt();
        const to = from + BigInt(prng.int(1, 300_000)) * 1_000_000n;
        const expected = all.filter(({ openTime }) => openTime >= from && openTime < to);
        const limit = prng.chance(0.1) ? prng.int(1, 3) : prng.int(10, 400);
        const seen = pages.all(interval, limit, from, to);
        expect(seen).toEqual(expected.map(({ json }) => json));
      }
    }
    await past.close();
  });

  test('every page size gives the whole answer', async () => {
    const { past, prng } = start(14);
    writeTrades(past, prng, 200, 0);
    await past.recorder.journal.flush();
    const pages = new Pages(past.path);
    for (const interval of BAR_INTERVALS) {
      const all = expectedBars(tradesOf(past), interval, past).map(({ json }) => json);
      for (let limit = 1; limit <= all.length + 1; limit++) {
        expect(pages.all(interval, limit, BEGINNING, null)).toEqual(all);
      }
    }
    await past.close();
  });

  test('without from: the last existing bars before a time, page by page backwards', async () => {
    const { past, prng } = start(15);
    writeTrades(past, prng, 2_500, 0);
    await past.recorder.journal.flush();
    const pages = new Pages(past.path);
    for (const interval of BAR_INTERVALS) {
      const all = expectedBars(tradesOf(past), interval, past);
      for (const limit of [60, 1_000]) {
        const seen: unknown[][] = [];
        for (let to: bigint | null = null; ;) {
          const { bars, next } = pages.bars(interval, limit, null, to);
          if (bars.length === 0) break;
          expect([next, bars.length <= limit]).toEqual([null, true]);
          seen.unshift(bars);
          to = BigInt(bars[0]!.openTime);
        }
        expect(seen.flat()).toEqual(all.map(({ json }) => json));
      }
    }
    await past.close();
  });

  test('empty intervals do not end the list', async () => {
    const { past } = start(16);
    for (const seconds of [0, 60, 300_000, 300_060]) {
      const time = at(seconds * 1e6);
      past.recorder.sequencer.submit(1, [trade({ eventTime: time })], () => {}, {
        receiveTime: time,
      });
    }
    past.recorder.sequencer.drain();
    await past.recorder.journal.flush();
    const pages = new Pages(past.path);
    const { bars } = pages.bars('1m', 3, null, null);
    expect(bars.length).toBe(3);
    expect(pages.bars('1m', 3, null, BigInt(bars[0]!.openTime)).bars.length).toBe(1);
    await past.close();
  });

  test('[D4] the last bar of a range is final if a later trade exists', async () => {
    const { past } = start(17);
    for (const seconds of [0, 60, 4_000]) {
      const time = at(seconds * 1e6);
      past.recorder.sequencer.submit(1, [trade({ eventTime: time })], () => {}, {
        receiveTime: time,
      });
    }
    past.recorder.sequencer.drain();
    await past.recorder.journal.flush();
    const pages = new Pages(past.path);
    const finals = ({ bars }: PublishedBars): boolean[] => bars.map((bar) => bar.final);
    expect(finals(pages.bars('1h', 10, null, null))).toEqual([true, false]);
    expect(finals(pages.bars('1h', 10, null, at(1e6).toBigInt()))).toEqual([true]);
    expect(finals(pages.bars('1h', 1, at(-7_200e6).toBigInt(), null))).toEqual([true]);
    await past.close();
  });
});
