/**
 * Agenda: which of many items are to be looked at, and when; those that are not cost nothing. Of what is due
 * at once so many are looked at in a turn of the event loop, and no more than a slice of time takes; the
 * others in turns behind it.
 * Bounded: each item is in it once.
 */

import { TimingWheel } from './timing-wheel';
import type { TurnMeter } from './turn-meter';

const TICK_MS = 20;
/** Ten seconds. */
const SLOTS = 512;
/** What goes on in slices does so no longer in one turn; the clock is read once for so many items. */
const SLICE_MS = 2;
const ITEMS_A_READING = 16;

/** Whether the turn that is under way has done enough. @param done items in it so far */
export function isSliceOver(turns: TurnMeter, done: number, most: number): boolean {
  if (done >= most) return true;
  return done % ITEMS_A_READING === 0 && done > 0 && turns.elapsedMs >= SLICE_MS;
}

export class Agenda<T> {
  private readonly perTurn: number;
  private readonly look: (item: T) => void;
  private readonly turns: TurnMeter;
  private readonly wheel = new TimingWheel<T>(TICK_MS, SLOTS);
  /** For the next run, whatever the time. */
  private readonly soonest = new Set<T>();
  /** Due now. */
  private readonly due = new Set<T>();
  private isScheduled = false;
  private readonly fallDue = (item: T): void => void this.due.add(item);

  /** @param look called for each that is due; it is on the agenda no more, unless it is put there again */
  constructor(perTurn: number, turns: TurnMeter, look: (item: T) => void) {
    this.perTurn = perTurn;
    this.turns = turns;
    this.look = look;
  }

  /** In the next run. */
  soon(item: T): void {
    this.soonest.add(item);
  }

  /** In the first run from a time on, or sooner where that was asked for. A far one may come early. */
  at(item: T, ms: number): void {
    this.wheel.at(item, ms);
  }

  /** At no time any more, unless it was asked for soon. */
  never(item: T): void {
    this.wheel.delete(item);
  }

  delete(item: T): void {
    this.soonest.delete(item);
    this.due.delete(item);
    this.wheel.delete(item);
  }

  /** Looks at what is due, of much in turns. */
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
