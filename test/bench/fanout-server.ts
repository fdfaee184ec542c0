/**
 * The server of the bench `fanout`: a broadcaster that pushes to its sockets, or bare loops of native publishes to
 * the same sockets on the same topics.
 */

import type { ServerWebSocket } from 'bun';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { SystemClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { LIMITS } from '../support/sockets';
import {
  deliveriesOf,
  FANOUT_SYMBOLS,
  measureTurns,
  TickLoad,
  written,
  type FanoutDone,
  type FanoutJob,
} from './fanout-load';
import { topicsOf } from './spread';

const sockets: ServerWebSocket<unknown>[] = [];
const load = new TickLoad();
const clock = new SystemClock();
let expected = 0;

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
  lastSeq: FANOUT_SYMBOLS.length,
  executions: [],
  events: FANOUT_SYMBOLS.map((symbol, i) => ({
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
    shard: null,
  })),
});

function enter(ws: ServerWebSocket<unknown>): void {
  const session = new Session(
    `s${sockets.length}`,
    SUBPROTOCOL_MSGPACK,
    ws,
    broadcaster.encoders,
    LIMITS,
  );
  broadcaster.enter(session);
  const topics = topicsOf(FANOUT_SYMBOLS, sockets.length).map((symbol) => `tick:${symbol}`);
  const refused = broadcaster.subscriptions.subscribe(session, 1, topics, 0);
  if (refused !== undefined) throw new Error(refused.message);
  sockets.push(ws);
}

type Publishes = readonly (readonly [topic: string, bytes: Uint8Array<ArrayBuffer>])[];

/** Prepares a push of a number of events; the payloads of bare publishes are made here, which is not measured. */
function prepare({ mode, events }: Extract<FanoutJob, { act: 'push' }>): () => Promise<void> {
  const made = load.turn(events);
  const publishes = mode === 'broadcaster' ? [] : publishesOf(mode, made);
  return () => {
    if (mode === 'broadcaster') {
      broadcaster.accept({ lastSeq: load.seq, events: made, executions: [] });
    }
    for (const [topic, bytes] of publishes) server.publish(topic, bytes);
    // Bun writes what was published at the end of the turn.
    return written(() => sockets.some((ws) => ws.getBufferedAmount() > 0));
  };
}

function publishesOf(mode: 'topic' | 'event', made: ReturnType<TickLoad['turn']>): Publishes {
  const { binary } = broadcaster.encoders;
  const topicOf = (symbol: string): string => `b:tick:${symbol}`;
  if (mode === 'event') return made.map((e) => [topicOf(e.symbol), binary.encode([e])]);
  return [...Map.groupBy(made, ({ symbol }) => topicOf(symbol))].map(([topic, events]) => [
    topic,
    binary.encode(events),
  ]);
}

async function answer(job: FanoutJob): Promise<FanoutDone> {
  const port = server.port!;
  if (job.act === 'start') {
    expected = job.sockets;
    return { port, cpuUs: 0, deliveries: 0 };
  }
  while (sockets.length < expected) await Bun.sleep(5);
  const cpuUs = await measureTurns(job.turns, () => prepare(job));
  if (broadcaster.lagged > 0) throw new Error('a session left the express lane');
  return { port, cpuUs, deliveries: deliveriesOf(job.turns * job.events, sockets.length) };
}

async function run(job: FanoutJob): Promise<void> {
  process.send!(await answer(job));
}

process.on('message', (job: FanoutJob) => void run(job));
process.on('disconnect', () => process.exit(0));
