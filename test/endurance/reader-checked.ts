/** Reader checked: what was compared, and what was wrong. */

import type { ReaderRecord, Violation } from './reader-record';

export class Checked {
  readonly figures = {
    rows: 0,
    ended: 0,
    compared: 0,
    states: 0,
    books: 0,
    bars: 0,
    sourceTrades: 0,
    sourceBooks: 0,
    rest: 0,
  };
  private readonly violations: Violation[];

  constructor({ violations }: ReaderRecord) {
    this.violations = violations;
  }

  wrong(what: string, topic: string, seq: number, line: number, detail: string): void {
    this.violations.push({ what, topic, seq, line, detail });
  }
}
