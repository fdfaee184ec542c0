/**
 * Ping schedule: when a session on the express lane is to be sent a ping: behind so many bytes, and so often
 * in any case. Both have a phase of their own, so the pings of sessions that came together, and are sent the
 * same, are not in step.
 */

import { PING_BYTES } from './session-limits';

export class PingSchedule {
  /** When one is due, whatever the session was sent. */
  dueMs = Infinity;
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

  /** It was sent so many bytes. @returns whether it is due for them */
  took(bytes: number): boolean {
    this.bytes += bytes;
    return this.bytes >= this.dueBytes;
  }

  /** One that would be due in less than so long goes now, as the session is sent something anyway. */
  passEarly(nowMs: number, withinMs: number): boolean {
    if (this.dueMs - nowMs >= withinMs) return false;
    this.dueMs = nowMs + this.pingMs;
    return true;
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
