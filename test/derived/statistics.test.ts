/** Bars and sessions compared with a naive oracle, also across restarts. */

import { afterAll, describe, expect, test } from 'bun:test';

import {
  addToBar,
  barEndsByClock,
  BarFold,
  barOf,
  RECENT_BARS,
  type BarInterval,
  type OpenBar,
} from '../../protocol/bars';
import { BAR_INTERVALS, type Trade } from '../../protocol/messages';
import { SessionStats, TradeStatistics } from '../../protocol/statistics';
import { Nanos } from '../../protocol/time';
import { marketTime } from '../../protocol/trade-time';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Statistics } from '../../src/app/statistics';
import { instrument, trade } from '../support/market-events';
import { Scratch } from '../support/tapedeck-process';
import { eventsOf, record } from '../support/test-recorder';
import { naiveBars, naiveChange, naiveSession, naiveTurnover, summary } from './naive-statistics';
import { randomTrades } from './random-trades';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const LAGS = [0, 200_000_000, 9_950_000_000, 3e15];
const at = (seconds: number, ms = 0): Nanos =>
  Nanos.fromSeconds(1_700_000_000 - 20 + seconds, ms * 1e6);
const one = (event: Nanos, received = event): Trade =>
  trade({ seq: 1, eventTime: event, receiveTime: received });

/** The last published state of each bar of an interval; bars that are not kept are taken from history. */
function foldedBars(trades: readonly Trade[], interval: BarInterval) {
  const fold = new BarFold(interval);
  const bars = new Map<string, OpenBar>();
  for (const t of trades) {
    const change = fold.add(t);
    if (change === null) continue;
    if ('past' in change) {
      const key = change.past.toString();
      const known = bars.get(key);
      if (known === undefined) bars.set(key, barOf(interval, t));
      else addToBar(known, t, marketTime(t));
    } else {
      const bar = 'ended' in change ? change.ended : change.revised;
      bars.set(bar.openTime.toString(), bar);
    }
  }
  bars.set(fold.current!.openTime.toString(), fold.current!);
  return [...bars.values()]
    .sort((a, b) => a.openTime.compare(b.openTime))
    .map(({ open, high, low, close, volume, trades: n, seq, openTime }) => {
      return { open, high, low, close, volume, trades: n, seq, openTime: openTime.toBigInt() };
    });
}

describe('bars', () => {
  test('[D1] [D2] [D3] equal those of the naive oracle, for random trades in any order', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Prng(seed);
      const trades = randomTrades(random, 200, { lagNs: LAGS[seed % 4]! });
      if (seed % 2 === 0) trades.sort(() => random.int(-1, 1));
      for (const interval of BAR_INTERVALS) {
        const expected = naiveBars(trades, interval).map((bar) =>
          Object.assign(summary(bar.trades), { openTime: bar.openTime }),
        );
        expect({ seed, interval, bars: foldedBars(trades, interval) }).toEqual({
          seed,
          interval,
          bars: expected,
        });
      }
    }
  });

  test('[D3] a trade exactly at the end of a bar is the first of the next bar', () => {
    const fold = new BarFold('1m');
    expect(fold.add(one(at(0)))).toBeNull();
    expect(fold.add(one(at(59, 999)))).toBeNull();
    expect(fold.add(one(at(60)))).toMatchObject({ ended: { trades: 2 } });
    expect(fold.current!.openTime).toEqual(at(60));
  });

  test('[D4] a trade of an earlier bar revises that bar while it is kept', () => {
    const fold = new BarFold('1m');
    fold.add(one(at(0)));
    fold.add(one(at(120)));
    expect(fold.add(one(at(30)))).toMatchObject({ revised: { openTime: at(0), trades: 2 } });
    expect(fold.add(one(at(60)))).toMatchObject({ revised: { openTime: at(60), trades: 1 } });
    for (let i = 1; i <= RECENT_BARS; i++) fold.add(one(at(120 + i * 60)));
    expect(fold.add(one(at(30)))).toEqual({ past: at(0) });
    expect(fold.current!.trades).toBe(1);
  });

  test('[D4] the clock ends a live bar, but not a bar of a recording', () => {
    const fold = new BarFold('1m');
    fold.add(one(at(5), at(5, 300)));
    expect(barEndsByClock(fold.current!)).toEqual(at(61, 300));
    expect(fold.add(one(at(59), at(61, 299)))).toBeNull();
    // The newest trade arrived after 2.299 s, so the clock waits equally long.
    expect(barEndsByClock(fold.current!)).toEqual(at(63, 299));
    const slow = new BarFold('1m');
    slow.add(one(at(5), at(15)));
    expect(barEndsByClock(slow.current!)).toEqual(at(71));
    const past = new BarFold('1m');
    past.add(one(at(5), at(1_000_000)));
    expect(barEndsByClock(past.current!)).toBeNull();
    expect(past.add(one(at(6), at(2_000_000)))).toBeNull();
  });
});

