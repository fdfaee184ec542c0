/**
 * Memory run: clients that make a server hold as much memory as they can, by one way after the other, and never
 * read; beside them is a correct reader. It is used by a test and by a program that is run by hand.
 */

import { connect, type Socket } from 'node:net';

import { instrument, tape, trade, book } from '../support/feed';
import { rawFrame } from './raw-socket';
import { keyOf, Target } from './target';
import { Watcher } from './watcher';
import { until } from '../support/until';

const UPGRADE =
  'GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';

export interface MemoryOptions {
  readonly clients: number;
  readonly instruments: number;
  /** Memory budget of all clients, and of one client, in bytes. */
  readonly clientBytesMax: number;
  readonly clientBytesPerClientMax: number;
  /** Bytes of a frame or body that is never finished. */
  readonly unfinishedBytes: number;
}

export interface MemoryResult {
  readonly kind: string;
  /** How much the resident memory grew at most, in bytes. */
  readonly grownBytes: number;
  /** The most bytes in the account, by kind, and how many sessions and requests were closed or refused. */
  readonly counted: Readonly<Record<string, number>>;
  readonly shed: number;
  readonly refused: number;
}

const COUNTED = [
  'connections',
  'topics',
  'answers',
  'sockets',
  'requests',
  'publishes',
  'bodies',
  'replies',
];

export class MemoryRun {
  readonly target: Target;
  readonly watcher: Watcher;
  private readonly options: MemoryOptions;
  private readonly sockets: Socket[] = [];

  private constructor(target: Target, watcher: Watcher, options: MemoryOptions) {
    this.target = target;
    this.watcher = watcher;
    this.options = options;
  }

  static async start(options: MemoryOptions): Promise<MemoryRun> {
    const { clientBytesMax, clientBytesPerClientMax, instruments } = options;
    const target = await Target.start({
      config: `[limits]\nclientBytesMax = ${clientBytesMax}\nclientBytesPerClientMax = ${clientBytesPerClientMax}\nbodyBytesMax = 4194304\n`,
    });
    const symbols = Array.from({ length: instruments }, (_, i) => `S${i}`);
    for (let i = 0; i < symbols.length; i += 500) {
      const some = symbols.slice(i, i + 500);
      await target.ingest(tape(...some.map((symbol) => instrument(symbol))));
      const side = (from: number): [string, string][] =>
        Array.from({ length: 10 }, (_, n) => [`${from + n}.00`, '1.000']);
      await target.ingest(
        tape(
          ...some.map((symbol) =>
            book(symbol, 'snapshot', side(10).reverse(), side(30), { seq: 1 }),
          ),
        ),
      );
    }
    const watcher = await Watcher.open(target.url, 'msgpack');
    await watcher.subscribe(['trade:S0', 'book:S1']);
    return new MemoryRun(target, watcher, options);
  }

  /** Runs a number of clients that send this and read nothing. */
  async attack(kind: keyof typeof KINDS): Promise<MemoryResult> {
    const { target, options } = this;
    const before = target.memoryBytes;
    const [shedBefore, refusedBefore] = await this.counts();
    const most: Record<string, number> = {};
    let grownBytes = 0;
    for (let i = 0; i < options.clients; i++) KINDS[kind](this.connect(), options);
    // On a busy machine the clients take a while to have asked.
    const hasBegun = (): boolean => kind !== 'answers' || (most['answers'] ?? 0) > 0;
    for (let looks = 0; looks < 20 || (looks < 200 && !hasBegun()); looks++) {
      await Bun.sleep(100);
      grownBytes = Math.max(grownBytes, target.memoryBytes - before);
      for (const name of COUNTED) {
        const bytes = await target.metric(`tapedeck_client_bytes{kind="${name}"}`);
        most[name] = Math.max(most[name] ?? 0, bytes);
      }
    }
    const [shed, refused] = await this.counts();
    for (const socket of this.sockets.splice(0)) socket.destroy();
    const isGone = async (): Promise<boolean> => (await target.metric('tapedeck_sessions')) === 1;
    await until(isGone, `${kind}: no session is left`);
    return {
      kind,
      grownBytes,
      counted: most,
      shed: shed - shedBefore,
      refused: refused - refusedBefore,
    };
  }

  /** Whether the correct reader is sent every trade. */
  async isServed(): Promise<boolean> {
    const { watcher, target } = this;
    const { messages } = watcher;
    await target.ingest(tape(trade('S0', '1.00', '0.001')));
    await watcher.settle();
    return watcher.isOpen && watcher.complaints.length === 0 && watcher.messages > messages + 1;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets.splice(0)) socket.destroy();
    await this.target.remove();
  }

  private async counts(): Promise<[number, number]> {
    const { target } = this;
    const shed = await target.metric('tapedeck_client_bytes_shed_total');
    return [shed, await target.metric('tapedeck_client_bytes_refused_total')];
  }

  private connect(): Socket {
    const socket = connect(Number(new URL(this.target.url).port), '127.0.0.1');
    socket.on('error', () => {});
    this.sockets.push(socket);
    return socket;
  }
}

/** Opens a WebSocket, and sends the given frames when it is open; reads nothing from then on. */
function stream(socket: Socket, said: readonly Buffer[]): void {
  socket.write(`${UPGRADE}\r\n`);
  socket.once('data', () => {
    socket.pause();
    for (const frame of said) socket.write(frame);
  });
}

function text(message: object): Buffer {
  return rawFrame(1, Buffer.from(JSON.stringify(message)));
}

export const KINDS = {
  /** Asks for the state of every book, and reads none of it. */
  answers: (socket: Socket) =>
    stream(socket, [text({ type: 'subscribe', id: 1, topics: ['book:*'] })]),
  /** Subscribes to the same topics again and again. */
  resubscriptions: (socket: Socket) =>
    stream(
      socket,
      Array.from({ length: 200 }, (_, id) =>
        text({ type: 'subscribe', id, topics: ['book:*', 'bbo:*'] }),
      ),
    ),
  /** Asks for very many small answers. */
  pings: (socket: Socket) =>
    stream(
      socket,
      Array.from({ length: 5_000 }, (_, id) => text({ type: 'ping', id, time: '0' })),
    ),
  /** Sends a message that never ends. */
  fragments: (socket: Socket, { unfinishedBytes }: MemoryOptions) =>
    stream(socket, [rawFrame(1, Buffer.alloc(unfinishedBytes, 32), { fin: false })]),
  /** Sends a body that never ends. */
  bodies: (socket: Socket, { unfinishedBytes }: MemoryOptions) => {
    const head = `POST /v1/ingest HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${keyOf('publish')}\r\nContent-Length: ${unfinishedBytes + 1}\r\n\r\n`;
    socket.write(head);
    socket.write(Buffer.alloc(unfinishedBytes, 10));
  },
  /** Sends many REST requests with long answers on one connection. */
  replies: (socket: Socket) => {
    socket.pause();
    socket.write('GET /v1/instruments HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(100));
  },
} as const;
