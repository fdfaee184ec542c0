/**
 * Bench `cluster`: what the batch log adds, over one server of NATS and over three. A source feeds a leader, with
 * readers at the leader and at an edge, and in turns a single server with the same readers. All are `async`, so that
 * the leader's own sessions do not wait for the log: the difference is the way over it. Every session has all topics,
 * so each event is a delivery to each of them.
 */

import type { Subprocess } from 'bun';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { instrument, tape } from '../support/feed';
import { compared, comparedByRounds, type BenchOptions, type BenchResult } from './harness';
import { cpuUs, endAll, startServerProcess, startWorkerProcess, type Target } from './processes';
import type { ReaderDone, ReaderJob } from './push-reader';
import type { SourceDone, SourceJob } from './push-source';

const SYMBOLS = Array.from({ length: 10 }, (_, i) => `SYM${i}`);
const TOPICS = SYMBOLS.map((symbol) => `tick:${symbol}`);
/** What is in flight arrives. */
const SETTLE_MS = 200;

interface Shape {
  readonly brokers: readonly (1 | 3)[];
  readonly rates: readonly number[];
  readonly sessions: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
}

const FULL: Shape = {
  brokers: [1, 3],
  rates: [1_000, 5_000],
  sessions: 20,
  rounds: 11,
  roundMs: 2_000,
  warmUpMs: 500,
};
const QUICK: Shape = {
  brokers: [1],
  rates: [1_000],
  sessions: 2,
  rounds: 1,
  roundMs: 200,
  warmUpMs: 20,
};

interface Server extends Target {
  readonly read: (job: ReaderJob) => Promise<ReaderDone>;
}

interface Measured extends ReaderDone {
  /** Of the server, for each event; 0 where the system does not report it. */
  readonly cpuUs: number;
}

type Kind = 'single' | 'leader' | 'edge';
type Round = Readonly<Record<Kind, Measured>>;

export async function clusterBench({ quick }: BenchOptions): Promise<BenchResult[]> {
  const shape = quick ? QUICK : FULL;
  const results: BenchResult[] = [];
  for (const brokers of shape.brokers) {
    for (const rate of shape.rates) {
      const rounds = await measure(brokers, rate, shape);
      const where = brokers === 1 ? 'one server of NATS' : 'three servers of NATS';
      results.push(...report(`${where}, ${rate.toLocaleString('en')} events/s`, shape, rounds));
    }
  }
  return results;
}

