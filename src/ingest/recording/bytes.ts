/**
 * Bytes: a file or a pipe, read in pieces into one buffer. It is decompressed if its first bytes say that it is gzip
 * or zstd; its name does not matter. A pipe is opened once, since it can be read once.
 */

import type { Stats } from 'node:fs';
import { open, stat as statOf, type FileHandle } from 'node:fs/promises';

import { lineFault, type LineFault } from './faults';
import { GunzipReader, type ByteReader } from './gunzip';
import { ZSTD_MAGIC, ZstdReader } from './zstd';

/** The path that means standard input. */
export const STANDARD_INPUT = '-';
const READ_BYTES = 64 * 1024;
/** Number of first bytes that identify a format. */
const PEEK_BYTES = 4;

/** A source of bytes: fills a buffer from an offset. */
interface Source {
  read(buffer: Uint8Array, at: number): Promise<number>;
  close(): Promise<void>;
}

export class FileReader implements ByteReader {
  bytesRead = 0;
  private readonly source: Source;
  private readonly buffer = new Uint8Array(READ_BYTES);
  /** Bytes that were peeked at and not returned yet. */
  private peeked: number | undefined;
  private closed = false;
  private outcome: 'end' | LineFault | undefined;

  constructor(source: Source) {
    this.source = source;
  }

  /** Peeks at the first bytes, which `next` returns again; at least four unless the file has fewer. */
  async peek(): Promise<Uint8Array | LineFault> {
    let length = 0;
    while (length < PEEK_BYTES) {
      const count = await this.read(length);
      if (typeof count !== 'number') return count;
      if (count === 0) break;
      length += count;
    }
    this.peeked = length;
    return this.buffer.subarray(0, length);
  }

  async next(): Promise<Uint8Array | 'end' | LineFault> {
    if (this.outcome !== undefined) return this.outcome;
    const count = this.peeked ?? (await this.read(0));
    this.peeked = undefined;
    if (typeof count !== 'number') this.outcome = count;
    else if (count === 0) this.outcome = 'end';
    else return this.buffer.subarray(0, count);
    return this.outcome;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.outcome = 'end';
    // Nothing was written, so a failing close loses nothing.
    await this.source.close().catch(() => {});
  }

  private async read(at: number): Promise<number | LineFault> {
    try {
      const count = await this.source.read(this.buffer, at);
      this.bytesRead += count;
      return count;
    } catch (e) {
      return unreadable(e);
    }
  }
}

export interface OpenedFile {
  readonly file: FileReader;
  /** The plain bytes, decompressed if necessary. */
  readonly reader: ByteReader;
  /** Size of the file on disk; null if it has none, such as a pipe. */
  readonly bytesTotal: number | null;
}

export async function openBytes(path: string): Promise<OpenedFile | LineFault> {
  if (path === STANDARD_INPUT) return opened(new FileReader(standardInput()), null);
  let handle: FileHandle;
  let stat: Stats;
  try {
    handle = await open(path, 'r');
    stat = await handle.stat();
  } catch (e) {
    return unreadable(e);
  }
  const file = new FileReader(ofHandle(handle));
  if (!stat.isDirectory()) return opened(file, stat.isFile() ? stat.size : null);
  await file.close();
  return lineFault('unreadable-recording', 'it is a directory; expected a file');
}

/** Whether a path can be read only once, so that it must not be opened just to identify it. */
export async function comesOnce(path: string): Promise<boolean> {
  if (path === STANDARD_INPUT) return true;
  const stat = await statOf(path).catch(() => undefined);
  return stat !== undefined && !stat.isFile() && !stat.isDirectory();
}

async function opened(
  file: FileReader,
  bytesTotal: number | null,
): Promise<OpenedFile | LineFault> {
  const first = await file.peek();
  if (first instanceof Uint8Array) return { file, reader: decompressed(file, first), bytesTotal };
  await file.close();
  return first;
}

function decompressed(file: FileReader, first: Uint8Array): ByteReader {
  if (first[0] === 0x1f && first[1] === 0x8b) return new GunzipReader(file);
  if (first.length < PEEK_BYTES) return file;
  const magic = new DataView(first.buffer, first.byteOffset, PEEK_BYTES).getUint32(0, true);
  return magic === ZSTD_MAGIC ? new ZstdReader(file) : file;
}

function ofHandle(handle: FileHandle): Source {
  return {
    read: async (buffer, at) => (await handle.read(buffer, at, buffer.length - at, null)).bytesRead,
    close: () => handle.close(),
  };
}

/** Reads a stream, since a descriptor of a pipe may return EAGAIN. */
function standardInput(): Source {
  const reader = Bun.stdin.stream().getReader();
  let rest: Uint8Array = new Uint8Array(0);
  return {
    read: async (buffer, at) => {
      while (rest.length === 0) {
        const { done, value } = await reader.read();
        if (done) return 0;
        rest = value;
      }
      const taken = rest.subarray(0, buffer.length - at);
      buffer.set(taken, at);
      rest = rest.subarray(taken.length);
      return taken.length;
    },
    close: () => reader.cancel(),
  };
}

function unreadable(e: unknown): LineFault {
  return lineFault('unreadable-recording', `it cannot be read: ${(e as Error).message}`);
}
