/**
 * Ping schedule: when a session on the express lane is to be sent a ping: behind so many bytes, and so often
 * in any case. Both have a phase of their own, so the pings of sessions that came together, and are sent the
 * same, are not in step. One that is due before the next heartbeat goes with the heartbeat before, so nobody
 * looks at a session for its pings alone.
 */

import { PING_BYTES } from './session-limits';

/** Multiples of an interval that are summed up in another order may differ, by far less than this. */
const ROUNDING_MS = 1;

export class PingSchedule {
  /** When one is due, whatever the session was sent. */
  private dueMs = Infinity;
  /** When the next heartbeat comes, which takes on what is due behind it; infinity before the first. */
  private beatMs = Infinity;
  private readonly pingMs: number;
  /** Sent to the session so far, as far as it was credited; and before the newest ping. */
  private bytes = 0;
  private pingedBytes = 0;
  /** With so many one is due. */
  private dueBytes = PING_BYTES;

  constructor(pingMs: number) {
    this.pingMs = pingMs;
  }

  /** @param phase from 0 to 1 */
  begin(nowMs: number, phase: number): void {
    this.dueMs = nowMs + phase * this.pingMs;
    this.dueBytes = PING_BYTES * (1 - phase / 2);
  }

  /** It was sent so many bytes. @returns whether one is due for them */
  took(bytes: number): boolean {
    this.bytes += bytes;
    return this.isDue;
  }

  /** For what was sent. */
  private get isDue(): boolean {
    return this.bytes >= this.dueBytes;
  }

  /** A heartbeat of this time goes, and the next one so much later. @returns whether one is due before that */
  passBeat(beatMs: number, everyMs: number): boolean {
    this.beatMs = beatMs + everyMs;
    if (this.isBehindBeat) return false;
    this.dueMs = beatMs + this.pingMs;
    return true;
  }

  private get isBehindBeat(): boolean {
    return this.dueMs > this.beatMs - ROUNDING_MS;
  }

  /** When the session is to be looked at for one, if it is not sent with a heartbeat before; 0: soon. */
  get lookMs(): number {
    if (this.isDue) return 0;
    return this.isBehindBeat ? Infinity : this.dueMs;
  }

  /** Since the newest ping. */
  get sinceBytes(): number {
    return this.bytes - this.pingedBytes;
  }

  /** A ping was sent. */
  pinged(): void {
    this.pingedBytes = this.bytes;
  }

  /** Whether one is due; the next keeps its phase. */
  pass(nowMs: number): boolean {
    const bytes = this.bytes - this.dueBytes;
    const ms = nowMs - this.dueMs;
    if (bytes >= 0) this.dueBytes += PING_BYTES * Math.floor(bytes / PING_BYTES + 1);
    if (ms >= 0) this.dueMs += this.pingMs * Math.floor(ms / this.pingMs + 1);
    return bytes >= 0 || ms >= 0;
  }
}
