/**
 * The venue with market data at a steady pace, as a server runs it: checks whether garbage collection ever delays
 * it, and whether its memory stays constant. A pause occurs where something is allocated, so it appears as a batch
 * that took long.
 */

import { Venue } from '../../src/market/venue/venue';
import type { BenchResult } from './matching';
import { BENCH_DEFINITION, DEEP, makeFlow } from './matching-flow';
import { MarketDataBench } from './matching-market-data';
import { runCommand } from './matching-run';

const COMMANDS_PER_SECOND = 100_000;
const BATCH = 100;
const BATCH_MS = (BATCH * 1000) / COMMANDS_PER_SECOND;
const FLOW_COMMANDS = 1_000_000;
/** Share of the time after which memory should be constant. */
const SETTLED = 0.5;
const MIB = 1_048_576;

export async function runSteady(seconds: number): Promise<BenchResult[]> {
  const flow = makeFlow(DEEP, FLOW_COMMANDS, 1);
  const batches = (seconds * COMMANDS_PER_SECOND) / BATCH;
  const batchMs = new Float64Array(batches);
  let settledBytes = 0;
  const start = performance.now();
  let run = makeRun();
  let at = 0;
  for (let batch = 0; batch < batches; batch++) {
    const late = performance.now() - (start + batch * BATCH_MS);
    if (late < 0) await Bun.sleep(-late);
    if (at === flow.count) {
      run = makeRun(); // the flow begins again, so the book must too
      at = 0;
    }
    const from = performance.now();
    for (const to = Math.min(at + BATCH, flow.count); at < to; at++) {
      runCommand(run.venue, flow, at);
      run.data.afterCommand();
    }
    run.data.endBatch();
    batchMs[batch] = performance.now() - from;
    if (batch === Math.floor(batches * SETTLED)) settledBytes = process.memoryUsage.rss();
  }
  const grown = (process.memoryUsage.rss() - settledBytes) / MIB;
  const took = (performance.now() - start) / 1000;
  const sorted = batchMs.sort();
  const result = (what: string, value: number, unit: string): BenchResult => ({
    bench: 'matching',
    case: `100,000 commands/s for ${seconds} s, ${what}`,
    value,
    unit,
  });
  return [
    result('pace kept', (batches * BATCH) / took, 'commands/s'),
    result('batch of 100, p50', sorted[batches >> 1]!, 'ms'),
    result('batch of 100, p99.9', sorted[Math.floor(batches * 0.999)]!, 'ms'),
    result('longest batch', sorted.at(-1)!, 'ms'),
    result('memory grown in the second half', grown, 'MiB'),
  ];
}

function makeRun(): { venue: Venue; data: MarketDataBench } {
  const data = new MarketDataBench();
  const venue = new Venue(BENCH_DEFINITION, data);
  data.attach(venue);
  return { venue, data };
}
