/**
 * Held deltas: those of one book that wait for a snapshot which they continue. The oldest go first, since the
 * next snapshot will need the newest. Bounded: by number, by levels, and with those of all other books by what
 * their source may make the server hold (`room`), which may let them go.
 */

import type { Book } from '../../protocol/messages';
import type { Meter } from '../base/byte-account';
import { BoundedQueue } from '../base/bounded-queue';
import { eventBytes } from '../base/event-bytes';

export const HELD_DELTAS_MAX = 2_000;
/** Of all deltas of one book: a snapshot that heals it applies them in the same turn. */
export const HELD_LEVELS_MAX = 40_000;

/** Counts what sources make the market hold. */
export interface SourceAccount {
  /** @param shed lets go of it */
  open(source: number, shed: () => void): Meter;
}

export class HeldDeltas {
  /** Null: nobody counts. */
  private room: ((shed: () => void) => Meter) | null = null;
  private queue = new BoundedQueue<Book>(HELD_DELTAS_MAX);
  /** Of all of them. */
  levels = 0;
  private bytes = 0;
  /** Only while something is held. */
  private meter: Meter | null = null;

  /** Counts what is held from now on. @param source whose that is */
  countWith(account: SourceAccount | null, source: () => number): void {
    this.room = account && ((shed) => account.open(source(), shed));
  }

  get length(): number {
    return this.queue.length;
  }

  /** The newest; undefined: none is held. */
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

  /** Takes all of them out. */
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

/** Levels of a message, both sides. */
export function levelsOf({ bids, asks }: Book): number {
  return (bids.length + asks.length) >> 1;
}
