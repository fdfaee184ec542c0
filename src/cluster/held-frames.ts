/**
 * Held frames: those that came while frames before them are missing, by sequence. Bound: bytes. What does not fit is
 * not kept, and is read from the log later like any other frame that is missing.
 */

import type { StoredFrame } from './broker';

export class HeldFrames {
  bytes = 0;
  private readonly frames = new Map<number, StoredFrame>();
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get size(): number {
    return this.frames.size;
  }

  add(frame: StoredFrame): void {
    const { length } = frame.bytes;
    if (this.frames.has(frame.sequence) || this.bytes + length > this.bytesMax) return;
    this.frames.set(frame.sequence, frame);
    this.bytes += length;
  }

  /** Takes a frame out, if it is there. */
  take(sequence: number): StoredFrame | undefined {
    const frame = this.frames.get(sequence);
    if (frame !== undefined) this.drop(frame);
    return frame;
  }

  /** Takes out what lies before a sequence. */
  dropBefore(sequence: number): void {
    for (const frame of this.frames.values()) if (frame.sequence < sequence) this.drop(frame);
  }

  /** The lowest sequence; undefined: none is held. */
  get first(): number | undefined {
    let first: number | undefined;
    for (const sequence of this.frames.keys()) {
      if (first === undefined || sequence < first) first = sequence;
    }
    return first;
  }

  clear(): void {
    this.frames.clear();
    this.bytes = 0;
  }

  private drop({ sequence, bytes }: StoredFrame): void {
    this.frames.delete(sequence);
    this.bytes -= bytes.length;
  }
}
