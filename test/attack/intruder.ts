/**
 * Intruder: connects to a real server again and again, and sends everything that a client may send and much that it
 * may not, in any order and state: requests, damaged messages, messages of the server, fragments, control frames,
 * frames that break the WebSocket protocol, and sudden ends.
 *
 * What it sends is determined by the seed and the number of the connection. It checks what comes back: frames are
 * complete and decode, they are messages of a server, no request is answered twice, and a ping is answered in the
 * end or the connection is closed with a code of the protocol.
 */

import { decodeFrame, decodeTextFrame, isFault } from '../../protocol/codec';
import { CLOSES, ERRORS } from '../../protocol/codes';
import { MESSAGES, type Instrument, type Message } from '../../protocol/messages';
import type { Prng } from '../../src/base/prng';
import { generatorOf, sampleOf, type Form } from './codec-fuzz';
import { RawSocket, rawFrame } from './raw-socket';
import { keyOf } from './target';
import { Sayings } from './sayings';

const SETTLE_MS = 20_000;
/** How long the server may take to end a connection after a frame that breaks the WebSocket protocol. */
const BROKEN_MS = 2_000;
/** Those of WebSocket itself, and the code of a connection that was cut. */
const CLOSE_CODES = new Set([
  1000,
  1002,
  1005,
  1006,
  1007,
  1009,
  ...Object.values(CLOSES).map(({ code }) => code),
]);
/** Codes of messages from the server to clients begin here. */
const FROM_SERVER = 32;
/** Ids of valid requests; damaged messages rarely have them. */
const OWN_IDS = 3_000_000_000;

export interface Tally {
  frames: number;
  connections: number;
  messages: number;
  /** The outcomes of frames, connections and broken frames. */
  readonly outcomes: Record<string, number>;
  readonly complaints: string[];
}

export function newTally(): Tally {
  return { frames: 0, connections: 0, messages: 0, outcomes: {}, complaints: [] };
}

export class Intruder {
  private readonly url: string;
  private readonly form: Form;
  private readonly seed: number;
  private readonly connectionNumber: number;
  private readonly random: Prng;
  private readonly sayings: Sayings;
  private readonly tally: Tally;
  private readonly instruments = new Map<string, Instrument>();
  private readonly answered = new Set<number>();
  private socket!: RawSocket;
  private closeCode = 1006;
  private pong: (isPong: boolean) => void = () => {};
  private pingId = 0;
  private lastId = OWN_IDS;
  /** The server has sent its close frame. */
  private isClosed = false;
  /** The client has ended the connection, or broken the protocol. */
  private hasParted = false;

  constructor(url: string, form: Form, seed: number, connectionNumber: number, tally: Tally) {
    this.url = url;
    this.form = form;
    this.seed = seed;
    this.connectionNumber = connectionNumber;
    this.tally = tally;
    this.random = generatorOf(seed, connectionNumber * 2 + (form === 'json' ? 1 : 0));
    this.sayings = new Sayings(this.random, form, () => (this.lastId += 1));
  }

  /** One connection, from its upgrade to its end. */
  async live(framesMax: number): Promise<void> {
    const { random, tally } = this;
    const key = (['', 'trade', 'all', 'all', 'all'] as const)[random.int(0, 4)]!;
    const headers = key === '' ? '' : `Authorization: Bearer ${keyOf(key)}\r\n`;
    this.socket = await RawSocket.open(this.url, `tapedeck.v1.${this.form}`, headers, {
      message: (payload, isText) => this.read(payload, isText),
      ping: (payload, socket) => socket.write(rawFrame(10, payload)),
      pong: () => {},
      close: (code) => {
        this.closeCode = code;
        this.isClosed = true;
        this.pong(false);
      },
      end: () => this.pong(false),
      wrong: (what) => this.complain(what),
    });
    tally.connections += 1;
    if (!this.socket.isOpen)
      return this.complain(`no upgrade: ${this.socket.head.split('\r\n')[0]}`);
    const frames = random.int(1, framesMax);
    for (let sent = 0; sent < frames && this.socket.isOpen;) {
      sent += this.burst(random.int(1, 120));
      if (random.chance(0.02) || (await this.settle())) continue;
      break;
    }
    await this.part();
    if (!this.hasParted) this.count(`ended with ${this.closeCode}`);
    // The server may send the close code of the client back.
    const isKnown = CLOSE_CODES.has(this.closeCode) || (this.hasParted && this.closeCode >= 3000);
    if (!isKnown) this.complain(`closed with ${this.closeCode}`);
  }

  /** Writes some frames, cut into pieces anywhere. @returns how many */
  private burst(frames: number): number {
    const pieces = Array.from({ length: frames }, () => this.oneFrame());
    const bytes = Buffer.concat(pieces);
    this.tally.frames += frames;
    for (let at = 0; at < bytes.length;) {
      const end = this.random.chance(0.7)
        ? bytes.length
        : Math.min(bytes.length, at + this.random.int(1, 400));
      this.socket.write(bytes.subarray(at, end));
      at = end;
    }
    return frames;
  }

