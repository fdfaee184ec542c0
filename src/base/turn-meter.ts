/**
 * Turn meter: how long each turn of the event loop takes, by what it does. A turn is one callback of the
 * loop, with the promises that it settles: until it ends nobody else is served. Every entry point of the
 * main thread goes through here, so this is also the door to its timers; test/house holds that.
 *
 * Two readings of a clock a turn: about 0.1 µs, and 0.3 µs where the promises behind it are in it. The clock is that of
 * the machine in a server, and the processor time of the thread where a test must not depend on who else
 * uses the machine. Bounded: the kinds.
 */

import { Durations } from './durations';

// The clock is also that of pages, which are compiled without what only servers have, and call none of it.
declare const process: { nextTick(act: () => void): void };
declare function setImmediate(act: () => void): unknown;

/** What a turn may be for. */
export type TurnKind =
  /** Events get their numbers, change the market and go on to readers. */
  | 'batch'
  /** A WebSocket opens, a frame of it, a part of what a frame asked for, a pong, its end. */
  | 'connect'
  | 'frame'
  | 'slice'
  | 'pong'
  | 'disconnect'
  /** A REST request arrives; its body is there. */
  | 'request'
  | 'body'
  /** A thread of the journal has read or written something. */
  | 'read'
  | 'commit'
  /** Pieces of the state are captured. */
  | 'checkpoint'
  /** Publishes are acknowledged; resumes are answered; replays go on. */
  | 'ack'
  | 'resume'
  | 'replay'
  /** Heads of topics are sent; slow sessions, keys and sources are looked after; bars end. */
  | 'heartbeat'
  | 'look'
  | 'watch'
  | 'sources'
  | 'bars';

export type Timer = ReturnType<typeof setTimeout>;

/** Something more exact for the log: a type of message, a path. */
type Detail = string | (() => string);

export class TurnMeter {
  /** Of each kind that there was. */
  readonly durations = new Map<TurnKind, Durations>();
  /** Called with each turn that has ended. */
  onTurn: (kind: TurnKind, ms: number, detail: string) => void = () => {};
  /** Turns that take longer are handed to `onTurn`. */
  aboveMs = Infinity;
  private readonly nowMs: () => number;
  private isUnderWay = false;
  private beganMs = 0;
  private detail: Detail = '';

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** A turn that settles no promises, or hardly any. Within another one it is a part of that. */
  run<T>(kind: TurnKind, act: () => T, detail: Detail = ''): T {
    if (!this.begin(detail)) return act();
    try {
      return act();
    } finally {
      this.end(kind);
    }
  }

  /** A turn with all that follows in promises before the loop goes on. */
  whole<T>(kind: TurnKind, act: () => T, detail: Detail = ''): T {
    if (!this.begin(detail)) return act();
    try {
      return act();
    } finally {
      // Ticks come behind all promises that are settled by then, and by what those settle.
      queueMicrotask(() => process.nextTick(() => this.end(kind)));
    }
  }

  /** A turn behind those that wait now. */
  soon(kind: TurnKind, act: () => void): void {
    setImmediate(() => this.whole(kind, act));
  }

  /** A turn in so many ms. */
  later(kind: TurnKind, ms: number, act: () => void): Timer {
    return setTimeout(() => this.run(kind, act), ms);
  }

  /** A turn every so many ms. */
  every(kind: TurnKind, ms: number, act: () => void): Timer {
    return setInterval(() => this.run(kind, act), ms);
  }

  /** Says what the turn is about, unless that was said. */
  says(detail: Detail): void {
    if (this.detail === '') this.detail = detail;
  }

  /** How long the turn that is under way has taken so far; 0 when none is. */
  get elapsedMs(): number {
    return this.isUnderWay ? this.nowMs() - this.beganMs : 0;
  }

  /**
   * Begins a turn, as `run` does, where a function for each would cost more than what is done.
   * @returns whether it is one, and is to be ended; false: it is a part of another
   */
  begin(detail: Detail = ''): boolean {
    if (this.isUnderWay) return false;
    this.isUnderWay = true;
    this.detail = detail;
    this.beganMs = this.nowMs();
    return true;
  }

  /** Ends the turn that was begun. */
  end(kind: TurnKind): void {
    const ms = this.nowMs() - this.beganMs;
    this.isUnderWay = false;
    let durations = this.durations.get(kind);
    if (durations === undefined) {
      durations = new Durations();
      this.durations.set(kind, durations);
    }
    durations.observe(ms);
    if (ms <= this.aboveMs) return;
    const { detail } = this;
    this.onTurn(kind, ms, typeof detail === 'string' ? detail : detail());
  }
}
