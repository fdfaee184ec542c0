/**
 * The case `idle` of the bench `sessions`: the cost of sessions while nothing is published. A real server and the
 * bare one have the same sockets on the same topics at the same time, and send the same pings and heartbeats; the
 * processor time of each process is compared, relative to the elapsed time.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess, type Target } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import { spread, TOPICS_PER_SESSION } from './spread';

const SYMBOLS = Array.from({ length: 50 }, (_, i) => `SYM${i}`);
const TOPICS = SYMBOLS.map((symbol) => `tick:${symbol}`);
/** As in the settings. */
const HEARTBEAT_MS = 5_000;
const PING_MS = 10_000;
/** The resolution of the processor time that the system reports. */
const CPU_TICK_US = 10_000;

interface Shape {
  readonly sessions: number;
  /** Before the measurement: garbage from opening them is collected. */
  readonly restMs: number;
  readonly durationMs: number;
}

const FULL: Shape = { sessions: 10_000, restMs: 15_000, durationMs: 30_000 };
const QUICK: Shape = { sessions: 50, restMs: 100, durationMs: 300 };

export async function idleCase({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  const path = (name: string): string => join(import.meta.dir, name);
  const sessionsMax = shape.sessions + 10;
  const most = { sessionsMax, sessionsPerAddressMax: sessionsMax, workPerSecond: 1e9 };
  try {
    const settings = JSON.stringify({ limits: most });
    const real = await startServerProcess(
      [path('push-server.ts'), join(directory, 'data'), 'off', settings],
      running,
    );
    const bare = await startServerProcess(
      [path('idle-bare.ts'), `${HEARTBEAT_MS}`, `${PING_MS}`],
      running,
    );
    const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
    await source({
      url: real.url.origin,
      symbols: SYMBOLS,
      tradeShare: 1,
      events: 1,
      eventsPerSecond: 1,
      durationMs: 0,
      eventsMax: 1,
    });
    for (const { url } of [real, bare]) {
      const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
      await reader({ url: url.origin, act: 'open', sockets: shape.sessions });
      await reader({ url: url.origin, act: 'subscribe', topics: spread(TOPICS, shape.sessions) });
    }
    return [await measured(shape, real, bare)];
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measured(shape: Shape, real: Target, bare: Target): Promise<BenchResult> {
  await Bun.sleep(shape.restMs);
  const servers = [real, bare] as const;
  const before = servers.map(({ process }) => cpuUs(process.pid));
  const beganMs = performance.now();
  await Bun.sleep(shape.durationMs);
  const tookUs = 1_000 * (performance.now() - beganMs);
  const [value, baseline] = servers.map(({ process }, i) => {
    const spentUs = Math.max(CPU_TICK_US, cpuUs(process.pid) - before[i]!);
    return (100 * spentUs) / tookUs;
  }) as [number, number];
  const sessions = shape.sessions.toLocaleString('en');
  const what = `idle: ${sessions} sessions on ${TOPICS_PER_SESSION} topics each`;
  const result = { bench: 'sessions', case: what, value, unit: '% of a core' };
  return compared(result, 'bare Bun server, the same pings and heartbeats', baseline);
}
