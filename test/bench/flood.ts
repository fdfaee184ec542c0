/**
 * Bench `flood`: what the flood of one client costs readers that keep up. Server, source, readers and the hostile
 * client are separate processes. Turns without the flood, with it, and with the same flood sent to another process
 * (flood-elsewhere.ts) alternate on one server; the medians of the turns are compared, with the quartiles of the
 * rounds' ratios. Each kind of flood is measured by itself. Turns without a flood serve all kinds, so only every
 * third round has one. All limits have their defaults. `--processor` leaves out the turns of the other process, and
 * the feed: what the server spends on a flood does not depend on other work of the machine. What is measured is the
 * server: flood-client.ts explains what keeps the hostile process from slowing the machine down, and
 * flood-elsewhere.ts measures how much it does all the same.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { FloodDone, FloodJob } from './flood-client';
import { FLOOD_KEYS, FLOOD_SYMBOLS, FLOOD_VENUE, FLOODS, type Position } from './flood-kinds';
import { compared, median, percentile, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, loopUs, startServerProcess, startWorkerProcess } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import { testKey } from '../support/tapedeck-process';
import { spread } from './spread';

/** The target of the flood. */
type Where = 'nobody' | 'server' | 'elsewhere';
const WHERES: readonly Where[] = ['nobody', 'server', 'elsewhere'];

interface Shape {
  readonly sessions: number;
  readonly rounds: number;
  /** One round in this many has a turn without the flood. */
  readonly nobodyEvery: number;
  readonly roundMs: number;
  /** Between rounds: the server finishes the work of the last one. */
  readonly restMs: number;
  readonly runInMs: number;
  readonly kinds: readonly string[];
  readonly wheres: readonly Where[];
}

