/**
 * A hand-written WebSocket that reads a limited number of bytes a second. Data is decoded, and pings are answered,
 * in the order and at the pace in which the bytes are read, and no more is taken from the kernel until then: a
 * ready-made WebSocket reads on and answers at once.
 */

import { connect, type Socket } from 'node:net';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { clientFrame, frameAt, OPCODE, upgradeRequest } from './ws-frames';

const READ_EVERY_MS = 10;

export class PacedSocket {
  /** The code of the close frame of the socket, once it was read. */
  closeCode: number | undefined;
  bytesRead = 0;
  private readonly socket: Socket;
  private bytesPerSecond: number;
  private readonly take: (message: Message) => void;
  private readonly timer: ReturnType<typeof setInterval>;
  private data: Buffer = Buffer.alloc(0);
  /** How much of the data may be decoded. */
  private visible = 0;
  private readMs = performance.now();
  private isUpgraded = false;

  /** @param bytesPerSecond Infinity: without a limit */
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
    this.socket.write(upgradeRequest('/v1/stream', SUBPROTOCOL_MSGPACK));
    this.timer = setInterval(() => this.read(), READ_EVERY_MS);
  }

  /** Changes the reading rate. */
  pace(bytesPerSecond: number): void {
    this.read();
    this.bytesPerSecond = bytesPerSecond;
  }

  subscribe(topics: readonly string[]): void {
    const encoder = new FrameEncoder();
    const request = { type: 'subscribe' as const, id: 1, topics: [...topics], intervalMs: null };
    this.socket.write(clientFrame(OPCODE.binary, encoder.encode([request])));
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

  /** Handles the frame at the offset. @returns where the next one begins; undefined: not read completely */
  private frameAt(offset: number): number | undefined {
    const frame = frameAt(this.data, offset, this.visible);
    if (frame !== undefined) {
      this.handle(frame.opcode, this.data.subarray(frame.start, frame.end));
    }
    return frame?.end;
  }

  private handle(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.socket.write(clientFrame(OPCODE.pong, payload));
    else if (opcode === OPCODE.close) this.closeCode = payload.readUInt16BE(0);
    else if (opcode === OPCODE.text) throw new Error('a text frame on a binary stream');
    if (opcode !== OPCODE.binary) return;
    for (const message of decodeFrame(Uint8Array.from(payload))) {
      if (isFault(message)) throw new Error(message.message);
      this.take(message);
    }
  }
}
