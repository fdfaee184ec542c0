/**
 * Bench `push`: from the arrival of an event in a server to its receipt in the process of the readers, on loopback:
 * 100 sessions, each on 10 of 50 topics, the journal on, in bursts of a millisecond. It is compared with a bare
 * loop of native publishes: see push-bare.ts for what the two have in common. Source, server, bare server and
 * readers are separate processes; the servers alternate every second or two, with one source and one set of
 * readers, and the round with the median ratio counts.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { compared, comparedByRounds, median, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess, type Target } from './processes';
import type { BareShape } from './push-bare';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';
import { spread } from './spread';

const BURST_MS = 1;
const SESSIONS = 100;
/** What is in flight arrives. */
const SETTLE_MS = 50;

/** What is sent, and which 50 topics of it are read. */
interface PushMarket {
  readonly name: string;
  readonly symbols: readonly string[];
  readonly channels: readonly string[];
  readonly tradeShare: number;
}

const symbols = (count: number): string[] => Array.from({ length: count }, (_, i) => `SYM${i}`);
const MARKETS: readonly PushMarket[] = [
  { name: 'ticks of 50 instruments', symbols: symbols(50), channels: ['tick'], tradeShare: 1 },
  {
    name: '5 topics of 10 instruments',
    symbols: symbols(10),
    channels: ['tick', 'trade', 'bbo', 'book', 'stats'],
    tradeShare: 0.25,
  },
];

interface Shape {
  readonly sessions: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** Before each round, not measured. */
  readonly warmUpMs: number;
  /** Before the first one: a server that has just started is still compiling its code. */
  readonly runInMs: number;
}

const FULL: Shape = {
  sessions: SESSIONS,
  rounds: 21,
  roundMs: 1_000,
  warmUpMs: 200,
  runInMs: 4_000,
};
const QUICK: Shape = { sessions: 5, rounds: 1, roundMs: 100, warmUpMs: 20, runInMs: 20 };
const RUN_IN_PER_SECOND = 10_000;
const RATES = [1_000, 10_000] as const;

/** One server's part of a round. */
interface Turn extends ReaderDone {
  /** Of the server, for each event; 0 where the system does not report it. */
  readonly cpuUs: number;
  readonly lateMs: number;
}

interface Round {
  readonly server: Turn;
  readonly bare: Turn;
}

export async function pushBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const results: BenchResult[] = [];
  for (const market of MARKETS) {
    for (const eventsPerSecond of RATES) {
      const rounds = await measure(market, eventsPerSecond, shape);
      results.push(...report(`${market.name}, ${eventsPerSecond.toLocaleString('en')}/s`, rounds));
    }
  }
  return results;
}

async function measure(
  market: PushMarket,
  eventsPerSecond: number,
  shape: Shape,
): Promise<Round[]> {
  const { sessions, rounds, roundMs, warmUpMs, runInMs } = shape;
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  const path = (name: string): string => join(import.meta.dir, name);
  const topics = market.channels.flatMap((c) => market.symbols.map((symbol) => `${c}:${symbol}`));
  const bursts = {
    symbols: market.symbols,
    tradeShare: market.tradeShare,
    events: (eventsPerSecond * BURST_MS) / 1000,
    eventsMax:
      ((roundMs + warmUpMs) * rounds * eventsPerSecond + runInMs * RUN_IN_PER_SECOND) / 1000,
  };
  const bareShape: BareShape = { ...bursts, topics };
  try {
    const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
    const reader = startWorkerProcess<ReaderJob, ReaderDone>(path('push-reader.ts'), running);
    const feed = (
      { url }: Target,
      durationMs: number,
      pace = eventsPerSecond,
    ): Promise<SourceDone> =>
      source({ ...bursts, url: url.origin, eventsPerSecond: pace, durationMs });
    const start = async (...args: string[]): Promise<Target> => {
      const target = await startServerProcess(args, running);
      await feed(target, 0); // the definitions
      const url = target.url.origin;
      await reader({ url, act: 'open', sockets: sessions });
      await reader({ url, act: 'subscribe', topics: spread(topics, sessions) });
      await feed(target, runInMs, RUN_IN_PER_SECOND);
      return target;
    };
    const turn = async (target: Target): Promise<Turn> => {
      const url = target.url.origin;
      await feed(target, warmUpMs);
      await reader({ url, act: 'begin' });
      const before = cpuUs(target.process.pid);
      const { lateMs, events } = await feed(target, roundMs);
      await Bun.sleep(SETTLE_MS);
      const usedUs = cpuUs(target.process.pid) - before;
      return { ...(await reader({ url, act: 'end' })), cpuUs: usedUs / events, lateMs };
    };
    const server = await start(path('push-server.ts'), join(directory, 'data'), 'async');
    const bare = await start(path('push-bare.ts'), JSON.stringify(bareShape));
    const done: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      // Neither is always the first, which finds the caches filled by the other.
      if (round % 2 === 0) done.push({ server: await turn(server), bare: await turn(bare) });
      else done.push({ bare: await turn(bare), server: await turn(server) });
    }
    return done;
  } finally {
    await endAll(running);
    rmSync(directory, { recursive: true, force: true });
  }
}

function report(name: string, rounds: readonly Round[]): BenchResult[] {
  const figure = (what: string, unit: string, of: (turn: Turn) => number): BenchResult =>
    comparedByRounds(
      { bench: 'push', case: `${what}, ${name}`, unit },
      rounds.map(({ server }) => of(server)),
      'bare native publishes',
      rounds.map(({ bare }) => of(bare)),
    );
  const results = [figure('p50', 'ms', ({ p50 }) => p50), figure('p99', 'ms', ({ p99 }) => p99)];
  const sum = (of: (turn: Turn) => number, which: 'server' | 'bare'): number =>
    rounds.reduce((sum, round) => sum + of(round[which]), 0) / rounds.length;
  const [ours, theirs] = [sum((t) => t.cpuUs, 'server'), sum((t) => t.cpuUs, 'bare')];
  if (theirs > 0) {
    const result = {
      bench: 'push',
      case: `processor time of the server, ${name}`,
      value: ours,
      unit: 'µs/event',
    };
    results.push(compared(result, 'bare native publishes', theirs));
  }
  // How much the bursts deviated from the schedule; without it the other figures cannot be judged.
  const lateMs = median(rounds.map(({ server }) => server.lateMs));
  results.push({
    bench: 'push',
    case: `latest burst of the source, ${name}`,
    value: lateMs,
    unit: 'ms',
  });
  return results.filter(({ value }) => value > 0);
}
