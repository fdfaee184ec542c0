/**
 * Frame queue: batches that wait for the log, and how they go into frames: as many as fit, one after the other
 * without a hole; a batch that is larger than a frame alone, in parts.
 *
 * Bound: bytes and batches, counted until they are released, so what is in flight counts.
 */

import type { WireBatch } from '../../protocol/batch';
import { FRAME_PARTS_MAX, logFrameBytes } from '../../protocol/log-frame';
import { assert } from '../base/assert';
import { Deque } from '../base/deque';

interface Waiting {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly bytes: Uint8Array;
  /** When it was pushed, by the monotonic clock. */
  readonly atMs: number;
}

/** What one frame carries. */
export interface FrameContent {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly part: number;
  readonly parts: number;
  readonly batches: readonly Uint8Array[];
  /** When the oldest batch of it was pushed. */
  readonly atMs: number;
}

export interface FrameQueueLimits {
  readonly frameBytesMax: number;
  readonly queueBytesMax: number;
  readonly queueBatchesMax: number;
}

export class FrameQueue {
  /** Of what was pushed and not released. */
  bytes = 0;
  batches = 0;
  private readonly shard: string;
  private readonly limits: FrameQueueLimits;
  private readonly waiting = new Deque<Waiting>();
  /** Of the oldest batch, if it goes in parts: the number of the next one. */
  private nextPart = 0;

  constructor(shard: string, limits: FrameQueueLimits) {
    this.shard = shard;
    this.limits = limits;
    assert(
      this.roomFor(1) > 0,
      `frames of ${limits.frameBytesMax} bytes are too small for a batch`,
    );
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** When the oldest that waits was pushed; undefined: nothing waits. */
  get oldestMs(): number | undefined {
    return this.waiting.at(0)?.atMs;
  }

  /** A batch that exceeds the bound alone is taken when nothing else is there. */
  get isFull(): boolean {
    const { queueBytesMax, queueBatchesMax } = this.limits;
    return this.bytes >= queueBytesMax || this.batches >= queueBatchesMax;
  }

  push({ firstSeq, lastSeq }: WireBatch, bytes: Uint8Array, atMs: number): void {
    this.waiting.push({ firstSeq, lastSeq, bytes, atMs });
    this.bytes += bytes.length;
    this.batches += 1;
  }

  /** Takes out what goes into the next frame; undefined: nothing waits. */
  next(): FrameContent | undefined {
    const first = this.waiting.at(0);
    if (first === undefined) return undefined;
    if (first.bytes.length > this.roomFor(1)) return this.nextOf(first);
    let count = 0;
    let size = 0;
    const batches: Uint8Array[] = [];
    let { lastSeq } = first;
    for (;;) {
      const batch = this.waiting.at(0);
      if (batch === undefined) break;
      if (count > 0 && batch.firstSeq !== lastSeq + 1) break;
      if (size + batch.bytes.length > this.roomFor(count + 1)) break;
      this.waiting.shift();
      batches.push(batch.bytes);
      size += batch.bytes.length;
      count += 1;
      lastSeq = batch.lastSeq;
    }
    return { firstSeq: first.firstSeq, lastSeq, part: 0, parts: 1, batches, atMs: first.atMs };
  }

  /** The log has what was taken out. */
  release({ batches, part, parts }: FrameContent): void {
    for (const { length } of batches) this.bytes -= length;
    if (part === parts - 1) this.batches -= batches.length;
  }

  clear(): void {
    while (this.waiting.shift() !== undefined);
    this.bytes = 0;
    this.batches = 0;
    this.nextPart = 0;
  }

  /** The next part of a batch that is larger than a frame. */
  private nextOf({ firstSeq, lastSeq, bytes, atMs }: Waiting): FrameContent {
    const size = this.roomFor(1);
    const parts = Math.ceil(bytes.length / size);
    assert(parts <= FRAME_PARTS_MAX, `a batch of ${bytes.length} bytes has ${parts} parts`);
    const part = this.nextPart;
    this.nextPart = part + 1 === parts ? 0 : part + 1;
    if (this.nextPart === 0) this.waiting.shift();
    const batches = [bytes.subarray(part * size, (part + 1) * size)];
    return { firstSeq, lastSeq, part, parts, batches, atMs };
  }

  /** Bytes that so many batches can have in one frame. */
  private roomFor(batches: number): number {
    return this.limits.frameBytesMax - logFrameBytes(this.shard, batches, 0);
  }
}
