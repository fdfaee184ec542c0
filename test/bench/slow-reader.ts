/**
 * Bench `slow-reader`: what readers that take a fraction of their topics cost those that keep up, and what they
 * receive themselves. Server, source, fast and slow readers are separate processes. Rounds without and with the
 * slow ones alternate, on one server; each round with them has new ones.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, median, percentile, type BenchOptions, type BenchResult } from './harness';
import { endAll, startWorkerProcess } from './processes';
import type { SourceDone, SourceJob } from './push-source';
import type { ReadersDone, ReadersJob } from './slow-reader-readers';
import type { ServerDone, ServerJob } from './slow-reader-server';

interface Shape {
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
  readonly eventsPerSecond: number;
  readonly events: number;
  readonly quick: number;
  readonly slow: number;
  readonly slowBytesPerSecond: number;
}

const FULL: Shape = {
  rounds: 2,
  roundMs: 10_000,
  warmUpMs: 1_000,
  eventsPerSecond: 20_000,
  events: 50,
  quick: 50,
  slow: 50,
  slowBytesPerSecond: 50_000,
};
const QUICK: Shape = {
  rounds: 1,
  roundMs: 1_500,
  warmUpMs: 100,
  eventsPerSecond: 2_000,
  events: 20,
  quick: 2,
  slow: 2,
  slowBytesPerSecond: 10_000,
};

interface Round {
  readonly quickWithout: ReadersDone;
  readonly quickWith: ReadersDone;
  readonly slow: ReadersDone;
  /**
   * For each slow session, the time from the first event to its recognition; the whole round where it was not
   * recognised.
   */
  readonly recognisedMs: readonly number[];
  readonly bytesPerSlow: number;
  readonly server: ServerDone;
  readonly lateMs: number;
}

export async function slowReaderBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    const rounds = await measure(join(directory, 'data'), shape, running);
    return report(rounds);
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(
  directory: string,
  shape: Shape,
  running: Subprocess[],
): Promise<readonly Round[]> {
  const path = (name: string): string => join(import.meta.dir, name);
  const server = startWorkerProcess<ServerJob, ServerDone>(path('slow-reader-server.ts'), running);
  const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
  const quick = startWorkerProcess<ReadersJob, ReadersDone>(
    path('slow-reader-readers.ts'),
    running,
  );
  const slow = startWorkerProcess<ReadersJob, ReadersDone>(path('slow-reader-readers.ts'), running);
  const look = (): Promise<ServerDone> => server({ directory });
  const { url } = await look();
  const { eventsPerSecond, events, warmUpMs, roundMs } = shape;
  const eventsMax = ((warmUpMs + 2 * roundMs) * shape.rounds * eventsPerSecond) / 1000;
  const feed = (durationMs: number): Promise<SourceDone> =>
    source({ url, eventsPerSecond, events, durationMs, eventsMax: eventsMax + eventsPerSecond });
  await feed(0); // the definitions
  await Bun.sleep(200);
  await quick({ act: 'enter', url, count: shape.quick, bytesPerSecond: null });
  const rounds: Round[] = [];
  for (let round = 0; round < shape.rounds; round++) {
    await feed(warmUpMs);
    await quick({ act: 'begin' });
    const alone = await feed(roundMs);
    await Bun.sleep(50);
    const quickWithout = await quick({ act: 'end', sinceMs: null });
    const before = await look();
    await slow({ act: 'enter', url, count: shape.slow, bytesPerSecond: shape.slowBytesPerSecond });
    await quick({ act: 'begin' });
    await slow({ act: 'begin' });
    const startMs = performance.timeOrigin + performance.now();
    const together = await feed(roundMs);
    const after = await look();
    const done = await slow({ act: 'end', sinceMs: after.laggedAtMs });
    await Bun.sleep(50);
    const quickWith = await quick({ act: 'end', sinceMs: null });
    await slow({ act: 'leave' });
    rounds.push({
      quickWithout,
      quickWith,
      slow: done,
      recognisedMs: done.names.map((name) =>
        Math.min((after.laggedAtMs[name] ?? Infinity) - startMs, roundMs),
      ),
      bytesPerSlow: (after.rssBytes - before.rssBytes) / shape.slow,
      server: after,
      lateMs: Math.max(alone.lateMs, together.lateMs),
    });
    await Bun.sleep(500);
  }
  return rounds;
}

function report(rounds: readonly Round[]): BenchResult[] {
  const bench = 'slow-reader';
  const mid = (of: (round: Round) => number): number => median(rounds.map(of));
  const most = (of: (round: Round) => number): number => Math.max(...rounds.map(of));
  const recognised = rounds.flatMap((r) => r.recognisedMs).sort((a, b) => a - b);
  const quick = (what: string, of: (ages: ReadersDone['all']) => number): BenchResult =>
    compared(
      { bench, case: `quick readers ${what}`, value: mid((r) => of(r.quickWith.all)), unit: 'ms' },
      'without slow ones',
      mid((r) => of(r.quickWithout.all)),
    );
  const age = (
    kind: 'trade' | 'state' | 'laterTrade' | 'laterState',
    name: string,
  ): BenchResult[] => {
    // At toy size there are too few messages.
    if (most((r) => r.slow[kind].messages) === 0) return [];
    const what = `age at slow readers, ${name}`;
    return [
      { bench, case: `${what}, median`, value: mid((r) => r.slow[kind].p50), unit: 'ms' },
      { bench, case: `${what}, p99`, value: mid((r) => r.slow[kind].p99), unit: 'ms' },
      { bench, case: `${what}, longest`, value: most((r) => r.slow[kind].max), unit: 'ms' },
    ];
  };
  const results = [
    quick('p50', ({ p50 }) => p50),
    quick('p99', ({ p99 }) => p99),
    quick('longest', ({ max }) => max),
    { bench, case: 'recognised after, median', value: percentile(recognised, 50), unit: 'ms' },
    { bench, case: 'recognised after, longest', value: recognised.at(-1)!, unit: 'ms' },
    ...age('trade', 'trades'),
    ...age('state', 'ticks and books'),
    ...age('laterTrade', 'trades, 4 s later'),
    ...age('laterState', 'ticks and books, 4 s later'),
    {
      bench,
      case: 'slow readers, longest without tick or book',
      value: most((r) => r.slow.silenceMs),
      unit: 'ms',
    },
    // Of the whole process, so with its noise; never less than a page.
    {
      bench,
      case: 'memory of the server per slow reader',
      value: Math.max(4, mid((r) => r.bytesPerSlow) / 1024),
      unit: 'KiB',
    },
  ];
  // At toy size a slow reader may not have been recognised.
  return results.filter(({ value }) => value > 0);
}
