/**
 * Bench `rest`: requests per second of a real server process, compared with a bare `Bun.serve` that returns the
 * same body with the same headers, in alternating rounds. The load comes from a third process.
 *
 * With two processors the load may be the limit of both. So the processor time that each server spends on a request
 * is printed too, which shows the whole difference (Linux only).
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SystemClock } from '../../src/base/clock';
import { StartFault } from '../../src/base/start-fault';
import { openRecorder } from '../../src/app/recorder';
import { generateMarket, settings } from './generated-market';
import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess, type Target } from './processes';
import type { LoadDone, LoadJob } from './rest-load';

type RunLoad = (job: LoadJob) => Promise<LoadDone>;

const SYMBOL = 'BTCUSDT';
const BASELINE = 'bare Bun.serve';
const MAIN = join(import.meta.dir, '../../src/main.ts');

const ROUTES = [
  { name: 'tick', path: `/v1/tick/${SYMBOL}` },
  { name: 'orderbook', path: `/v1/orderbook/${SYMBOL}` },
] as const;

interface Tally {
  readonly rates: number[];
  requests: number;
  cpuUs: number;
}

export async function restBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const rounds = quick ? 1 : 11;
  const durationMs = quick ? 30 : 800;
  const connections = quick ? 2 : 32;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    makeJournal(directory);
    const server = await startServerProcess(
      [MAIN, 'serve', '--port', '0', '--data', directory],
      running,
    );
    const bare = await startServerProcess(
      [fileURLToPath(import.meta.resolve('./rest-bare.ts')), server.url.origin, SYMBOL],
      running,
    );
    const load = startWorkerProcess<LoadJob, LoadDone>(
      join(import.meta.dir, 'rest-load.ts'),
      running,
    );
    const results: BenchResult[] = [];
    for (const { name, path } of ROUTES) {
      const tallies = { server: newTally(), bare: newTally() };
      // The first round warms both up.
      for (let round = quick ? 1 : 0; round <= rounds; round++) {
        for (const [who, target] of Object.entries({ server, bare })) {
          const tally = round === 0 ? newTally() : tallies[who as 'server' | 'bare'];
          await runRound(load, target, { path, connections, durationMs }, tally);
        }
      }
      results.push(...report(name, tallies.server, tallies.bare));
    }
    return results;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

function newTally(): Tally {
  return { rates: [], requests: 0, cpuUs: 0 };
}

/** A small journal of the last minute, written as `replay` writes it. */
function makeJournal(directory: string): void {
  const clock = new SystemClock();
  const start = clock.now().plus(-60_000_000_000);
  const recorder = openRecorder(settings({ journal: { directory } }), clock);
  if (recorder instanceof StartFault) throw new Error(recorder.message);
  const events = generateMarket({ symbols: [SYMBOL], events: 2000, seed: 4, start });
  recorder.sequencer.submit(1, events, (result) => {
    if ('fault' in result) throw new Error(result.fault.message);
  });
  recorder.close();
}

async function runRound(
  load: RunLoad,
  target: Target,
  job: Omit<LoadJob, 'hostname' | 'port'>,
  tally: Tally,
): Promise<void> {
  const { hostname, port } = target.url;
  const cpuBefore = cpuUs(target.process.pid);
  const { requests, elapsedMs } = await load({ hostname, port: Number(port), ...job });
  tally.cpuUs += cpuUs(target.process.pid) - cpuBefore;
  tally.requests += requests;
  tally.rates.push((requests * 1000) / elapsedMs);
}

function report(name: string, server: Tally, bare: Tally): BenchResult[] {
  const rate = {
    bench: 'rest',
    case: `GET ${name}`,
    value: median(server.rates),
    unit: 'requests/s',
  };
  const results = [compared(rate, BASELINE, median(bare.rates))];
  if (server.cpuUs > 0 && bare.cpuUs > 0) {
    const cpu = {
      bench: 'rest',
      case: `GET ${name}, processor time of the server`,
      value: server.cpuUs / server.requests,
      unit: 'µs/request',
    };
    results.push(compared(cpu, BASELINE, bare.cpuUs / bare.requests));
  }
  return results;
}
