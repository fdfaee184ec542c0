/**
 * Clients that are slow on purpose: heads, handshakes and bodies that never end, answers that nobody reads, more
 * connections than descriptors. Others are served meanwhile, and all of these connections end.
 */

import { afterEach, expect, setDefaultTimeout, test } from 'bun:test';
import { connect, type Socket } from 'node:net';

import { instrument, tape, trade } from '../support/feed';
import { keyOf, Target } from './target';
import { rawFrame } from './raw-socket';
import { Watcher } from './watcher';
import { until } from '../support/until';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);

const isLinux = process.platform === 'linux';
const MEGABYTE = 1_048_576;
const targets: Target[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const target of targets.splice(0)) await target.remove();
});

async function given(config: string, descriptors?: number): Promise<Target> {
  const target = await Target.start({ config, ...(descriptors !== undefined && { descriptors }) });
  targets.push(target);
  await target.ingest(tape(instrument('ACME')));
  return target;
}

/** A connection that sends this, and then a little each second; it reads what arrives. */
function slowly(target: Target, opening: string, drip = ''): Socket {
  const socket = connect(Number(new URL(target.url).port), '127.0.0.1', () =>
    socket.write(opening),
  );
  sockets.push(socket);
  const timer = setInterval(() => socket.destroyed || drip === '' || socket.write(drip), 1_000);
  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.on('close', () => clearInterval(timer));
  return socket;
}

/** Checks that a reader is still sent every trade. */
async function isServed(target: Target, watcher: Watcher): Promise<void> {
  const { messages } = watcher;
  await target.ingest(tape(trade('ACME', '1.00', '0.001')));
  await watcher.settle();
  expect(watcher.messages).toBeGreaterThan(messages + 1);
  expect(watcher.complaints).toEqual([]);
  expect(watcher.isOpen).toBe(true);
}

const HEAD = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n';
const BODY = `POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${keyOf('trade')}\r\n`;
const UPGRADE =
  'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';

test('many slow connections are all cut off; another reader gets everything', async () => {
  const target = await given(`[limits]\nrequestSeconds = ${deep(5, 2)}`);
  const watcher = await Watcher.open(target.url, 'msgpack');
  await watcher.subscribe(['trade:ACME']);
  const before = isLinux ? target.descriptors : 0; // threads of the server may still be starting
  const kinds = [
    ['', ''],
    ['G', ''],
    [HEAD, 'X-A: b\r\n'],
    [`${HEAD}X-A: `, 'b'],
    [`${HEAD}\r\n`, ''],
    [`${HEAD}\r\n${HEAD}`, 'X-A: b\r\n'],
    [UPGRADE, 'X-A: b\r\n'],
    [`${BODY}Content-Length: 9999\r\n\r\n`, ' '],
    [`${BODY}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
  ] as const;
  const all = Array.from({ length: deep(2_000, 180) }, (_, i) => {
    const [opening, drip] = kinds[i % kinds.length]!;
    return slowly(target, opening, drip);
  });
  await until(() => all.every((socket) => !socket.connecting));
  await isServed(target, watcher);
  expect((await target.ask('/v1/instruments')).status).toBe(200);
  await until(() => all.every((socket) => socket.destroyed));
  if (isLinux) await until(() => target.descriptors < before + 20);
  await isServed(target, watcher);
  expect(target.defects).toEqual([]);
});

test.skipIf(!isLinux)(
  'unread answers: what waits for them is bounded, and their connections are cut off',
  async () => {
    const target = await given(
      '[limits]\nrequestSeconds = 5\n[push]\npongMs = 3000\nheartbeatMs = 500',
    );
    const watcher = await Watcher.open(target.url, 'json');
    await watcher.subscribe(['trade:ACME']);
    await (await target.ask('/openapi.json')).text();
    const before = target.memoryBytes;
    const asking = 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(60);
    const rest = Array.from({ length: 50 }, () => slowly(target, asking).pause());
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
    const subscribe = rawFrame(1, Buffer.from('{"type":"subscribe","id":1,"topics":["trade:*"]}'));
    for (let i = 0; i < 50; i++) {
      const socket = slowly(target, `${UPGRADE}${key}\r\n`);
      socket.once('data', () => socket.pause().write(subscribe));
    }
    // Not those that are open: on a busy machine the first are cut off before the last have come.
    await until(async () => (await target.metric('tapedeck_stream_opened_total')) === 51);
    for (let i = 0; i < 20; i++) {
      await target.ingest(
        tape(...Array.from({ length: 50 }, () => trade('ACME', '1.00', '0.001'))),
      );
    }
    await isServed(target, watcher);
    console.log(`never read: ${((target.memoryBytes - before) / MEGABYTE).toFixed(1)} MiB more`);
    expect(target.memoryBytes - before).toBeLessThan(200 * MEGABYTE);
    // A socket that does not read does not notice its end, so the server side is checked.
    expect(rest.length).toBe(50);
    await until(() => target.descriptors < 60);
    expect(target.defects).toEqual([]);
  },
);

test.skipIf(!isLinux)(
  'more connections than descriptors: existing connections are served, and the server recovers',
  async () => {
    const target = await given('', 200);
    const watcher = await Watcher.open(target.url, 'msgpack');
    await watcher.subscribe(['trade:ACME']);
    // This connection is opened before the others and stays; so is the thread that reads the past.
    const ask = (path: string): Promise<Response> => target.ask(path);
    expect((await ask('/v1/bars/ACME?interval=1s')).status).toBe(200);
    for (let i = 0; i < 400; i++) slowly(target, 'G', 'E');
    await until(() => target.descriptors >= 200);
    const waiting = connect(Number(new URL(target.url).port), '127.0.0.1');
    waiting.on('error', () => {});
    await watcher.settle();
    // The page is not made until there is room.
    expect((await ask('/v1/bars/ACME?interval=1s')).status).toBe(200);
    expect([200, 503]).toContain((await ask('/')).status);
    expect((await ask('/metrics')).status).toBe(200);
    expect(target.isAlive).toBe(true);
    for (const socket of sockets.splice(0)) socket.destroy();
    waiting.destroy();
    await until(() => target.descriptors < 100);
    await isServed(target, watcher);
    const later = await Watcher.open(target.url, 'json');
    await later.subscribe(['trade:ACME']);
    await isServed(target, later);
    expect((await ask('/')).status).toBe(200);
    expect(target.defects).toEqual([]);
  },
);
