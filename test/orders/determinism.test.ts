/** Determinism: the same commands give the same events byte for byte, and the same seed the same flow. */

import { describe, expect, test } from 'bun:test';

import { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { definitionOf } from '../../src/app/instruments';
import { SIMULATED_MARKETS } from '../../src/ingest/simulator/markets';
import { Simulator } from '../../src/ingest/simulator/simulator';
import { isSimulated, Trader, type Venue } from '../../src/ingest/simulator/trader';
import type { Batch } from '../../src/base/contracts/batch';
import { withDemoInstruments } from '../../src/app/demo';
import { check, type Config } from '../../src/config/config';
import { readSeed } from '../support/seed';
import { ReaderOf } from './check-outcome';
import { MarketRun, venue } from './market-run';
import { DEFINITIONS, execute, randomScript } from './script';

const encoder = new FrameEncoder();

/** The whole output of a run: what readers and owners get as bytes, commands as JSON. */
function bytesOf(batches: readonly Batch[]): string[] {
  return batches.flatMap(({ events, executions }) => [
    ...events.map((e) =>
      e.type === 'command' ? JSON.stringify(e) : encoder.encode([e as Message]).toHex(),
    ),
    ...executions.map(({ owner, message }) => `${owner} ${encoder.encode([message]).toHex()}`),
  ]);
}

function playScript(seed: number, perTurn: number): MarketRun {
  const run = new MarketRun(DEFINITIONS);
  for (const [i, step] of randomScript(seed, 1_500, true).entries()) {
    run.clock.advance(777);
    execute(step, run.market, run.sequencer);
    if (i % perTurn === perTurn - 1) run.sequencer.drain();
  }
  run.sequencer.drain();
  return run;
}

describe('the same commands', () => {
  test('give the same events byte for byte, and the same state hash', () => {
    const seed = readSeed();
    const [once, twice] = [playScript(seed, 7), playScript(seed, 7)];
    const bytes = bytesOf(once.batches);
    expect(bytes.length).toBeGreaterThan(2_000);
    expect([seed, bytesOf(twice.batches)]).toEqual([seed, bytes]);
    for (const symbol of ['ACME', 'BETA']) {
      expect(twice.venue(symbol).stateHash()).toBe(once.venue(symbol).stateHash());
    }
  });

  test('give the same events in any division into turns, except for the checksums', () => {
    const seed = readSeed() + 1;
    const unsealed = (run: MarketRun): unknown[] =>
      run.batches.flatMap((b) =>
        b.events.map((e) => (e.type === 'book' ? { ...e, crc: null } : e)),
      );
    const [single, many] = [playScript(seed, 1), playScript(seed, 100)];
    expect([seed, unsealed(many)]).toEqual([seed, unsealed(single)]);
  });
});

interface Flow {
  readonly run: MarketRun;
  readonly simulator: Simulator;
  readonly venue: Venue;
  readonly counts: { orders: number; cancels: number; refused: string[] };
}

function demo(seed: number, ordersPerSecond: number): Flow {
  const settings = withDemoInstruments(check({}) as Config).instruments;
  const definitions = settings.map((s) => {
    const d = definitionOf(s);
    if (!('symbol' in d)) throw new Error(d.message);
    return d;
  });
  const run = new MarketRun(definitions);
  const flows = SIMULATED_MARKETS.map((m, i) => {
    const { priceIncrement, quantityIncrement, previousClose } = definitions[i]!;
    const scales = { priceIncrement, quantityIncrement, price: previousClose! };
    return { trader: new Trader(m, scales, new Prng(seed * 1_000 + i), []), pace: m.pace };
  });
  const counts = { orders: 0, cancels: 0, refused: [] as string[] };
  const entry: Venue = {
    submit: (owner, order) => {
      counts.orders += 1;
      const { result } = run.do((router, out) => router.submit(owner, order, out));
      if (!('code' in result)) return result.orderId;
      counts.refused.push(result.code);
      return 0;
    },
    cancel: (owner, orderId) => {
      counts.cancels += 1;
      const target = { symbol: null, orderId, clientOrderId: null };
      run.do((router, out) => router.cancel(owner, target, out));
    },
  };
  return {
    run,
    simulator: new Simulator(flows, ordersPerSecond, new Prng(seed)),
    venue: entry,
    counts,
  };
}

function simulate(flow: Flow, seconds: number, stepMs: number): void {
  flow.simulator.open(flow.venue);
  for (let ms = 0; ms < seconds * 1_000; ms += stepMs)
    flow.simulator.step(stepMs / 1_000, flow.venue);
}

describe('the simulator', () => {
  test('gives the same flow twice for one seed, and another flow for another', () => {
    const [one, same, other] = [demo(7, 2_000), demo(7, 2_000), demo(8, 2_000)];
    for (const flow of [one, same, other]) simulate(flow, 2, 5);
    const bytes = bytesOf(one.run.batches);
    expect(bytesOf(same.run.batches)).toEqual(bytes);
    expect(bytesOf(other.run.batches)).not.toEqual(bytes);
  });

  test('keeps its rate, is hardly ever refused, and its markets have two sides and trades', () => {
    const flow = demo(readSeed(), 1_000);
    simulate(flow, 20, 50);
    const { orders, cancels, refused } = flow.counts;
    const perSecond = (orders + cancels - 600 * SIMULATED_MARKETS.length) / 20;
    expect(perSecond).toBeGreaterThan(300);
    expect(perSecond).toBeLessThan(3_000);
    // It is refused only for a price below the minimum.
    expect(refused.length / orders).toBeLessThan(0.01);
    for (const { symbol } of SIMULATED_MARKETS) {
      const { bids, asks } = flow.run.venue(symbol).levels(10);
      expect([symbol, bids.length, asks.length]).toEqual([symbol, 20, 20]);
      expect(bids[0]!).toBeLessThan(asks[0]!);
      expect(flow.run.venue(symbol).tickHead).toBeGreaterThan(0);
    }
    const owners = new Set(
      flow.run.batches.flatMap((b) =>
        b.events.map((e) => (e.type === 'command' ? e.owner : 'sim-maker-1')),
      ),
    );
    for (const owner of owners) expect(isSimulated(owner)).toBe(true);
  });

  test('produces valid batches: they keep the order of every command', () => {
    const run = new MarketRun([venue('ACME', {}, { previousClose: 18_742 })]);
    const reader = new ReaderOf(run);
    const market = SIMULATED_MARKETS.find(({ symbol }) => symbol === 'ACME')!;
    const scales = { priceIncrement: 1, quantityIncrement: 1, price: 18_742 };
    const trader = new Trader(market, scales, new Prng(readSeed()), []);
    const entry: Venue = {
      submit: (owner, order) => {
        const outcome = run.do((router, out) => router.submit(owner, order, out));
        reader.take(outcome);
        return 'code' in outcome.result ? 0 : outcome.result.orderId;
      },
      cancel: (owner, orderId) => reader.take(run.cancel(owner, orderId)),
    };
    for (let i = 0; i < 4_000; i++) {
      trader.elapse(0.01);
      trader.act(entry);
    }
  });
});
