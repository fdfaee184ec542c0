/**
 * Native readers: the sessions that get one topic natively in one form, and the bytes that it sent
 * them.
 *
 * The bytes that a topic publishes are credited to its readers, so that each session knows what it
 * was sent without going through its topics. Most readers are credited in steps, since touching
 * each reader has a cost; a session on many topics is credited with each frame, since the
 * uncredited rests of many topics would add up.
 *
 * Bounded: by the sessions.
 */

export interface NativeReader {
  /** It was sent this many bytes more. */
  took(bytes: number): void;
  /** It should be sent a ping, within a long batch. */
  mark(nowMs: number): void;
}

/** A topic credits its readers after this many bytes. */
const STEP_BYTES = 2_048;
/** 2^32 over the golden ratio. */
const GOLDEN = 0x9e3779b1;
/** Topics of a session that are credited in steps, so at most 64 KiB are uncredited. */
const STEPPED_TOPICS = 32;

/** Most topics have one reader or none; a set for each would be most of their memory. */
type Readers = NativeReader | Set<NativeReader> | null;

export class NativeReaders {
  /** What one reader would have been sent so far. */
  bytes = 0;
  frames = 0;
  private stepped: Readers = null;
  private exact: Readers = null;
  /** Bytes since readers were credited last, and at how many they are credited next. */
  private restBytes = 0;
  private stepBytes: number;

  /**
   * @param topic gives its steps a phase of their own; otherwise equally busy topics would all
   * credit at once
   */
  constructor(topic: string) {
    let hash = 0;
    for (let i = 0; i < topic.length; i++) hash = (Math.imul(hash, 31) + topic.charCodeAt(i)) >>> 0;
    // Names that differ only in the last letter should be far apart.
    this.stepBytes = ((Math.imul(hash, GOLDEN) >>> 0) / 2 ** 32) * STEP_BYTES;
  }

  get size(): number {
    return sizeOf(this.stepped) + sizeOf(this.exact);
  }

  /** @param topics number of native topics of the reader */
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
