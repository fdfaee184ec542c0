/**
 * Bench `recovery`: how long a server takes until it is ready, by the records of its journal and how many of them
 * are after the newest checkpoint; after an orderly end there are none. The other journals are those of processes
 * that were killed. `ready` is from the start of the process to the first 200 of `/readyz`, compared with a server
 * that has nothing to recover; `recovery` is the part that depends on the journal.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { startUntilReady } from './readiness';
import type { RecoveryDone } from './recovery-child';

const MAIN = join(import.meta.dir, '../../src/main.ts');
const CHILD = join(import.meta.dir, 'recovery-child.ts');
const EMPTY = 'an empty journal';
const BARE = 'reading the same rows bare';

interface Shape {
  readonly records: readonly number[];
  /**
   * With the default settings a checkpoint is made after 200,000 events; the last case is as close to that as is
   * safe.
   */
  readonly tails: readonly number[];
  readonly rounds: number;
  /** Source events that the journal repeats. */
  readonly lap: number;
}

const FULL: Shape = {
  records: [1_000_000, 10_000_000],
  tails: [50_000, 95_000],
  rounds: 5,
  lap: 100_000,
};
const QUICK: Shape = { records: [3_000], tails: [1_000], rounds: 1, lap: 1_000 };

export async function recoveryBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const results: BenchResult[] = [];
  try {
    for (const records of shape.records) {
      const data = join(directory, String(records));
      await child('build', data, String(records), String(shape.lap));
      results.push(...(await measureCase(directory, data, records, 0, shape)));
      let tail = 0;
      for (const wanted of shape.tails) {
        await child('grow', data, String(wanted - tail), String(shape.lap));
        tail = wanted;
        results.push(...(await measureCase(directory, data, records, tail, shape)));
      }
      rmSync(data, { recursive: true, force: true });
    }
    return results;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measureCase(
  directory: string,
  data: string,
  records: number,
  tail: number,
  { rounds }: Shape,
): Promise<BenchResult[]> {
  const ready: number[] = [];
  const empty: number[] = [];
  const recovery: number[] = [];
  const bare: number[] = [];
  let rows = 0;
  for (let round = 0; round < rounds; round++) {
    const fresh = join(directory, 'empty');
    empty.push(await timeToReady(fresh));
    rmSync(fresh, { recursive: true });
    ready.push(await timeToReady(data));
    recovery.push((await child('open', data)).ms);
    const read = await child('read', data);
    bare.push(read.ms);
    rows = read.records;
  }
  const result = (what: string, value: number, unit: string): BenchResult => ({
    bench: 'recovery',
    case: `${records.toLocaleString('en-US')} records, tail ${tail.toLocaleString('en-US')}, ${what}`,
    value,
    unit,
  });
  return [
    compared(result('ready', median(ready), 'ms'), EMPTY, median(empty)),
    ...(tail === 0
      ? [result('recovery', median(recovery), 'ms')]
      : [
          compared(result('recovery', median(recovery), 'ms'), BARE, median(bare)),
          result('recovery of a record', (median(recovery) * 1000) / rows, 'µs/record'),
        ]),
  ];
}

/** From the start of a server to its readiness; then it is killed. */
async function timeToReady(data: string): Promise<number> {
  const server = await startUntilReady([process.execPath, MAIN, 'serve', '--data', data]);
  await server.kill();
  return server.readyMs;
}

/** Runs a child until it reports its result; one that does not end by itself is killed. */
async function child(...args: readonly string[]): Promise<RecoveryDone> {
  const running = Bun.spawn([process.execPath, CHILD, ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  try {
    let text = '';
    for await (const chunk of running.stdout.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes('\n')) break;
    }
    if (text === '') throw new Error(`${args.join(' ')} ended without a result`);
    return JSON.parse(text) as RecoveryDone;
  } finally {
    if (args[0] === 'grow') running.kill('SIGKILL');
    await running.exited;
  }
}
