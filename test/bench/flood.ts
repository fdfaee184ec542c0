/**
 * Bench `flood`: what the flood of one client costs those that keep up. Server, source, readers and the
 * hostile client are a process each. Turns without the flood, with it, and with the same flood sent to
 * another process (flood-elsewhere.ts) follow each other, on one server, and the medians of the turns
 * are compared; each kind of flood is measured by itself. All limits are the defaults. What is measured
 * is the server: see flood-client.ts for what keeps the hostile process from taking the machine away
 * from it, and flood-elsewhere.ts for how much it takes all the same.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FloodDone, FloodJob } from './flood-client';
import { FLOOD_SYMBOLS, FLOOD_VENUE, FLOODS, type Place } from './flood-kinds';
import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import { spread } from './spread';

interface Shape {
  readonly sessions: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** Between rounds: what the last one has left behind is done. */
  readonly restMs: number;
  readonly runInMs: number;
  readonly kinds: readonly string[];
}

const KINDS = Object.keys(FLOODS);
const FULL: Shape = {
  sessions: 50,
  rounds: 21,
  roundMs: 1_000,
  restMs: 150,
  runInMs: 6_000,
  kinds: KINDS,
};
const QUICK: Shape = {
  sessions: 3,
  rounds: 1,
  roundMs: 100,
  restMs: 20,
  runInMs: 20,
  kinds: KINDS,
};
const EVENTS_PER_SECOND = 5_000;
const RUN_IN_PER_SECOND = 10_000;
const VENUE = {
  symbol: FLOOD_VENUE,
  market: 'venue',
  priceScale: 2,
  quantityScale: 0,
  previousClose: '100.00',
};

/** What nobody publishes: it makes lists, and what stands for all topics, long. */
const QUIET = Array.from({ length: 1_000 }, (_, i) => ({ symbol: `Q${i}`, priceScale: 2, quantityScale: 0 })); // prettier-ignore

/** Whom the flood goes to. */
type Where = 'nobody' | 'server' | 'elsewhere';
const WHERES: readonly Where[] = ['nobody', 'server', 'elsewhere'];

interface Turn {
  readonly others: ReaderDone;
  readonly flood: FloodDone | null;
  /** Of the server. */
  readonly cpuUs: number;
}

type Round = Readonly<Record<Where, Turn>>;

export async function floodBench({ quick, kinds = [] }: BenchOptions): Promise<BenchResult[]> {
  const unknown = kinds.filter((kind) => !KINDS.includes(kind));
  if (unknown.length > 0) throw new Error(`no kind of flood is ${unknown.join(', ')}; known: ${KINDS.join(', ')}`); // prettier-ignore
  const size = quick ? QUICK : FULL;
  const shape = kinds.length === 0 ? size : { ...size, kinds };
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    return await measure(join(directory, 'data'), shape, running);
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(
  directory: string,
  shape: Shape,
  running: Subprocess[],
): Promise<BenchResult[]> {
  const { sessions, rounds, roundMs, restMs, runInMs, kinds } = shape;
  const path = (name: string): string => join(import.meta.dir, name);
  const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
  const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const hostile = startWorkerProcess<FloodJob, FloodDone>(path('flood-client.ts'), running);
  const changes = JSON.stringify({ instruments: [VENUE, ...QUIET] });
  const { url: address, process: server } = await startServerProcess([path('push-server.ts'), directory, 'async', changes], running); // prettier-ignore
  const url = address.origin;
  const inRounds = WHERES.length * rounds * kinds.length * (roundMs + restMs) * EVENTS_PER_SECOND;
  const eventsMax = (inRounds + runInMs * RUN_IN_PER_SECOND) / 1000;
  const feed = (durationMs: number, eventsPerSecond = EVENTS_PER_SECOND): Promise<SourceDone> =>
    source({ symbols: FLOOD_SYMBOLS, tradeShare: 1, events: eventsPerSecond / 1000, eventsMax, url, eventsPerSecond, durationMs }); // prettier-ignore
  await feed(0); // the definitions
  await reader({ url, act: 'open', sockets: sessions });
  await reader({ url, act: 'subscribe', topics: spread(FLOOD_SYMBOLS.map((s) => `tick:${s}`), sessions) }); // prettier-ignore
  await feed(runInMs, RUN_IN_PER_SECOND);
  const other = await startServerProcess([path('flood-elsewhere.ts'), url], running);
  const turn = async (kind: string, where: Where): Promise<Turn> => {
    await feed(restMs);
    const place = await placeOf(url);
    await reader({ url, act: 'begin' });
    const before = cpuUs(server.pid);
    const to = where === 'server' ? url : other.url.origin;
    const flood = where === 'nobody' ? null : hostile({ ...place, url: to, kind, durationMs: roundMs }); // prettier-ignore
    await feed(roundMs);
    const used = cpuUs(server.pid) - before;
    return { others: await reader({ url, act: 'end' }), flood: await flood, cpuUs: used };
  };
  const results: BenchResult[] = [];
  for (const kind of kinds) {
    const done: Round[] = [];
    for (let i = 0; i < rounds; i++) {
      const turns: Partial<Record<Where, Turn>> = {};
      // None is always the first, or behind the same one.
      for (const at of WHERES.keys()) {
        const where = WHERES[(i + (i % 2 === 0 ? at : WHERES.length - at)) % WHERES.length]!;
        turns[where] = await turn(kind, where);
      }
      done.push(turns as Round);
    }
    results.push(...report(kind, done, roundMs));
  }
  return results;
}

async function placeOf(url: string): Promise<Place> {
  const response = await fetch(`${url}/v1/tick/${FLOOD_SYMBOLS[0]}`);
  const { epoch = 0, seq = 0 } = (await response.json()) as Partial<Place>;
  return { epoch, seq };
}

function report(kind: string, rounds: readonly Round[], roundMs: number): BenchResult[] {
  const bench = 'flood';
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const latency = (where: Where, what: 'p50' | 'p99'): number => of((r) => r[where].others[what]);
  const against = (what: 'p50' | 'p99', where: Where, baseline: string): BenchResult =>
    compared(
      { bench, case: `${what} of the others, ${kind}${where === 'nobody' ? '' : ', and elsewhere'}`, unit: 'ms', value: latency('server', what) }, // prettier-ignore
      baseline,
      latency(where, what),
    );
  const spent = ({ server, nobody }: Round): number => (server.cpuUs - nobody.cpuUs) / roundMs / 10;
  const { perSecond } = FLOODS[kind]!;
  return [
    against('p99', 'nobody', 'without the flood'),
    against('p99', 'elsewhere', 'the same flood to another process'),
    against('p50', 'nobody', 'without the flood'),
    against('p50', 'elsewhere', 'the same flood to another process'),
    { bench, case: `sent, of ${perSecond.toLocaleString('en')} wanted, ${kind}`, value: of(({ server }) => server.flood!.sentPerSecond), unit: '1/s' }, // prettier-ignore
    { bench, case: `connections of it, ${kind}`, value: of(({ server }) => server.flood!.connections), unit: 'a round' }, // prettier-ignore
    { bench, case: `processor that the server spends on it, ${kind}`, value: rounds.reduce((sum, r) => sum + spent(r), 0) / rounds.length, unit: '%' }, // prettier-ignore
  ].filter(({ value }) => value > 0);
}
