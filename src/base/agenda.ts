/**
 * Agenda: which of many items are to be looked at, and when; those that are not cost nothing. Of what is due
 * at once so many are looked at in a turn of the event loop, the others in turns behind it.
 * Bounded: each item is in it once.
 */

import { TimingWheel } from './timing-wheel';
import type { TurnMeter } from './turn-meter';

const TICK_MS = 20;
/** Ten seconds. */
const SLOTS = 512;

export class Agenda<T> {
  private readonly perTurn: number;
  private readonly look: (item: T) => void;
  private readonly turns: TurnMeter;
  private readonly wheel = new TimingWheel<T>(TICK_MS, SLOTS);
  /** For the next run, whatever the time. */
  private soonest = new Set<T>();
  /** Due now. */
  private readonly due = new Set<T>();
  private isScheduled = false;

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

  delete(item: T): void {
    this.soonest.delete(item);
    this.due.delete(item);
    this.wheel.delete(item);
  }

  /** Looks at what is due, of much in turns. */
  run(nowMs: number): void {
    const { due, soonest } = this;
    this.soonest = new Set();
    for (const item of soonest) due.add(item);
    this.wheel.take(nowMs, (item) => due.add(item));
    this.go();
  }

  private go(): void {
    let left = this.perTurn;
    for (const item of this.due) {
      if (left-- === 0) return this.goOn();
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
