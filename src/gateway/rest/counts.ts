/**
 * REST counts: requests by route and status; and durations of those requests that wait for something: the
 * journal, a body, a turn. To look at the clock twice would take longer than an answer from memory.
 * Bounded: the routes of the server, and the statuses that it answers with.
 */

import type { Clock } from '../../base/clock';
import { Durations } from '../../base/durations';

/** Requests that no handler took, or whose handler threw. */
const NO_ROUTE = 'none';
/** The status of a request that became a WebSocket. */
const SWITCHING = 101;

/** Requests of one route by status. */
class RouteCounts extends Map<number, number> {
  add(status = SWITCHING): void {
    this.set(status, (this.get(status) ?? 0) + 1);
  }
}

/** Observes the durations of one route. */
export class Stopwatch {
  private readonly durations: Durations;
  private readonly clock: Clock;

  constructor(durations: Durations, clock: Clock) {
    this.durations = durations;
    this.clock = clock;
  }

  /** @returns the time that `stop` takes */
  start(): number {
    return this.clock.monotonicMs();
  }

  stop(startMs: number): void {
    this.durations.observe(this.clock.monotonicMs() - startMs);
  }
}

export class RestCounts {
  /** By method and route, then by status. */
  readonly requests = new Map<string, RouteCounts>();
  /** By method and route. */
  readonly durations = new Map<string, Durations>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Counts a request that no handler took, or whose handler threw. */
  countFault(response: Response): Response {
    this.of(NO_ROUTE).add(response.status);
    return response;
  }

  /** The stopwatch of a route whose durations are observed. @param title method and path */
  timed(title: string): Stopwatch {
    const durations = new Durations();
    this.durations.set(title, durations);
    return new Stopwatch(durations, this.clock);
  }

  /** The counts of a route. @param title method and path */
  of(title: string): RouteCounts {
    let counts = this.requests.get(title);
    if (counts === undefined) this.requests.set(title, (counts = new RouteCounts()));
    return counts;
  }
}