describe('sessions', () => {
  const definition = instrument('ACME', { previousClose: 77 });

  test('[D5] [D6] equal those of the naive oracle; turnover and vwap are exact', () => {
    for (let seed = 1; seed <= 16; seed++) {
      const random = new Prng(seed);
      const boundary = random.int(0, 86_399);
      const priceMax = [10, 1_000_000, 1e12, 2 ** 46][seed % 4]!;
      const trades = randomTrades(random, 120, { priceMax });
      const stats = new SessionStats(boundary);
      for (const [i, t] of trades.entries()) {
        stats.add(t);
        const { trades: own, previousClose } = naiveSession(trades.slice(0, i + 1), boundary);
        const { close, ...rest } = summary(own);
        const message = { ...stats.message(definition, 5, 3) };
        expect({ seed, i, ...message }).toEqual({
          seed,
          i,
          type: 'stats',
          symbol: 'ACME',
          prevSeq: 5,
          eventTime: t.eventTime,
          receiveTime: t.receiveTime,
          ...rest,
          last: close,
          previousClose: previousClose ?? 77,
          ...naiveTurnover(own, 2, 3),
          count: 3,
          change: naiveChange(own, previousClose ?? 77),
        });
      }
    }
  });

  test('[D6] a trade at the boundary belongs to the next session; a late trade to the present one', () => {
    const stats = new SessionStats(3_600);
    const boundary = Nanos.fromSeconds(86_400 * 19_000 + 3_600, 0);
    stats.add(trade({ eventTime: boundary.plus(-1), price: 10 }));
    stats.add(trade({ eventTime: boundary, price: 20 }));
    stats.add(trade({ eventTime: boundary.plus(-1), price: 30 }));
    expect(stats).toMatchObject({ previousClose: 10, open: 20, last: 30, trades: 2 });
  });

  test('[D5] change is relative to the previous close, which the end of a session replaces', () => {
    const stats = new SessionStats(0);
    const changeOf = (of = definition) => stats.message(of, 0, 1).change;
    const day = (days: number) => Nanos.fromSeconds(86_400 * (19_000 + days), 0);
    expect(changeOf()).toBeNull(); // no trade
    stats.add(trade({ eventTime: day(0), price: 70 }));
    expect(changeOf()).toBe(-7);
    expect(changeOf(instrument('ACME'))).toBeNull(); // no previous close
    stats.add(trade({ eventTime: day(1), price: 73 }));
    expect(changeOf()).toBe(3); // no longer relative to 77
    stats.add(trade({ eventTime: day(1), price: 70 }));
    expect(changeOf()).toBe(0);
    stats.add(trade({ eventTime: day(2), price: -Number.MAX_SAFE_INTEGER }));
    expect(changeOf()).toBeNull(); // [N2] more than a scaled value may be
  });
});

test('[D1] a restart, in order or not, gives the same result as an uninterrupted run', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Prng(seed);
    const directory = scratch.fresh();
    const whole = new Map(['A', 'B'].map((symbol) => [symbol, new TradeStatistics(0)]));
    const trades = ['A', 'B'].map((symbol) => randomTrades(random, 150, { symbol }));
    const clock = new ManualClock(Nanos.fromSeconds(1_600_000_000, 0));
    for (let from = 0; from < 150; from += 50) {
      const { recorder, batches } = record(directory, { checkpointEveryEvents: 40 }, { clock });
      for (const [symbol, own] of whole) {
        if (from > 0) expect(recorder.statistics.of(symbol).state()).toEqual(own.state());
        recorder.sequencer.submit(1, [instrument(symbol)], () => {});
      }
      for (let i = from; i < from + 50; i++) {
        for (const list of trades) {
          const t = list[i]!;
          recorder.sequencer.submit(
            1,
            [{ ...t, seq: 0 }],
            (r) => expect(r).not.toHaveProperty('fault'),
            { receiveTime: t.receiveTime },
          );
        }
        if (random.chance(0.3)) recorder.sequencer.drain();
      }
      recorder.sequencer.drain();
      for (const e of eventsOf(batches)) if (e.type === 'trade') whole.get(e.symbol)!.add(e);
      if (random.chance(0.5)) recorder.close();
      else recorder.journal.abandon();
    }
    const { recorder } = record(directory, {}, { clock });
    for (const [symbol, own] of whole) {
      expect(own.session.seq).toBeGreaterThan(0);
      expect(recorder.statistics.of(symbol).state()).toEqual(own.state());
    }
    recorder.close();
  }
});

test('[D1] an instrument that has not traded takes no space in a checkpoint', () => {
  const statistics = new Statistics(0);
  statistics.of('A');
  expect(statistics.state()).toEqual({});
});
