/**
 * A reader that does not read. It is closed when its pong has not arrived within `push.pongMs`; what it received
 * before is complete and in order; memory and other readers are not affected.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { connect, type Socket } from 'node:net';

import { instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';
import { until } from '../support/until';

const BACKLOG_BYTES_MAX = 262_144;
/** Only the reader that never reads is slow, however busy the machine is. */
const PATIENCE = 'pongMs = 3000\nlagMs = 2999\nstaleMs = 2999\ntradeAgeMs = 60000';
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({
    config: `[limits]\nframeBytesMax = 65536\n[push]\nbacklogBytesMax = ${BACKLOG_BYTES_MAX}\noutboxBytesMax = 32768\nheartbeatMs = 100\n${PATIENCE}`,
  });
  await server.ingest(tape(instrument('SLOW')));
});
afterAll(() => server.remove());

/** A hand-written WebSocket, because a ready-made one always reads; resolves when it is subscribed. */
async function deafReader(): Promise<{
  socket: Socket;
  received: Buffer[];
  closed: Promise<void>;
}> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
  socket.write(
    'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Protocol: tapedeck.v1.json\r\n\r\n',
  );
  const request = Buffer.from('{"type":"subscribe","id":1,"topics":["trade:SLOW"]}');
  await new Promise<void>((resolve) => {
    socket.on('data', (data: Buffer) => {
      received.push(data);
      if (data.toString('latin1').includes('"type":"ack"')) resolve();
      else if (data.toString('latin1').includes('"welcome"')) {
        // A masked text frame; the mask is zero.
        socket.write(
          Buffer.concat([Buffer.from([0x81, 0x80 | request.length, 0, 0, 0, 0]), request]),
        );
      }
    });
  });
  socket.pause();
  return { socket, received, closed };
}

async function sessions(): Promise<number> {
  const text = await (await server.get('/metrics')).text();
  return Number(/^tapedeck_sessions (\d+)$/m.exec(text)![1]);
}

async function memoryKib(): Promise<number> {
  const status = await Bun.file(`/proc/${server.pid}/status`).text();
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
}

test('it is closed, has an unbroken beginning, and the others get everything', async () => {
  const deaf = await deafReader();
  const good = await StreamClient.open(server.url);
  await good.subscribe('trade:SLOW');
  const before = await memoryKib();
  const lines = tape(...Array.from({ length: 1_000 }, () => trade('SLOW', '1.00', '0.001')));
  const rounds = 50;
  for (let i = 0; i < rounds; i++) await server.ingest(lines);
  await good.findCount((m) => m.type === 'trade', rounds * 1_000);
  // 50,000 trades are about 9 MB of text: if they were kept, the memory would grow.
  expect((await memoryKib()) - before).toBeLessThan(80_000);
  await until(async () => (await sessions()) === 1, 'the deaf reader is closed');
  deaf.socket.resume();
  await deaf.closed;

  const text = Buffer.concat(deaf.received).toString('latin1');
  const chain = [...text.matchAll(/"type":"trade"[^}]*?"seq":(\d+),"prevSeq":(\d+)/g)];
  expect(chain.length).toBeGreaterThan(100);
  expect(chain.length).toBeLessThan(rounds * 1_000);
  for (const [i, link] of chain.entries()) {
    if (i > 0) expect(link[2]).toBe(chain[i - 1]![1]);
  }
  let last = 0;
  for (const message of good.seen.filter((m) => m.type === 'trade')) {
    expect(message['prevSeq']).toBe(last);
    last = message['seq'] as number;
  }
  await good.close();
}, 60_000);

test('a reader that never reads does not prevent the server from stopping', async () => {
  const deaf = await deafReader();
  await server.ingest(tape(...Array.from({ length: 500 }, () => trade('SLOW', '1.00', '0.001'))));
  const { code, stderr } = await server.stop('SIGTERM');
  expect(code).toBe(0);
  // About the reader before, and nothing else.
  for (const line of stderr.trim().split('\n')) expect(line).toContain('closed for being slow');
  deaf.socket.destroy();
});
