/**
 * Storm cycles: connections that open and close as fast as they can, in each possible way. It runs in its own
 * process (`bun storm-cycles.ts URL CYCLES SEED EPOCH SEQ`) or in that of a test.
 */

import { FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { Prng } from '../../src/base/prng';
import { RawSocket, rawFrame, type RawEvents } from './raw-socket';

/** Connections at once. */
const IN_FLIGHT = 40;
const NONE = { from: null, to: null, fromSeq: null, toSeq: null, speed: null };
const TOPICS = [
  ['trade:ACME'],
  ['book:ACME', 'tick:ACME'],
  ['book:*', 'trade:*', 'bbo:*', 'status'],
  ['bar:*:1s', 'stats:ACME'],
];
const HALF = 'GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n';

export interface StormDone {
  readonly cycles: number;
  /** Completed handshakes. */
  readonly sessions: number;
  /** Upgrades that were refused, for example because there were too many. */
  readonly refused: number;
  readonly messages: number;
}

export async function storm(
  url: string,
  cycles: number,
  seed: number,
  position: { readonly epoch: number; readonly seq: number },
): Promise<StormDone> {
  const random = new Prng(seed);
  const encoder = new FrameEncoder();
  const done = { cycles: 0, sessions: 0, refused: 0, messages: 0 };

  async function cycle(): Promise<void> {
    const kind = random.int(0, 9);
    let frames = 0;
    let heard: () => void = () => {};
    const events: RawEvents = {
      message: () => {
        frames += 1;
        done.messages += 1;
        heard();
      },
      ping: () => {},
      pong: () => {},
      close: () => {},
      end: () => heard(),
      wrong: (what) => {
        throw new Error(what);
      },
    };
    if (kind < 2) {
      const socket = await RawSocket.connect(url, events);
      if (kind === 1) socket.write(Buffer.from(HALF));
      return socket.drop();
    }
    const socket = await RawSocket.open(url, 'tapedeck.v1.msgpack', '', events);
    if (!socket.isOpen) {
      done.refused += 1;
      return socket.drop();
    }
    done.sessions += 1;
    const topics = TOPICS[random.int(0, TOPICS.length - 1)]!;
    const seq = random.chance(0.5) ? position.seq : random.int(0, position.seq);
    const requests: Message[] =
      kind < 5
        ? [{ type: 'subscribe', id: 1, topics, intervalMs: random.chance(0.3) ? 100 : null }]
        : kind < 8
          ? [
              {
                type: 'resume',
                id: 1,
                epoch: random.chance(0.1) ? 7 : position.epoch,
                seq,
                topics,
                newest: null,
                positions: null,
              },
            ]
          : [
              {
                type: 'replay',
                id: 1,
                action: 'start',
                ...NONE,
                topics: ['trade:ACME'],
                speed: 100,
                shard: null,
              },
            ];
    socket.write(rawFrame(2, encoder.encode(requests)));
    // It closes before its answer, in the middle of it, or after it.
    for (let wanted = random.int(0, 3); wanted > frames && !socket.isEnded; wanted -= 1) {
      await Promise.race([new Promise<void>((resolve) => (heard = resolve)), Bun.sleep(200)]);
    }
    const way = random.int(0, 4);
    if (way === 0) socket.write(rawFrame(8, Buffer.from([3, 232])));
    else if (way === 1) socket.finish();
    socket.drop();
  }

  const worker = async (): Promise<void> => {
    while (done.cycles < cycles) {
      done.cycles += 1;
      await cycle();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return done;
}

if (import.meta.main) {
  const [url, cycles, seed, epoch, seq] = process.argv.slice(2);
  const done = await storm(url!, Number(cycles), Number(seed), {
    epoch: Number(epoch),
    seq: Number(seq),
  });
  console.log(JSON.stringify(done));
  process.exit();
}
