/**
 * A WebSocket by hand that reads so many bytes a second. What came in is looked at, and pings are
 * answered, in the order and at the pace in which the bytes are read, and no more is taken from the
 * system until then: a ready-made WebSocket reads on and answers at once.
 */

import { connect, type Socket } from 'node:net';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';

const READ_EVERY_MS = 10;
const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;

export class PacedSocket {
  /** Of the socket's close frame, once one was read. */
  closeCode: number | undefined;
  bytesRead = 0;
  private readonly socket: Socket;
  private readonly bytesPerSecond: number;
  private readonly take: (message: Message) => void;
  private readonly timer: ReturnType<typeof setInterval>;
  private data: Buffer = Buffer.alloc(0);
  /** How much of the data may be looked at. */
  private visible = 0;
  private readMs = performance.now();
  private isUpgraded = false;

  /** @param bytesPerSecond Infinity: as they come */
  constructor(url: string, bytesPerSecond: number, take: (message: Message) => void) {
    this.bytesPerSecond = bytesPerSecond;
    this.take = take;
    this.socket = connect(Number(new URL(url).port), '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk: Buffer) => {
      this.data = this.data.length === 0 ? chunk : Buffer.concat([this.data, chunk]);
      if (this.bytesPerSecond === Infinity) this.read();
      else this.socket.pause();
    });
    this.socket.write(
      'GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n' +
        `Sec-WebSocket-Protocol: ${SUBPROTOCOL_MSGPACK}\r\n\r\n`,
    );
    this.timer = setInterval(() => this.read(), READ_EVERY_MS);
  }

  subscribe(topics: readonly string[]): void {
    const encoder = new FrameEncoder();
    this.write(
      OPCODE_BINARY,
      encoder.encode([{ type: 'subscribe', id: 1, topics: [...topics], intervalMs: null }]),
    );
  }

  end(): void {
    clearInterval(this.timer);
    this.socket.destroy();
  }

  private read(): void {
    const nowMs = performance.now();
    const bytes = ((nowMs - this.readMs) * this.bytesPerSecond) / 1000;
    this.readMs = nowMs;
    this.visible = Math.min(this.visible + bytes, this.data.length);
    let offset = 0;
    for (;;) {
      const next = this.isUpgraded ? this.frameAt(offset) : this.upgradeAt(offset);
      if (next === undefined) break;
      offset = next;
    }
    this.bytesRead += offset;
    if (offset > 0) this.data = this.data.subarray(offset);
    this.visible -= offset;
    if (this.visible >= this.data.length) this.socket.resume();
  }

  private upgradeAt(offset: number): number | undefined {
    const end = this.data.indexOf('\r\n\r\n', offset);
    if (end < 0 || end + 4 > this.visible) return undefined;
    this.isUpgraded = true;
    return end + 4;
  }

  /** Handles the frame there. @returns where the next one begins; undefined: not read to its end */
  private frameAt(offset: number): number | undefined {
    const { data, visible } = this;
    if (offset + 2 > visible) return undefined;
    let length = data[offset + 1]!;
    let start = offset + 2;
    if (length === 126) {
      if (start + 2 > visible) return undefined;
      length = data.readUInt16BE(start);
      start += 2;
    } else if (length === 127) {
      if (start + 8 > visible) return undefined;
      length = Number(data.readBigUInt64BE(start));
      start += 8;
    }
    const end = start + length;
    if (end > visible) return undefined;
    this.handle(data[offset]! & 15, data.subarray(start, end));
    return end;
  }

  private handle(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE_PING) this.write(OPCODE_PONG, payload);
    else if (opcode === OPCODE_CLOSE) this.closeCode = payload.readUInt16BE(0);
    else if (opcode === OPCODE_TEXT) throw new Error('a text frame on a binary stream');
    if (opcode !== OPCODE_BINARY) return;
    for (const message of decodeFrame(Uint8Array.from(payload))) {
      if (isFault(message)) throw new Error(message.message);
      this.take(message);
    }
  }

  /** One frame, masked with zeros. */
  private write(opcode: number, payload: Uint8Array): void {
    const long = payload.length > 125;
    const head = Buffer.alloc(long ? 8 : 6);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (long ? 126 : payload.length);
    if (long) head.writeUInt16BE(payload.length, 2);
    this.socket.write(Buffer.concat([head, payload]));
  }
}
