/** A listener that records its calls: the name of the event and its arguments in order. */

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

  /** The calls since this was last called. */
  take(): NaiveEvent[] {
    const events = this.events;
    this.events = [];
    return events;
  }
}
