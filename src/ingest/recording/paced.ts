/**
 * Pacing: delivers a recording by its receive times, in real time or a multiple of it.
 *
 * There is one timer at a time, for the next line that is due. When it fires, everything that is due goes out together,
 * so a dense market costs no timer for each event. Nothing goes out early. A reader that falls behind gets what is due at
 * once and so catches up. A line whose receive time goes back or is unknown is due at once, and does not move the lines
 * after it.
 */

import type { Clock } from '../../base/clock';
import { assert } from '../../base/assert';
import { Nanos } from '../../../protocol/time';
import type { Recorded, RecordedBatch } from './record';

/** The timer that it uses. */
export interface Timers {
  /** Resolves after about `ms` milliseconds, or soon after the signal aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A multiple of real time above 0, or as fast as possible. */
export type Speed = number | 'max';

export interface PacingOptions {
  readonly speed: Speed;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly timers?: Timers;
  /** Ends the delivery, even during a wait. */
  readonly signal?: AbortSignal;
}

/** The longest single wait; longer ones are done in steps. */
const SLEEP_MS_MAX = 3_600_000;

export const systemTimers: Timers = {
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      // A timer counts whole milliseconds; rounded up, it does not fire early.
      const timer = setTimeout(done, Math.ceil(ms));
      signal?.addEventListener('abort', done);
    });
  },
};

/** Yields what is due, in the order of the recording. */
export async function* paced(
  recording: AsyncIterable<RecordedBatch>,
  options: PacingOptions,
): AsyncGenerator<RecordedBatch, void, undefined> {
  const { speed, signal } = options;
  if (speed === 'max') {
    for await (const batch of recording) {
      if (signal?.aborted === true) return;
      yield batch;
    }
    return;
  }
  assert(speed > 0 && Number.isFinite(speed), `a speed of ${speed}`);
  const schedule = new Schedule(options.clock, speed);
  const timers = options.timers ?? systemTimers;
  for await (const batch of recording) {
    for (const rest = new Rest(batch); !rest.done;) {
      const waitMs = rest.waitMs(schedule);
      if (waitMs > 0) await timers.sleep(Math.min(waitMs, SLEEP_MS_MAX), signal);
      if (signal?.aborted === true) return;
      const due = rest.takeDue(schedule);
      if (due !== undefined) yield due;
    }
  }
}

/** Maps times of the recording to the monotonic clock. */
class Schedule {
  private readonly clock: PacingOptions['clock'];
  private readonly speed: number;
  private origin: Nanos | undefined;
  private originMs = 0;

  constructor(clock: PacingOptions['clock'], speed: number) {
    this.clock = clock;
    this.speed = speed;
  }

  nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** When a line is due. The first line with a time is due now, and all others relative to it. */
  dueMs({ receiveTime }: Recorded): number {
    if (receiveTime.compare(Nanos.ZERO) === 0) return 0;
    if (this.origin === undefined) {
      this.origin = receiveTime;
      this.originMs = this.nowMs();
    }
    return this.originMs + receiveTime.since(this.origin) / 1e6 / this.speed;
  }
}

/** The part of a batch that is not delivered yet. */
class Rest {
  private readonly batch: RecordedBatch;
  private record = 0;
  private fault = 0;

  constructor(batch: RecordedBatch) {
    this.batch = batch;
  }

  get done(): boolean {
    const { records, faults } = this.batch;
    return this.record === records.length && this.fault === faults.length;
  }

  /** Milliseconds until the next line is due; zero or negative if it is due. */
  waitMs(schedule: Schedule): number {
    const next = this.batch.records[this.record];
    return next === undefined ? 0 : schedule.dueMs(next) - schedule.nowMs();
  }

  takeDue(schedule: Schedule): RecordedBatch | undefined {
    const { records, faults } = this.batch;
    const nowMs = schedule.nowMs();
    let to = this.record;
    while (to < records.length && schedule.dueMs(records[to]!) <= nowMs) to += 1;
    // Faults are delivered with the lines before them.
    const nextLine = records[to]?.line ?? Infinity;
    let toFault = this.fault;
    while (toFault < faults.length && faults[toFault]!.line < nextLine) toFault += 1;
    if (to === this.record && toFault === this.fault) return undefined;
    const due = {
      records: records.slice(this.record, to),
      faults: faults.slice(this.fault, toFault),
    };
    this.record = to;
    this.fault = toFault;
    return due;
  }
}
