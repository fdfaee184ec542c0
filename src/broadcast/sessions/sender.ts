/** Outlet: what one session is sent alone, in frames of a bounded size, and the pings that follow them. */

import type { Message } from '../../../protocol/messages';
import { sizeOf } from '../backlog/backlog';
import type { Feed } from './frame-source';
import { Flight } from './flow-control';
import { PingSchedule } from './ping-schedule';
import {
  FRAME_BYTES_MAX,
  FRAME_BYTES_MIN,
  PING_BYTES,
  TEXT_FACTOR,
  WINDOW_BYTES_MAX,
  type SessionLimits,
} from './session-limits';
import type { Wire } from './connection';

/** What is counted as a byte takes about so many on the wire, before a session has shown it. */
const RATIO = { binary: 2, text: 6 } as const;

export class Outlet {
  readonly flight: Flight;
  /** When a ping is due on the express lane. */
  readonly pings: PingSchedule;
  private readonly wire: Wire;
  /** What the newest frames took of the wire, for each byte that was counted of them. */
  private ratio: number;

  constructor(wire: Wire, { outboxBytesMax, pingMs }: SessionLimits) {
    this.wire = wire;
    this.flight = new Flight(Math.min(WINDOW_BYTES_MAX, TEXT_FACTOR * outboxBytesMax));
    this.pings = new PingSchedule(pingMs);
    this.ratio = wire.isText ? RATIO.text : RATIO.binary;
  }

  /** Whether they fit into a frame, about. */
  isShort(messages: readonly Message[]): boolean {
    return sizeOf(messages) * this.ratio <= FRAME_BYTES_MAX;
  }

  /** What may go now, as messages are counted. */
  get room(): number {
    return this.flight.roomBytes / this.ratio;
  }

  /** What a window has beyond what is under way, as messages are counted. */
  get spare(): number {
    return (this.flight.windowBytes - this.flight.bytes) / this.ratio;
  }

  /** A ping. @param bytes that it was sent since the ping before */
  ask(bytes: number, nowMs: number): void {
    this.wire.ping(this.flight.ask(bytes, nowMs));
  }

  /** A ping behind what the express lane brought since the one before, if none is under way. */
  askExpress(nowMs: number): void {
    if (!this.flight.isEmpty) return;
    this.ask(this.pings.sinceBytes, nowMs);
    this.pings.pinged();
  }

  /** A ping ahead of everything, if none is under way, so that its pong tells the delay of the line alone. */
  askAhead(nowMs: number): void {
    if (this.flight.isEmpty) this.ask(0, nowMs);
  }

  /**
   * Writes a heartbeat of a time on the express lane, with a ping that would be due before the next one.
   * @returns whether it has to be looked at otherwise than before
   */
  beat(frame: string | Uint8Array, beatMs: number, everyMs: number, nowMs: number): boolean {
    const { pings, wire, flight } = this;
    const isAsked = pings.passBeat(beatMs, everyMs) && flight.isEmpty;
    const needsLook = pings.took(frame.length);
    if (isAsked) {
      wire.writeAsked(frame, 1, flight.ask(pings.sinceBytes, nowMs));
      pings.pinged();
    } else wire.write(frame, 1);
    return isAsked || needsLook;
  }

  /** When the express lane needs a look, if nothing happens before that; 0: soon. */
  nextLookMs(limits: SessionLimits): number {
    if (this.flight.isEmpty && this.pings.sinceBytes >= PING_BYTES) return 0;
    return Math.min(this.pings.lookMs, this.flight.lateAtMs(limits));
  }

  /** @param isAsked a ping follows each frame @returns bytes */
  write(messages: readonly Message[], isAsked: boolean, nowMs: number): number {
    if (messages.length === 0) return 0;
    let bytes = 0;
    // Of a slow line's window several frames, so that it is not idle until the pong of one.
    const most = isAsked
      ? Math.min(FRAME_BYTES_MAX, Math.max(FRAME_BYTES_MIN, this.flight.windowBytes / 4))
      : FRAME_BYTES_MAX;
    for (const frame of this.wire.frames(messages, most)) {
      const sent = this.wire.write(frame, bytes === 0 ? messages.length : 0);
      if (isAsked && sent > 0) this.ask(sent, nowMs);
      bytes += sent;
    }
    if (bytes >= FRAME_BYTES_MAX) this.ratio = bytes / sizeOf(messages);
    return bytes;
  }

  /** Writes what a feed has, up to about so many bytes. */
  writeFed(feed: Feed, bytesMax: number, nowMs: number): void {
    let left = bytesMax;
    let unasked = 0;
    while (left > 0 && !this.wire.overrun) {
      const frame = feed.take(nowMs);
      if (frame === undefined) break;
      if (typeof frame === 'string' || frame instanceof Uint8Array) {
        const bytes = this.wire.write(frame);
        unasked += bytes;
        left -= bytes;
      } else left -= this.write(frame, true, nowMs);
      if (unasked < FRAME_BYTES_MAX / 2) continue; // of a play by its times a frame may be one message
      this.ask(unasked, nowMs);
      unasked = 0;
    }
    if (unasked > 0) this.ask(unasked, nowMs);
  }
}
