/**
 * Turn meter: how long each turn of the event loop takes, by what it does. A turn is one callback of the loop, with
 * the promises that it settles: nothing else runs until it ends. Every entry point of the main thread goes through
 * here, so timers are set here too; test/house checks that.
 *
 * A turn costs two readings of a clock: about 0.1 µs, and 0.3 µs if its promises are included. A server uses the
 * machine's clock; a test uses the processor time of the thread, so that other processes do not matter. Bound: the
 * kinds of turns.
 */

import { Durations } from './durations';

// The page is compiled with this file, but without the server's types, and calls none of it.
declare const process: { nextTick(act: () => void): void };
declare function setImmediate(act: () => void): unknown;

/** Kinds of turns. */
export type TurnKind =
  /** Events get their sequence numbers, change the market and are pushed to readers. */
  | 'batch'
  /** A WebSocket opens or ends; a frame, a part of the work for a frame, a pong. */
  | 'connect'
  | 'frame'
  | 'slice'
  | 'pong'
  | 'disconnect'
  /** A REST request arrives, or its body is complete. */
  | 'request'
  | 'body'
  /** A thread of the journal has read or written. */
  | 'read'
  | 'commit'
  /** Pieces of a checkpoint are captured. */
  | 'checkpoint'
  /** Publishes are acknowledged; resumes are answered; replays continue. */
  | 'ack'
  | 'resume'
  | 'replay'
  /** Heartbeats are sent; slow sessions, keys and sources are checked; bars end. */
  | 'heartbeat'
  | 'look'
  | 'watch'
  | 'sources'
  | 'bars'
  /** A frame of the batch log arrives, or an answer of its broker. */
  | 'cluster';

export type Timer = ReturnType<typeof setTimeout>;

/** Detail for the log: a type of message, a path. */
type Detail = string | (() => string);

export class TurnMeter {
  /** Durations by kind. */
  readonly durations = new Map<TurnKind, Durations>();
  /** Called after each turn that took longer than `slowMs`. */
  onTurn: (kind: TurnKind, ms: number, detail: string) => void = () => {};
  /** Longer turns are reported to `onTurn`. */
  aboveMs = Infinity;
  private readonly nowMs: () => number;
  private isUnderWay = false;
  private beganMs = 0;
  private detail: Detail = '';

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** Runs a turn that settles few promises or none. Inside another turn it is a part of that. */
  run<T>(kind: TurnKind, act: () => T, detail: Detail = ''): T {
    if (!this.begin(detail)) return act();
    try {
      return act();
    } finally {
      this.end(kind);
    }
  }

  /** Runs a turn and includes the promises that settle before the loop continues. */
  whole<T>(kind: TurnKind, act: () => T, detail: Detail = ''): T {
    if (!this.begin(detail)) return act();
    try {
      return act();
    } finally {
      this.endLater(kind);
    }
  }

  private endLater(kind: TurnKind): void {
    // This runs after all promises that are settled by then, and those that they settle.
    queueMicrotask(() => process.nextTick(() => this.end(kind)));
  }

  /** Runs a turn that may answer with a promise: only then does it end as in `whole`, which costs more than ending it. */
  answer<T>(kind: TurnKind, act: () => T, detail: Detail = ''): T {
    if (!this.begin(detail)) return act();
    let isLater = false;
    try {
      const result = act();
      isLater = result instanceof Promise;
      return result;
    } finally {
      if (isLater) this.endLater(kind);
      else this.end(kind);
    }
  }

  /** Schedules a turn behind those that wait now. */
  soon(kind: TurnKind, act: () => void): void {
    setImmediate(() => this.whole(kind, act));
  }

  /** Schedules a turn after `ms` milliseconds. */
  later(kind: TurnKind, ms: number, act: () => void): Timer {
    return setTimeout(() => this.run(kind, act), ms);
  }

  /** Schedules a turn every `ms` milliseconds. */
  every(kind: TurnKind, ms: number, act: () => void): Timer {
    return setInterval(() => this.run(kind, act), ms);
  }

  /** Sets the detail of the turn, unless it is set. */
  says(detail: Detail): void {
    if (this.detail === '') this.detail = detail;
  }

  /** Milliseconds that the current turn has taken; 0 outside a turn. */
  get elapsedMs(): number {
    return this.isUnderWay ? this.nowMs() - this.beganMs : 0;
  }

  /**
   * Begins a turn without a callback, for work so short that a function would cost more.
   * @returns whether a turn began, which has to be ended; false inside another turn
   */
  begin(detail: Detail = ''): boolean {
    if (this.isUnderWay) return false;
    this.isUnderWay = true;
    this.detail = detail;
    this.beganMs = this.nowMs();
    return true;
  }

  /** Ends the turn that `begin` began. */
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
