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

/** Of most topics one session is a reader, or none: a set for each would be most of what they take. */
type Readers = NativeReader | Set<NativeReader> | null;

export class NativeReaders {
  /** Published so far, for one reader. */
  bytes = 0;
  frames = 0;
  private stepped: Readers = null;
  private exact: Readers = null;
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
    return sizeOf(this.stepped) + sizeOf(this.exact);
  }

  /** @param topics that it takes natively already */
  join(reader: NativeReader, topics: number): void {
    if (topics >= STEPPED_TOPICS) {
      this.exact = withReader(this.exact, reader);
    } else {
      this.stepped = withReader(this.stepped, reader);
      reader.took(-this.restBytes);
    }
  }

  leave(reader: NativeReader): void {
    if (has(this.stepped, reader)) {
      this.stepped = withoutReader(this.stepped, reader);
      reader.took(this.restBytes);
    } else this.exact = withoutReader(this.exact, reader);
  }

  /** A frame was published. */
  sent(bytes: number): void {
    this.bytes += bytes;
    this.frames += 1;
    this.restBytes += bytes;
    credit(this.exact, bytes);
    if (this.restBytes < this.stepBytes) return;
    credit(this.stepped, this.restBytes);
    this.restBytes = 0;
    this.stepBytes = STEP_BYTES;
  }

  mark(nowMs: number): void {
    for (const reader of all(this.stepped)) reader.mark(nowMs);
    for (const reader of all(this.exact)) reader.mark(nowMs);
  }
}

function has(readers: Readers, reader: NativeReader): boolean {
  return readers instanceof Set ? readers.has(reader) : readers === reader;
}

function sizeOf(readers: Readers): number {
  return readers instanceof Set ? readers.size : Number(readers !== null);
}

function credit(readers: Readers, bytes: number): void {
  if (readers === null) return;
  if (!(readers instanceof Set)) return readers.took(bytes);
  for (const reader of readers) reader.took(bytes);
}

function all(readers: Readers): Iterable<NativeReader> {
  if (readers instanceof Set) return readers;
  return readers === null ? [] : [readers];
}

function withReader(readers: Readers, reader: NativeReader): Readers {
  if (readers === null || readers === reader) return reader;
  if (!(readers instanceof Set)) return new Set([readers, reader]);
  return readers.add(reader);
}

function withoutReader(readers: Readers, reader: NativeReader): Readers {
  if (!(readers instanceof Set)) return readers === reader ? null : readers;
  readers.delete(reader);
  return readers.size === 0 ? null : readers;
}
