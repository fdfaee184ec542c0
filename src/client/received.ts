/**
 * Received: reports to the server, at most once a second, up to which sequence number the application has taken messages,
 * if that has advanced.
 */

import type { Timers } from './environment';

const EVERY_MS = 1_000;

export class Received {
  private timer: unknown;
  private seq = 0;
  private readonly timers: Timers;
  private readonly takenSeq: () => number;

  /** @param takenSeq the newest sequence number taken */
  constructor(timers: Timers, takenSeq: () => number) {
    this.timers = timers;
    this.takenSeq = takenSeq;
  }

  /** Begins on a new connection. */
  begin(tell: (seq: number) => void): void {
    this.seq = 0;
    this.wait(tell);
  }

  end(): void {
    this.timers.clear(this.timer);
  }

  private wait(tell: (seq: number) => void): void {
    this.timer = this.timers.set(() => {
      this.wait(tell);
      const seq = this.takenSeq();
      if (seq <= this.seq) return;
      this.seq = seq;
      tell(seq);
    }, EVERY_MS);
  }
}
