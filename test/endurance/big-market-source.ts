/**
 * A source of the big market: publishes some of the instruments over one connection at an even rate. It is a
 * separate process that receives jobs. The number of publishes without an acknowledgement is bounded; beyond it
 * events are held back and counted.
 */

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import { definitionOf, deltaOf, snapshotOf, tradeOf } from './big-market-shape';

export type BigSourceJob =
  | {
      readonly act: 'fill';
      readonly url: string;
      readonly key: string;
      readonly first: number;
      readonly count: number;
      readonly levels: number;
      readonly seed: number;
    }
  | { readonly act: 'run'; readonly perSecond: number }
  | { readonly act: 'sum' | 'stop' };

export interface BigSourceDone {
  readonly events: number;
  readonly acknowledged: number;
  readonly heldBack: number;
  /** How many errors of each code. */
  readonly refused: Readonly<Record<string, number>>;
}

const EVERY_MS = 10;
const CATCH_UP_MS = 200;
const UNDER_WAY_MAX = 100;
const FILLS_UNDER_WAY_MAX = 4;
/** Levels of one publish at most; well below the largest frame. */
const LEVELS_A_PUBLISH = 20_000;
const TRADE_SHARE = 0.4;

const clock = new SystemClock();
const encoder = new FrameEncoder();
const sum = { events: 0, acknowledged: 0, heldBack: 0, refused: {} as Record<string, number> };

let socket: WebSocket;
let job: Extract<BigSourceJob, { act: 'fill' }>;
let random: Prng;
let trades: Uint32Array;
let changes: Uint32Array;
let lastId = 0;
let timer: ReturnType<typeof setInterval> | undefined;
let wake = (): void => {};
/** How many events each publish without an acknowledgement has. */
const underWay = new Map<number, number>();

function send(events: SourceEvent[]): void {
  const id = ++lastId;
  underWay.set(id, events.length);
  sum.events += events.length;
  socket.send(encoder.encode([{ type: 'publish', id, events, continues: null }]));
}

function take(data: ArrayBuffer): void {
  for (const m of decodeFrame(new Uint8Array(data))) {
    if (isFault(m)) throw new Error(m.message);
    if (m.type === 'ack') {
      sum.acknowledged += underWay.get(m.id) ?? 0;
      underWay.delete(m.id);
    } else if (m.type === 'error') {
      underWay.delete(m.id ?? -1);
      sum.refused[m.code] = (sum.refused[m.code] ?? 0) + 1;
      if (sum.refused[m.code] === 1) console.error(m.message);
    }
  }
  wake();
}

async function below(most: number): Promise<void> {
  while (underWay.size >= most) await new Promise<void>((resolve) => (wake = resolve));
}

async function fill(given: typeof job): Promise<void> {
  job = given;
  random = new Prng(job.seed);
  trades = new Uint32Array(job.count);
  changes = new Uint32Array(job.count).fill(1);
  const options = {
    protocols: [SUBPROTOCOL_MSGPACK],
    headers: { authorization: `Bearer ${job.key}` },
  };
  socket = new WebSocket(
    `${job.url.replace('http', 'ws')}/v1/stream`,
    options as unknown as string[],
  );
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.onmessage = ({ data }) => take(data as ArrayBuffer);
  const most = Math.max(1, Math.floor(LEVELS_A_PUBLISH / (2 * job.levels)));
  for (let i = 0; i < job.count; i += most) {
    const now = clock.now();
    const some = Array.from({ length: Math.min(most, job.count - i) }, (_, n) => job.first + i + n);
    send(some.flatMap((n): SourceEvent[] => [definitionOf(n), snapshotOf(n, job.levels, now)]));
    await below(FILLS_UNDER_WAY_MAX);
  }
  await below(1);
}

function run(perSecond: number): void {
  let atMs = performance.now();
  let rest = 0;
  timer = setInterval(() => {
    const nowMs = performance.now();
    const due = (Math.min(nowMs - atMs, CATCH_UP_MS) * perSecond) / 1_000 + rest;
    atMs = nowMs;
    rest = due % 1;
    const count = Math.floor(due);
    if (underWay.size >= UNDER_WAY_MAX || socket.readyState !== WebSocket.OPEN) {
      sum.heldBack += count;
      return;
    }
    const now = clock.now();
    if (count > 0) send(Array.from({ length: count }, () => event(now)));
  }, EVERY_MS);
}

function event(now: ReturnType<SystemClock['now']>): SourceEvent {
  const i = random.int(0, job.count - 1);
  const instrument = job.first + i;
  if (random.chance(TRADE_SHARE)) return tradeOf(instrument, ++trades[i]!, now);
  // Usually near the top, as in a real book.
  const level = (): number => Math.floor(job.levels ** random.unit()) - 1;
  return deltaOf(instrument, ++changes[i]!, level(), level(), now);
}

async function act(asked: BigSourceJob): Promise<void> {
  if (asked.act === 'fill') await fill(asked);
  else if (asked.act === 'run') run(asked.perSecond);
  else if (asked.act === 'stop') {
    clearInterval(timer);
    for (let i = 0; i < 100 && underWay.size > 0; i++) await Bun.sleep(100);
  }
  process.send!(sum satisfies BigSourceDone);
}

process.on('message', (asked: BigSourceJob) => void act(asked));
process.on('disconnect', () => process.exit(0));
