/**
 * Bench `resume-storm`: what readers that reconnect all the time cost those that stay. Rounds without and with them
 * alternate on one server: each of them connects, resumes from some thousand events back or from further back than
 * memory goes (so from the journal), receives what it missed, and leaves.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, median, type BenchOptions, type BenchResult } from './harness';
import { endAll, startServerProcess, startWorkerProcess } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import { spread } from './spread';
import type { StormDone, StormJob } from './storm-resumers';

interface Shape {
  readonly sessions: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly runInMs: number;
  readonly eventsPerSecond: number;
  readonly resumersPerSecond: number;
}

const FULL: Shape = {
  sessions: 100,
  rounds: 5,
  roundMs: 4_000,
  runInMs: 8_000,
  eventsPerSecond: 10_000,
  resumersPerSecond: 100,
};
const QUICK: Shape = {
  sessions: 3,
  rounds: 1,
  roundMs: 200,
  runInMs: 100,
  eventsPerSecond: 1_000,
  resumersPerSecond: 20,
};
const SYMBOLS = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
const BURST_EVENTS = 10;
/** How far back they resume: the first from memory, the second from the journal. */
const BACK = { 'out of memory': 2_000, 'out of the journal': 60_000 } as const;

export async function stormBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const { sessions, rounds, roundMs, runInMs, eventsPerSecond } = shape;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  const path = (name: string): string => join(import.meta.dir, name);
  const topics = SYMBOLS.map((symbol) => `tick:${symbol}`);
  try {
    const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
    const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
    const resumers = startWorkerProcess<StormJob, StormDone>(path('storm-resumers.ts'), running);
    const { url } = await startServerProcess(
      [path('push-server.ts'), join(directory, 'data'), 'async'],
      running,
    );
    const inRounds = (1 + 2 * Object.keys(BACK).length) * rounds * roundMs;
    const eventsMax = ((runInMs + inRounds) * eventsPerSecond) / 1000;
    const feed = (durationMs: number): Promise<SourceDone> =>
      source({
        symbols: SYMBOLS,
        tradeShare: 1,
        events: BURST_EVENTS,
        eventsMax,
        url: url.origin,
        eventsPerSecond,
        durationMs,
      });
    await feed(0);
    await reader({ url: url.origin, act: 'open', sockets: sessions });
    await reader({ url: url.origin, act: 'subscribe', topics: spread(topics, sessions) });
    await feed(runInMs);
    const turn = async (back: number): Promise<readonly [ReaderDone, StormDone]> => {
      await reader({ url: url.origin, act: 'begin' });
      const perSecond = back === 0 ? 0 : shape.resumersPerSecond;
      const storm = resumers({ url: url.origin, topics, perSecond, back, durationMs: roundMs });
      await feed(roundMs);
      const done = await storm;
      return [await reader({ url: url.origin, act: 'end' }), done];
    };
    const results: BenchResult[] = [];
    for (const [where, back] of Object.entries(BACK)) {
      const calm: ReaderDone[] = [];
      const stormy: (readonly [ReaderDone, StormDone])[] = [];
      for (let round = 0; round < rounds; round++) {
        calm.push((await turn(0))[0]);
        stormy.push(await turn(back));
      }
      results.push(...report(where, calm, stormy));
    }
    return results;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

function report(
  where: string,
  calm: readonly ReaderDone[],
  stormy: readonly (readonly [ReaderDone, StormDone])[],
): BenchResult[] {
  const result = (what: string, unit: string, value: number): BenchResult => ({
    bench: 'resume-storm',
    case: `${what}, ${where}`,
    value,
    unit,
  });
  const latency = (what: 'p50' | 'p99'): BenchResult =>
    compared(
      result(`${what} of those that stay`, 'ms', median(stormy.map(([reader]) => reader[what]))),
      'without resumers',
      median(calm.map((reader) => reader[what])),
    );
  const of = (pick: (done: StormDone) => number): number =>
    median(stormy.map(([, done]) => pick(done)));
  return [
    latency('p50'),
    latency('p99'),
    result(
      'resumed',
      '1/s',
      of((d) => d.resumedPerSecond),
    ),
    result(
      'messages to resumers',
      '1/s',
      of((d) => d.messagesPerSecond),
    ),
    result(
      'from the request to live, median',
      'ms',
      of((d) => d.p50),
    ),
    result(
      'from the request to live, p99',
      'ms',
      of((d) => d.p99),
    ),
    result(
      'sent a reset',
      'resumers',
      of((d) => d.resets),
    ),
  ].filter(({ value }) => value > 0);
}
