/**
 * Release: passes committed batches on to readers, in the order of the batches and some in each
 * turn of the event loop, however much one commit held. A callback that waits for a batch (an
 * acknowledgement, a flush) waits in the same queue, so nothing overtakes. Bounded: by the caller,
 * which stops appending while `hasRoom` is false.
 */

import { Deque } from '../../base/deque';
import type { Clock } from '../../base/clock';

/**
 * About how many events one turn releases: a batch is not split, and a turn releases at least one.
 */
export const RELEASED_A_TURN = 1_000;
/** A turn releases nothing more after this time. */
const TURN_MS = 2;
/** While more events wait, the caller must not append. */
const WAITING_EVENTS_MAX = 20_000;

interface Released {
  readonly events: number;
  readonly act: () => void;
}

export class Release {
  private readonly clock: Clock;
  private readonly isSliced: boolean;
  private readonly released: () => void;
  private readonly queue = new Deque<Released>();
  private events = 0;
  private isScheduled = false;
  private isRunning = false;

  /**
   * @param isSliced whether the event loop is shared; else everything is released at once
   * @param released called after each turn that released something that had waited
   */
  constructor(clock: Clock, isSliced: boolean, released: () => void) {
    this.clock = clock;
    this.isSliced = isSliced;
    this.released = released;
  }

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  get hasRoom(): boolean {
    return this.events < WAITING_EVENTS_MAX;
  }

  /**
   * Queues `act` behind everything before it; `run` releases it.
   * @param events how many events it stands for
   */
  push(act: () => void, events = 1): void {
    this.queue.push({ events, act });
    this.events += events;
  }

  /** Releases some of what waits now, and the rest in later turns. */
  run(): void {
    if (this.isRunning) return; // a released callback may append, which calls this again
    this.isRunning = true;
    const untilMs = this.clock.monotonicMs() + TURN_MS;
    let left = this.isSliced ? RELEASED_A_TURN : Infinity;
    try {
      while (!this.isEmpty && left > 0) {
        left -= this.next();
        if (this.isSliced && this.clock.monotonicMs() >= untilMs) break;
      }
    } finally {
      this.isRunning = false;
      if (!this.isEmpty) this.goOn();
    }
  }

  /** Releases everything that waits, at once. For an orderly end. */
  drain(): void {
    while (!this.isEmpty) this.next();
  }

  private next(): number {
    const { act, events } = this.queue.shift()!;
    this.events -= events;
    act();
    return events;
  }

  private goOn(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.clock.turns.soon('commit', () => {
      this.isScheduled = false;
      this.run();
      this.released();
    });
  }
}