  private oneFrame(): Buffer {
    const { random, sayings } = this;
    const kind = random.int(0, 99);
    if (kind < 55) return this.data(sayings.right());
    if (kind < 63) return this.data(this.damaged());
    if (kind < 65) return this.data(sayings.any());
    if (kind < 75) return rawFrame(9, Buffer.alloc(random.int(0, 125), 7));
    if (kind < 80) return rawFrame(10, Buffer.alloc(random.int(0, 125), 7));
    if (kind < 81) return rawFrame(this.form === 'json' ? 2 : 1, Buffer.from('[]'));
    return this.fragments(sayings.right());
  }

  /** A damaged message; rarely a `hello`, because that mostly ends the connection. */
  private damaged(): string | Uint8Array {
    for (;;) {
      const sample = sampleOf(this.form, this.seed, this.random.int(0, 1e9));
      const isHello = typeof sample === 'string' ? sample.includes('"hello"') : sample[2] === 1;
      if (!isHello || this.random.chance(0.05)) return sample;
    }
  }

  private data(payload: string | Uint8Array): Buffer {
    return rawFrame(this.form === 'json' ? 1 : 2, Buffer.from(payload as string));
  }

  /** One message in several frames, with control frames between them, as a client may send it. */
  private fragments(payload: string | Uint8Array): Buffer {
    const { random } = this;
    const bytes = Buffer.from(payload as string);
    const pieces: Buffer[] = [];
    let opcode = this.form === 'json' ? 1 : 2;
    for (let at = 0; ;) {
      const end = Math.min(bytes.length, at + random.int(0, 40));
      const fin = end === bytes.length;
      pieces.push(rawFrame(opcode, bytes.subarray(at, end), { fin }));
      if (fin) return Buffer.concat(pieces);
      if (random.chance(0.3)) pieces.push(rawFrame(9, Buffer.alloc(3)));
      opcode = 0;
      at = end;
    }
  }

  /** Whether the server still answers; false when the connection has ended. */
  private async settle(): Promise<boolean> {
    if (this.isOver) return false;
    this.pingId = this.lastId += 1;
    const answer = new Promise<boolean>((resolve) => {
      this.pong = resolve;
    });
    this.socket.write(this.data(this.sayings.ping(this.pingId)));
    const timer = setTimeout(() => {
      this.complain('a ping is not answered');
      this.pong(false);
    }, SETTLE_MS);
    const isPong = await answer;
    clearTimeout(timer);
    return isPong;
  }

  /** Ends the connection, in one of several ways. */
  private async part(): Promise<void> {
    const { random, socket } = this;
    if (this.isOver) return;
    const way = random.int(0, 9);
    this.hasParted = true;
    if (way < 2) return socket.drop();
    if (way < 3) return socket.finish();
    const [name, bytes] = way < 6 ? this.sayings.goodbye() : this.sayings.broken();
    const ended = new Promise<boolean>((resolve) => {
      this.pong = resolve;
    });
    this.tally.frames += 1;
    this.closeCode = 1006;
    socket.write(bytes);
    const wait = Bun.sleep(BROKEN_MS).then(() => true);
    const wentOn = await Promise.race([ended, wait]);
    this.count(`${name}: ${wentOn ? 'goes on' : this.closeCode}`);
    socket.drop();
  }

  private read(payload: Buffer, isText: boolean): void {
    if (isText !== (this.form === 'json')) this.complain('a frame of the other kind');
    const items =
      this.form === 'json'
        ? decodeTextFrame(payload.toString(), (symbol) => this.instruments.get(symbol))
        : decodeFrame(payload);
    this.tally.messages += items.length;
    for (const item of items) {
      if (isFault(item)) this.complain(`does not decode: ${item.code} ${item.message}`);
      else this.take(item);
    }
  }

  private take(m: Message): void {
    if (MESSAGES[m.type].code < FROM_SERVER) return this.complain(`the server sent ${m.type}`);
    if (m.type === 'instrument') this.instruments.set(m.symbol, m);
    if (m.type === 'error') {
      this.count(m.code);
      if (!Object.hasOwn(ERRORS, m.code)) this.complain(`the code ${m.code}`);
      if (m.code === 'internal') this.complain(`a defect: ${m.message}`);
    }
    if (m.type === 'ack') this.count('ack');
    if (m.type !== 'ack' && m.type !== 'error' && m.type !== 'pong') return;
    const { id } = m;
    if (id === null || id <= OWN_IDS || id > this.lastId) return;
    if (this.answered.has(id)) this.complain(`${id} is answered twice`);
    this.answered.add(id);
    if (m.type === 'pong' && id === this.pingId) this.pong(true);
    // A ping over a limit is refused: that is an answer too.
    if (m.type === 'error' && id === this.pingId) this.pong(true);
  }

  private get isOver(): boolean {
    return this.isClosed || this.socket.isEnded;
  }

  private count(outcome: string): void {
    const { outcomes } = this.tally;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }

  private complain(what: string): void {
    if (this.tally.complaints.length >= 20) return;
    this.tally.complaints.push(
      `${this.form}, seed ${this.seed}, connection ${this.connectionNumber}: ${what}`,
    );
  }
}
