/**
 * The bare server of the big market: the same connections, frames of the sources and acknowledgements, about
 * as many deliveries to as many sockets for each event, heartbeats and pings; and nothing of a market. What it
 * cannot do on a machine no server of this runtime can.
 *
 *     bun test/endurance/big-market-bare-server.ts DELIVERIES_AN_EVENT
 */

import type { ServerWebSocket } from 'bun';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { MESSAGES } from '../../protocol/messages';
import { MsgReader } from '../../protocol/reader';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { tradeOf } from './big-market-shape';

const HEARTBEAT_MS = 5_000;
const PING_MS = 10_000;
const STEP_MS = 20;

interface BareTopic {
  readonly name: string;
  readonly frame: Uint8Array<ArrayBuffer>;
  readers: number;
}

const deliveriesAnEvent = Number(process.argv[2]);
const encoder = new FrameEncoder();
const random = new Prng(1);
const readers: ServerWebSocket[] = [];
const topics: BareTopic[] = [];
const byName = new Map<string, BareTopic>();
/** Deliveries that are still due. */
let due = 0;

function acknowledge(ws: ServerWebSocket, id: number): void {
  ws.send(encoder.encode([{ type: 'ack', id, seq: 0, repeated: null, waiting: null }]));
}

function subscribe(ws: ServerWebSocket, names: readonly string[]): void {
  readers.push(ws);
  for (const name of names) {
    let topic = byName.get(name);
    if (topic === undefined) {
      topic = { name: `b:${name}`, frame: encoder.encode([tradeOf(1, 1, Nanos.ZERO)]), readers: 0 };
      byName.set(name, topic);
      topics.push(topic);
    }
    topic.readers += 1;
    ws.subscribe(topic.name);
  }
}

function publish(events: number): void {
  due += events * deliveriesAnEvent;
  while (due > 0 && topics.length > 0) {
    const topic = topics[random.int(0, topics.length - 1)]!;
    server.publish(topic.name, topic.frame);
    due -= topic.readers;
  }
}

function take(ws: ServerWebSocket, frame: Uint8Array): void {
  const reader = new MsgReader(frame);
  reader.arrayHeader();
  reader.arrayHeader();
  if (reader.int() === MESSAGES.publish.code) {
    const id = reader.int();
    publish(reader.arrayHeader());
    return acknowledge(ws, id);
  }
  const [first] = decodeFrame(frame);
  if (first === undefined || isFault(first) || first.type !== 'subscribe') return;
  subscribe(ws, first.topics);
  acknowledge(ws, first.id);
}

/** Each of the readers once in so many ms. */
function spread(everyMs: number, act: (ws: ServerWebSocket) => void): void {
  let next = 0;
  let due = 0;
  setInterval(() => {
    for (due += (readers.length * STEP_MS) / everyMs; due >= 1; due--) {
      act(readers[next++ % readers.length]!);
    }
  }, STEP_MS);
}

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  fetch: (request, server) => {
    const headers = { 'sec-websocket-protocol': SUBPROTOCOL_MSGPACK };
    const isUpgraded = server.upgrade(request, { data: undefined, headers });
    return isUpgraded ? undefined : new Response(null, { status: 400 });
  },
  websocket: {
    sendPings: false,
    maxPayloadLength: 64 * 1_024 * 1_024,
    open: (ws) => acknowledge(ws, 0),
    message: (ws, data) => take(ws, data as Uint8Array),
    pong: () => {},
  },
});
const payload = new Uint8Array(4);
const heads = Array.from({ length: 10 }, (_, i) => ({
  topic: `trade:BIG0000${i}`,
  seq: 1_000_000 + i,
}));
const heartbeat = encoder.encode([{ type: 'heartbeat', time: Nanos.ZERO, seq: 1_000_000, heads }]);
spread(PING_MS, (ws) => ws.ping(payload));
spread(HEARTBEAT_MS, (ws) => ws.send(heartbeat));
console.log(server.url.origin);
