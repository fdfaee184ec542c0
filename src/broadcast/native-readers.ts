/**
 * Native readers: the sessions that take one topic natively in one form, and what it brought them.
 *
 * What a topic publishes is credited to its readers, so that each knows what it was sent without going
 * through its topics: for most of them in steps, since to touch each reader has its price; for a session
 * on many topics with each frame, since the rests of many steps would be much.
 * Bounded: by the sessions.
 */

export interface NativeReader {
  /** It was sent so many bytes more. */
  took(bytes: number): void;
  /** It is to be sent a ping in the middle of much. */
  mark(nowMs: number): void;
}

/** A topic credits its readers after so many bytes. */
const STEP_BYTES = 2_048;
/** 2^32 over the golden ratio. */
const GOLDEN = 0x9e3779b1;
/** So many topics of a session are credited in steps: at most 64 KiB are not known. */
const STEPPED_TOPICS = 32;

export class NativeReaders {
  /** Published so far, for one reader. */
  bytes = 0;
  frames = 0;
  private readonly stepped = new Set<NativeReader>();
  private exact: Set<NativeReader> | null = null;
  /** Since the readers were credited last, and with how many they are next. */
  private restBytes = 0;
  private stepBytes: number;

  /** @param topic whose steps have a phase of their own, or all topics that are as busy would be in step */
  constructor(topic: string) {
    let hash = 0;
    for (let i = 0; i < topic.length; i++) hash = (Math.imul(hash, 31) + topic.charCodeAt(i)) >>> 0;
    // Names that differ in their last letter alone are to be far from each other.
    this.stepBytes = ((Math.imul(hash, GOLDEN) >>> 0) / 2 ** 32) * STEP_BYTES;
  }

  get size(): number {
    return this.stepped.size + (this.exact?.size ?? 0);
  }

  /** @param topics that it takes natively already */
  join(reader: NativeReader, topics: number): void {
    if (topics >= STEPPED_TOPICS) {
      (this.exact ??= new Set()).add(reader);
    } else {
      this.stepped.add(reader);
      reader.took(-this.restBytes);
    }
  }

  leave(reader: NativeReader): void {
    if (this.stepped.delete(reader)) reader.took(this.restBytes);
    else if (this.exact?.delete(reader) === true && this.exact.size === 0) this.exact = null;
  }

  /** A frame was published. */
  sent(bytes: number): void {
    this.bytes += bytes;
    this.frames += 1;
    this.restBytes += bytes;
    if (this.exact !== null) for (const reader of this.exact) reader.took(bytes);
    if (this.restBytes < this.stepBytes) return;
    for (const reader of this.stepped) reader.took(this.restBytes);
    this.restBytes = 0;
    this.stepBytes = STEP_BYTES;
  }

  mark(nowMs: number): void {
    for (const reader of this.stepped) reader.mark(nowMs);
    if (this.exact !== null) for (const reader of this.exact) reader.mark(nowMs);
  }
}
