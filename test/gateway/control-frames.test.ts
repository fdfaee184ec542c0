/**
 * WebSocket pings and pongs, and frames without a message: a few cost nothing; a flood ends its own connection and
 * no other.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test';
import { connect, type Socket } from 'node:net';

import { upgradeRequest, clientFrame, OPCODE } from '../bench/ws-frames';
import { SUBPROTOCOL_JSON } from '../../protocol/codec';
import { parseMetrics } from '../support/metrics-text';
import { StreamClient } from '../support/stream-client';
import { ServerProcess } from '../support/tapedeck-process';

let server: ServerProcess;
beforeAll(async () => {
  server = await ServerProcess.start({ config: '[limits]\ncontrolFramesPerSecond = 200\n' });
});
afterAll(() => server.remove());

/** A connection that sends these frames after its upgrade. @returns everything that it is sent until it ends */
async function send(frames: Buffer, until: (text: string) => boolean): Promise<string> {
  const socket: Socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  socket.on('error', () => {});
  let text = '';
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('close', () => resolve(text));
  let isUpgraded = false;
  socket.on('data', (data) => {
    text += data.toString('latin1');
    if (!isUpgraded && text.includes('welcome')) {
      isUpgraded = true;
      socket.write(frames);
    }
    if (until(text)) socket.destroy();
  });
  socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_JSON));
  return promise;
}

function times(opcode: number, count: number): Buffer {
  const frame = clientFrame(opcode, new Uint8Array());
  return Buffer.concat(Array.from({ length: count }, () => frame));
}

const PING = 0x9;
const PONG = 0xa;
const asked = Buffer.from(JSON.stringify([{ type: 'ping', id: 77, time: '1' }]));

test.each([
  ['pings', PING],
  ['pongs that nobody asked for', PONG],
])('%s, as many as may be, are taken; a flood of them ends the connection', async (_, opcode) => {
  const other = await StreamClient.open(server.url);
  const few = Buffer.concat([times(opcode, 200), clientFrame(OPCODE.text, asked)]);
  const answered = (text: string): boolean => text.includes('"id":77');
  expect(await send(few, answered)).toContain('"id":77');
  const flooded = await send(
    Buffer.concat([times(opcode, 100_000), clientFrame(OPCODE.text, asked)]),
    answered,
  );
  expect(flooded).toContain('"code":4020,"reason":"limit-reached"');
  expect(flooded).not.toContain('"id":77');
  const pongs = flooded.split('\x8a\x00').length - 1;
  expect(pongs).toBeLessThan(300); // the frames after them were not read
  await other.settle();
  await other.close();
});

test('frames without a message count as messages: a flood of them ends the connection', async () => {
  const nothing = clientFrame(OPCODE.text, Buffer.from('[]'));
  const empty = (count: number): Buffer =>
    Buffer.concat(Array.from({ length: count }, () => nothing));
  const answered = (text: string): boolean => text.includes('"id":77');
  const few = Buffer.concat([empty(100), clientFrame(OPCODE.text, asked)]);
  expect(await send(few, answered)).toContain('"id":77');
  const flooded = await send(
    Buffer.concat([empty(200_000), clientFrame(OPCODE.text, asked)]),
    answered,
  );
  expect(flooded).toContain('"code":4020,"reason":"limit-reached"');
  expect(flooded).not.toContain('"id":77');
});

test('a client that does not read its pongs is disconnected long before its backlog is full', async () => {
  const own = await ServerProcess.start({
    config: '[limits]\ncontrolFramesPerSecond = 1000000000\nworkPerSecond = 1000000000\n',
  });
  const closed = async (): Promise<string[]> => {
    const text = await (await own.get('/metrics')).text();
    return [...parseMetrics(text).keys()].filter((name) => name.includes('stream_closed_total'));
  };
  const other = await StreamClient.open(own.url);
  const socket: Socket = connect(Number(new URL(own.url).port), '127.0.0.1');
  socket.on('error', () => {});
  socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_JSON));
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  const ping = clientFrame(PING, new Uint8Array(125));
  const some = Buffer.concat(Array.from({ length: 5_000 }, () => ping));
  // Until the kernel buffers are full, nothing waits; from then on a thousand pongs may.
  while ((await closed()).length === 0) {
    if (socket.writableLength === 0) socket.write(some);
    else await Bun.sleep(10);
  }
  expect(await closed()).toEqual(['tapedeck_stream_closed_total{code="4020"}']);
  await other.settle();
  await other.close();
  socket.destroy();
  await own.remove();
});
