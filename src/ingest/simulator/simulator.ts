/**
 * Simulator: several markets that move by themselves, at a total rate of orders a second.
 *
 * A timer only measures how much time has passed. The number of orders follows from the rate and the activity of each
 * market; they go to the router in one turn. A late turn catches up, at most `CATCH_UP_MS`.
 */

import type { Clock } from '../../base/clock';
import type { Prng } from '../../base/prng';
import type { Trader, Venue } from './trader';

export interface SimulatedFlow {
  readonly trader: Trader;
  /** Weight in the flow of all orders. */
  readonly pace: number;
}

const STEP_MS = 5;
const CATCH_UP_MS = 100;

export class Simulator {
  private readonly flows: readonly SimulatedFlow[];
  private readonly paceSum: number;
  private readonly ordersPerSecond: number;
  private readonly prng: Prng;

  /** @param ordersPerSecond average of all markets, orders and cancels together */
  constructor(flows: readonly SimulatedFlow[], ordersPerSecond: number, prng: Prng) {
    this.flows = flows;
    this.paceSum = flows.reduce((sum, { pace }) => sum + pace, 0);
    this.ordersPerSecond = ordersPerSecond;
    this.prng = prng;
  }

  /** Sends the orders of a time span. @param seconds above 0 */
  step(seconds: number, venue: Venue): void {
    for (const { trader, pace } of this.flows) {
      trader.elapse(seconds);
      const mean = (this.ordersPerSecond * pace * trader.pace * seconds) / this.paceSum;
      // A fraction of an order is an order with that probability.
      const orders = Math.floor(mean) + (this.prng.chance(mean % 1) ? 1 : 0);
      for (let i = 0; i < orders; i++) trader.act(venue);
    }
  }

  /** Fills the books, so that the market does not start empty. */
  open(venue: Venue): void {
    for (const { trader } of this.flows) {
      for (let i = 0; i < 600; i++) trader.act(venue);
    }
  }

  /**
   * Runs until the function that it returns is called.
   * @param inTurn runs a function in a turn of the sequencer, and resolves when its events are journaled
   */
  run(clock: Clock, inTurn: (act: (venue: Venue) => void, done: () => void) => void): () => void {
    let last = clock.monotonicMs();
    // One step at a time: while the journal is stalled, so is this market.
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
