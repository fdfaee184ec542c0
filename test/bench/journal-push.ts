/**
 * Push latency by durability: from the receipt of an event by a real server to the arrival of the resulting
 * messages at a reader, each in its own process, at a steady pace. The servers alternate every few seconds, so that
 * noise affects all; p50 and p99 are the medians of their rounds, p99.9 and the maximum are those of all rounds
 * together.
 */

import type { Subprocess } from 'bun';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { compared, median, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess, type Target } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';

const CASES = ['off', 'async', 'commit', 'fsync'] as const;
const SERVER = fileURLToPath(import.meta.resolve('./push-server.ts'));
const TOPICS = ['tick:*', 'trade:*', 'book:*'];
type Case = (typeof CASES)[number];
const BASELINES: Partial<Record<Case, Case>> = { async: 'off', commit: 'async', fsync: 'async' };

export interface PushShape {
  readonly rounds: number;
  readonly roundMs: number;
  /** Before each round, not measured. */
  readonly warmUpMs: number;
  readonly eventsPerSecond: number;
  /** In one submission. */
  readonly events: number;
}

interface Tally {
  readonly rounds: ReaderDone[];
  cpuUs: number;
  events: number;
  whole: ReaderDone | undefined;
}

export async function measurePush(directory: string, shape: PushShape): Promise<BenchResult[]> {
  const running: Subprocess[] = [];
  try {
    const here = import.meta.dir;
    const source = startWorkerProcess<SourceJob, SourceDone>(join(here, 'push-source.ts'), running);
    const reader = startWorkerProcess<ReaderJob, ReaderDone>(join(here, 'push-reader.ts'), running);
    const servers = new Map<Case, Target>();
    for (const name of CASES) {
      const args = [SERVER, join(directory, `push-${name}`), name];
      const server = await startServerProcess(args, running);
      servers.set(name, server);
      const { origin } = server.url;
      await reader({ url: origin, act: 'open', sockets: 1 });
      await reader({ url: origin, act: 'subscribe', topics: [TOPICS] });
    }
    const tallies = new Map(CASES.map((name): [Case, Tally] => [name, newTally()]));
    const { eventsPerSecond, events, warmUpMs, roundMs, rounds } = shape;
    const all = ((warmUpMs + roundMs) * rounds * eventsPerSecond) / 1000;
    for (let round = 0; round < rounds; round++) {
      for (const [name, target] of servers) {
        const tally = tallies.get(name)!;
        const url = target.url.origin;
        const job = { url, eventsPerSecond, events, eventsMax: all + eventsPerSecond };
        await source({ ...job, durationMs: warmUpMs });
        await reader({ url, act: 'begin' });
        const before = cpuUs(target.process.pid);
        const sent = await source({ ...job, durationMs: roundMs });
        await Bun.sleep(50); // what is in flight arrives
        tally.cpuUs += cpuUs(target.process.pid) - before;
        tally.events += sent.events;
        tally.rounds.push(await reader({ url, act: 'end' }));
      }
    }
    for (const [name, { url }] of servers) {
      tallies.get(name)!.whole = await reader({ url: url.origin, act: 'sum' });
    }
    return CASES.flatMap((name) => report(name, tallies));
  } finally {
    await endAll(running);
  }
}

function newTally(): Tally {
  return { rounds: [], cpuUs: 0, events: 0, whole: undefined };
}

function report(name: Case, tallies: ReadonlyMap<Case, Tally>): BenchResult[] {
  const baseline = BASELINES[name];
  const figures = (of: Case): [string, number, string][] => {
    const { rounds, whole, cpuUs: used, events } = tallies.get(of)!;
    return [
      ['p50', median(rounds.map(({ p50 }) => p50)), 'ms'],
      ['p99', median(rounds.map(({ p99 }) => p99)), 'ms'],
      ['p99.9', whole!.p999, 'ms'],
      ['longest', whole!.max, 'ms'],
      ...(used > 0
        ? [['processor time of the server', used / events, 'µs/event'] as [string, number, string]]
        : []),
    ];
  };
  const theirs = baseline === undefined ? undefined : figures(baseline);
  return figures(name).map(([what, value, unit], i) => {
    const result = { bench: 'journal', case: `push ${what} ${name}`, value, unit };
    const other = theirs?.[i]?.[1];
    return other === undefined ? result : compared(result, baseline!, other);
  });
}
