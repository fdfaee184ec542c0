/**
 * Repeated: the log for events that clients can cause as often as they like. The first lines of a kind are written,
 * later ones counted; from time to time one line says how many there were. So a flood costs one line, and an operator sees
 * that it goes on.
 * Bound: the kinds that are distinguished at a time; beyond it one kind stands for all others.
 */

import type { Clock } from '../base/clock';
import type { Log } from './contract';

export type Level = keyof Log;

/** Time between summaries of a kind, in ms. */
const SUMMARY_EVERY_MS = 10_000;
const KINDS_MAX = 256;
const OTHERS = 'others';

interface Kind {
  readonly level: Level;
  readonly message: string;
  /** When counting began. */
  sinceMs: number;
  written: number;
  repeated: number;
  /** Of the newest line that was not written. */
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
   * Logs a line, or counts it. Its kind is the message with this code.
   * @param first how many lines of the kind are written before the rest is counted
   */
  report(level: Level, message: string, code: string, detail: object, first = 1): void {
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

  /** Called periodically: summarises the kinds that have repeated, and forgets the others. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    for (const [name, kind] of this.kinds) {
      if (nowMs - kind.sinceMs < SUMMARY_EVERY_MS) continue;
      if (kind.repeated === 0) this.kinds.delete(name);
      else this.summarise(kind, nowMs);
    }
  }

  /** Summarises everything that was counted since its last summary. */
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
