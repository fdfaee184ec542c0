/**
 * Bench `ring`: what it costs to send to another process on this machine.
 *
 * - One way: a tick goes to the other process and back; half of that time, by the clock of one process. Both poll.
 * `paced` sends one every 100 µs, `full speed` the next as soon as one is back. A Unix socket of Bun in the same
 * run is the baseline. A bare store in shared memory is printed too, which is what the processors need by
 * themselves, and iceoryx2 through bun:ffi, where its library is built. They alternate.
 * - Records a second to one reader, and to each of four: a writer at full speed, 64 records in a batch. Records
 * that a reader was too slow for do not count.
 * - The publishing thread: nanoseconds a record for the events of a generated market, by the size of the batch.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';

import type { BenchOptions, BenchResult } from './harness';
import { endAll } from './processes';
import { latency } from './ring-latency';
import { publishingCosts, throughput } from './ring-throughput';

export async function ringBench(options: BenchOptions): Promise<BenchResult[]> {
  const directory = mkdtempSync('/dev/shm/tapedeck-bench-');
  const running: Subprocess[] = [];
  try {
    const latencies = await latency(options, directory, running);
    await endAll(running);
    const rates = await throughput(options, directory, running);
    return [...latencies, ...rates, ...publishingCosts(options, directory)];
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}
