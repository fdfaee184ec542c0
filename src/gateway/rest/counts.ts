/**
 * REST counts: requests by route and status; and how long those took that wait for something: the journal,
 * a body, a turn. What is answered out of memory takes less time than it takes to look at the clock twice.
 * Bounded: the routes of the server, and the statuses that it answers with.
 */

import type { Clock } from '../../base/clock';
import { Durations } from '../../base/durations';

/** Requests that came to no handler, or whose handler threw. */
const NO_ROUTE = 'none';

/** What Elysia hands to a hook, as far as it is used here. */
interface Asked {
  readonly request: Request;
}

/** Requests of one route by status. */
class RouteCounts extends Map<number, number> {
  add(status: number): void {
    this.set(status, (this.get(status) ?? 0) + 1);
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

  /** One was answered, or will be. @param response what is none was made a WebSocket */
  count(method: string, route: string, response: unknown): void {
    if (response instanceof Promise) {
      const count = (settled: unknown): void => this.count(method, route, settled);
      response.then(count, () => {}); // what throws is counted where it is caught
      return;
    }
    this.of(`${method} ${route}`).add(response instanceof Response ? response.status : 101);
  }

  /** One was answered that came to no handler, or whose handler threw. */
  countFault(response: Response): Response {
    this.of(NO_ROUTE).add(response.status);
    return response;
  }

  /** Options of a route whose requests are timed, from behind the check of the key on. */
  timed(name: string): {
    beforeHandle(asked: Asked): void;
    afterHandle(asked: Asked): void;
  } {
    const durations = new Durations();
    this.durations.set(name, durations);
    const begun = new WeakMap<Request, number>();
    return {
      beforeHandle: ({ request }) => {
        begun.set(request, this.clock.monotonicMs());
      },
      afterHandle: ({ request }) => {
        const beganMs = begun.get(request);
        if (beganMs !== undefined) durations.observe(this.clock.monotonicMs() - beganMs);
      },
    };
  }

  /** Of a method and route. */
  of(name: string): RouteCounts {
    let counts = this.requests.get(name);
    if (counts === undefined) this.requests.set(name, (counts = new RouteCounts()));
    return counts;
  }
}
