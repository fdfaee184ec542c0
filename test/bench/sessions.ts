/**
 * Bench `sessions`: what an idle session costs, one process that holds 10,000 of them while it pushes, and what
 * that many cost while nothing is published (`idle.ts`). Server, source and readers are separate processes; memory
 * is that of the process of the server after a collection, so it includes what a socket uses outside of the heap.
 * While it pushes, a bare server (push-bare.ts) with as many sockets on the same topics alternates with it, which
 * shows what that many sends in a burst cost any server.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, type BenchOptions, type BenchResult } from './harness';
import { idleCase } from './idle';
import { endAll, startServerProcess, startWorkerProcess } from './processes';
import type { BareShape } from './push-bare';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import type { ServerDone, ServerJob } from './slow-reader-server';
import { spread, TOPICS_PER_SESSION } from './spread';

const SYMBOLS = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
const TOPICS = SYMBOLS.map((symbol) => `tick:${symbol}`);
/** These let the server warm up; they stay. */
const FIRST_SESSIONS = 500;
/** Trades, each of which makes a tick: 10 at once, five times a second. */
const EVENTS = 10;
const EVENTS_PER_SECOND = 50;

interface Shape {
  readonly sessions: number;
  /** How many times the servers alternate, and for how long. */
  readonly rounds: number;
  readonly roundMs: number;
}

const FULL: Shape = { sessions: 10_000, rounds: 4, roundMs: 5_000 };
const QUICK: Shape = { sessions: 50, rounds: 1, roundMs: 400 };
const WARM_UP_MS = 1_000;

interface Measured {
  readonly idleBytes: number;
  readonly joinedBytes: number;
  readonly read: ReaderDone;
  readonly bare: ReaderDone;
  readonly expected: number;
}

export async function sessionsBench(options: BenchOptions): Promise<BenchResult[]> {
  return [...(await pushingCases(options)), ...(await idleCase(options))];
}

async function pushingCases({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    return report(shape, await measure(join(directory, 'data'), shape, running));
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(
  directory: string,
  { sessions, rounds, roundMs }: Shape,
  running: Subprocess[],
): Promise<Measured> {
  const path = (name: string): string => join(import.meta.dir, name);
  const server = startWorkerProcess<ServerJob, ServerDone>(path('slow-reader-server.ts'), running);
  const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
  const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const first = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const bareReader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const bursts = {
    symbols: SYMBOLS,
    tradeShare: 1,
    events: EVENTS,
    eventsMax: ((rounds * roundMs + WARM_UP_MS) * EVENTS_PER_SECOND) / 1000,
  };
  const look = (): Promise<ServerDone> => server({ directory, collects: true });
  const { url } = await look();
  const feed = (to: string, durationMs: number): Promise<SourceDone> =>
    source({ ...bursts, url: to, eventsPerSecond: EVENTS_PER_SECOND, durationMs });
  await feed(url, 0); // the definitions
  await first({ url, act: 'open', sockets: FIRST_SESSIONS });
  const before = await look();
  await reader({ url, act: 'open', sockets: sessions });
  const idle = await look();
  await reader({ url, act: 'subscribe', topics: spread(TOPICS, sessions) });
  const joined = await look();
  const bareShape: BareShape = { ...bursts, topics: TOPICS };
  const target = await startServerProcess(
    [path('push-bare.ts'), JSON.stringify(bareShape)],
    running,
  );
  const bareUrl = target.url.origin;
  await feed(bareUrl, 0);
  await bareReader({ url: bareUrl, act: 'open', sockets: sessions });
  await bareReader({ url: bareUrl, act: 'subscribe', topics: spread(TOPICS, sessions) });
  const sides = [
    { from: url, by: reader },
    { from: bareUrl, by: bareReader },
  ];
  for (const { from } of sides) await feed(from, WARM_UP_MS);
  let expected = 0;
  for (let round = 0; round < rounds; round++) {
    // Neither is always the first, which finds the caches filled by the other.
    for (const { from, by } of round % 2 === 0 ? sides : sides.toReversed()) {
      await by({ url: from, act: 'begin' });
      const { events } = await feed(from, roundMs);
      const due = (events * sessions * TOPICS_PER_SESSION) / TOPICS.length;
      await by({ url: from, act: 'end', expected: due });
      if (from === url) expected += due;
    }
  }
  return {
    idleBytes: (idle.rssBytes - before.rssBytes) / sessions,
    joinedBytes: (joined.rssBytes - before.rssBytes) / sessions,
    read: await reader({ url, act: 'sum' }),
    bare: await bareReader({ url: bareUrl, act: 'sum' }),
    expected,
  };
}

function report({ sessions }: Shape, m: Measured): BenchResult[] {
  const bench = 'sessions';
  const pushing = `${sessions.toLocaleString('en')} sessions, ${EVENTS_PER_SECOND} events/s in bursts of ${EVENTS}`;
  // Of the whole process, so with its noise; never less than one byte.
  const kib = (bytes: number): number => Math.max(1, bytes) / 1024;
  const delay = (what: string, of: (read: ReaderDone) => number): BenchResult =>
    compared(
      { bench, case: `${what}, ${pushing}`, value: of(m.read), unit: 'ms' },
      'bare native publishes',
      of(m.bare),
    );
  return [
    { bench, case: 'idle session', value: kib(m.idleBytes), unit: 'KiB' },
    { bench, case: 'session on 10 topics', value: kib(m.joinedBytes), unit: 'KiB' },
    { bench, case: `delivered, ${pushing}`, value: (100 * m.read.count) / m.expected, unit: '%' },
    {
      bench,
      case: `each by itself, ${pushing}`,
      value: (100 * m.read.messages) / m.expected,
      unit: '%',
    },
    delay('p50', ({ p50 }) => p50),
    delay('p99', ({ p99 }) => p99),
    delay('longest', ({ max }) => max),
  ];
}
