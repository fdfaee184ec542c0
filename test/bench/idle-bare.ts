/**
 * The bare server of the case `idle` of the bench `sessions`: sockets on native topics, each sent a ping and a
 * frame of the size of a heartbeat as often as by a real server, evenly spread, and nothing else.
 *
 *     bun test/bench/idle-bare.ts HEARTBEAT_MS PING_MS
 */

import { decodeFrame, isFault } from '../../protocol/codec';
import { acknowledge, serveBare } from './bare-sockets';

const [, , heartbeatMs, pingMs] = process.argv.map(Number) as [number, number, number, number];

const server = serveBare({
  pingMs,
  heartbeatMs,
  heads: [],
  message: (ws, frame) => {
    const [first] = decodeFrame(frame);
    if (first === undefined || isFault(first) || first.type !== 'subscribe') return;
    for (const topic of first.topics) ws.subscribe(`b:${topic}`);
    acknowledge(ws, first.id);
  },
});
console.log(server.url.origin);
