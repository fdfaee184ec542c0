/**
 * The server of the bench `fanout` on the npm package ws, as its users write one: each topic has a set of sockets,
 * and each event is sent to each of them. It runs under Node where that is installed.
 */

import { WebSocketServer, type WebSocket } from 'ws';

import { FrameEncoder } from '../../protocol/codec';
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

const sockets: WebSocket[] = [];
const readers = new Map<string, Set<WebSocket>>();
const load = new TickLoad();
const encoder = new FrameEncoder();
const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
let expected = 0;

server.on('connection', (ws) => {
  for (const symbol of topicsOf(FANOUT_SYMBOLS, sockets.length)) {
    let those = readers.get(symbol);
    if (those === undefined) readers.set(symbol, (those = new Set()));
    those.add(ws);
  }
  sockets.push(ws);
});

/** Prepares a push of a number of events, which are encoded here; that is not measured. */
function prepare(events: number): () => Promise<void> {
  const made = load.turn(events).map((e) => [e.symbol, encoder.encode([e])] as const);
  return () => {
    for (const [symbol, bytes] of made) for (const ws of readers.get(symbol)!) ws.send(bytes);
    return written(() => sockets.some((ws) => ws.bufferedAmount > 0));
  };
}

async function answer(job: FanoutJob): Promise<FanoutDone> {
  while (server.address() === null) await new Promise((resolve) => setTimeout(resolve, 1));
  const { port } = server.address() as { port: number };
  if (job.act === 'start') {
    expected = job.sockets;
    return { port, cpuUs: 0, deliveries: 0 };
  }
  while (sockets.length < expected) await new Promise((resolve) => setTimeout(resolve, 5));
  const cpuUs = await measureTurns(job.turns, () => prepare(job.events));
  return { port, cpuUs, deliveries: deliveriesOf(job.turns * job.events, sockets.length) };
}

async function run(job: FanoutJob): Promise<void> {
  process.send!(await answer(job));
}

process.on('message', (job: FanoutJob) => void run(job));
process.on('disconnect', () => process.exit(0));
