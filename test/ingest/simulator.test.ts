/** The markets of the demo: repeatable by their seed, and with the features of a real market. */

import { beforeAll, describe, expect, test } from 'bun:test';

import type { Instrument, Tick } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { check, type Config } from '../../src/config/config';
import { withDemoInstruments } from '../../src/app/demo';
import { SIMULATED_MARKETS } from '../../src/ingest/simulator/markets';
import { Simulator } from '../../src/ingest/simulator/simulator';
import { Trader, type Venue } from '../../src/ingest/simulator/trader';
import { definitionOf } from '../../src/app/instruments';
import { Market } from '../../src/market/market';
import type { MarketOutput } from '../../src/market/output';
import { at } from '../support/market-events';

const STEP_SECONDS = 0.25;
const SECONDS = 900;

/** What one instrument did during the run. */
interface Seen {
  /** Middle of best bid and offer at the end of each second; scaled. */
  readonly mids: number[];
  readonly spreads: number[];
  readonly depths: number[];
  readonly sizes: number[];
  /** Number of trades in each second. */
  readonly pace: number[];
}

/** Runs all markets for a number of seconds of their own time. */
function simulate(seed: number, seconds: number): { seen: Map<string, Seen>; hash: string } {
  const config = withDemoInstruments(check({}) as Config);
  const market = new Market({ instrumentsMax: 100, endedOrdersMax: 100 });
  let seq = 0;
  let ticks: Tick[] = [];
  const out: MarketOutput = {
    receiveTime: at(0),
    nextSeq: () => ++seq,
    push: (event) => {
      if (event.type === 'tick') ticks.push(event);
    },
  };
  for (const setting of config.instruments) market.define(definitionOf(setting) as Instrument, out);
  const flows = SIMULATED_MARKETS.map((simulated, i) => {
    const { definition } = market.get(simulated.symbol)!;
    const scales = { ...definition, price: definition.previousClose! };
    return {
      trader: new Trader(simulated, scales, new Prng(seed * 1_000 + i), []),
      pace: simulated.pace,
    };
  });
  const venue: Venue = {
    submit: (owner, order) => {
      const done = market.router.submit(owner, order, out);
      return 'code' in done ? 0 : done.orderId;
    },
    cancel: (owner, orderId) => {
      market.router.cancel(owner, { symbol: null, orderId, clientOrderId: null }, out);
    },
  };
  const simulator = new Simulator(flows, 400, new Prng(seed));
  simulator.open(venue);
  ticks = [];
  const seen = new Map(
    SIMULATED_MARKETS.map(({ symbol }): [string, Seen] => [
      symbol,
      { mids: [], spreads: [], depths: [], sizes: [], pace: [] },
    ]),
  );
  for (let second = 0; second < seconds; second++) {
    for (let t = 0; t < 1; t += STEP_SECONDS) simulator.step(STEP_SECONDS, venue);
    for (const [symbol, s] of seen) look(symbol, s);
    ticks = [];
  }

  function look(symbol: string, s: Seen): void {
    const { bids, asks } = market.get(symbol)!.levels(10);
    expect(bids.length).toBeGreaterThan(0);
    expect(asks.length).toBeGreaterThan(0);
    s.mids.push((bids[0]! + asks[0]!) / 2);
    s.spreads.push(asks[0]! - bids[0]!);
    s.depths.push([...bids, ...asks].reduce((sum, value, i) => sum + (i % 2 === 1 ? value : 0), 0));
    const own = ticks.filter((tick) => tick.symbol === symbol);
    s.pace.push(own.length);
    s.sizes.push(...own.map((tick) => tick.quantity));
  }
  const hash = [...market.all()].map((i) => ('stateHash' in i ? i.stateHash() : '')).join();
  return { seen, hash: `${seq}:${hash}` };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const m = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - m) ** 2)));
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))]!;
}

/** Correlation of a series with itself at a lag. */
function autocorrelation(values: readonly number[], lag: number): number {
  const m = mean(values);
  const pairs = values.slice(lag).map((value, i) => (value - m) * (values[i]! - m));
  return mean(pairs) / deviation(values) ** 2;
}

test('one seed gives one flow, another seed another', () => {
  expect(simulate(7, 20).hash).toBe(simulate(7, 20).hash);
  expect(simulate(7, 20).hash).not.toBe(simulate(8, 20).hash);
});

describe('a quarter of an hour', () => {
  let seen: Map<string, Seen>;
  beforeAll(() => {
    ({ seen } = simulate(7, SECONDS));
  });
  const busy = (): Seen => seen.get('BTC-USD')!;

  test('prices move, mostly by small steps, and stay in a sensible range', () => {
    for (const [symbol, { mids }] of seen) {
      const [low, high] = [Math.min(...mids), Math.max(...mids)];
      expect([symbol, high > low]).toEqual([symbol, true]);
      expect([symbol, high / low < 1.5]).toEqual([symbol, true]);
    }
  });

  test('large moves are more frequent than in a normal distribution, and occur in clusters', () => {
    const { mids } = busy();
    const moves = mids.slice(1).map((mid, i) => Math.log(mid / mids[i]!));
    const fourth = mean(moves.map((move) => (move / deviation(moves)) ** 4));
    expect(fourth).toBeGreaterThan(3.5);
    expect(autocorrelation(moves.map(Math.abs), 5)).toBeGreaterThan(0.05);
  });

  test('spread and depth vary', () => {
    const { spreads, depths } = busy();
    expect(new Set(spreads).size).toBeGreaterThan(3);
    expect(quantile(depths, 0.95)).toBeGreaterThan(1.5 * quantile(depths, 0.05));
  });

  test('sizes of trades have a long tail', () => {
    const { sizes } = busy();
    expect(quantile(sizes, 0.99)).toBeGreaterThan(8 * quantile(sizes, 0.5));
  });

  test('there are bursts and quiet periods, and every market has its own pace', () => {
    const { pace } = busy();
    const minutes = Array.from({ length: SECONDS / 30 }, (_, i) =>
      mean(pace.slice(i * 30, (i + 1) * 30)),
    );
    expect(Math.max(...minutes)).toBeGreaterThan(3 * Math.min(...minutes));
    const trades = (symbol: string): number => seen.get(symbol)!.sizes.length;
    expect(trades('BTC-USD')).toBeGreaterThan(3 * trades('DUST-USD'));
    expect(trades('DUST-USD')).toBeGreaterThan(0);
  });
});
