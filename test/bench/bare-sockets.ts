/** A bare server on Bun: sockets with the subprotocol of Tapedeck, pings, heartbeats and acknowledgements. */

import type { ServerWebSocket } from 'bun';

import { FrameEncoder, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { Nanos } from '../../protocol/time';

const STEP_MS = 20;
const encoder = new FrameEncoder();

export interface BareSockets {
  /** How often each socket is sent a ping. */
  readonly pingMs: number;
  /** How often each socket is sent a heartbeat. */
  readonly heartbeatMs: number;
  /** The heads of a heartbeat, which give it its size. */
  readonly heads: { readonly topic: string; readonly seq: number }[];
  readonly message: (ws: ServerWebSocket, frame: Uint8Array) => void;
}

export function acknowledge(ws: ServerWebSocket, id: number): void {
  ws.send(
    encoder.encode([{ type: 'ack', id, seq: 0, repeated: null, waiting: null, shards: null }]),
  );
}

/** Serves on a free port, and acknowledges each connection with the id 0. */
export function serveBare({
  pingMs,
  heartbeatMs,
  heads,
  message,
}: BareSockets): Bun.Server<undefined> {
  const sockets: ServerWebSocket[] = [];
  /** Calls `act` for each socket once in a period, evenly spread. */
  const spread = (everyMs: number, act: (ws: ServerWebSocket) => void): void => {
    let next = 0;
    let due = 0;
    setInterval(() => {
      for (due += (sockets.length * STEP_MS) / everyMs; due >= 1; due--) {
        act(sockets[next++ % sockets.length]!);
      }
    }, STEP_MS);
  };
  const payload = new Uint8Array(4);
  const heartbeat = encoder.encode([
    { type: 'heartbeat', time: Nanos.ZERO, seq: 1_000_000, heads, shard: null },
  ]);
  spread(pingMs, (ws) => ws.ping(payload));
  spread(heartbeatMs, (ws) => ws.send(heartbeat));
  return Bun.serve({
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
      open: (ws) => {
        sockets.push(ws);
        acknowledge(ws, 0);
      },
      message: (ws, data) => message(ws, data as Uint8Array),
      pong: () => {},
    },
  });
}
