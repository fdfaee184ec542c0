/**
 * Sender: writes what is for one session alone, in frames of a bounded size, each followed by a
 * ping where flow control needs one.
 */

import type { Message } from '../../../protocol/messages';
import { sizeOf } from '../backlog/backlog';
import type { FrameSource } from './frame-source';
import { FlowControl } from './flow-control';
import { PingSchedule } from './ping-schedule';
import {
  FRAME_BYTES_MAX,
  FRAME_BYTES_MIN,
  PING_BYTES,
  TEXT_FACTOR,
  WINDOW_BYTES_MAX,
  type SessionLimits,
} from './session-limits';
import type { Connection } from './connection';

/**
 * First estimate of bytes on the wire for each byte of `aboutBytes`; measured once frames were
 * sent.
 */
const RATIO = { binary: 2, text: 6 } as const;

export class Sender {
  readonly flow: FlowControl;
  /** When a ping is due for a native session. */
  readonly pings: PingSchedule;
  private readonly connection: Connection;
  /** Bytes on the wire for each estimated byte, as the newest frames showed. */
  private ratio: number;

  constructor(connection: Connection, { outboxBytesMax, pingMs }: SessionLimits) {
    this.connection = connection;
    this.flow = new FlowControl(Math.min(WINDOW_BYTES_MAX, TEXT_FACTOR * outboxBytesMax));
    this.pings = new PingSchedule(pingMs);
    this.ratio = connection.isText ? RATIO.text : RATIO.binary;
  }

  /** Whether messages fit into one frame, by estimate. */
  isShort(messages: readonly Message[]): boolean {
    return sizeOf(messages) * this.ratio <= FRAME_BYTES_MAX;
  }

  /** How much may be sent now, in estimated bytes. */
  get room(): number {
    return this.flow.roomBytes / this.ratio;
  }

  /** The part of the window that is not in flight, in estimated bytes. */
  get spare(): number {
    return (this.flow.windowBytes - this.flow.bytes) / this.ratio;
  }

  /** Sends a ping. @param bytes sent since the ping before */
  ping(bytes: number, nowMs: number): void {
    this.connection.ping(this.flow.ping(bytes, nowMs));
  }

  /** Sends a ping after what native topics brought since the last one, if no ping is in flight. */
  pingNative(nowMs: number): void {
    if (!this.flow.isEmpty) return;
    this.ping(this.pings.sinceBytes, nowMs);
    this.pings.pinged();
  }

  /**
   * Sends a ping before other data, if no ping is in flight, so that its pong measures the delay of
   * the line alone.
   */
  pingAhead(nowMs: number): void {
    if (this.flow.isEmpty) this.ping(0, nowMs);
  }

  /**
   * Writes a heartbeat to a native session, with a ping if one would be due before the next
   * heartbeat.
   * @returns whether the time of the session's next look may have changed
   */
  beat(frame: string | Uint8Array, beatMs: number, everyMs: number, nowMs: number): boolean {
    const { pings, connection, flow } = this;
    const withPing = pings.passBeat(beatMs, everyMs) && flow.isEmpty;
    const needsLook = pings.took(frame.length);
    if (withPing) {
      connection.writeWithPing(frame, 1, flow.ping(pings.sinceBytes, nowMs));
      pings.pinged();
    } else connection.write(frame, 1);
    return withPing || needsLook;
  }

  /** The latest time at which a native session has to be looked at; 0: as soon as possible. */
  nextLookMs(limits: SessionLimits): number {
    if (this.flow.isEmpty && this.pings.sinceBytes >= PING_BYTES) return 0;
    return Math.min(this.pings.lookMs, this.flow.lateAtMs(limits));
  }

  /** @param withPings whether a ping follows each frame @returns bytes */
  write(messages: readonly Message[], withPings: boolean, nowMs: number): number {
    if (messages.length === 0) return 0;
    let bytes = 0;
    // On a slow line a window is cut into several frames, each with a ping: the line is not idle
    // while a pong comes back.
    const most = withPings
      ? Math.min(FRAME_BYTES_MAX, Math.max(FRAME_BYTES_MIN, this.flow.windowBytes / 4))
      : FRAME_BYTES_MAX;
    for (const frame of this.connection.frames(messages, most)) {
      const sent = this.connection.write(frame, bytes === 0 ? messages.length : 0);
      if (withPings && sent > 0) this.ping(sent, nowMs);
      bytes += sent;
    }
    if (bytes >= FRAME_BYTES_MAX) this.ratio = bytes / sizeOf(messages);
    return bytes;
  }

  /** Writes frames of a source, up to about this many bytes. */
  writeFrom(source: FrameSource, bytesMax: number, nowMs: number): void {
    let left = bytesMax;
    let unpinged = 0;
    while (left > 0 && !this.connection.overrun) {
      const frame = source.take(nowMs);
      if (frame === undefined) break;
      if (typeof frame === 'string' || frame instanceof Uint8Array) {
        const bytes = this.connection.write(frame);
        unpinged += bytes;
        left -= bytes;
      } else left -= this.write(frame, true, nowMs);
      if (unpinged < FRAME_BYTES_MAX / 2) continue; // in a timed replay a frame may hold one message
      this.ping(unpinged, nowMs);
      unpinged = 0;
    }
    if (unpinged > 0) this.ping(unpinged, nowMs);
  }
}
