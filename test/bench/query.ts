/**
 * Benches `tick-query` and `book-query`: how long each tier takes inside the process for a REST query: look the
 * instrument up, then ask for its tick or its ten levels.
 *
 * 64 instruments are queried in random order. `L1` finds an answer that is kept. `L2` finds that answer expired,
 * and the tick in the memtable; `live` finds neither, and asks the live instrument; both keep their answer. `L3` is
 * the part that the chain leaves out, at its cheapest: the record of the newest tick (or of the newest whole book,
 * which may be older) by its seq, with a prepared statement on the file of the journal.
 * `single` times each query by itself, so the clock (whose own percentile is the baseline) and every interruption
 * by the system are in the figure: that is the figure to compare with a limit. `of 16` is the mean of 16
 * consecutive queries, in which the clock hardly counts, but a single slow query does not appear either; for L3 the
 * baseline is that of the live market.
 */

import { Database } from 'bun:sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BatchEvent } from '../../protocol/records';
import { assert } from '../../src/base/assert';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { Memtable } from '../../src/cache/memtable';
import { Tiers, type TierOptions } from '../../src/cache/tiers';
import { rowToEvent, type RecordRow } from '../../src/journal/records';
import { idOf, SELECT_RECORD } from '../../src/journal/schema';
import type { Market } from '../../src/market/market';
import { openRecorder } from '../../src/app/recorder';
import { generateMarket, settings } from './generated-market';
import { compared, percentile, type BenchOptions, type BenchResult } from './harness';

const INSTRUMENTS = 64;
const SUBMISSION = 100;
const BATCH = 16;
const WARM_UPS = 3;
const PERCENTS = [50, 99, 99.9];
/** The disk is queried much less often, so that its part does not take minutes. */
const L3_SHARE = 0.05;

type What = 'tick' | 'book';

/** Queries the instrument with this symbol. */
type Ask = (symbol: string) => void;

/** A recorded market: in memory, in the memtable and on disk. */
interface Recorded {
  readonly market: Market;
  readonly memtable: Memtable;
  /** The seq of the newest tick, and of the newest whole book, of each symbol. */
  readonly newestSeqs: Readonly<Record<What, ReadonlyMap<string, number>>>;
}

export function tickQueryBench(options: BenchOptions): Promise<BenchResult[]> {
  return Promise.resolve(benchQueries('tick-query', 'tick', options));
}

export function bookQueryBench(options: BenchOptions): Promise<BenchResult[]> {
  return Promise.resolve(benchQueries('book-query', 'book', options));
}

function benchQueries(bench: string, what: What, options: BenchOptions): BenchResult[] {
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  try {
    return runQueries(bench, what, options, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function runQueries(
  bench: string,
  what: What,
  { quick }: BenchOptions,
  directory: string,
): BenchResult[] {
  const samples = quick ? 100 : 300_000;
  const clock = new SystemClock();
  const symbols = Array.from({ length: INSTRUMENTS }, (_, i) => `SYM${i}`);
  const { market, memtable, newestSeqs } = recordMarket(
    directory,
    symbols,
    quick ? 4_000 : 200_000,
  );
  const tiersOf = (changes: Partial<TierOptions>, held: Memtable): Tiers =>
    new Tiers({ ...settings().cache, ...changes }, clock, held);
  const none = new Memtable({ eventsMax: 1, tradesMax: 1 });
  // Answers expire at once: every query finds its answer expired.
  const tiers = {
    L1: tiersOf({}, memtable),
    L2: tiersOf({ ttlMs: -1 }, memtable),
    live: tiersOf({ ttlMs: -1 }, none),
  };
  const asking = (chain: Tiers): Ask =>
    what === 'tick'
      ? (symbol) => assert(chain.tick(market.get(symbol)!).entry !== null, 'there is a tick')
      : (symbol) => assert(chain.book(market.get(symbol)!).entry !== null, 'there is a book');
  const names = what === 'tick' ? (['L1', 'L2', 'live'] as const) : (['L1', 'live'] as const);
  const results = names.flatMap((tier) =>
    measure(bench, tier, asking(tiers[tier]), symbols, samples),
  );
  checkTiers(tiers, what);
  const file = openNewest(directory);
  const ask: Ask = (symbol) => {
    const record = file.read(newestSeqs[what].get(symbol)!, symbol);
    assert(record !== undefined, 'it is in the journal');
  };
  const l3 = measure(bench, 'L3', ask, symbols, Math.ceil(samples * L3_SHARE));
  file.close();
  return [...results, ...l3.map((result) => besideLive(result, results))];
}

/** Checks that each case was answered by the tier that it names. */
function checkTiers(tiers: Readonly<Record<'L1' | 'L2' | 'live', Tiers>>, what: What): void {
  const { l1, l2, live } = tiers.L1.counters;
  assert(l1[what].hits > l2.tick.hits + live[what].hits, 'L1 gave the answers of its case');
  for (const name of ['L2', 'live'] as const) {
    assert(tiers[name].counters.l1[what].hits === 0, `L1 gave no answer of ${name}`);
  }
  if (what === 'tick') assert(tiers.L2.counters.live.tick.hits === 0, 'L2 gave those of its case');
  assert(tiers.live.counters.l2.tick.hits === 0, 'L2 gave none of the live market');
}

/** Uses the same case of the live market as baseline, where there is none yet. */
function besideLive(result: BenchResult, results: readonly BenchResult[]): BenchResult {
  if (result.baseline !== undefined) return result;
  const live = results.find((r) => r.case === result.case.replace('L3', 'live'))!;
  return compared(result, 'live', live.value);
}

function recordMarket(directory: string, symbols: readonly string[], events: number): Recorded {
  const clock = new SystemClock();
  const config = settings({ journal: { directory } });
  const { memtableEventsMax: eventsMax, recentTradesMax: tradesMax } = config.cache;
  const memtable = new Memtable({ eventsMax, tradesMax });
  const newestSeqs = { tick: new Map<string, number>(), book: new Map<string, number>() };
  const note = (event: BatchEvent): void => {
    if (event.type === 'tick') newestSeqs.tick.set(event.symbol, event.seq);
    else if (event.type === 'snapshot') newestSeqs.book.set(event.symbol, event.seq);
  };
  const recorder = openRecorder(config, clock, { recent: memtable });
  if (recorder instanceof StartFault) throw new Error(recorder.message);
  recorder.follow((batch) => batch.events.forEach(note));
  const source = generateMarket({ symbols, events, seed: 2, start: clock.now() });
  for (let i = 0; i < source.length; i += SUBMISSION) {
    recorder.sequencer.submit(1, source.slice(i, i + SUBMISSION), (result) => {
      if ('fault' in result) throw new Error(result.fault.message);
    });
    recorder.sequencer.drain();
  }
  recorder.close();
  return { market: recorder.market, memtable, newestSeqs };
}

/** Reads a record by its seq, on a read-only connection. Nothing else here depends on the schema. */
function openNewest(directory: string): {
  read(seq: number, symbol: string): BatchEvent | undefined;
  close(): void;
} {
  const db = new Database(join(directory, 'journal.sqlite'), { readonly: true });
  db.run('PRAGMA mmap_size = 1073741824');
  const bySeq = db.prepare<RecordRow, [number]>(`${SELECT_RECORD} WHERE id = ?`);
  return {
    read: (seq, symbol) => {
      const row = bySeq.get(idOf(seq));
      return row === null ? undefined : rowToEvent(row, symbol);
    },
    close: () => {
      bySeq.finalize();
      db.close();
    },
  };
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
