/**
 * Gunzip: compressed bytes of a reader, decompressed piece by piece as they are asked for.
 *
 * The stream of node:zlib is driven by hand: as an async iterable it would throw away what it had
 * already decompressed when the data breaks off, and here everything before the break counts. Takes
 * several gzip members in a row, as gzip does. Bounded: it pauses with a few megabytes waiting,
 * however far a small input expands.
 */

import { createGunzip } from 'node:zlib';

import { lineFault, type LineFault } from './faults';

const OUTPUT_BYTES = 256 * 1024;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** The next bytes, `end`, or why there are none. Answers `end` or the fault for ever after. */
export interface ByteReader {
  /** The bytes hold until the next call. */
  next(): Promise<Uint8Array | 'end' | LineFault>;
  close(): Promise<void>;
}

export class GunzipReader implements ByteReader {
  private readonly input: ByteReader;
  private readonly stream = createGunzip({ chunkSize: OUTPUT_BYTES });
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private writing = false;
  private inputEnded = false;
  private outcome: 'end' | LineFault | undefined;
  private wake: () => void = () => {};

  constructor(input: ByteReader) {
    this.input = input;
    this.stream.on('data', (bytes: Uint8Array) => this.onData(bytes));
    this.stream.on('error', (error: NodeJS.ErrnoException) => this.finish(zlibFault(error)));
    this.stream.on('end', () => this.onEnd());
  }

  async next(): Promise<Uint8Array | 'end' | LineFault> {
    for (;;) {
      const bytes = this.waiting.shift();
      if (bytes !== undefined) {
        this.waitingBytes -= bytes.length;
        return bytes;
      }
      if (this.outcome !== undefined) return this.outcome;
      if (this.writing || this.inputEnded) await this.change();
      else await this.feed();
    }
  }

  async close(): Promise<void> {
    this.finish('end');
    this.stream.destroy();
    await this.input.close();
  }

  private async feed(): Promise<void> {
    const bytes = await this.input.next();
    if (bytes === 'end') {
      this.inputEnded = true;
      this.stream.end();
    } else if (bytes instanceof Uint8Array) {
      this.writing = true;
      this.stream.write(bytes, () => {
        this.writing = false;
        this.wake();
      });
    } else {
      this.finish(bytes);
    }
  }

  /** Until output, the end of a write, an error or the end of the stream. */
  private change(): Promise<void> {
    if (this.stream.isPaused()) this.stream.resume();
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private onData(bytes: Uint8Array): void {
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    if (this.waitingBytes >= WAITING_BYTES_MAX) this.stream.pause();
    this.wake();
  }

  private onEnd(): void {
    // The stream ends by itself when something that is no gzip member follows the last one.
    const early = 'bytes follow the end of the gzip data; expected the end of the file';
    this.finish(this.inputEnded ? 'end' : lineFault('damaged-recording', early));
  }

  private finish(outcome: 'end' | LineFault): void {
    this.outcome ??= outcome;
    this.wake();
  }
}

function zlibFault(error: NodeJS.ErrnoException): LineFault {
  if (error.code === 'Z_BUF_ERROR') {
    return lineFault(
      'truncated-recording',
      'the file ends in the middle of its gzip data; expected the end of the gzip member',
    );
  }
  return lineFault(
    'damaged-recording',
    `the gzip data is damaged (${error.message}); expected gzip whose checksum holds`,
  );
}
