/**
 * Slice queue: long work of several clients, done a slice at a time. Between slices the event loop does other things.
 * Waiting work is served round robin, so a short piece does not wait for a long one. Bound: set by the callers.
 */

import { Deque } from './deque';
import type { Clock } from './clock';

/** Longest slice. A turn of the loop has to stay below 5 ms with everything else in it. */
const SLICE_MS = 2;

interface Job {
  /** Does a little. @returns whether there is more to do */
  step(): boolean;
}

export class SliceQueue {
  private readonly clock: Clock;
  private readonly schedule: (slice: () => void) => void;
  private readonly jobs = new Deque<Job>();

  constructor(
    clock: Clock,
    schedule: (slice: () => void) => void = (slice) => clock.turns.soon('slice', slice),
  ) {
    this.clock = clock;
    this.schedule = schedule;
  }

  /** @param work yields where it can be interrupted, several times in a millisecond */
  run<T>(work: Generator<undefined, T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const step = (): boolean => {
        try {
          const { done, value } = work.next();
          if (done === true) resolve(value);
          return done !== true;
        } catch (e) {
          reject(e);
          return false;
        }
      };
      if (this.jobs.length === 0) this.schedule(() => this.slice());
      this.jobs.push({ step });
    });
  }

  private slice(): void {
    const untilMs = this.clock.monotonicMs() + SLICE_MS;
    let job = this.jobs.at(0);
    while (job !== undefined) {
      const hasMore = job.step();
      if (!hasMore) {
        this.jobs.shift();
        job = this.jobs.at(0);
      }
      if (this.clock.monotonicMs() < untilMs) continue;
      if (hasMore) this.jobs.push(this.jobs.shift()!);
      break;
    }
    if (this.jobs.length > 0) this.schedule(() => this.slice());
  }
}
