/**
 * Bytes: the file on disk, read in pieces into one buffer, decompressed when its first bytes say
 * that it is gzip; its name says nothing.
 */

import type { Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import { lineFault, type LineFault } from './faults';
import { GunzipReader, type ByteReader } from './gunzip';

const READ_BYTES = 64 * 1024;

export class FileReader implements ByteReader {
  bytesRead = 0;
  private readonly handle: FileHandle;
  private readonly buffer = new Uint8Array(READ_BYTES);
  /** Read to look at, and not handed on yet. */
  private peeked: number | undefined;
  private closed = false;
  private outcome: 'end' | LineFault | undefined;

  constructor(handle: FileHandle) {
    this.handle = handle;
  }

  /** The first bytes, which `next` hands on again; at least two unless the file has fewer. */
  async peek(): Promise<Uint8Array | LineFault> {
    let length = 0;
    while (length < 2) {
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
    // Nothing was written through it, so a failing close loses nothing.
    await this.handle.close().catch(() => {});
  }

  private async read(at: number): Promise<number | LineFault> {
    try {
      const { bytesRead } = await this.handle.read(this.buffer, at, READ_BYTES - at, null);
      this.bytesRead += bytesRead;
      return bytesRead;
    } catch (e) {
      return unreadable(e);
    }
  }
}

export interface OpenedFile {
  readonly file: FileReader;
  /** The plain bytes, decompressed where need be. */
  readonly reader: ByteReader;
  /** Of the file on disk; null when it has no size to speak of, such as a pipe. */
  readonly bytesTotal: number | null;
}

export async function openBytes(path: string): Promise<OpenedFile | LineFault> {
  let handle: FileHandle;
  let stat: Stats;
  try {
    handle = await open(path, 'r');
    stat = await handle.stat();
  } catch (e) {
    return unreadable(e);
  }
  const file = new FileReader(handle);
  const first = stat.isDirectory()
    ? lineFault('unreadable-recording', 'it is a directory; expected a file')
    : await file.peek();
  if (!(first instanceof Uint8Array)) {
    await file.close();
    return first;
  }
  const gzip = first[0] === 0x1f && first[1] === 0x8b;
  return {
    file,
    reader: gzip ? new GunzipReader(file) : file,
    bytesTotal: stat.isFile() ? stat.size : null,
  };
}

function unreadable(e: unknown): LineFault {
  return lineFault('unreadable-recording', `it cannot be read: ${(e as Error).message}`);
}
