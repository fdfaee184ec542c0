/**
 * Flight: what is under way to one reader, and how much more may go.
 *
 * Pings are numbered, and a pong brings back the number of its ping, so each pong says how many bytes the
 * reader has had. The window is what may be under way at once. It grows while pongs come soon, and follows
 * the measured pace of the line where they come late, so that a window never takes much longer than
 * `QUEUE_MS` on a line whose pace is known, and on any other not longer than the first window does.
 * A pong of any ping is progress; so is a socket that holds less back than before.
 * The quickest round trip counts for `RTT_KEPT_MS`. Then it is measured anew, with nothing else under way, or
 * what waits on the line would be taken for its delay; a line that became slower is not late for ever.
 * Bounded: the pings, by the window and by whoever sends beyond it.
 */

import {
  WINDOW_BYTES_FIRST,
  WINDOW_BYTES_MIN,
  WINDOW_LATE_MS,
  WINDOW_SOON_MS,
  type SessionLimits,
} from './session-limits';

/** The window of a slow line holds what it takes in this time, and in two round trips: half of it is sent at a time. */
const QUEUE_MS = 250;
/** With each byte that came soon the window grows by so many: until a pong was late, and after that. */
const GROWTH_FIRST = 7;
const GROWTH = 1;
/** A window shrinks to no less than this part of it before the line has shown how it takes that. */
const SHRINK_MOST = 4;
/** With nothing under way but the smallest window, a late pong is the line's own delay, by this part. */
const DRIFT = 8;

/** The quickest round trip is measured anew after so long. */
const RTT_KEPT_MS = 10_000;
/** With no more than this ahead of it a pong tells the delay of the line alone. */
const ALONE_BYTES = 512;

interface Ping {
  number: number;
  atMs: number;
  /** Sent between the ping before it and this one. */
  bytes: number;
  /** Under way when it was sent, these included. */
  ahead: number;
}

/** How soon the newest pong came. */
export type Pace = 'soon' | 'fair' | 'late';

export class Flight {
  windowBytes = WINDOW_BYTES_FIRST;
  rttMs: number | null = null;
  rttMinMs = Infinity;
  /** Under way, of what is counted. */
  bytes = 0;
  private readonly windowBytesMax: number;
  private readonly pings: Ping[] = [];
  /** The next one: of a session that has one under way at a time it is always the same. */
  private spare: Ping = { number: 0, atMs: 0, bytes: 0, ahead: 0 };
  private lastNumber = 0;
  /** Nothing goes before the pong of this one. */
  private heldTo = 0;
  /** The window has shrunk for pings up to this one. */
  private shrunkTo = 0;
  private progressMs = 0;
  private heldBack = 0;
  private rttMinAtMs = 0;
  /** Nothing goes until the line was measured alone. */
  private isMeasuring = false;

  constructor(windowBytesMax: number) {
    this.windowBytesMax = windowBytesMax;
    this.windowBytes = Math.min(WINDOW_BYTES_FIRST, windowBytesMax);
  }

  get isEmpty(): boolean {
    return this.pings.length === 0;
  }

  /** What may go now: in runs of half a window at least, since to look for what waits has its price. */
  get roomBytes(): number {
    if (this.isMeasuring) return 0;
    const oldest = this.pings[0];
    if (oldest !== undefined && oldest.number <= this.heldTo) return 0;
    return this.bytes > this.windowBytes / 2 ? 0 : this.windowBytes - this.bytes;
  }

  /** Whether the oldest ping has waited longer for its pong than `lagMs` over the quickest. */
  isLate(nowMs: number, lagMs: number): boolean {
    return !this.isEmpty && nowMs - this.pings[0]!.atMs > this.lateMs(lagMs);
  }

  /** When the pong that is missing is late, or has been missing for too long; infinity when none is. */
  lateAtMs({ lagMs, pongMs }: Pick<SessionLimits, 'lagMs' | 'pongMs'>): number {
    if (this.isEmpty) return Infinity;
    return Math.min(this.pings[0]!.atMs + this.lateMs(lagMs), this.progressMs + pongMs);
  }

  private lateMs(lagMs: number): number {
    return lagMs + (this.rttMinMs === Infinity ? 0 : this.rttMinMs);
  }

  /** How long nothing has shown that the reader takes what is under way. */
  silentMs(nowMs: number): number {
    return this.isEmpty ? 0 : nowMs - this.progressMs;
  }

