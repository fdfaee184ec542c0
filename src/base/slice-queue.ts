/**
 * Slice queue: long work, of several clients, done a slice at a time. Between slices the event loop does
 * what else there is; those whose work waits take turns, so that a short one is not behind a long one.
 * Bounded: by what may be under way where it comes from.
 */

import { BoundedQueue } from './bounded-queue';
import type { Clock } from './clock';

/** What one slice may take; a turn of the loop is to stay below 5 ms with all that shares it. */
const SLICE_MS = 2;

interface Job {
  /** Does a little. @returns whether there is more */
  step(): boolean;
}

export class SliceQueue {
  private readonly clock: Clock;
  private readonly schedule: (slice: () => void) => void;
  private readonly jobs = new BoundedQueue<Job>(Number.MAX_SAFE_INTEGER);

  constructor(
    clock: Clock,
    schedule: (slice: () => void) => void = (slice) => clock.turns.soon('slice', slice),
  ) {
    this.clock = clock;
    this.schedule = schedule;
  }

  /** @param work yields where it may be interrupted, several times in a millisecond of it */
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
