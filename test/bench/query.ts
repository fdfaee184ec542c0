/**
 * Benches `tick-query` and `book-query`: how long the tiers take inside the process, as REST asks
 * them: look the instrument up, then ask for its tick or its ten levels.
 *
 * 64 instruments are asked in random order. `L1` finds an answer that is kept; `live` finds it over,
 * asks the live instrument and keeps its answer. `single` times each query by itself, so the clock
 * (its own percentile stands as baseline) and every interruption by the system are in the figure:
 * that is the figure to hold against a bar. `of 16` is the mean of 16 queries in a row, in which the
 * clock hardly shows, but neither does a single slow query.
 */

import { assert } from '../../src/base/assert';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { Memtable } from '../../src/cache/memtable';
import { Tiers } from '../../src/cache/tiers';
import { generateMarket, runMarket, settings } from './generated-market';
import { compared, percentile, type BenchOptions, type BenchResult } from './harness';

const INSTRUMENTS = 64;
const BATCH = 16;
const WARM_UPS = 3;
const PERCENTS = [50, 99, 99.9];

/** Asks for the instrument of this symbol. */
type Ask = (symbol: string) => void;

export function tickQueryBench(options: BenchOptions): Promise<BenchResult[]> {
  return Promise.resolve(runQueries('tick-query', 'tick', options));
}

export function bookQueryBench(options: BenchOptions): Promise<BenchResult[]> {
  return Promise.resolve(runQueries('book-query', 'book', options));
}

function runQueries(bench: string, what: 'tick' | 'book', options: BenchOptions): BenchResult[] {
  const samples = options.quick ? 100 : 300_000;
  const clock = new SystemClock();
  const symbols = Array.from({ length: INSTRUMENTS }, (_, i) => `SYM${i}`);
  const start = clock.now();
  const { market } = runMarket(generateMarket({ symbols, events: 4000, seed: 2, start }), clock);
  const { ttlMs, entriesMax } = settings().cache;
  const empty = new Memtable({ eventsMax: 1, tradesMax: 1 });
  const kept = new Tiers({ ttlMs, entriesMax }, clock, empty);
  // A life that is over before it begins: every query finds its answer expired.
  const expired = new Tiers({ ttlMs: -1, entriesMax }, clock, empty);
  const asking = (tiers: Tiers): Ask =>
    what === 'tick'
      ? (symbol) => assert(tiers.tick(market.get(symbol)!).entry !== null, 'there is a tick')
      : (symbol) => assert(tiers.book(market.get(symbol)!).entry !== null, 'there is a book');
  const results = (['L1', 'live'] as const).flatMap((tier) =>
    measure(bench, tier, asking(tier === 'L1' ? kept : expired), symbols, samples),
  );
  assert(
    kept.counters.l1[what].hits > kept.counters.live[what].hits,
    'L1 gave the answers of its case',
  );
  assert(expired.counters.l1[what].hits === 0, 'L1 gave no answer of the other');
  return results;
}

function measure(
  bench: string,
  tier: string,
  ask: Ask,
  symbols: readonly string[],
  samples: number,
): BenchResult[] {
  const order = randomOrder(symbols);
  const single = new Float64Array(samples);
  const batched = new Float64Array(samples);
  const empty = new Float64Array(samples);
  for (let round = 0; round <= WARM_UPS; round++) {
    sampleSingle(ask, order, single);
    sampleBatches(ask, order, batched);
    sampleSingle(() => {}, order, empty);
  }
  for (const values of [single, batched, empty]) values.sort();
  return PERCENTS.flatMap((percent) => [
    compared(
      {
        bench,
        case: `${tier}, single, p${percent}`,
        value: percentile(single, percent),
        unit: 'ns',
      },
      'the clock alone',
      percentile(empty, percent),
    ),
    {
      bench,
      case: `${tier}, of ${BATCH}, p${percent}`,
      value: percentile(batched, percent),
      unit: 'ns',
    },
  ]);
}

function randomOrder(symbols: readonly string[]): string[] {
  const random = new Prng(3);
  return Array.from({ length: 1024 }, () => symbols[random.int(0, symbols.length - 1)]!);
}

function sampleSingle(ask: Ask, order: readonly string[], into: Float64Array): void {
  for (let i = 0; i < into.length; i++) {
    const symbol = order[i & 1023]!;
    const start = Bun.nanoseconds();
    ask(symbol);
    into[i] = Bun.nanoseconds() - start;
  }
}

function sampleBatches(ask: Ask, order: readonly string[], into: Float64Array): void {
  for (let i = 0; i < into.length; i++) {
    const start = Bun.nanoseconds();
    for (let j = 0; j < BATCH; j++) ask(order[(i * BATCH + j) & 1023]!);
    into[i] = (Bun.nanoseconds() - start) / BATCH;
  }
}