async function measure(brokers: 1 | 3, rate: number, shape: Shape): Promise<Round[]> {
  const { NatsServers } = await import('../support/nats');
  const nats = brokers === 1 ? await NatsServers.one() : await NatsServers.three();
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-bench-'));
  const running: Subprocess[] = [];
  try {
    const source = startWorkerProcess<SourceJob, SourceDone>(path('push-source.ts'), running);
    const feed = ({ url }: Target, durationMs: number): Promise<SourceDone> =>
      source({ ...market(rate, shape), url: url.origin, eventsPerSecond: rate, durationMs });
    const start = async (kind: Kind, cluster?: object): Promise<Server> => {
      const changes = JSON.stringify(cluster === undefined ? {} : { cluster });
      const args = [path('push-server.ts'), join(directory, kind), 'async', changes];
      const target = await startServerProcess(args, running);
      return { ...target, read: startWorkerProcess(path('push-reader.ts'), running) };
    };
    const common = { name: 'bench', servers: nats.urls, replicas: brokers, ...SMALL_LOG };
    const single = await start('single');
    const leader = await start('leader', { ...common, role: 'leader' });
    for (const server of [single, leader]) await feedOnce(server, feed);
    const edge = await start('edge', { ...common, role: 'edge' });
    for (const server of [single, leader, edge]) await open(server, shape.sessions);
    const rounds: Round[] = [];
    for (let i = 0; i < shape.rounds; i++) {
      const alone = (): Promise<Measured[]> => turn(single, [single], feed, shape);
      const together = (): Promise<Measured[]> => turn(leader, [leader, edge], feed, shape);
      const first = i % 2 === 0 ? await alone() : await together();
      const second = i % 2 === 0 ? await together() : await alone();
      const [[one], [led, followed]] = i % 2 === 0 ? [first, second] : [second, first];
      rounds.push({ single: one!, leader: led!, edge: followed! });
    }
    return rounds;
  } finally {
    await endAll(running);
    await nats.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

const SMALL_LOG = { logBytesMax: 500_000_000, checkpointBytesMax: 100_000_000 };

function path(name: string): string {
  return join(import.meta.dir, name);
}

function market(rate: number, { rounds, roundMs, warmUpMs }: Shape) {
  const eventsMax = ((roundMs + warmUpMs) * rounds * rate) / 1_000 + 1;
  return { symbols: SYMBOLS, tradeShare: 1, events: 1, eventsMax };
}

/** The definitions. */
async function feedOnce(
  server: Server,
  feed: (target: Target, durationMs: number) => Promise<SourceDone>,
): Promise<void> {
  // A leader leads only once it has opened its epoch.
  while (!(await takes(server))) await Bun.sleep(50);
  await feed(server, 0);
}

/** Whether a server takes events. */
async function takes({ url }: Server): Promise<boolean> {
  const body = tape(instrument('FIRST'));
  return (await fetch(`${url.origin}/v1/ingest`, { method: 'POST', body })).ok;
}

/** Readers, once the server has all instruments. */
async function open({ url, read }: Server, sessions: number): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url.origin}/v1/instruments`);
    const { instruments } = (await answer.json()) as { instruments: unknown[] };
    if (instruments.length > SYMBOLS.length) break;
    await Bun.sleep(50);
  }
  await read({ url: url.origin, act: 'open', sockets: sessions });
  const topics = Array.from({ length: sessions }, () => TOPICS);
  await read({ url: url.origin, act: 'subscribe', topics });
}

/** Feeds one server, and measures what readers of some get of it. */
async function turn(
  fed: Server,
  servers: readonly Server[],
  feed: (target: Target, durationMs: number) => Promise<SourceDone>,
  { roundMs, warmUpMs }: Shape,
): Promise<Measured[]> {
  await feed(fed, warmUpMs);
  const job = (act: 'begin' | 'end') =>
    Promise.all(servers.map(({ url, read }) => read({ url: url.origin, act })));
  await job('begin');
  const before = servers.map(({ process }) => cpuUs(process.pid));
  const { events } = await feed(fed, roundMs);
  await Bun.sleep(SETTLE_MS);
  const used = servers.map(({ process }, i) => cpuUs(process.pid) - before[i]!);
  const done = await job('end');
  return done.map((figures, i) => Object.assign(figures, { cpuUs: used[i]! / events }));
}

function report(name: string, { sessions }: Shape, rounds: readonly Round[]): BenchResult[] {
  const results: BenchResult[] = (['p50', 'p99'] as const).map((figure) =>
    comparedByRounds(
      { bench: 'cluster', case: `${figure} at an edge, ${name}`, unit: 'ms' },
      rounds.map(({ edge }) => edge[figure]),
      "the leader's own sessions",
      rounds.map(({ leader }) => leader[figure]),
    ),
  );
  const cpu = (kind: Kind): number =>
    rounds.reduce((sum, round) => sum + round[kind].cpuUs, 0) / rounds.length;
  const cost = (what: string, unit: string, value: number, baseline: number): BenchResult =>
    compared(
      { bench: 'cluster', case: `processor time of ${what}, ${name}`, value, unit },
      'a single server',
      baseline,
    );
  if (cpu('single') > 0) {
    results.push(
      cost('the leader', 'µs/event', cpu('leader'), cpu('single')),
      cost('an edge', 'µs/delivery', cpu('edge') / sessions, cpu('single') / sessions),
    );
  }
  return results;
}
