/**
 * Clock: the only source of time. Everything that needs time is given a `Clock`, so a run can be repeated exactly and
 * a test can set the time.
 */

import { Nanos } from '../../protocol/time';
import { TurnMeter } from './turn-meter';

export interface Clock {
  /** Wall time. Never goes back within a process. */
  now(): Nanos;
  /** Milliseconds since an arbitrary start, with fractions; for durations only. */
  monotonicMs(): number;
  /** Times the turns of the event loop. */
  readonly turns: TurnMeter;
}

/** How far wall time may drift from the monotonic clock before it is read again. */
const DRIFT_MAX_MS = 2;
const RECHECK_MS = 1000;
/** How much slower it runs after the wall clock was set back. */
const SLEW_SHARE = 0.1;

/** The machine's clocks: wall time to about a microsecond, continued by the monotonic clock. */
export class SystemClock implements Clock {
  readonly turns: TurnMeter;
  private originMs = performance.timeOrigin;
  private checkedAtMs = 0;
  private last = Nanos.ZERO;

  /** @param turnMs the clock of turns; default: the machine's */
  constructor(turnMs: () => number = () => performance.now()) {
    this.turns = new TurnMeter(turnMs);
  }

  now(): Nanos {
    const elapsedMs = performance.now();
    if (elapsedMs - this.checkedAtMs > RECHECK_MS) this.recheck(elapsedMs);
    const ms = this.originMs + elapsedMs;
    const seconds = Math.floor(ms / 1000);
    const now = Nanos.fromSeconds(seconds, Math.floor((ms - seconds * 1000) * 1e6));
    // The slewing below keeps it from going back; rounding must not make it do so.
    if (now.compare(this.last) < 0) return this.last;
    this.last = now;
    return now;
  }

  monotonicMs(): number {
    return performance.now();
  }

  private recheck(elapsedMs: number): void {
    const sinceMs = elapsedMs - this.checkedAtMs;
    this.checkedAtMs = elapsedMs;
    const drift = Date.now() - (this.originMs + elapsedMs);
    if (Math.abs(drift) <= DRIFT_MAX_MS) return;
    // Set forward, it jumps. Set back, it runs slower until it is right: going back would order later events
    // before earlier ones, and standing still would hide delays.
    this.originMs += Math.max(drift, -SLEW_SHARE * sinceMs);
  }
}

/** A clock that only moves when it is set. */
export class ManualClock implements Clock {
  readonly turns = new TurnMeter(() => this.elapsedMs);
  private time: Nanos;
  private elapsedMs = 0;

  constructor(start: Nanos = Nanos.fromSeconds(1_700_000_000, 0)) {
    this.time = start;
  }

  now(): Nanos {
    return this.time;
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  /** Advances by a whole number of nanoseconds. */
  advance(nanos: number): void {
    this.time = this.time.plus(nanos);
    this.elapsedMs += nanos / 1e6;
  }

  /** Sets the time; not before the present one. */
  set(time: Nanos): void {
    if (time.compare(this.time) < 0) return;
    this.elapsedMs += time.since(this.time) / 1e6;
    this.time = time;
  }
}