  /** When the reader last showed that it takes what it is sent, as far as it was asked. */
  get aliveMs(): number {
    return this.progressMs;
  }

  /** A ping follows so many bytes. @returns its number */
  ask(bytes: number, nowMs: number): number {
    if (this.isEmpty) this.progressMs = nowMs;
    this.lastNumber = (this.lastNumber + 1) >>> 0;
    this.bytes += bytes;
    const ping = this.isEmpty ? this.spare : { number: 0, atMs: 0, bytes: 0, ahead: 0 };
    ping.number = this.lastNumber;
    ping.atMs = nowMs;
    ping.bytes = bytes;
    ping.ahead = this.bytes;
    this.pings.push(ping);
    return this.lastNumber;
  }

  /** Whether a ping is to go now, which has the line for itself. */
  get wantsMeasure(): boolean {
    return this.isMeasuring && this.isEmpty;
  }

  /** Where the quickest round trip is old, lets nothing go until it was measured anew. */
  renew(nowMs: number): void {
    if (this.rttMinMs < Infinity && this.isOld(nowMs)) this.isMeasuring = true;
  }

  private isOld(nowMs: number): boolean {
    return nowMs - this.rttMinAtMs > RTT_KEPT_MS;
  }

  /** It is slow: nothing goes until it has had all that is under way, and then a window of so many bytes. */
  hold(windowBytes: number): void {
    this.heldTo = this.lastNumber;
    this.windowBytes = Math.min(windowBytes, this.windowBytes);
  }

  /** @param bytes that its socket holds back now */
  look(bytes: number, nowMs: number): void {
    if (bytes < this.heldBack) this.progressMs = nowMs;
    this.heldBack = bytes;
  }

  /**
   * The reader has had all before a ping.
   * @param number undefined: the oldest that waits @returns undefined: it answers none that waits
   */
  pong(number: number | undefined, nowMs: number): Pace | undefined {
    const { pings } = this;
    let at = 0;
    let bytes = 0;
    for (; at < pings.length; at++) {
      bytes += pings[at]!.bytes;
      if (number === undefined || pings[at]!.number === number) break;
    }
    const newest = pings[at];
    if (newest === undefined) return undefined;
    if (at === pings.length - 1) pings.length = 0;
    else pings.splice(0, at + 1);
    this.spare = newest;
    this.bytes -= bytes;
    this.progressMs = nowMs;
    const rttMs = nowMs - newest.atMs;
    this.rttMs = rttMs;
    this.measured(rttMs, newest.ahead, nowMs);
    const queuedMs = rttMs - this.rttMinMs;
    if (queuedMs > WINDOW_LATE_MS) {
      this.shrink(newest, queuedMs);
      return 'late';
    }
    const isSoon = queuedMs < WINDOW_SOON_MS;
    this.grow(newest, bytes, isSoon ? Infinity : this.paced(newest, queuedMs));
    return isSoon ? 'soon' : 'fair';
  }

  private measured(rttMs: number, ahead: number, nowMs: number): void {
    if (rttMs > this.rttMinMs && !(ahead <= ALONE_BYTES && this.isOld(nowMs))) return;
    this.rttMinMs = rttMs;
    this.rttMinAtMs = nowMs;
    this.isMeasuring = false;
  }

  private grow({ ahead }: Ping, bytes: number, bytesMax: number): void {
    // What was far from filling the window says nothing of a larger one.
    if (ahead < this.windowBytes / 4) return;
    const growth = this.shrunkTo === 0 && bytesMax === Infinity ? GROWTH_FIRST : GROWTH;
    const larger = Math.min(this.windowBytes + growth * bytes, bytesMax, this.windowBytesMax);
    this.windowBytes = Math.max(this.windowBytes, larger);
  }

  private shrink(ping: Ping, queuedMs: number): void {
    if (ping.number <= this.shrunkTo) return;
    this.shrunkTo = this.lastNumber;
    if (this.windowBytes <= WINDOW_BYTES_MIN) this.rttMinMs += queuedMs / DRIFT;
    const least = Math.max(WINDOW_BYTES_MIN, this.windowBytes / SHRINK_MOST);
    this.windowBytes = Math.min(this.windowBytes, Math.max(least, this.paced(ping, queuedMs)));
  }

  /** The window of a line that took so long for what was ahead of a pong. */
  private paced({ ahead }: Ping, queuedMs: number): number {
    return (ahead * (QUEUE_MS + 2 * this.rttMinMs)) / queuedMs;
  }
}
