/**
 * The bare server of the case `idle` of the bench `sessions`: sockets on native topics, each sent a ping and
 * a frame of the size of a heartbeat as often as a real server does, evenly spread, and nothing else.
 */

import type { ServerWebSocket } from 'bun';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { Nanos } from '../../protocol/time';

const [, , heartbeatMs, pingMs] = process.argv.map(Number) as [number, number, number, number];
const STEP_MS = 20;
const encoder = new FrameEncoder();
const sockets: ServerWebSocket[] = [];

function acknowledge(ws: ServerWebSocket, id: number): void {
  ws.send(encoder.encode([{ type: 'ack', id, seq: 0, repeated: null, waiting: null }]));
}

/** Each of the sockets once in so many ms. */
function spread(everyMs: number, act: (ws: ServerWebSocket) => void): void {
  let next = 0;
  let due = 0;
  setInterval(() => {
    for (due += (sockets.length * STEP_MS) / everyMs; due >= 1; due--) {
      act(sockets[next++ % sockets.length]!);
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
    open: (ws) => {
      sockets.push(ws);
      acknowledge(ws, 0);
    },
    message: (ws, data) => {
      const [first] = decodeFrame(data as Uint8Array);
      if (first === undefined || isFault(first) || first.type !== 'subscribe') return;
      for (const topic of first.topics) ws.subscribe(`b:${topic}`);
      acknowledge(ws, first.id);
    },
    pong: () => {},
  },
});
const payload = new Uint8Array(4);
spread(pingMs, (ws) => ws.ping(payload));
const heartbeat = encoder.encode([{ type: 'heartbeat', time: Nanos.ZERO, seq: 1, heads: [] }]);
spread(heartbeatMs, (ws) => ws.send(heartbeat));
console.log(server.url.origin);