const KINDS = Object.keys(FLOODS);
const FULL: Shape = {
  sessions: 50,
  rounds: 9,
  nobodyEvery: 3,
  roundMs: 1_000,
  restMs: 150,
  runInMs: 6_000,
  kinds: KINDS,
  wheres: WHERES,
};
const QUICK: Shape = {
  sessions: 3,
  rounds: 1,
  nobodyEvery: 1,
  roundMs: 100,
  restMs: 20,
  runInMs: 20,
  kinds: KINDS,
  wheres: WHERES,
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

/** Instruments that nobody publishes to: they make lists and wildcards long. */
const QUIET = Array.from({ length: 1_000 }, (_, i) => ({
  symbol: `Q${i}`,
  priceScale: 2,
  quantityScale: 0,
}));

/** Processor time of the server. */
interface Used {
  readonly allUs: number;
  /** Of the thread of the event loop. */
  readonly loopUs: number;
  /** What the server accounted to its clients. */
  readonly countedUs: number;
}

interface Turn {
  readonly others: ReaderDone;
  readonly flood: FloodDone | null;
  readonly used: Used;
}

type Round = Readonly<Partial<Record<Where, Turn>>>;

export async function floodBench({
  quick,
  kinds = [],
  processor = false,
  rounds,
}: BenchOptions): Promise<BenchResult[]> {
  const unknown = kinds.filter((kind) => !KINDS.includes(kind));
  if (unknown.length > 0)
    throw new Error(`no kind of flood is ${unknown.join(', ')}; known: ${KINDS.join(', ')}`);
  const size = quick ? QUICK : FULL;
  const shape: Shape = {
    ...size,
    ...(kinds.length > 0 && { kinds }),
    ...(processor && { wheres: WHERES.filter((where) => where !== 'elsewhere') }),
    ...(rounds !== undefined && { rounds }),
  };
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
  const { sessions, rounds, nobodyEvery, roundMs, restMs, runInMs, kinds, wheres } = shape;
  const path = (name: string): string => join(import.meta.dir, name);
  const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
  const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const hostile = startWorkerProcess<FloodJob, FloodDone>(path('flood-client.ts'), running);
  const changes = JSON.stringify({ instruments: [VENUE, ...QUIET] });
  const { url: address, process: server } = await startServerProcess(
    [path('push-server.ts'), directory, 'async', changes, JSON.stringify(FLOOD_KEYS)],
    running,
  );
  const url = address.origin;
  const inRounds = wheres.length * rounds * kinds.length * (roundMs + restMs) * EVENTS_PER_SECOND;
  const eventsMax = (inRounds + runInMs * RUN_IN_PER_SECOND) / 1000;
  const feed = (durationMs: number, eventsPerSecond = EVENTS_PER_SECOND): Promise<SourceDone> =>
    source({
      symbols: FLOOD_SYMBOLS,
      tradeShare: 1,
      key: testKey('feed'),
      events: eventsPerSecond / 1000,
      eventsMax,
      url,
      eventsPerSecond,
      durationMs,
    });
  await feed(0); // the definitions
  await reader({ url, act: 'open', sockets: sessions });
  await reader({
    url,
    act: 'subscribe',
    topics: spread(
      FLOOD_SYMBOLS.map((s) => `tick:${s}`),
      sessions,
    ),
  });
  await feed(runInMs, RUN_IN_PER_SECOND);
  const other = await startServerProcess([path('flood-elsewhere.ts'), url], running);
  const isQuiet = !wheres.includes('elsewhere');
  const pass = (durationMs: number): Promise<unknown> =>
    isQuiet ? Bun.sleep(durationMs) : feed(durationMs);
  const turn = async (kind: string, where: Where): Promise<Turn> => {
    await pass(restMs);
    const position = await positionOf(url);
    await reader({ url, act: 'begin' });
    const before = await usedBy(server.pid, url);
    const to = where === 'server' ? url : other.url.origin;
    const flood =
      where === 'nobody' ? null : hostile({ ...position, url: to, kind, durationMs: roundMs });
    await pass(roundMs);
    const used = since(before, await usedBy(server.pid, url));
    return {
      others: await reader({ url, act: 'end', ...(isQuiet && { expected: 0 }) }),
      flood: await flood,
      used,
    };
  };
  const results: BenchResult[] = [];
  for (const kind of kinds) {
    const done: Round[] = [];
    for (let i = 0; i < rounds; i++) {
      const turns: Partial<Record<Where, Turn>> = {};
      const due = wheres.filter((where) => where !== 'nobody' || i % nobodyEvery === 0);
      // The order changes, so that none is always the first, or always after the same one.
      for (const at of due.keys()) {
        const where = due[(i + (i % 2 === 0 ? at : due.length - at)) % due.length]!;
        turns[where] = await turn(kind, where);
      }
      done.push(turns);
    }
    results.push(...report(kind, done, roundMs));
  }
  return results;
}

async function positionOf(url: string): Promise<Position> {
  const response = await fetch(`${url}/v1/tick/${FLOOD_SYMBOLS[0]}`);
  const { epoch = 0, seq = 0 } = (await response.json()) as Partial<Position>;
  return { epoch, seq };
}

function report(kind: string, rounds: readonly Round[], roundMs: number): BenchResult[] {
  const bench = 'flood';
  const turns = (where: Where): Turn[] => rounds.flatMap((round) => round[where] ?? []);
  const latency = (where: Where, what: 'p50' | 'p99'): number =>
    median(turns(where).map(({ others }) => others[what]));
  const against = (what: 'p50' | 'p99', where: Where, baseline: string): BenchResult[] => {
    if (turns(where).length === 0) return [];
    const name = `${what} of the others, ${kind}${where === 'nobody' ? '' : ', and elsewhere'}`;
    const result = { bench, case: name, unit: 'ms', value: latency('server', what) };
    return [compared(result, baseline, latency(where, what))];
  };
  const spent = (of: keyof Used): number =>
    (mean(turns('server'), of) - mean(turns('nobody'), of)) / roundMs / 10;
  const sent = (figure: keyof FloodDone): number =>
    median(turns('server').map(({ flood }) => flood![figure]));
  const { perSecond } = FLOODS[kind]!;
  const figures = [
    ['sent, of ' + perSecond.toLocaleString('en') + ' wanted', sent('sentPerSecond'), '1/s'],
    ['connections of it', sent('connections'), 'a round'],
    ['processor that the server spends on it', spent('allUs'), '%'],
    ['processor that its event loop spends on it', spent('loopUs'), '%'],
    ['work that is counted for it', spent('countedUs'), '%'],
    ...quartiles(rounds),
  ] as const;
  return [
    ...against('p99', 'nobody', 'without the flood'),
    ...against('p99', 'elsewhere', 'the same flood to another process'),
    ...against('p50', 'nobody', 'without the flood'),
    ...against('p50', 'elsewhere', 'the same flood to another process'),
    ...figures.map(([what, value, unit]) => ({ bench, case: `${what}, ${kind}`, value, unit })),
  ].filter(({ value }) => value > 0);
}

/** The quartiles of the rounds' ratios of p99, with the flood at the server and elsewhere. */
function quartiles(rounds: readonly Round[]): [string, number, string][] {
  const ratios = rounds
    .flatMap(({ server, elsewhere }) =>
      server && elsewhere ? server.others.p99 / elsewhere.others.p99 : [],
    )
    .sort((a, b) => a - b);
  if (ratios.length === 0) return [];
  return [25, 75].map((percent) => [
    `p99 of the others and elsewhere, quartile ${percent} % of the rounds' ratios`,
    percentile(ratios, percent),
    'x',
  ]);
}

function mean(turns: readonly Turn[], of: keyof Used): number {
  return turns.reduce((sum, { used }) => sum + used[of], 0) / turns.length;
}

async function usedBy(pid: number, url: string): Promise<Used> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const counted = [...text.matchAll(/^tapedeck_client_work_seconds_total\S* (\S+)$/gm)];
  const countedUs = counted.reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0);
  return { allUs: cpuUs(pid), loopUs: loopUs(pid), countedUs };
}

function since(before: Used, after: Used): Used {
  return {
    allUs: after.allUs - before.allUs,
    loopUs: after.loopUs - before.loopUs,
    countedUs: after.countedUs - before.countedUs,
  };
}
