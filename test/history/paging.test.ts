/** Ticks, trades and bars of the past: whole, in order, once each, and as they were told live. */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { barEndsByClock, BarFold, barMessage } from '../../protocol/bars';
import { toJson } from '../../protocol/json';
import { BAR_INTERVALS, type Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { HistoryQueries } from '../../src/gateway/history-queries';
import { at, instrument, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { eventsOf } from '../support/test-recorder';
import { recordPast, type Past } from './past';

setDefaultTimeout(30_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

/** Trades of two symbols, of which some are late and some far ahead. */
function writeTrades(past: Past, prng: Prng, count: number, from: number): void {
  for (let i = 0; i < count; i++) {
    const symbol = prng.chance(0.7) ? 'ACME' : 'OTHER';
    const micros = (from + i) * 400_000 + (prng.chance(0.1) ? prng.int(-5e6, 5e6) : 0);
    const more = { price: prng.int(1, 500), quantity: prng.int(1, 50), seq: 0 };
    past.recorder.sequencer.submit(1, [trade({ symbol, eventTime: at(Math.max(0, micros)), ...more })], () => {}); // prettier-ignore
    if (prng.chance(0.3)) past.recorder.sequencer.drain();
  }
  past.recorder.sequencer.drain();
}

function queriesOf({ history, recorder }: Past): HistoryQueries {
  return new HistoryQueries(
    {
      past: {
        book: (symbol, moment) => history.ask({ kind: 'book', symbol, at: moment }),
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
      epoch: 1,
      lastSeq: () => recorder.sequencer.lastSeq,
      now: () => Nanos.fromBigInt(1n << 62n),
      ageMs: () => 0,
    },
    { tradesMax: 1_000, barsMax: 1_000 },
  );
}

interface Answer {
  readonly ticks: { seq: number }[];
  readonly trades: unknown[];
  readonly bars: { openTime: string }[];
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
            // A cursor carries the range; from then on giving it again is allowed, not needed.
            ...(from !== null && page % 2 === 0 ? { from: from.toString() } : {}),
            ...(to !== null && page % 2 === 0 ? { to: to.toISOString() } : {}),
            limit: String(prng.int(1, 20)),
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
          (from === null || e.eventTime.compare(from) >= 0) &&
          (to === null || e.eventTime.compare(to) < 0),
      );
      // What is written behind the last page is for the next query.
      const known = expected.map((e) => e.seq);
      expect(seen).toEqual(known.filter((seq) => seq <= (seen.at(-1) ?? 0)));
      expect(known.length - seen.length).toBeLessThanOrEqual(4);
    }
    await past.close();
  });

  test('a tick reads as it was pushed, and trades page backwards', async () => {
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
    const ticks = await ask(queries.ticks('ACME', { limit: '1000' }));
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

describe('bars', () => {
  test('each range gives the bars of one fold over all trades', async () => {
    const { past, prng, queries } = start(13);
    writeTrades(past, prng, 1_500, 0);
    const { definition } = past.recorder.market.get('ACME')!;
    for (const interval of BAR_INTERVALS) {
      const all: { openTime: Nanos; json: Record<string, unknown> }[] = [];
      const fold = new BarFold(interval);
      const keep = (bar: NonNullable<typeof fold.current>, final: boolean): void => {
        const json = toJson(barMessage('ACME', bar, 0, final, 1), () => definition);
        all.push({ openTime: bar.openTime, json });
      };
      for (const e of eventsOf(past.batches)) {
        if (e.type !== 'trade' || e.symbol !== 'ACME') continue;
        const ended = fold.add(e);
        if (ended !== null) keep(ended, true);
      }
      const over = barEndsByClock(fold.current!);
      keep(fold.current!, over !== null && Nanos.ZERO.compare(over) >= 0);
      for (let i = 0; i < 15; i++) {
        const from = at(prng.int(0, 500_000_000));
        const to = from.plus(prng.int(1, 300_000) * 1e6);
        const expected = all.filter(
          (bar) => bar.openTime.compare(from) >= 0 && bar.openTime.compare(to) < 0,
        );
        const seen: unknown[] = [];
        for (let next: string | null = from.toString(); next !== null;) {
          const page: Answer = await ask(
            queries.bars('ACME', {
              interval,
              from: next,
              to: to.toString(),
              limit: String(prng.int(1, 50)),
            }),
          );
          seen.push(...page.bars);
          next = page.next;
          if (next !== null && BigInt(next) >= to.toBigInt()) break;
        }
        expect(seen).toEqual(expected.map((bar) => bar.json));
      }
      const newest = await ask(queries.bars('ACME', { interval, limit: '3' }));
      const shown = newest.bars;
      expect(shown.at(-1)).toEqual(all.at(-1)!.json as never);
      expect(shown.length).toBeLessThanOrEqual(3);
    }
    await past.close();
  });
});
