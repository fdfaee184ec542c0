/**
 * The visitors of the soak: the other users of a server. Readers that connect and disconnect, that resume from
 * memory and from the journal, that replay the journal (as fast as possible, or paced and abandoned in the middle),
 * that read slowly or not at all, and REST requests of every kind. They stand for other machines, so the process
 * runs at a lower priority.
 */

import { constants, setPriority } from 'node:os';

import type { Message } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { TapedeckClient } from '../../src/client';
import { Connection } from '../../src/client/connection';
import { PacedSocket } from '../bench/slow-reader-socket';

export type VisitorsJob =
  | {
      readonly act: 'start';
      readonly url: string;
      readonly symbols: readonly string[];
      readonly venues: readonly string[];
      readonly requestsPerSecond: number;
    }
  | { readonly act: 'look' };

export interface VisitorsDone {
  readonly visits: number;
  readonly resumes: number;
  readonly resumeResets: number;
  readonly replays: number;
  readonly replayed: number;
  readonly slow: number;
  /** Slow or stuck readers that the server has closed. */
  readonly slowClosed: number;
  readonly requests: number;
  /** Answers with another status than 200, or than 404 and 410 where data never existed or is gone. */
  readonly faults: number;
  readonly first: string | null;
}

const VISIT_EVERY_MS = 250;
const RESUME_EVERY_MS = 300;
const REPLAY_EVERY_MS = 3_000;
/** The first three are answered from memory, the last from the journal. */
const BACK = [5_000, 5_000, 5_000, 120_000];
const REPLAYED_MAX = 50_000;
const SLOW_BYTES_PER_SECOND = [20_000, 20_000, 40_000, 100_000, 0];
const SLOW_MS = 45_000;

const random = new Prng(11);
const sum = {
  visits: 0,
  resumes: 0,
  resumeResets: 0,
  replays: 0,
  replayed: 0,
  slow: 0,
  slowClosed: 0,
  requests: 0,
  faults: 0,
};
let first: string | null = null;

function fail(e: unknown): void {
  sum.faults += 1;
  first ??= String(e);
}

/** @param most how many may run at once: on a busy machine fewer are started */
function every(ms: number, most: number, act: () => Promise<void>): void {
  let underWay = 0;
  setInterval(() => {
    if (underWay === most) return;
    underWay += 1;
    act()
      .catch(fail)
      .finally(() => (underWay -= 1));
  }, ms);
}

type Target = Extract<VisitorsJob, { act: 'start' }>;

function pick<T>(from: readonly T[]): T {
  return from[random.int(0, from.length - 1)]!;
}

/** Topics that the journal has; derived topics cannot be replayed. */
function topicsOf(symbol: string): string[] {
  return ['tick', 'trade', 'bbo', 'book'].map((channel) => `${channel}:${symbol}`);
}

async function visit({ url, symbols, venues }: Target): Promise<void> {
  const client = await TapedeckClient.connect(url, { client: 'endurance visitor' });
  const topics = random.chance(0.1)
    ? ['trade:*', 'stats:*']
    : topicsOf(pick([...symbols, ...venues]));
  const intervalMs = random.chance(0.2) ? 100 : 0;
  const subscription = client.subscribe(topics, { intervalMs });
  setTimeout(() => client.close(), random.int(500, 4_000));
  for await (const _ of subscription) {
    // It only reads.
  }
  sum.visits += 1;
}

async function resume({ url, symbols }: Target): Promise<void> {
  const onMessage = (m: Message): void => {
    if (m.type === 'reset') sum.resumeResets += 1;
  };
  const connection = await Connection.connect(url, { onMessage });
  const { epoch, seq: now } = connection.welcome;
  const seq = Math.max(0, now - pick(BACK));
  const topics = topicsOf(pick(symbols));
  try {
    await connection.request((id) => ({
      type: 'resume',
      id,
      epoch,
      seq,
      topics,
      newest: null,
      positions: null,
    }));
    sum.resumes += 1;
  } finally {
    connection.close();
  }
}

async function replay({ url, symbols }: Target): Promise<void> {
  using client = await TapedeckClient.connect(url, { client: 'endurance replay' });
  const { seq } = client.welcome!;
  const fromSeq = Math.max(1, seq - 200_000);
  const isPaced = random.chance(0.5);
  const range = isPaced ? { speed: 2 } : { toSeq: seq };
  let left = isPaced ? 5_000 : REPLAYED_MAX;
  for await (const _ of client.replay({ topics: topicsOf(pick(symbols)), fromSeq, ...range })) {
    sum.replayed += 1;
    if (--left === 0) break;
  }
  sum.replays += 1;
}

function readSlowly({ url, symbols }: Target, bytesPerSecond: number): void {
  const socket = new PacedSocket(url, bytesPerSecond, () => {});
  socket.subscribe(topicsOf(pick(symbols)));
  sum.slow += 1;
  setTimeout(() => {
    if (socket.closeCode !== undefined) sum.slowClosed += 1;
    socket.end();
    readSlowly({ url, symbols } as Target, bytesPerSecond);
  }, SLOW_MS);
}

/** Used in turn; times are of the last two minutes. */
function pathsOf({ symbols, venues }: Target): (() => string)[] {
  const some = (): string => pick([...symbols, ...venues]);
  const ago = (seconds: number): string =>
    `${Math.floor((performance.timeOrigin + performance.now()) / 1000 - seconds)}000000000`;
  return [
    () => '/v1/instruments',
    () => `/v1/instruments/${some()}`,
    () => `/v1/tick/${some()}`,
    () => `/v1/orderbook/${some()}?depth=20`,
    () => `/v1/orderbook/${some()}?depth=5&at=${ago(random.int(5, 40))}`,
    () => `/v1/trades/${some()}?limit=50`,
    () => `/v1/ticks/${some()}?from=${ago(30)}&to=${ago(random.int(0, 29))}&limit=500`,
    () => `/v1/bars/${some()}?interval=1m&limit=20`,
    () => `/v1/stats/${some()}`,
    () => '/healthz',
  ];
}

async function ask(target: Target, path: string): Promise<void> {
  const response = await fetch(`${target.url}${path}`);
  const text = await response.text();
  sum.requests += 1;
  // Deleted by retention, or before the first trade.
  if (![200, 404, 410].includes(response.status))
    throw new Error(`${path}: ${response.status} ${text}`);
}

function start(target: Target): void {
  setPriority(constants.priority.PRIORITY_LOW);
  every(VISIT_EVERY_MS, 20, () => visit(target));
  every(RESUME_EVERY_MS, 8, () => resume(target));
  every(REPLAY_EVERY_MS, 4, () => replay(target));
  for (const bytesPerSecond of SLOW_BYTES_PER_SECOND) readSlowly(target, bytesPerSecond);
  const paths = pathsOf(target);
  let next = 0;
  every(1000 / target.requestsPerSecond, 8, () => ask(target, paths[next++ % paths.length]!()));
}

function run(job: VisitorsJob): void {
  if (job.act === 'start') start(job);
  process.send!({ ...sum, first } satisfies VisitorsDone);
}

process.on('message', (job: VisitorsJob) => run(job));
process.on('disconnect', () => process.exit(0));
