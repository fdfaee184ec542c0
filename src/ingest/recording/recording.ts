/**
 * Recording: a file of market data, read in pieces. Memory is bounded by one piece and the longest
 * line, whatever the size of the file; the file is closed when the reading ends, early or not.
 */

import { assert } from '../../base/assert';
import { openBytes, type FileReader, type OpenedFile } from './bytes';
import { detectFormat, firstLineEnd, type RecordingFormat } from './detect';
import { lineFault, recordingFault, type LineFault, type RecordingFault } from './faults';
import type { ByteReader } from './gunzip';
import { LineReader, type ReadingOptions } from './line-reader';
import { joinPieces, LINE_BYTES_MAX } from './lines';
import type { Counts, RecordedBatch } from './record';

/**
 * A damaged line stops reading with its fault, or is counted and left out, as `onFault` says. A file that is truncated,
 * damaged or unreadable always stops it.
 */
export interface RecordingOptions extends ReadingOptions {
  /** Default: detected from the first line. */
  readonly format?: RecordingFormat;
}

export interface RecordingProgress extends Readonly<Counts> {
  /** Bytes of the file on disk read so far, compressed or not. */
  readonly bytesRead: number;
  /** Null if the size is unknown, as of a pipe. */
  readonly bytesTotal: number | null;
}

/** A recording that is open. Iterate it once, or close it. */
export class Recording implements AsyncIterable<RecordedBatch> {
  readonly path: string;
  readonly format: RecordingFormat;
  private readonly file: FileReader;
  private readonly reader: ByteReader;
  private readonly bytesTotal: number | null;
  private readonly lines: LineReader;
  /** Bytes that were read to detect the format, and are parsed again. */
  private head: Uint8Array | undefined;

  constructor(
    path: string,
    opened: OpenedFile,
    format: RecordingFormat,
    head: Uint8Array,
    options: RecordingOptions,
  ) {
    this.path = path;
    this.format = format;
    this.file = opened.file;
    this.reader = opened.reader;
    this.bytesTotal = opened.bytesTotal;
    this.head = head;
    this.lines = new LineReader({ ...options, file: path, format });
  }

  /** What stopped reading early; undefined while it continues and if it reached the end. */
  get stoppedBy(): RecordingFault | undefined {
    return this.lines.stoppedBy;
  }

  /** What was ignored behind the recording without being a fault. */
  get note(): string | undefined {
    return this.reader.note;
  }

  progress(): RecordingProgress {
    return {
      bytesRead: this.file.bytesRead,
      bytesTotal: this.bytesTotal,
      ...this.lines.counts,
    };
  }

  /** Batches in the order of the file, none of them empty. May be called once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<RecordedBatch, void, undefined> {
    const { head, lines } = this;
    assert(head !== undefined, 'a recording is read once');
    this.head = undefined;
    try {
      let batch = lines.push(head);
      for (;;) {
        if (batch.records.length + batch.faults.length > 0) yield batch;
        if (lines.stoppedBy !== undefined) return;
        const bytes = await this.reader.next();
        if (bytes === 'end') break;
        batch = bytes instanceof Uint8Array ? lines.push(bytes) : lines.fail(bytes);
      }
      const last = lines.end();
      if (last.records.length + last.faults.length > 0) yield last;
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await this.reader.close();
  }
}

/** Opens a recording and detects its format, or returns why that is impossible. */
export async function openRecording(
  path: string,
  options: RecordingOptions = {},
): Promise<Recording | RecordingFault> {
  const opened = await openBytes(path);
  if ('code' in opened) return recordingFault(path, 0, opened);
  const { format } = options;
  if (format !== undefined) {
    return new Recording(path, opened, format, new Uint8Array(0), options);
  }
  const found = await findFormat(opened.reader, options.lineBytesMax ?? LINE_BYTES_MAX);
  if ('format' in found) return new Recording(path, opened, found.format, found.head, options);
  await opened.reader.close();
  return recordingFault(path, 0, found);
}

/** Reads as far as the end of the first line that is not blank. */
async function findFormat(
  reader: ByteReader,
  lineBytesMax: number,
): Promise<{ format: RecordingFormat; head: Uint8Array } | LineFault> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let begun = false;
  while (length <= lineBytesMax) {
    const bytes = await reader.next();
    if (bytes === 'end') return withFormat(joinPieces(pieces, length), length);
    if (!(bytes instanceof Uint8Array)) return bytes;
    const end = firstLineEnd(bytes, begun);
    begun ||= end.begun;
    pieces.push(new Uint8Array(bytes)); // a copy; a slice of a Buffer would share its bytes
    length += bytes.length;
    if (end.at >= 0) return withFormat(joinPieces(pieces, length), length - bytes.length + end.at);
  }
  const message = `its first line is too long; expected at most ${lineBytesMax} bytes`;
  return lineFault('not-a-recording', message);
}

function withFormat(
  head: Uint8Array,
  end: number,
): { format: RecordingFormat; head: Uint8Array } | LineFault {
  const format = detectFormat(head.subarray(0, end));
  return typeof format === 'string' ? { format, head } : format;
}
