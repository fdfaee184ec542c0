/**
 * The rolling restart, run by hand: a server under load is stopped and restarted on the same data, in order
 * (SIGTERM) and abruptly (SIGKILL), while clients of the SDK continue to read.
 *
 *     bun test/endurance/restart.ts [--readers 100] [--times 5] [--rate 1000] [--apart-seconds 8]
 *         [--durability async]
 *
 * Between two restarts there is a heartbeat (five seconds), which resets the back-off of a client. For each kind it
 * prints how long the server was away (from the signal to its announcement), how long each reader was without data,
 * and, by comparing everything received with the journal, how much was lost without a declaration or repeated. The
 * exit code is 1 if anything was.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { percentile } from '../bench/harness';
import { endAll, startWorkerProcess } from '../bench/processes';
import type { ReadersDone, ReadersJob } from './restart-readers';
import { addTo, type Compared } from './restart-truth';
import { ManagedServer } from './managed-server';
import type { SourceDone, SourceJob } from './source';

const { values: given } = parseArgs({
  options: {
    'readers': { type: 'string', default: '100' },
    'times': { type: 'string', default: '5' },
    'rate': { type: 'string', default: '1000' },
    'apart-seconds': { type: 'string', default: '8' },
    'durability': { type: 'string', default: 'async' },
  },
});
const FEEDS = Array.from({ length: 10 }, (_, i) => `FEED${i}`);
const TOPICS = ['tick', 'trade', 'bbo', 'book'].flatMap((c) => FEEDS.map((s) => `${c}:${s}`));
const PROCESSES = 2;
/** A reader that got nothing for this long is not back. */
const QUIET_MS_MAX = 1_000;
const BACK_MS_MAX = 60_000;

const directory = mkdtempSync(join(tmpdir(), 'tapedeck-restart-'));
const server = new ManagedServer(directory, `[journal]\ndurability = "${given.durability}"\n`);
const running: Subprocess[] = [];
const path = (name: string): string => join(import.meta.dir, name);
const source = startWorkerProcess<SourceJob, SourceDone>(path('source.ts'), running);
const readers = Array.from({ length: PROCESSES }, () =>
  startWorkerProcess<ReadersJob, ReadersDone>(path('restart-readers.ts'), running),
);
const all = (job: ReadersJob): Promise<ReadersDone[]> => Promise.all(readers.map((r) => r(job)));

interface Restarts {
  readonly awayMs: number[];
  readonly withoutDataMs: number[];
  resumed: number;
}

async function restart(signal: 'SIGTERM' | 'SIGKILL', sum: Restarts): Promise<void> {
  const before = await all({ act: 'begin' });
  const startMs = performance.now();
  await server.stop(signal);
  await server.start();
  sum.awayMs.push(performance.now() - startMs);
  await Bun.sleep(Number(given['apart-seconds']) * 1000);
  let after = await all({ act: 'end' });
  while (after.some(({ quietMs }) => quietMs > QUIET_MS_MAX)) {
    if (performance.now() - startMs > BACK_MS_MAX) throw new Error('a reader did not come back');
    await Bun.sleep(100);
    after = await all({ act: 'end' });
  }
  sum.withoutDataMs.push(...after.flatMap(({ withoutDataMs }) => withoutDataMs));
  sum.resumed += after.reduce((n, { resumed }, i) => n + resumed - before[i]!.resumed, 0);
}

function report(kind: string, { awayMs, withoutDataMs, resumed }: Restarts): void {
  const sorted = withoutDataMs.toSorted((a, b) => a - b);
  const away = awayMs.toSorted((a, b) => a - b);
  const at = (values: readonly number[], percent: number): number =>
    Math.round(percentile(values, percent));
  console.log(
    JSON.stringify({
      kind,
      restarts: away.length,
      awayMs: { p50: at(away, 50), max: at(away, 100) },
      withoutDataMs: {
        readers: sorted.length,
        p50: at(sorted, 50),
        p99: at(sorted, 99),
        max: at(sorted, 100),
      },
      resumed,
    }),
  );
}

async function run(): Promise<Compared> {
  await server.start();
  const { url, key } = server;
  const load = { feeds: FEEDS, sources: 2, eventsPerSecond: Number(given.rate) };
  await source({ act: 'start', url, key, ...load, venues: [], ordersPerSecond: 0 });
  await Bun.sleep(500); // the definitions
  await all({
    act: 'start',
    url,
    topics: TOPICS,
    readers: Math.ceil(Number(given.readers) / PROCESSES),
  });
  await Bun.sleep(1_000);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const sum: Restarts = { awayMs: [], withoutDataMs: [], resumed: 0 };
    for (let i = 0; i < Number(given.times); i++) await restart(signal, sum);
    report(signal, sum);
  }
  running[0]!.kill(); // the source
  await Bun.sleep(1_000);
  const checked = await all({ act: 'check', url });
  const total: Compared = { messages: 0, lost: 0, repeated: 0, gaps: 0, resets: 0, beyond: 0 };
  for (const { compared } of checked) addTo(total, compared);
  return total;
}

try {
  const total = await run();
  console.log(JSON.stringify(total));
  process.exitCode = total.lost + total.repeated === 0 && total.messages > 0 ? 0 : 1;
} finally {
  await server.stop('SIGKILL');
  await endAll(running);
  rmSync(directory, { recursive: true, force: true });
}
