/**
 * Repeated: the log for what clients can cause as often as they like. The first lines of a kind are
 * written, those behind them counted; once in a while one line says how many there were. So a flood costs
 * a line, and an operator sees that it goes on.
 * Bounded: kinds that are told apart at a time; beyond them one stands for all others.
 */

import type { Clock } from '../base/clock';
import type { Log } from './contract';

export type Level = keyof Log;

/** Between lines on what repeats, in ms. */
const SUMMARY_EVERY_MS = 10_000;
const KINDS_MAX = 256;
const OTHERS = 'others';

interface Kind {
  readonly level: Level;
  readonly message: string;
  /** When the lines began that are counted. */
  sinceMs: number;
  written: number;
  repeated: number;
  /** Of the newest that was not written. */
  detail: object;
}

export class Repeated {
  private readonly log: Log;
  private readonly clock: Clock;
  private readonly kinds = new Map<string, Kind>();

  constructor(log: Log, clock: Clock) {
    this.log = log;
    this.clock = clock;
  }

  /**
   * One more of its kind, which is the message with this code.
   * @param first so many are written before they are counted
   */
  tell(level: Level, message: string, code: string, detail: object, first = 1): void {
    const name = `${message} ${code}`;
    const isRoom = this.kinds.has(name) || this.kinds.size < KINDS_MAX;
    const known = this.kinds.get(isRoom ? name : OTHERS);
    const kind = known ?? this.begin(isRoom ? name : OTHERS, level, isRoom ? message : 'others');
    if (kind.written < first) {
      kind.written += 1;
      this.log[level](detail, message);
      return;
    }
    kind.repeated += 1;
    kind.detail = detail;
  }

  /** Tells of what has repeated long enough, and forgets what has not. Now and then. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    for (const [name, kind] of this.kinds) {
      if (nowMs - kind.sinceMs < SUMMARY_EVERY_MS) continue;
      if (kind.repeated === 0) this.kinds.delete(name);
      else this.summarise(kind, nowMs);
    }
  }

  /** Tells of all that was counted and not told yet. */
  close(): void {
    for (const kind of this.kinds.values()) {
      if (kind.repeated > 0) this.summarise(kind, this.clock.monotonicMs());
    }
    this.kinds.clear();
  }

  private begin(name: string, level: Level, message: string): Kind {
    const sinceMs = this.clock.monotonicMs();
    const kind = { level, message, sinceMs, written: 0, repeated: 0, detail: {} };
    this.kinds.set(name, kind);
    return kind;
  }

  private summarise(kind: Kind, nowMs: number): void {
    const seconds = Math.round((nowMs - kind.sinceMs) / 1_000);
    const { level, detail, repeated, message } = kind;
    this.log[level]({ ...detail, repeated, seconds }, `${message}, again and again`);
    kind.repeated = 0;
    kind.sinceMs = nowMs;
  }
}
