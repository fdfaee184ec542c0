/**
 * Bench `flood`: what the flood of one client costs those that keep up. Server, source, readers and the
 * hostile client are a process each. Rounds without and with the flood take turns, on one server, and
 * the round whose ratio is the median counts; each kind of flood is measured by itself. All limits are
 * the defaults. What is measured is the server: see flood-client.ts for what keeps the hostile process
 * from taking the machine away from it.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FloodDone, FloodJob } from './flood-client';
import { FLOOD_SYMBOLS, FLOOD_VENUE, FLOODS, type Place } from './flood-kinds';
import { comparedByRounds, median, type BenchOptions, type BenchResult } from './harness';
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
  rounds: 11,
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

interface Round {
  readonly calm: ReaderDone;
  readonly flooded: ReaderDone;
  readonly flood: FloodDone;
  /** Of the server while it was flooded, more than without, of one processor. */
  readonly cpuPercent: number;
}

export async function floodBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
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
  const changes = JSON.stringify({ instruments: [VENUE] });
  const { url: address, process: server } = await startServerProcess([path('push-server.ts'), directory, 'async', changes], running); // prettier-ignore
  const url = address.origin;
  const inRounds = 2 * rounds * kinds.length * (roundMs + restMs) * EVENTS_PER_SECOND;
  const eventsMax = (inRounds + runInMs * RUN_IN_PER_SECOND) / 1000;
  const feed = (durationMs: number, eventsPerSecond = EVENTS_PER_SECOND): Promise<SourceDone> =>
    source({ symbols: FLOOD_SYMBOLS, tradeShare: 1, events: eventsPerSecond / 1000, eventsMax, url, eventsPerSecond, durationMs }); // prettier-ignore
  await feed(0); // the definitions
  await reader({ url, act: 'open', sockets: sessions });
  await reader({ url, act: 'subscribe', topics: spread(FLOOD_SYMBOLS.map((s) => `tick:${s}`), sessions) }); // prettier-ignore
  await feed(runInMs, RUN_IN_PER_SECOND);
  const turn = async (kind: string | null): Promise<[ReaderDone, FloodDone | null, number]> => {
    await feed(restMs);
    const place = await placeOf(url);
    await reader({ url, act: 'begin' });
    const before = cpuUs(server.pid);
    const flood = kind === null ? null : hostile({ url, kind, durationMs: roundMs, ...place });
    await feed(roundMs);
    const used = cpuUs(server.pid) - before;
    return [await reader({ url, act: 'end' }), await flood, used];
  };
  const round = async (kind: string, isFirst: boolean): Promise<Round> => {
    // Neither is always the first.
    const before = isFirst ? undefined : await turn(null);
    const [flooded, flood, floodedUs] = await turn(kind);
    const [calm, , calmUs] = before ?? (await turn(null));
    return { calm, flooded, flood: flood!, cpuPercent: (floodedUs - calmUs) / roundMs / 10 };
  };
  const results: BenchResult[] = [];
  for (const kind of kinds) {
    const done: Round[] = [];
    for (let i = 0; i < rounds; i++) done.push(await round(kind, i % 2 === 0));
    results.push(...report(kind, done));
  }
  return results;
}

async function placeOf(url: string): Promise<Place> {
  const response = await fetch(`${url}/v1/tick/${FLOOD_SYMBOLS[0]}`);
  const { epoch = 0, seq = 0 } = (await response.json()) as Partial<Place>;
  return { epoch, seq };
}

function report(kind: string, rounds: readonly Round[]): BenchResult[] {
  const bench = 'flood';
  const compared = (what: 'p50' | 'p99'): BenchResult =>
    comparedByRounds(
      { bench, case: `${what} of the others, ${kind}`, unit: 'ms' },
      rounds.map(({ flooded }) => flooded[what]),
      'without the flood',
      rounds.map(({ calm }) => calm[what]),
    );
  const of = (pick: (round: Round) => number): number => median(rounds.map(pick));
  const { perSecond } = FLOODS[kind]!;
  return [
    compared('p99'),
    compared('p50'),
    { bench, case: `sent, of ${perSecond.toLocaleString('en')} wanted, ${kind}`, value: of(({ flood }) => flood.sentPerSecond), unit: '1/s' }, // prettier-ignore
    { bench, case: `connections of it, ${kind}`, value: of(({ flood }) => flood.connections), unit: 'a round' }, // prettier-ignore
    { bench, case: `processor that the server spends on it, ${kind}`, value: rounds.reduce((sum, r) => sum + r.cpuPercent, 0) / rounds.length, unit: '%' }, // prettier-ignore
  ].filter(({ value }) => value > 0);
}
