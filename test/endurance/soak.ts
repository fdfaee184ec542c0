/**
 * The soak, run by hand: does a server in use keep its memory, its speed and its guarantees?
 *
 *     bun test/endurance/soak.ts [--minutes 30] [--rate 5000] [--orders 200] [--readers 8] [--out FILE]
 *
 * A server process as an operator starts it, with a journal that retention bounds; sources at a steady rate; venues
 * with orders that come and go; readers that keep up and check everything; visitors of every kind
 * (soak-visitors.ts); SIGHUP every minute. Every five seconds a sample is written to a file, and at the end the
 * samples are judged (judge.ts): the exit code is 1, and the reasons are printed, when memory grew by more than 2 %
 * after the first five minutes, p99 or the number of file descriptors rose, or a reader that kept up missed
 * anything that was not declared. What fills up by design (orders that have ended, the memtable, the journal up to
 * its retention) is set so small that it is full by then.
 */

import type { Subprocess } from 'bun';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { endAll, cpuUs, startWorkerProcess } from '../bench/processes';
import { BARS, judge, type Judged } from './judge';
import { directoryBytes, metricValue, processFigures } from './process-figures';
import { ManagedServer } from './managed-server';
import type { ReadersDone, ReadersJob } from './soak-readers';
import type { VisitorsDone, VisitorsJob } from './soak-visitors';
import type { SourceDone, SourceJob } from './source';

const { values: given } = parseArgs({
  options: {
    'minutes': { type: 'string', default: '30' },
    'rate': { type: 'string', default: '5000' },
    'orders': { type: 'string', default: '200' },
    'readers': { type: 'string', default: '8' },
    'requests': { type: 'string', default: '40' },
    'retention-mb': { type: 'string', default: '128' },
    'settle-minutes': { type: 'string', default: '5' },
    'every-seconds': { type: 'string', default: '5' },
    'out': { type: 'string', default: '' },
  },
});
const minutes = Number(given.minutes);
const everyMs = Number(given['every-seconds']) * 1000;
const FEEDS = Array.from({ length: 10 }, (_, i) => `SOAK${i}`);
const VENUES = ['ACME', 'BOLT'];
const RELOAD_EVERY_MS = 60_000;

const venue = (symbol: string): string => `
[[instruments]]
symbol = "${symbol}"
market = "venue"
priceScale = 2
quantityScale = 0
previousClose = "100.00"
`;
const SETTINGS = `
[journal.retention]
bytes = ${Number(given['retention-mb']) * 1_048_576}
[limits]
endedOrdersMax = 10000
sessionsPerAddressMax = 10000
${VENUES.map(venue).join('')}`;

const directory = mkdtempSync(join(tmpdir(), 'tapedeck-soak-'));
const out = given.out === '' ? join(tmpdir(), `tapedeck-soak-${process.pid}.ndjson`) : given.out;
const server = new ManagedServer(directory, SETTINGS);
const running: Subprocess[] = [];
const path = (name: string): string => join(import.meta.dir, name);

interface Sample extends Judged, Omit<ReadersDone, keyof Judged> {
  readonly rssFileBytes: number;
  /** Of one processor, in percent. */
  readonly cpuPercent: number;
  readonly heapBytes: number | null;
  readonly loopLagP99Ms: number | null;
  readonly sessions: number | null;
  readonly source: SourceDone;
  readonly visitors: VisitorsDone;
}

interface Workers {
  readonly source: (job: SourceJob) => Promise<SourceDone>;
  readonly readers: (job: ReadersJob) => Promise<ReadersDone>;
  readonly visitors: (job: VisitorsJob) => Promise<VisitorsDone>;
}

