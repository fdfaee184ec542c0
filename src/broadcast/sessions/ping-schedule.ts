/**
 * Ping schedule: when a native session is sent a ping: after a number of bytes, and at least at an
 * interval. Both have a phase of their own for each session, so that sessions that came together do
 * not ping at the same time. A ping that is due before the next heartbeat is sent with the
 * heartbeat before it, so pings alone never need a look at a session.
 */

import { PING_BYTES } from './session-limits';

/** Sums of intervals in another order may differ, by far less than this. */
const ROUNDING_MS = 1;

export class PingSchedule {
  /** When the next ping is due by time. */
  private dueMs = Infinity;
  /**
   * When the next heartbeat is due, which takes along pings that are due after it; infinity before
   * the first.
   */
  private beatMs = Infinity;
  private readonly pingMs: number;
  /**
   * Bytes sent to the session, as far as they were credited to it; and those before the newest
   * ping.
   */
  private bytes = 0;
  private pingedBytes = 0;
  /** A ping is due at this number of bytes. */
  private dueBytes = PING_BYTES;

  constructor(pingMs: number) {
    this.pingMs = pingMs;
  }

  /** @param phase from 0 to 1 */
  begin(nowMs: number, phase: number): void {
    this.dueMs = nowMs + phase * this.pingMs;
    this.dueBytes = PING_BYTES * (1 - phase / 2);
  }

  /** Bytes were sent to it. @returns whether a ping is due for them */
  took(bytes: number): boolean {
    this.bytes += bytes;
    return this.isDue;
  }

  /** Whether a ping is due by bytes. */
  private get isDue(): boolean {
    return this.bytes >= this.dueBytes;
  }

  /**
   * A heartbeat is sent, and the next one `everyMs` later.
   * @returns whether a ping is due before that
   */
  passBeat(beatMs: number, everyMs: number): boolean {
    this.beatMs = beatMs + everyMs;
    if (this.isBehindBeat) return false;
    this.dueMs = beatMs + this.pingMs;
    return true;
  }

  private get isBehindBeat(): boolean {
    return this.dueMs > this.beatMs - ROUNDING_MS;
  }

  /** When the session needs a look for a ping that no heartbeat takes along; 0: soon. */
  get lookMs(): number {
    if (this.isDue) return 0;
    return this.isBehindBeat ? Infinity : this.dueMs;
  }

  /** Bytes since the newest ping. */
  get sinceBytes(): number {
    return this.bytes - this.pingedBytes;
  }

  /** A ping was sent. */
  pinged(): void {
    this.pingedBytes = this.bytes;
  }

  /** Whether a ping is due; the next one keeps its phase. */
  pass(nowMs: number): boolean {
    const bytes = this.bytes - this.dueBytes;
    const ms = nowMs - this.dueMs;
    if (bytes >= 0) this.dueBytes += PING_BYTES * Math.floor(bytes / PING_BYTES + 1);
    if (ms >= 0) this.dueMs += this.pingMs * Math.floor(ms / this.pingMs + 1);
    return bytes >= 0 || ms >= 0;
  }
}
