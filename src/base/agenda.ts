/**
 * Agenda: which of many items are due for a visit, and when; an item that is not due costs nothing.
 *
 * When many are due at once, a run visits a bounded number of them for at most a slice of time, and the rest in
 * later turns of the event loop. Bound: each item is in it once.
 */

import { TimingWheel } from './timing-wheel';
import type { TurnMeter } from './turn-meter';

const TICK_MS = 20;
/** Ten seconds. */
const SLOTS = 512;
/** Longest slice in one turn, and how many items are visited between two readings of the clock. */
const SLICE_MS = 2;
const ITEMS_A_READING = 16;

/** Whether the current turn has done enough. @param done items that it has visited */
export function isSliceOver(turns: TurnMeter, done: number, most: number): boolean {
  if (done >= most) return true;
  return done % ITEMS_A_READING === 0 && done > 0 && turns.elapsedMs >= SLICE_MS;
}

export class Agenda<T> {
  private readonly perTurn: number;
  private readonly look: (item: T) => void;
  private readonly turns: TurnMeter;
  private readonly wheel = new TimingWheel<T>(TICK_MS, SLOTS);
  /** Items for the next run, whatever the time. */
  private readonly soonest = new Set<T>();
  /** Items that are due now. */
  private readonly due = new Set<T>();
  private isScheduled = false;
  private readonly fallDue = (item: T): void => void this.due.add(item);

  /** @param look called for each item that is due, after it was taken off the agenda */
  constructor(perTurn: number, turns: TurnMeter, look: (item: T) => void) {
    this.perTurn = perTurn;
    this.turns = turns;
    this.look = look;
  }

  /** Puts an item into the next run. */
  soon(item: T): void {
    this.soonest.add(item);
  }

  /** Puts an item into the first run at or after a time, unless it is due sooner. One that is far off may come early. */
  at(item: T, ms: number): void {
    this.wheel.at(item, ms);
  }

  /** Takes an item off the timed part of the agenda; one in the next run stays. */
  never(item: T): void {
    this.wheel.delete(item);
  }

  delete(item: T): void {
    this.soonest.delete(item);
    this.due.delete(item);
    this.wheel.delete(item);
  }

  /** Visits what is due; if that is much, in several turns. */
  run(nowMs: number): void {
    const { due, soonest } = this;
    for (const item of soonest) due.add(item);
    soonest.clear();
    this.wheel.take(nowMs, this.fallDue);
    this.go();
  }

  private go(): void {
    let looked = 0;
    for (const item of this.due) {
      if (isSliceOver(this.turns, looked, this.perTurn)) return this.goOn();
      looked += 1;
      this.due.delete(item);
      this.wheel.delete(item);
      this.look(item);
    }
  }

  private goOn(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.turns.soon('look', () => {
      this.isScheduled = false;
      this.go();
    });
  }
}
