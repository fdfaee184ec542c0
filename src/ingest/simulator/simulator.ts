/**
 * Simulator: several markets that move by themselves, at a rate of orders a second in all.
 *
 * A timer only says how much time has passed; how many orders that makes is worked out from the rate
 * and each market's pace, and they go to the router in one turn. A turn that comes late makes up for
 * it, up to `CATCH_UP_MS`.
 */

import type { Clock } from '../../base/clock';
import type { Prng } from '../../base/prng';
import type { Trader, Venue } from './trader';

export interface SimulatedFlow {
  readonly trader: Trader;
  /** Share of all orders, against the others. */
  readonly pace: number;
}

const STEP_MS = 5;
const CATCH_UP_MS = 100;

export class Simulator {
  private readonly flows: readonly SimulatedFlow[];
  private readonly paceSum: number;
  private readonly ordersPerSecond: number;
  private readonly prng: Prng;

  /** @param ordersPerSecond in all, on average, orders and cancels together */
  constructor(flows: readonly SimulatedFlow[], ordersPerSecond: number, prng: Prng) {
    this.flows = flows;
    this.paceSum = flows.reduce((sum, { pace }) => sum + pace, 0);
    this.ordersPerSecond = ordersPerSecond;
    this.prng = prng;
  }

  /** The orders of so much time. @param seconds above 0 */
  step(seconds: number, venue: Venue): void {
    for (const { trader, pace } of this.flows) {
      trader.elapse(seconds);
      const mean = (this.ordersPerSecond * pace * trader.pace * seconds) / this.paceSum;
      // A fraction of an order is an order with that probability.
      const orders = Math.floor(mean) + (this.prng.chance(mean % 1) ? 1 : 0);
      for (let i = 0; i < orders; i++) trader.act(venue);
    }
  }

  /** Fills the books, so that nobody looks at an empty market. */
  open(venue: Venue): void {
    for (const { trader } of this.flows) {
      for (let i = 0; i < 600; i++) trader.act(venue);
    }
  }

  /**
   * Runs until the function that it returns is called.
   * @param inTurn carries out what it is given in a turn of the sequencer, and says when that is journaled
   */
  run(clock: Clock, inTurn: (act: (venue: Venue) => void, done: () => void) => void): () => void {
    let last = clock.monotonicMs();
    // One step at a time: where the journal stands still, so does this market.
    let isWaiting = true;
    const done = (): void => void (isWaiting = false);
    inTurn((venue) => this.open(venue), done);
    const step = (): void => {
      if (isWaiting) return;
      const now = clock.monotonicMs();
      const ms = Math.min(now - last, CATCH_UP_MS);
      last = now;
      if (ms <= 0) return;
      isWaiting = true;
      inTurn((venue) => this.step(ms / 1000, venue), done);
    };
    const timer = clock.turns.every('sources', STEP_MS, step);
    return () => clearInterval(timer);
  }
}
