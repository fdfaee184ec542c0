/**
 * Replay pace: when the messages of several merged journals are due [R6]. A server paces each journal from its own first
 * event, so merged ones are sent as fast as they are read, and paced here: a message is due when the latest event time so
 * far, less the first, has passed at the speed. Times that step back cause no wait.
 */

import type { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import type { Timers } from './environment';
import type { Item } from './items';

/** Messages that are due within this time come at once. */
const AT_ONCE_MS = 5;

export class Pace {
  private readonly timers: Timers;
  private readonly clock: Clock;
  /** Hundredths of real time. */
  private readonly speed: number;
  private readonly due: () => void;
  /** Messages before it are of the opening. */
  private from: Nanos | undefined;
  private first: Nanos | undefined;
  private latestMs = 0;
  private beganAtMs = 0;
  private pausedAtMs: number | undefined;
  private timer: unknown;

  /** @param due called when a message that was not due is so now */
  constructor(
    environment: { readonly timers: Timers; readonly clock: Clock },
    speed: number,
    from: Nanos | undefined,
    due: () => void,
  ) {
    this.timers = environment.timers;
    this.clock = environment.clock;
    this.speed = speed;
    this.from = from;
    this.due = due;
  }

  /** Whether the next message is due; if not, `due` will be called when it is. */
  isDue(item: Item): boolean {
    if (this.pausedAtMs !== undefined) return false;
    const waitMs = this.waitMs(item);
    if (waitMs <= AT_ONCE_MS) return true;
    this.timer ??= this.timers.set(() => {
      this.timer = undefined;
      this.due();
    }, waitMs);
    return false;
  }

  pause(): void {
    this.pausedAtMs ??= this.clock.monotonicMs();
    this.end();
  }

  continue(): void {
    if (this.pausedAtMs === undefined) return;
    this.beganAtMs += this.clock.monotonicMs() - this.pausedAtMs;
    this.pausedAtMs = undefined;
    this.due();
  }

  /** The next message is the first again. */
  restart(from: Nanos | undefined): void {
    this.end();
    this.from = from;
    this.first = undefined;
    this.latestMs = 0;
  }

  end(): void {
    this.timers.clear(this.timer);
    this.timer = undefined;
  }

  private waitMs(item: Item): number {
    if (!('eventTime' in item)) return 0;
    const { eventTime } = item;
    if (this.first === undefined) {
      if (this.from !== undefined && eventTime.compare(this.from) < 0) return 0;
      this.first = eventTime;
      this.beganAtMs = this.clock.monotonicMs();
    }
    this.latestMs = Math.max(this.latestMs, eventTime.since(this.first) / 1e6);
    return this.beganAtMs + (this.latestMs * 100) / this.speed - this.clock.monotonicMs();
  }
}
