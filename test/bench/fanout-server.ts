/**
 * The server of the bench `fanout`: sockets that are each on some of the topics, to which a broadcaster
 * pushes, or a bare loop of native publishes. What either costs is its processor time, told by itself.
 */

import type { ServerWebSocket } from 'bun';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { MarketEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/session';

export const FANOUT_TOPICS = 50;
export const FANOUT_TOPICS_PER_SOCKET = 10;
const EVENT_BYTES = 64;

export type FanoutJob =
  | { readonly act: 'start'; readonly sockets: number }
  /** `mode`: pushed by a broadcaster, or one native publish an event; in turns of so many events. */
  | {
      readonly act: 'push';
      readonly mode: 'broadcaster' | 'bare';
      readonly turns: number;
      readonly events: number;
    };

export interface FanoutDone {
  readonly port: number;
  readonly cpuUs: number;
  readonly deliveries: number;
}

const names = Array.from({ length: FANOUT_TOPICS }, (_, i) => `S${i}`);
const sockets: ServerWebSocket<unknown>[] = [];
const heads = new Map<string, number>();
const clock = new SystemClock();
let expected = 0;
let seq = 0;
let lagged = false;

const LIMITS = {
  outboxBytesMax: 1_048_576,
  staleMs: 500,
  lagMs: 150,
  pongMs: 30_000,
  controlMs: 30_000,
  controlMessagesMax: 10_000,
  tradeAgeMs: 1_500,
};

const server = Bun.serve({
  port: 0,
  fetch: (request, server) =>
    server.upgrade(request, { data: undefined }) ? undefined : new Response(null, { status: 400 }),
  websocket: {
    open: (ws: ServerWebSocket<unknown>) => enter(ws),
    message: () => {},
  },
});
const native = {
  publish: (topic: string, data: string | Uint8Array<ArrayBuffer>) => server.publish(topic, data),
};
const broadcaster = new Broadcaster({ topicsMax: 1_000, sessionBoundary: 0 }, native, clock);
broadcaster.accept({
  lastSeq: (seq += FANOUT_TOPICS),
  executions: [],
  events: names.map((symbol, i) => ({
    type: 'instrument',
    symbol,
    seq: i + 1,
    market: 'feed',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: null,
  })),
});

function enter(ws: ServerWebSocket<unknown>): void {
  const session = new Session(`s${sockets.length}`, SUBPROTOCOL_MSGPACK, ws, broadcaster.encoders, LIMITS); // prettier-ignore
  broadcaster.sessions.add(session);
  const mine = Array.from(
    { length: FANOUT_TOPICS_PER_SOCKET },
    (_, i) => names[(sockets.length + i * 7) % FANOUT_TOPICS]!,
  );
  const asked = broadcaster.subscriptions.subscribe(session, 1, mine.map((name) => `tick:${name}`), 0); // prettier-ignore
  if (asked !== undefined) throw new Error(asked.message);
  for (const name of mine) ws.subscribe(`bare:${name}`);
  sockets.push(ws);
}

/** Ticks, as a batch brings them. */
function batch(events: number): MarketEvent[] {
  const now = clock.now();
  return Array.from({ length: events }, (_, i) => {
    const symbol = names[i % FANOUT_TOPICS]!;
    const prevSeq = heads.get(symbol) ?? 0;
    heads.set(symbol, ++seq);
    return { type: 'tick', symbol, seq, prevSeq, eventTime: now, receiveTime: Nanos.ZERO.plus(0), last: 100, bid: 99, ask: 101, quantity: 1, volume: 9, count: 1 }; // prettier-ignore
  });
}

async function push({ mode, turns, events }: Extract<FanoutJob, { act: 'push' }>): Promise<number> {
  const bytes = new Uint8Array(EVENT_BYTES);
  let cpuUs = 0;
  for (let turn = 0; turn < turns; turn++) {
    const made = mode === 'bare' ? [] : batch(events);
    const before = process.cpuUsage();
    if (mode === 'bare') {
      for (let i = 0; i < events; i++) server.publish(`bare:${names[i % FANOUT_TOPICS]!}`, bytes);
    } else {
      broadcaster.accept({ lastSeq: seq, events: made, executions: [] });
    }
    // Bun writes what was published when the turn is over.
    do await Bun.sleep(1);
    while (sockets.some((ws) => ws.getBufferedAmount() > 0));
    const { user, system } = process.cpuUsage(before);
    cpuUs += user + system;
  }
  lagged ||= [...broadcaster.sessions].some(({ isLagging }) => isLagging);
  if (lagged) throw new Error('a session left the express lane');
  return cpuUs;
}

async function run(job: FanoutJob): Promise<void> {
  if (job.act === 'start') {
    expected = job.sockets;
    process.send!({
      port: server.port!,
      cpuUs: 0,
      deliveries: 0,
    } satisfies FanoutDone);
    return;
  }
  while (sockets.length < expected) await Bun.sleep(5);
  const cpuUs = await push(job);
  const perEvent = (sockets.length * FANOUT_TOPICS_PER_SOCKET) / FANOUT_TOPICS;
  process.send!({ port: server.port!, cpuUs, deliveries: job.turns * job.events * perEvent } satisfies FanoutDone); // prettier-ignore
}

process.on('message', (job: FanoutJob) => void run(job));
process.on('disconnect', () => process.exit(0));
