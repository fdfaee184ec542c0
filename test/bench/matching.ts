/**
 * Bench `matching`: commands per second of one venue, alone and with market data, compared with nodejs-order-book
 * on the same commands in the same run, and the time of a single command.
 *
 * The flow is that of `matching-flow.ts`. Each case alternates with the others several times, and its median
 * counts, because the machine is noisy; the baseline runs twice, and its better run counts. At the end venue and
 * baseline must hold the same levels, which proves that they did the same work.
 */

import { assert } from '../../src/base/assert';
import type { VenueListener } from '../../src/market/venue/listener';
import { Venue } from '../../src/market/venue/venue';
import { BUY, SELL } from '../../src/market/venue/constants';
import { baselineIds, baselineLevels, makeBaseline, runBaseline } from './matching-baseline';
import { BENCH_DEFINITION, DEEP, THIN, makeFlow, type Flow, type FlowShape } from './matching-flow';
import { MarketDataBench } from './matching-market-data';
import { runCommand } from './matching-run';
import { runSteady } from './matching-steady';

export interface BenchResult {
  readonly bench: 'matching';
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline?: string;
  readonly baselineValue?: number;
  readonly ratio?: number;
}

export interface MatchingOptions {
  /** Commands timed, after the prefill. */
  readonly commands: number;
  /** How often each case runs; odd. */
  readonly rounds?: number;
  /** How long to run at a steady pace; 0, the default, leaves it out. */
  readonly steadySeconds?: number;
}

const SEED = 1;
const ROUNDS = 5;
/** The baseline takes so long that it does not run in each round. */
const BASELINE_EVERY = 4;
/** Commands in one turn of the loop, when market data is made. */
const BATCH = 100;
const BASELINE = 'nodejs-order-book 10.1.1';

export async function runMatching(options: MatchingOptions): Promise<BenchResult[]> {
  const thin = await runFlow(THIN, options);
  const deep = await runFlow(DEEP, options);
  const seconds = options.steadySeconds ?? 0;
  return [...thin, ...deep, ...(seconds > 0 ? await runSteady(seconds) : [])];
}

async function runFlow(shape: FlowShape, options: MatchingOptions): Promise<BenchResult[]> {
  const flow = makeFlow(shape, options.commands, SEED);
  const ids = baselineIds(flow);
  const rates = { book: [] as number[], data: [] as number[], baseline: [] as number[] };
  for (let round = 0; round < (options.rounds ?? ROUNDS); round++) {
    const levels = timeBook(flow, rates.book);
    timeMarketData(flow, rates.data);
    if (round % BASELINE_EVERY !== 0) continue;
    const theirs = timeBaseline(flow, ids, rates.baseline);
    const same = JSON.stringify(levels) === JSON.stringify(theirs);
    assert(same, 'both books end with the same levels');
    await Bun.sleep(0);
  }
  const baselineValue = median(rates.baseline);
  const rate = (what: string, value: number): BenchResult => ({
    bench: 'matching',
    case: `${what}, ${shape.name} queues`,
    value,
    unit: 'commands/s',
    baseline: BASELINE,
    baselineValue,
    ratio: value / baselineValue,
  });
  return [
    rate('book only', median(rates.book)),
    rate('with market data', median(rates.data)),
    ...latencyResults(shape, timeEach(flow)),
  ];
}

function latencyResults(shape: FlowShape, latencies: Float64Array): BenchResult[] {
  const sorted = latencies.sort();
  return [50, 99, 99.9].map((percent) => ({
    bench: 'matching',
    case: `book only, ${shape.name} queues, p${percent} of a command`,
    value: sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))]!,
    unit: 'ns',
  }));
}

/** A listener that only counts, to measure the book alone. */
class Counter implements VenueListener {
  trades = 0;
  levels = 0;

  trade(): void {
    this.trades += 1;
  }

  levelChanged(): void {
    this.levels += 1;
  }

  rejected(): void {
    assert(false, 'the flow holds no command that is refused');
  }

  accepted(): void {}
  amended(): void {}
  cancelled(): void {}
  expired(): void {}
  stateChanged(): void {}
}

/** @returns the levels of both sides at the end */
function timeBook(flow: Flow, rates: number[]): number[][] {
  const venue = new Venue(BENCH_DEFINITION, new Counter());
  runVenue(venue, flow, 0, flow.prefill);
  Bun.gc(true); // garbage of the previous case must not be collected in this one
  const start = Bun.nanoseconds();
  runVenue(venue, flow, flow.prefill, flow.count);
  rates.push(perSecond(flow, start));
  venue.check();
  return [venue.top(BUY, flow.count), venue.top(SELL, flow.count)];
}

function runVenue(venue: Venue, flow: Flow, from: number, to: number): void {
  for (let i = from; i < to; i++) runCommand(venue, flow, i);
}

function timeMarketData(flow: Flow, rates: number[]): void {
  const data = new MarketDataBench();
  const venue = new Venue(BENCH_DEFINITION, data);
  data.attach(venue);
  runWithMarketData(venue, data, flow, 0, flow.prefill);
  Bun.gc(true);
  const start = Bun.nanoseconds();
  runWithMarketData(venue, data, flow, flow.prefill, flow.count);
  rates.push(perSecond(flow, start));
}

function runWithMarketData(
  venue: Venue,
  data: MarketDataBench,
  flow: Flow,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) {
    runCommand(venue, flow, i);
    data.afterCommand();
    if (i % BATCH === 0) data.endBatch();
  }
  data.endBatch();
}

function timeBaseline(flow: Flow, ids: string[], rates: number[]): number[][] {
  const book = makeBaseline();
  runBaseline(book, flow, ids, 0, flow.prefill);
  Bun.gc(true);
  const start = Bun.nanoseconds();
  runBaseline(book, flow, ids, flow.prefill, flow.count);
  rates.push(perSecond(flow, start));
  return baselineLevels(book);
}

/** The cost of the clock is in each figure: about 40 ns. */
function timeEach(flow: Flow): Float64Array {
  const latencies = new Float64Array(flow.count - flow.prefill);
  const venue = new Venue(BENCH_DEFINITION, new Counter());
  runVenue(venue, flow, 0, flow.prefill);
  for (let i = flow.prefill; i < flow.count; i++) {
    const start = Bun.nanoseconds();
    runCommand(venue, flow, i);
    latencies[i - flow.prefill] = Bun.nanoseconds() - start;
  }
  return latencies;
}

function perSecond(flow: Flow, start: number): number {
  return ((flow.count - flow.prefill) * 1e9) / (Bun.nanoseconds() - start);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
