/**
 * Line window: lines ahead of the one being decided. Part of what a line means is known only from later lines: the
 * decimals of a symbol, the symbol of a snapshot, whether a time is plausible.
 *
 * Bounds: number of lines, and characters of text.
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

/** A decoder that sees some lines ahead of the one that it decides. */
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

  /** Prepares a line that has just arrived and now waits. */
  protected abstract look(text: string, line: number): W;
  protected abstract unreadable(fault: LineFault, line: number): W;
  /** Decides a line; those in `ahead` follow it. */
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
