/**
 * The bare server of the big market: the same connections, frames of the sources and acknowledgements, about as
 * many deliveries to as many sockets for each event, heartbeats and pings, but no market. What it cannot do on a
 * machine, no server on this runtime can do there.
 *
 *     bun test/endurance/big-market-bare-server.ts DELIVERIES_AN_EVENT
 */

import type { ServerWebSocket } from 'bun';

import { decodeFrame, FrameEncoder, isFault } from '../../protocol/codec';
import { MESSAGES } from '../../protocol/messages';
import { MsgReader } from '../../protocol/reader';
import { Nanos } from '../../protocol/time';
import { Prng } from '../../src/base/prng';
import { acknowledge, serveBare } from '../bench/bare-sockets';
import { tradeOf } from './big-market-shape';

interface BareTopic {
  readonly name: string;
  readonly frame: Uint8Array<ArrayBuffer>;
  readers: number;
}

const deliveriesAnEvent = Number(process.argv[2]);
const encoder = new FrameEncoder();
const random = new Prng(1);
const topics: BareTopic[] = [];
const byName = new Map<string, BareTopic>();
/** Deliveries that are still due. */
let due = 0;

function subscribe(ws: ServerWebSocket, names: readonly string[]): void {
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

const server = serveBare({
  pingMs: 10_000,
  heartbeatMs: 5_000,
  heads: Array.from({ length: 10 }, (_, i) => ({ topic: `trade:BIG0000${i}`, seq: 1_000_000 + i })),
  message: take,
});
console.log(server.url.origin);
