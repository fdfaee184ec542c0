/**
 * Bench `sessions`: what a session takes that is idle, and one process that holds 10,000 of them while it
 * pushes; and what so many cost that nothing is published to (`idle.ts`). Server, source and readers are a process each; the memory is that of the server's process,
 * after a collection, so it has what a socket takes outside of the heap in it.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BenchOptions, BenchResult } from './harness';
import { idleCase } from './idle';
import { endAll, startWorkerProcess } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import type { ServerDone, ServerJob } from './slow-reader-server';
import { spread, TOPICS_PER_SESSION } from './spread';

const SYMBOLS = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
const TOPICS = SYMBOLS.map((symbol) => `tick:${symbol}`);
/** Let the server warm up; they stay. */
const FIRST_SESSIONS = 500;
/** Trades, each of which makes a tick: 10 at once, five times a second. */
const EVENTS = 10;
const EVENTS_PER_SECOND = 50;

interface Shape {
  readonly sessions: number;
  readonly durationMs: number;
}

const FULL: Shape = { sessions: 10_000, durationMs: 20_000 };
const QUICK: Shape = { sessions: 50, durationMs: 300 };

interface Measured {
  readonly idleBytes: number;
  readonly joinedBytes: number;
  readonly read: ReaderDone;
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
  { sessions, durationMs }: Shape,
  running: Subprocess[],
): Promise<Measured> {
  const path = (name: string): string => join(import.meta.dir, name);
  const server = startWorkerProcess<ServerJob, ServerDone>(path('slow-reader-server.ts'), running);
  const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
  const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const first = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
  const look = (): Promise<ServerDone> => server({ directory, collects: true });
  const { url } = await look();
  const feed = (ms: number): Promise<SourceDone> =>
    source({ url, symbols: SYMBOLS, tradeShare: 1, events: EVENTS, eventsPerSecond: EVENTS_PER_SECOND, durationMs: ms, eventsMax: ((durationMs + 1_000) * EVENTS_PER_SECOND) / 1000 }); // prettier-ignore
  await feed(0); // the definitions
  await first({ url, act: 'open', sockets: FIRST_SESSIONS });
  const before = await look();
  await reader({ url, act: 'open', sockets: sessions });
  const idle = await look();
  await reader({ url, act: 'subscribe', topics: spread(TOPICS, sessions) });
  const joined = await look();
  await feed(1_000);
  await reader({ url, act: 'begin' });
  const { events } = await feed(durationMs);
  const expected = (events * sessions * TOPICS_PER_SESSION) / TOPICS.length;
  const read = await reader({ url, act: 'end', expected });
  return {
    idleBytes: (idle.rssBytes - before.rssBytes) / sessions,
    joinedBytes: (joined.rssBytes - before.rssBytes) / sessions,
    read,
    expected,
  };
}

function report({ sessions }: Shape, m: Measured): BenchResult[] {
  const bench = 'sessions';
  const pushing = `${sessions.toLocaleString('en')} sessions, ${EVENTS_PER_SECOND} events/s in bursts of ${EVENTS}`;
  // Of the process, so with its noise; never told as less than nothing.
  const kib = (bytes: number): number => Math.max(1, bytes) / 1024;
  return [
    { bench, case: 'idle session', value: kib(m.idleBytes), unit: 'KiB' },
    { bench, case: 'session on 10 topics', value: kib(m.joinedBytes), unit: 'KiB' },
    { bench, case: `delivered, ${pushing}`, value: (100 * m.read.count) / m.expected, unit: '%' },
    { bench, case: `each by itself, ${pushing}`, value: (100 * m.read.messages) / m.expected, unit: '%' }, // prettier-ignore
    { bench, case: `p50, ${pushing}`, value: m.read.p50, unit: 'ms' },
    { bench, case: `p99, ${pushing}`, value: m.read.p99, unit: 'ms' },
    { bench, case: `longest, ${pushing}`, value: m.read.max, unit: 'ms' },
  ];
}
