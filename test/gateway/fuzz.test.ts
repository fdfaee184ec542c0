/**
 * Random frames through real sockets: damaged valid ones, random structures, random bytes. Every frame is answered
 * or ignored, and none crashes or stalls the server. The seed is printed with a failure.
 */

import { encode } from '@msgpack/msgpack';
import { afterAll, beforeAll, expect, test } from 'bun:test';

import { SUBPROTOCOL_JSON } from '../../protocol/codec';
import { Prng } from '../../src/base/prng';
import { instrument, tape, trade } from '../support/feed';
import { readGoldenFrames } from '../support/golden';
import { readSeed } from '../support/seed';
import { FORMS, StreamClient } from '../support/stream-client';
import { PUBLISH_KEY, ServerProcess } from '../support/tapedeck-process';

const FRAMES = 10_000;
/** After this many frames it checks whether the connection has been closed for its faults. */
const BURST = 200;
const seed = readSeed();
const golden = readGoldenFrames();
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ config: '[limits]\nframeBytesMax = 65536' });
  await server.ingest(tape(instrument('BTCUSDT'), instrument('ACME'), trade('ACME', '1', '1')));
});
afterAll(() => server.remove());

const WORDS = [
  'type',
  'subscribe',
  'unsubscribe',
  'publish',
  'ping',
  'hello',
  'received',
  'topics',
  'events',
  'id',
  'symbol',
  'ACME',
  'trade:ACME',
  'book:*',
  'status',
  'instrument',
  'trade',
  'book',
  'bids',
  'price',
  '1.00',
  '-0',
  '1e9',
  '9007199254740993',
  '__proto__',
  'form',
  'snapshot',
  'levels',
];

class Fuzzer {
  private readonly random: Prng;

  constructor(random: Prng) {
    this.random = random;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    switch (this.below(4)) {
      case 0:
        return Uint8Array.from({ length: this.below(80) }, () => this.below(256));
      case 1:
        return encode([[this.below(60), ...this.list(3)]]);
      case 2:
        return encode(this.value(4));
      default:
        return this.damaged(Uint8Array.from(Buffer.from(this.pick(golden).hex, 'hex')));
    }
  }

  text(): string {
    switch (this.below(4)) {
      case 0:
        return Buffer.from(this.bytes()).toString('latin1');
      case 1:
        return JSON.stringify([{ type: this.pick(WORDS), ...this.object(3) }]);
      case 2:
        return JSON.stringify(this.value(4));
      default: {
        const good = Buffer.from(JSON.stringify(this.pick(golden).messages));
        return Buffer.from(this.damaged(Uint8Array.from(good))).toString('utf8');
      }
    }
  }

  private below(end: number): number {
    return this.random.int(0, end - 1);
  }

  private pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  private damaged(good: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    for (let i = this.below(4); i >= 0 && good.length > 0; i--) {
      good[this.below(good.length)] = this.below(256);
    }
    return this.below(3) === 0 ? good.slice(0, this.below(good.length + 1)) : good;
  }

  private list(depth: number): unknown[] {
    return Array.from({ length: this.below(9) }, () => this.value(depth - 1));
  }

  private object(depth: number): Record<string, unknown> {
    const entries = Array.from({ length: this.below(7) }, () => [
      this.pick(WORDS),
      this.value(depth - 1),
    ]);
    return Object.fromEntries(entries) as Record<string, unknown>;
  }

  private value(depth: number): unknown {
    switch (this.below(depth > 0 ? 9 : 7)) {
      case 0:
        return null;
      case 1:
        return this.below(2) === 0;
      case 2:
        return this.below(300) - 50;
      case 3:
        return (this.below(2_000_000) - 1_000_000) * 2 ** this.below(60);
      case 4:
        return this.below(1000) / 7;
      case 5:
      case 6:
        return this.pick(WORDS);
      case 7:
        return this.list(depth);
      default:
        return this.object(depth);
    }
  }
}

test.each(FORMS)(
  `${FRAMES} random frames on %s (seed ${seed})`,
  async (form) => {
    const fuzzer = new Fuzzer(new Prng(seed));
    const witness = await StreamClient.open(server.url, form);
    await witness.subscribe('trade:ACME');
    const headers = { authorization: `Bearer ${PUBLISH_KEY}` };
    let client = await StreamClient.open(server.url, form, headers);
    let connections = 1;
    for (let sent = 0; sent < FRAMES; sent += BURST) {
      for (let i = 0; i < BURST; i++) {
        client.raw(form === SUBPROTOCOL_JSON ? fuzzer.text() : fuzzer.bytes());
      }
      const ended = await client.settle().then(
        () => false,
        () => true,
      );
      if (!ended) continue;
      // Closed only for its faults, or for presenting a wrong key or version.
      expect([4000, 4001, 4003]).toContain((await client.closed).code);
      client = await StreamClient.open(server.url, form, headers);
      connections += 1;
    }
    await client.close();
    expect(connections).toBeGreaterThan(5);
    const at = witness.seen.length;
    await server.ingest(tape(instrument('AFTER'), trade('AFTER', '1', '1')));
    expect(await server.json('/v1/tick/AFTER')).toMatchObject({ last: '1.00' });
    await witness.subscribe('trade:AFTER');
    expect(witness.seen.slice(at).filter((m) => m.type === 'error')).toEqual([]);
    expect(server.alive).toBe(true);
  },
  60_000,
);
