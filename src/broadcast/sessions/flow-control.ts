/**
 * Flow control: what is in flight to one reader, and how much more may be sent.
 *
 * Pings are numbered and a pong returns the number, so each pong says how many bytes the reader has
 * received. The window bounds what may be in flight. It grows while pongs come soon and follows the
 * measured rate of the line where they come late: on a line of known rate a window takes little
 * more than `QUEUE_MS`, on any other no longer than the first window. Any pong is progress, and so
 * is a socket whose buffer has become smaller.
 *
 * The shortest round trip is kept for `RTT_KEPT_MS` and then measured again with nothing else in
 * flight; otherwise queueing would count as delay of the line, and a line that became slower would
 * look late for ever.
 *
 * Bounded: the number of pings, by the window and by callers that send beyond it.
 */

import {
  WINDOW_BYTES_FIRST,
  WINDOW_BYTES_MIN,
  WINDOW_LATE_MS,
  WINDOW_SOON_MS,
  type SessionLimits,
} from './session-limits';

/**
 * The window of a slow line holds what it takes in this time plus two round trips; half a window is
 * sent at a time.
 */
const QUEUE_MS = 250;
/**
 * Growth of the window for each byte whose pong came soon: before the first late pong, and after
 * it.
 */
const GROWTH_FIRST = 7;
const GROWTH = 1;
/** One late pong shrinks the window to no less than this fraction of it. */
const SHRINK_MOST = 4;
/**
 * At the smallest window a late pong is taken as delay of the line: this fraction of it is added to
 * the shortest round trip.
 */
const DRIFT = 8;

/** The shortest round trip is measured again after this time. */
const RTT_KEPT_MS = 10_000;
/** With no more bytes than this in flight, a pong measures the delay of the line alone. */
const ALONE_BYTES = 512;

interface Ping {
  number: number;
  atMs: number;
  /** Bytes sent between the ping before it and this one. */
  bytes: number;
  /** Bytes in flight when it was sent, including its own. */
  ahead: number;
}

/** How soon a pong came. */
export type Pace = 'soon' | 'fair' | 'late';

export class FlowControl {
  windowBytes = WINDOW_BYTES_FIRST;
  rttMs: number | null = null;
  rttMinMs = Infinity;
  /** Bytes in flight. */
  bytes = 0;
  private readonly windowBytesMax: number;
  private readonly pings: Ping[] = [];
  /** Reused for the next ping, so that a session with one ping at a time allocates nothing. */
  private spare: Ping = { number: 0, atMs: 0, bytes: 0, ahead: 0 };
  private lastNumber = 0;
  /** Nothing is sent before the pong of this ping. */
  private heldTo = 0;
  /** The window has shrunk for pings up to this one. */
  private shrunkTo = 0;
  private progressMs = 0;
  private heldBack = 0;
  private rttMinAtMs = 0;
  /** Nothing is sent until the delay of the line was measured alone. */
  private isMeasuring = false;

  constructor(windowBytesMax: number) {
    this.windowBytesMax = windowBytesMax;
    this.windowBytes = Math.min(WINDOW_BYTES_FIRST, windowBytesMax);
  }

  get isEmpty(): boolean {
    return this.pings.length === 0;
  }

  /**
   * Bytes that may be sent now. It is 0 until half of the window is free, since looking for waiting
   * messages has a cost.
   */
  get roomBytes(): number {
    if (this.isMeasuring) return 0;
    const oldest = this.pings[0];
    if (oldest !== undefined && oldest.number <= this.heldTo) return 0;
    return this.bytes > this.windowBytes / 2 ? 0 : this.windowBytes - this.bytes;
  }

  /** Whether the oldest ping has waited longer than `lagMs` beyond the shortest round trip. */
  isLate(nowMs: number, lagMs: number): boolean {
    return !this.isEmpty && nowMs - this.pings[0]!.atMs > this.lateMs(lagMs);
  }

  /**
   * When the missing pong will be late, or will have been missing for too long; infinity when none
   * is missing.
   */
  lateAtMs({ lagMs, pongMs }: Pick<SessionLimits, 'lagMs' | 'pongMs'>): number {
    if (this.isEmpty) return Infinity;
    return Math.min(this.pings[0]!.atMs + this.lateMs(lagMs), this.progressMs + pongMs);
  }

  private lateMs(lagMs: number): number {
    return lagMs + (this.rttMinMs === Infinity ? 0 : this.rttMinMs);
  }

  /** For how long the reader has shown no progress while something was in flight, in ms. */
  silentMs(nowMs: number): number {
    return this.isEmpty ? 0 : nowMs - this.progressMs;
  }

  /** When the reader last showed progress. */
  get aliveMs(): number {
    return this.progressMs;
  }

  /** Registers a ping that follows this many bytes. @returns its number */
  ping(bytes: number, nowMs: number): number {
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

  /** Whether to send a ping now that has the line to itself. */
  get wantsMeasure(): boolean {
    return this.isMeasuring && this.isEmpty;
  }

  /** If the shortest round trip is old, holds data back until it was measured again. */
  renew(nowMs: number): void {
    if (this.rttMinMs < Infinity && this.isOld(nowMs)) this.isMeasuring = true;
  }

  private isOld(nowMs: number): boolean {
    return nowMs - this.rttMinAtMs > RTT_KEPT_MS;
  }

  /**
   * The reader is slow: nothing is sent until it has received all that is in flight; then at most a
   * window of this many bytes.
   */
  pause(windowBytes: number): void {
    this.heldTo = this.lastNumber;
    this.windowBytes = Math.min(windowBytes, this.windowBytes);
  }

  /** @param bytes in the buffer of its socket now */
  look(bytes: number, nowMs: number): void {
    if (bytes < this.heldBack) this.progressMs = nowMs;
    this.heldBack = bytes;
  }

  /**
   * The reader has received everything before a ping.
   * @param number of the ping; undefined: the oldest in flight
   * @returns undefined if it answers no ping in flight
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
    this.grow(newest, bytes, isSoon ? Infinity : this.windowFor(newest, queuedMs));
    return isSoon ? 'soon' : 'fair';
  }

  private measured(rttMs: number, ahead: number, nowMs: number): void {
    if (rttMs > this.rttMinMs && !(ahead <= ALONE_BYTES && this.isOld(nowMs))) return;
    this.rttMinMs = rttMs;
    this.rttMinAtMs = nowMs;
    this.isMeasuring = false;
  }

  private grow({ ahead }: Ping, bytes: number, bytesMax: number): void {
    // A window that was far from full says nothing about a larger one.
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
    this.windowBytes = Math.min(this.windowBytes, Math.max(least, this.windowFor(ping, queuedMs)));
  }

  /** The window for a line that took this long for the bytes in flight before a pong. */
  private windowFor({ ahead }: Ping, queuedMs: number): number {
    return (ahead * (QUEUE_MS + 2 * this.rttMinMs)) / queuedMs;
  }
}
