/** The fuzzers at a small size; `bun test/attack/fuzz.ts` runs millions of frames. */

import { expect, setDefaultTimeout, test } from 'bun:test';

import { decodeFrame, encodeTextFrame, FrameEncoder, isFault } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { Connection } from '../../src/client/connection';
import { scalesOfSymbol } from '../support/arbitraries';
import { fromHex } from '../support/bytes';
import { readSeed } from '../support/seed';
import { namedLimits } from '../support/welcome';
import { decodeSample, fuzzCodec, sampleOf, wrongWith, type Form, type Sample } from './codec-fuzz';
import { fuzzStream } from './stream-fuzz';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);

const FORMS: readonly Form[] = ['msgpack', 'json'];
const CODEC_FRAMES = deep(8_000, 2_000);
const CLIENT_FRAMES = deep(2_000, 1_000);
const STREAM_FRAMES = deep(8_000, 1_500);
const seed = readSeed();

test.each(FORMS)(`the codec in %s, ${CODEC_FRAMES} frames (seed ${seed})`, (form) => {
  const outcomes = fuzzCodec(form, seed, 0, CODEC_FRAMES);
  expect(outcomes['messages']).toBeGreaterThan(CODEC_FRAMES / 10);
  expect(Object.keys(outcomes).length).toBeGreaterThan(4);
});

/** Frames that once were handled wrongly. */
const KEPT: readonly (readonly [what: string, sample: Sample, codes: readonly string[]])[] = [
  ['a string that ends within a letter', fromHex('91 94 01 01 a0 a1 ce'), ['malformed-msgpack']],
  ['a string of overlong letters', fromHex('91 93 01 01 a2 c0 af'), ['malformed-msgpack']],
  ['half a pair in the text itself', '[{"a":1\ud83d}]', ['malformed-json']],
];

test.each(KEPT)('%s', (_, sample, codes) => {
  const out = decodeSample(sample);
  expect(wrongWith(sample, out)).toBeUndefined();
  expect(out.map((part) => (isFault(part) ? part.code : part.type) as string)).toEqual([...codes]);
});

test('a string that is not UTF-8 is a fault of its message alone, and the answer names the request [W14]', () => {
  const good = Uint8Array.of(0x93, 6, 7, 0); // ping 7
  const bad = fromHex('94 02 09 91 a1 ff c0'); // subscribe 9
  expect(decodeFrame(Uint8Array.of(0x93, ...good, ...bad, ...good))).toMatchObject([
    { type: 'ping', id: 7 },
    { code: 'malformed-msgpack', id: 9 },
    { type: 'ping', id: 7 },
  ]);
});

test.each(FORMS)(
  `the SDK accepts any frame of a server in %s: it reads messages, or ends the connection (seed ${seed})`,
  async (form) => {
    let taken = 0;
    let endings = 0;
    for (let index = 0; index < CLIENT_FRAMES;) {
      const socket = new FakeSocket();
      let hasEnded = false;
      const connecting = Connection.connect('http://model', {
        form,
        onMessage: () => (taken += 1),
        onClose: () => (hasEnded = true),
        environment: {
          WebSocket: function () {
            return socket;
          } as never,
        },
      });
      socket.give(
        form === 'json' ? encodeTextFrame([WELCOME], scalesOfSymbol) : encoder.encode([WELCOME]),
      );
      const connection = await connecting;
      for (; index < CLIENT_FRAMES && !connection.ended && !socket.isClosed; index++) {
        socket.give(sampleOf(form, seed, index));
      }
      if (socket.isClosed) endings += 1;
      expect(hasEnded || !connection.ended).toBe(true);
    }
    expect(taken).toBeGreaterThan(100);
    expect(endings).toBeGreaterThan(100);
  },
);

const encoder = new FrameEncoder();
const WELCOME: Message = {
  type: 'welcome',
  version: 1,
  server: 'model',
  session: 's1',
  epoch: 1,
  seq: 0,
  time: Nanos.ZERO,
  limits: namedLimits(),
  shards: null,
};

class FakeSocket {
  binaryType = '';
  readonly readyState = 1;
  readonly protocol = '';
  onopen = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose = null;
  onerror = null;
  isClosed = false;

  give(sample: Sample): void {
    this.onmessage?.({ data: typeof sample === 'string' ? sample : sample.slice().buffer });
  }

  send(): void {}

  close(): void {
    this.isClosed = true;
  }
}

test(`the stream, ${STREAM_FRAMES} frames over sockets (seed ${seed})`, async () => {
  const result = await fuzzStream(FORMS, seed, STREAM_FRAMES);
  expect(result.complaints).toEqual([]);
  expect(result.connections).toBeGreaterThan(5);
  expect(result.bystanders.proofs).toBeGreaterThan(5);
});