async function begin(): Promise<Workers> {
  await server.start();
  const { url, key } = server;
  const source = startWorkerProcess<SourceJob, SourceDone>(path('source.ts'), running);
  const readers = startWorkerProcess<ReadersJob, ReadersDone>(path('soak-readers.ts'), running);
  const visitors = startWorkerProcess<VisitorsJob, VisitorsDone>(path('soak-visitors.ts'), running);
  const market = { feeds: FEEDS, venues: VENUES, sources: 3 };
  const rates = { eventsPerSecond: Number(given.rate), ordersPerSecond: Number(given.orders) };
  await source({ act: 'start', url, key, ...market, ...rates });
  await Bun.sleep(500); // the definitions
  const target = { url, symbols: FEEDS, venues: VENUES };
  await readers({ act: 'start', ...target, readers: Number(given.readers) });
  await visitors({ act: 'start', ...target, requestsPerSecond: Number(given.requests) });
  return { source, readers, visitors };
}

async function sample(workers: Workers, atS: number, cpuPercent: number): Promise<Sample> {
  if (!server.isAlive) throw new Error(`the server ended; its log is in ${directory}`);
  const [source, readers, visitors] = await Promise.all([
    workers.source({ act: 'look' }),
    workers.readers({ act: 'look' }),
    workers.visitors({ act: 'look' }),
  ]);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const lagS = metricValue(metrics, 'eventloop_lag_p99_seconds');
  return {
    atS,
    ...processFigures(server.pid),
    cpuPercent,
    heapBytes: metricValue(metrics, 'heap_size_used_bytes') ?? null,
    loopLagP99Ms: lagS === undefined ? null : lagS * 1000,
    sessions: metricValue(metrics, 'tapedeck_sessions') ?? null,
    journalBytes: directoryBytes(server.data),
    ...readers,
    source,
    visitors,
  };
}

function line(s: Sample): string {
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return (
    `${s.atS.toFixed(0).padStart(5)} s  own ${mb(s.rssAnonBytes)}  heap ${mb(s.heapBytes ?? 0)}  ` +
    `file ${mb(s.rssFileBytes)}  fds ${s.fds}  threads ${s.threads}  cpu ${s.cpuPercent.toFixed(0)} %  ` +
    `p50 ${s.p50.toFixed(2)}  p99 ${s.p99.toFixed(2)} ms  gaps ${s.gaps}  losses ${s.losses}  ` +
    `journal ${mb(s.journalBytes)}  sessions ${s.sessions}`
  );
}

async function soak(): Promise<Sample[]> {
  const workers = await begin();
  const samples: Sample[] = [];
  const startMs = performance.now();
  writeFileSync(out, '');
  const reload = setInterval(() => server.signal('SIGHUP'), RELOAD_EVERY_MS);
  let cpuBefore = cpuUs(server.pid);
  let before = startMs;
  try {
    while (performance.now() - startMs < minutes * 60_000) {
      await Bun.sleep(Math.max(0, startMs + (samples.length + 1) * everyMs - performance.now()));
      const [nowMs, cpuNow] = [performance.now(), cpuUs(server.pid)];
      const cpuPercent = (cpuNow - cpuBefore) / (nowMs - before) / 10;
      [cpuBefore, before] = [cpuNow, nowMs];
      samples.push(await sample(workers, (nowMs - startMs) / 1000, cpuPercent));
      appendFileSync(out, `${JSON.stringify(samples.at(-1))}\n`);
      console.log(line(samples.at(-1)!));
    }
    return samples;
  } finally {
    clearInterval(reload);
  }
}

try {
  console.log(`samples go to ${out}; data and log of the server are in ${directory}`);
  const samples = await soak();
  const settleS = Number(given['settle-minutes']) * 60;
  const verdict = judge(samples, { ...BARS, settleS });
  const { source, visitors, first } = samples.at(-1)!;
  const code = await server.stop('SIGTERM');
  const faults = [...verdict.faults, ...(code === 0 ? [] : [`the server ended with ${code}`])];
  console.log(JSON.stringify({ minutes, source, visitors, first, ...verdict, faults }, null, 2));
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await server.stop('SIGKILL');
  await endAll(running);
  rmSync(directory, { recursive: true, force: true });
}
