/** A listener that writes down what it is told: the event's name and its arguments in order. */

import type { VenueListener } from '../../src/market/venue/listener';
import type { NaiveEvent } from '../support/naive-venue';

export class Recorder implements VenueListener {
  events: NaiveEvent[] = [];

  accepted(...values: number[]): void {
    this.events.push(['accepted', ...values]);
  }

  rejected(...values: number[]): void {
    this.events.push(['rejected', ...values]);
  }

  trade(...values: number[]): void {
    this.events.push(['trade', ...values]);
  }

  amended(...values: number[]): void {
    this.events.push(['amended', ...values]);
  }

  cancelled(...values: number[]): void {
    this.events.push(['cancelled', ...values]);
  }

  expired(...values: number[]): void {
    this.events.push(['expired', ...values]);
  }

  levelChanged(...values: number[]): void {
    this.events.push(['levelChanged', ...values]);
  }

  stateChanged(...values: number[]): void {
    this.events.push(['stateChanged', ...values]);
  }

  /** What was told since this was last asked. */
  take(): NaiveEvent[] {
    const events = this.events;
    this.events = [];
    return events;
  }
}
