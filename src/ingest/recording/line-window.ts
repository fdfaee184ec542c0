/**
 * Line window: the lines ahead of the one that is decided on. Some of what a line means shows only
 * in those behind it: the decimals of a symbol, whose a snapshot is, whether a time can be.
 *
 * Bounded: lines, and letters of text.
 */

import { BoundedQueue } from '../../base/bounded-queue';
import type { LineFault } from './faults';
import type { Collector, Decoder } from './record';

export interface WaitingLine {
  readonly line: number;
  readonly letters: number;
}

export interface WindowSize {
  readonly lines: number;
  readonly letters: number;
}

/** A decoder that sees some lines ahead of the one it decides on. */
export abstract class AheadDecoder<W extends WaitingLine> implements Decoder {
  protected readonly ahead: BoundedQueue<W>;
  private readonly size: WindowSize;
  private letters = 0;

  constructor(size: WindowSize) {
    this.size = size;
    this.ahead = new BoundedQueue(size.lines + 1);
  }

  line(text: string, line: number, into: Collector): void {
    this.wait(this.look(text, line), into);
  }

  fault(fault: LineFault, line: number, into: Collector): void {
    this.wait(this.unreadable(fault, line), into);
  }

  end(into: Collector): void {
    while (this.ahead.length > 0 && into.stoppedBy === undefined) this.decideNext(into);
  }

  /** A line that has just come, as it waits. */
  protected abstract look(text: string, line: number): W;
  protected abstract unreadable(fault: LineFault, line: number): W;
  /** The outcome of a line; those in `ahead` come behind it. */
  protected abstract decide(waiting: W, into: Collector): void;

  private wait(waiting: W, into: Collector): void {
    this.ahead.push(waiting);
    this.letters += waiting.letters;
    const { lines, letters } = this.size;
    while (
      (this.ahead.length > lines || this.letters > letters) &&
      this.ahead.length > 0 &&
      into.stoppedBy === undefined
    ) {
      this.decideNext(into);
    }
  }

  private decideNext(into: Collector): void {
    const next = this.ahead.shift()!;
    this.letters -= next.letters;
    this.decide(next, into);
  }
}
