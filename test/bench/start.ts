/**
 * Bench `start`: how long a server with an empty journal takes from the start of its process to the first 200 of
 * `/readyz`, as the single executable and from the sources, compared with a bare `Bun.serve` that gives the same
 * answer; and how long the page takes at its first request, compared with the second. The data directory is new
 * each time; the program is in the cache of the system since the previous round.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { startUntilReady } from './readiness';

const SOURCES = join(import.meta.dir, '../../src');
const BARE_SOURCE =
  'Bun.serve({ hostname: "127.0.0.1", port: Number(process.argv.at(-1)), fetch: () => new Response("{}") });';
const BARE = 'a bare Bun.serve from a file';
const ROUNDS = 20;

interface Times {
  readonly ready: number[];
  readonly page: number[];
  readonly pageAgain: number[];
}

export async function startBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  try {
    const executable = join(directory, 'tapedeck');
    const built = Bun.spawnSync([process.execPath, join(SOURCES, 'deploy/build.ts'), executable]);
    if (!built.success) throw new Error(`it is not built: ${built.stderr.toString()}`);
    const bareFile = join(directory, 'bare.ts');
    await Bun.write(bareFile, BARE_SOURCE);
    const forms = [
      { form: 'the executable', command: [executable], times: noTimes() },
      {
        form: 'from the sources',
        command: [process.execPath, join(SOURCES, 'main.ts')],
        times: noTimes(),
      },
    ];
    const bare: number[] = [];
    // The first round fills the cache of the system.
    for (let round = quick ? 0 : -1; round < (quick ? 1 : ROUNDS); round++) {
      const bareMs = await bareTime(bareFile);
      if (round >= 0) bare.push(bareMs);
      for (const { command, times } of forms) {
        await measure([...command, 'serve'], directory, round >= 0 ? times : noTimes());
      }
    }
    return forms.flatMap(({ form, times }) => resultsOf(form, times, bare));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function noTimes(): Times {
  return { ready: [], page: [], pageAgain: [] };
}

async function bareTime(file: string): Promise<number> {
  const server = await startUntilReady([process.execPath, file]);
  await server.kill();
  return server.readyMs;
}

async function measure(command: readonly string[], directory: string, times: Times): Promise<void> {
  const data = join(directory, 'data');
  const server = await startUntilReady([...command, '--data', data]);
  try {
    times.ready.push(server.readyMs);
    times.page.push(await timeOf(server.url));
    times.pageAgain.push(await timeOf(server.url));
  } finally {
    await server.kill();
    rmSync(data, { recursive: true });
  }
}

async function timeOf(url: string): Promise<number> {
  const start = performance.now();
  const answer = await fetch(url, { headers: { 'accept-encoding': 'br' } });
  await answer.bytes();
  return performance.now() - start;
}

function resultsOf(form: string, times: Times, bare: readonly number[]): BenchResult[] {
  const result = (what: string, value: number): BenchResult => ({
    bench: 'start',
    case: `${form}, ${what}`,
    value,
    unit: 'ms',
  });
  return [
    compared(result('ready, median', median(times.ready)), BARE, median(bare)),
    compared(result('ready, max', Math.max(...times.ready)), BARE, Math.max(...bare)),
    compared(
      result('page when first asked for, median', median(times.page)),
      'the second time',
      median(times.pageAgain),
    ),
  ];
}
