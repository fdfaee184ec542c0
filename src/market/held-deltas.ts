/**
 * Held deltas: deltas of one book that wait for a snapshot that they continue. The oldest are dropped first, since the
 * next snapshot needs the newest. Bounds: number and levels of one book, and, together with other books, what their
 * source may make the server hold (`room`), which can drop them.
 */

import type { Book } from '../../protocol/messages';
import type { Meter } from '../base/byte-account';
import { BoundedQueue } from '../base/bounded-queue';
import { eventBytes } from '../base/event-bytes';

export const HELD_DELTAS_MAX = 2_000;
/** Most levels of all held deltas of one book: the snapshot that repairs it applies them in one turn. */
export const HELD_LEVELS_MAX = 40_000;

/** Accounts for what sources make the market hold. */
export interface SourceAccount {
  /** @param shed drops what is held */
  open(source: number, shed: () => void): Meter;
}

export class HeldDeltas {
  /** Null: not accounted for. */
  private room: ((shed: () => void) => Meter) | null = null;
  private queue = new BoundedQueue<Book>(HELD_DELTAS_MAX);
  /** Levels of all held deltas. */
  levels = 0;
  private bytes = 0;
  /** The meter, while something is held. */
  private meter: Meter | null = null;

  /** Accounts for what is held from now on. @param source the source that it belongs to */
  countWith(account: SourceAccount | null, source: () => number): void {
    this.room = account && ((shed) => account.open(source(), shed));
  }

  get length(): number {
    return this.queue.length;
  }

  /** The newest; undefined if none is held. */
  get newest(): Book | undefined {
    return this.queue.at(this.queue.length - 1);
  }

  push(delta: Book): void {
    const levels = levelsOf(delta);
    const isFull = (): boolean =>
      this.length === HELD_DELTAS_MAX || this.levels + levels > HELD_LEVELS_MAX;
    while (this.length > 0 && isFull()) this.shift();
    this.queue.push(delta);
    this.count(eventBytes([delta]), levels);
  }

  shift(): Book | undefined {
    const delta = this.queue.shift();
    if (delta !== undefined) this.count(-eventBytes([delta]), -levelsOf(delta));
    return delta;
  }

  clear(): void {
    this.queue = new BoundedQueue<Book>(HELD_DELTAS_MAX);
    this.count(-this.bytes, -this.levels);
  }

  /** Removes and returns all of them. */
  takeAll(): BoundedQueue<Book> {
    const { queue } = this;
    this.clear();
    return queue;
  }

  private count(bytes: number, levels: number): void {
    this.bytes += bytes;
    this.levels += levels;
    if (this.bytes > 0) this.meter ??= this.room?.(() => this.clear()) ?? null;
    this.meter?.set('deltas', this.bytes);
    if (this.bytes > 0) return;
    this.meter?.close();
    this.meter = null;
  }
}

/** Number of levels of a message, both sides. */
export function levelsOf({ bids, asks }: Book): number {
  return (bids.length + asks.length) >> 1;
}
