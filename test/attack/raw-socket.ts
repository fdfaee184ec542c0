/**
 * Raw socket: a WebSocket client that writes frames by hand, so that it can write invalid ones, and checks the
 * frames of the server strictly by RFC 6455 § 5: complete, unmasked, no reserved bits, known opcodes.
 */

import type { Socket } from 'bun';

import { frameAt, upgradeRequest } from '../bench/ws-frames';

const NOTHING = Buffer.alloc(0);

export interface FrameShape {
  readonly fin?: boolean;
  /** The three reserved bits; 0 … 7. */
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** Bytes of the extended length: 0, 2 or 8; by default the shortest that fits. */
  readonly lengthBytes?: 0 | 2 | 8;
  /** The length in the head, whatever is sent. */
  readonly claimed?: bigint;
}

/** A frame as a client sends it, or an invalid one. */
export function rawFrame(opcode: number, payload: Uint8Array, shape: FrameShape = {}): Buffer {
  const { fin = true, reserved = 0, isMasked = true } = shape;
  const claimed = shape.claimed ?? BigInt(payload.length);
  const fitting = claimed < 126n ? 0 : claimed < 65_536n ? 2 : 8;
  const lengthBytes = shape.lengthBytes ?? fitting;
  const head = Buffer.alloc(2 + lengthBytes + (isMasked ? 4 : 0));
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const short = lengthBytes === 0 ? Number(claimed & 127n) : lengthBytes === 2 ? 126 : 127;
  head[1] = (isMasked ? 0x80 : 0) | short;
  if (lengthBytes === 2) head.writeUInt16BE(Number(claimed & 0xffffn), 2);
  if (lengthBytes === 8) head.writeBigUInt64BE(BigInt.asUintN(64, claimed), 2);
  if (!isMasked) return Buffer.concat([head, payload]);
  const mask = [0x12, 0x34, 0x56, 0x78];
  head.set(mask, 2 + lengthBytes);
  const masked = Buffer.alloc(payload.length);
  for (let i = 0; i < payload.length; i++) masked[i] = payload[i]! ^ mask[i & 3]!;
  return Buffer.concat([head, masked]);
}

/** What the server sent. */
export interface RawEvents {
  /** A complete message; the payload is valid until the callback returns. */
  message(payload: Buffer, isText: boolean): void;
  /** It may arrive together with the answer to the handshake, before `open` resolves. */
  ping(payload: Buffer, socket: RawSocket): void;
  pong(payload: Buffer): void;
  /** A close frame; 1005 without a code. */
  close(code: number, reason: string): void;
  /** The connection has ended, with or without a close frame. */
  end(): void;
  /** The server broke a rule of the WebSocket protocol. */
  wrong(what: string): void;
}

export class RawSocket {
  /** The answer to the handshake; empty before it arrives. */
  head = '';
  isOpen = false;
  isEnded = false;
  /** Bytes that the kernel did not accept at once; a socket of Bun does not keep them. */
  private unsent: Buffer[] = [];
  private readonly socket: Socket<RawSocket>;
  private readonly events: RawEvents;
  private rest = NOTHING;
  private opened: () => void = () => {};

  private constructor(socket: Socket<RawSocket>, events: RawEvents) {
    this.socket = socket;
    this.events = events;
  }

  /** Connects and asks for an upgrade; resolves when the upgrade is answered, or the connection has ended. */
  static async open(
    url: string,
    subprotocol: string,
    headers: string,
    events: RawEvents,
  ): Promise<RawSocket> {
    const raw = await RawSocket.connect(url, events);
    const { promise, resolve } = Promise.withResolvers<void>();
    raw.opened = resolve;
    const request = upgradeRequest('/v1/stream', subprotocol);
    raw.write(Buffer.from(request.replace('\r\n\r\n', `\r\n${headers}\r\n`)));
    await promise;
    return raw;
  }

  /** Connects, and sends nothing. */
  static async connect(url: string, events: RawEvents): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = await Bun.connect<RawSocket>({
      hostname,
      port: Number(port),
      socket: {
        data: ({ data }, chunk) => data.read(chunk),
        drain: ({ data }) => data.flush(),
        close: ({ data }) => data?.ended(),
        error: ({ data }) => data?.ended(),
      },
    });
    socket.data = new RawSocket(socket, events);
    return socket.data;
  }

  write(bytes: Buffer): void {
    if (this.isEnded) return;
    this.unsent.push(bytes);
    if (this.unsent.length === 1) this.flush();
  }

  get isBlocked(): boolean {
    return this.unsent.length > 0;
  }

  /** Ends the sending side, and continues to read. */
  finish(): void {
    this.socket.shutdown();
  }

  /** Ends the connection at once. */
  drop(): void {
    this.socket.terminate();
    this.ended();
  }

  /** Stops reading until `goOn` is called. */
  pause(): void {
    if (!this.isEnded) this.socket.pause();
  }

  goOn(): void {
    if (!this.isEnded) this.socket.resume();
  }

  private flush(): void {
    while (this.unsent.length > 0) {
      const [first] = this.unsent;
      const written = this.socket.write(first!);
      if (written < 0) return this.ended();
      if (written < first!.length) {
        this.unsent[0] = first!.subarray(written);
        return;
      }
      this.unsent.shift();
    }
  }

  private ended(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.isOpen = false;
    this.unsent = [];
    this.opened();
    this.events.end();
  }

  private read(chunk: Buffer): void {
    const data = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    if (!this.isOpen) {
      const end = data.indexOf('\r\n\r\n');
      if (end < 0) {
        this.rest = Buffer.from(data);
        return;
      }
      this.head = data.toString('latin1', 0, end);
      at = end + 4;
      this.isOpen = this.head.startsWith('HTTP/1.1 101');
      this.opened();
      if (!this.isOpen) return;
    }
    at = this.frames(data, at);
    this.rest = at === data.length ? NOTHING : Buffer.from(data.subarray(at));
  }

  /** @returns where the incomplete part begins */
  private frames(data: Buffer, from: number): number {
    let at = from;
    while (!this.isEnded) {
      const frame = frameAt(data, at, data.length);
      if (frame === undefined) break;
      const first = data[at]!;
      if ((first & 0xf0) !== 0x80)
        this.events.wrong(`a frame that begins with ${first.toString(16)}`);
      at = frame.end;
      this.frame(first & 15, data.subarray(frame.start, frame.end));
    }
    return at;
  }

  private frame(opcode: number, payload: Buffer): void {
    const { events } = this;
    if (opcode > 7 && payload.length > 125) events.wrong('a control frame that is too long');
    switch (opcode) {
      case 1:
      case 2:
        return events.message(payload, opcode === 1);
      case 8:
        return events.close(
          payload.length < 2 ? 1005 : payload.readUInt16BE(0),
          payload.toString('utf8', 2),
        );
      case 9:
        return events.ping(payload, this);
      case 10:
        return events.pong(payload);
      default:
        events.wrong(`a frame of kind ${opcode}`);
    }
  }
}
