/**
 * Bench `recovery`: how long a server takes to be ready, by the records of its journal and how many of
 * them stand behind the newest checkpoint; after an orderly end there are none. The others are journals
 * of processes that were killed. `ready` is from the start of the process to the first 200 of `/readyz`,
 * against that of a server with nothing to recover; `recovery` is the part that depends on the journal.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, median, type BenchOptions, type BenchResult } from './harness';
import type { RecoveryDone } from './recovery-child';

const MAIN = join(import.meta.dir, '../../src/main.ts');
const CHILD = join(import.meta.dir, 'recovery-child.ts');
const EMPTY = 'an empty journal';
const BARE = 'reading the same rows bare';
const POLL_MS = 2;
const READY_MS_MAX = 60_000;

interface Shape {
  readonly records: readonly number[];
  /** With the default a checkpoint comes after 200,000 events; the last is as near as is safe. */
  readonly tails: readonly number[];
  readonly rounds: number;
  /** Source events that the journal repeats. */
  readonly lap: number;
}

const FULL: Shape = { records: [1_000_000, 10_000_000], tails: [50_000, 95_000], rounds: 5, lap: 100_000 }; // prettier-ignore
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
  const port = freePort();
  const start = performance.now();
  const args = ['serve', '--port', String(port), '--data', data];
  const server = Bun.spawn([process.execPath, MAIN, ...args], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  });
  try {
    for (;;) {
      const ms = performance.now() - start;
      if (await isReady(port)) return performance.now() - start;
      if (ms > READY_MS_MAX || server.exitCode !== null)
        throw new Error('the server does not start');
      await Bun.sleep(POLL_MS);
    }
  } finally {
    server.kill('SIGKILL');
    await server.exited;
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200;
  } catch {
    return false; // nobody listens yet
  }
}

function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Runs a child until it tells its result; one that would go on is killed. */
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
