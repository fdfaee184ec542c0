/** Bombs on a real server: each is answered with a code, costs little memory, and delays nobody for long. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';

import { SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { SystemClock } from '../../src/base/clock';
import { readFrame } from '../../src/gateway/ws/frames';
import { instrument, tape, trade } from '../support/feed';
import { StreamClient } from '../support/stream-client';
import { BOMBS } from './bombs';
import { RawSocket, rawFrame } from './raw-socket';
import { keyOf, Target } from './target';
import { Watcher } from './watcher';
import { until } from '../support/until';

setDefaultTimeout(120_000);

const ROUNDS = 3;
const isLinux = process.platform === 'linux';
const clock = new SystemClock();
let target: Target;
let watcher: Watcher;

beforeAll(async () => {
  target = await Target.start();
  await target.ingest(tape(instrument('ACME')));
  watcher = await Watcher.open(target.url, 'msgpack');
  await watcher.subscribe(['trade:ACME']);
});
afterAll(() => target.remove());

test('each is answered with a code, and delays other readers no longer than reading it takes', async () => {
  const headers = { authorization: `Bearer ${keyOf('all')}` };
  const before = isLinux ? target.memoryBytes : 0;
  let worst = { ms: 0, name: '' };
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, form, frame } of BOMBS) {
      const client = await StreamClient.open(target.url, `tapedeck.v1.${form}`, headers);
      const startMs = clock.monotonicMs();
      client.raw(frame);
      await watcher.settle();
      const ms = clock.monotonicMs() - startMs;
      if (round > 0 && ms > worst.ms) worst = { ms, name };
      const answer = await client.find((m) => m.type === 'error' || m.type === 'closing');
      expect([name, answer.type]).toEqual([name, 'error']);
      expect([name, answer['code']]).not.toEqual([name, 'internal']);
      await client.close();
    }
  }
  await target.ingest(tape(trade('ACME', '1.00', '0.001')));
  expect(watcher.complaints).toEqual([]);
  expect(watcher.isOpen).toBe(true);
  expect(target.defects).toEqual([]);
  console.log(
    `bombs: the longest was ${worst.name}, ${worst.ms.toFixed(0)} ms until another was answered`,
  );
  if (!isLinux) return;
  const more = target.memoryBytes - before;
  console.log(`bombs: ${ROUNDS * BOMBS.length} of them, ${(more / 1_048_576).toFixed(1)} MiB more`);
  expect(more).toBeLessThan(256 * 1_048_576);
});

test('[E3] a frame that has only faults is read no further than the limit of faults of a connection', () => {
  const { frame } = BOMBS.find(({ name }) => name === '10,000 empty messages')!;
  const items = readFrame(frame, SUBPROTOCOL_MSGPACK, () => undefined);
  expect(items.length).toBeGreaterThan(200);
  expect(items.length).toBeLessThan(300);
});

test('compression is not negotiated, so no frame is larger than its bytes on the wire', async () => {
  let closed = 0;
  const nothing = (): void => {};
  const socket = await RawSocket.open(
    target.url,
    'tapedeck.v1.json',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n',
    {
      message: nothing,
      ping: nothing,
      pong: nothing,
      end: nothing,
      wrong: nothing,
      close: (code) => (closed = code),
    },
  );
  expect(socket.isOpen).toBe(true);
  expect(socket.head.toLowerCase()).not.toContain('sec-websocket-extensions');
  // A thousand spaces, compressed.
  const deflated = Bun.deflateSync(Buffer.alloc(1_000, ' '));
  socket.write(rawFrame(1, deflated, { reserved: 4 }));
  await until(() => socket.isEnded);
  expect(closed).toBe(1002);
});
