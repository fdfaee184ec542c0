/**
 * Slices: what one connection asks is done a little at a time, so that who sends much at once is in
 * nobody's way. In each millisecond so much is done of it; the rest waits, in order, and the events of
 * the market and what others ask come between.
 *
 * Bounded: by the limits on what a connection sends, which hold before anything gets here.
 */

import type { Clock } from '../base/clock';
import type { Timer } from '../base/turn-meter';

/** What is done at once: about a tenth of a millisecond. A topic or a ping costs one. */
const COST_A_SLICE = 50;
const SLICE_MS = 1;

export class Slices<T> {
  private readonly clock: Clock;
  private readonly handle: (item: T) => void;
  private readonly costOf: (item: T) => number;
  private waiting: T[] = [];
  private done = 0;
  private spent = 0;
  private sinceMs = -Infinity;
  private timer: Timer | undefined;

  constructor(clock: Clock, costOf: (item: T) => number, handle: (item: T) => void) {
    this.clock = clock;
    this.costOf = costOf;
    this.handle = handle;
  }

  /** Handles them, now or soon, behind those that wait. @returns how many of them were handled now */
  take(items: readonly T[], nowMs: number): number {
    if (nowMs - this.sinceMs >= SLICE_MS) {
      this.sinceMs = nowMs;
      this.spent = 0;
    }
    let i = 0;
    if (this.timer === undefined) {
      while (i < items.length && this.spent < COST_A_SLICE) this.do(items[i++]!);
    }
    if (i === items.length) return i;
    for (const item of items.slice(i)) this.waiting.push(item);
    this.timer ??= this.later();
    return i;
  }

  /** Forgets what waits. */
  clear(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = [];
    this.done = 0;
  }

  private later(): Timer {
    return this.clock.turns.later('slice', SLICE_MS, () => this.go());
  }

  private go(): void {
    this.timer = undefined;
    this.sinceMs = this.clock.monotonicMs();
    this.spent = 0;
    const { waiting } = this;
    while (this.done < waiting.length && this.spent < COST_A_SLICE) {
      this.do(waiting[this.done++]!);
      if (this.waiting !== waiting) return; // the connection has ended
    }
    if (this.done === waiting.length) this.clear();
    else this.timer = this.later();
  }

  private do(item: T): void {
    this.spent += this.costOf(item);
    this.handle(item);
  }
}
