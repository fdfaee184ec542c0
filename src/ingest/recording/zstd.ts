/**
 * Zstandard: decompresses the bytes of a reader block by block, on demand.
 *
 * node:zlib does not report a file that is truncated inside a block, and a few bytes can expand to gigabytes. So frames
 * and blocks are parsed here (RFC 8878, 3.1), and zlib gets one block at a time. Everything before a break counts, and
 * what follows complete frames harms none of them. Several frames in a row, and skippable ones, are accepted. Bound: one
 * block, at most 128 KiB.
 */

import { createZstdDecompress, type ZstdDecompress } from 'node:zlib';

import { lineFault, type LineFault } from './faults';
import type { ByteReader } from './gunzip';

export const ZSTD_MAGIC = 0xfd2f_b528;
/** The first of sixteen magic numbers of skippable frames. */
const SKIPPABLE_MAGIC = 0x184d_2a50;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];

export class ZstdReader implements ByteReader {
  private readonly input: ByteReader;
  /** Bytes that are read and not consumed yet. */
  private rest: Uint8Array = new Uint8Array(0);
  private inputEnd: 'end' | LineFault | undefined;
  private frame: Frame | undefined;
  private output: Uint8Array[] = [];
  private outcome: 'end' | LineFault | undefined;

  constructor(input: ByteReader) {
    this.input = input;
  }

  async next(): Promise<Uint8Array | 'end' | LineFault> {
    for (;;) {
      const bytes = this.output.shift();
      if (bytes !== undefined) return bytes;
      if (this.outcome !== undefined) return this.outcome;
      this.outcome = await (this.frame === undefined ? this.begin() : this.block(this.frame));
    }
  }

  async close(): Promise<void> {
    this.outcome ??= 'end';
    this.frame?.stream.destroy();
    this.frame = undefined;
    await this.input.close();
  }

  /** Handles what stands between frames. */
  private async begin(): Promise<'end' | LineFault | undefined> {
    if (!(await this.has(4))) {
      if (this.inputEnd !== 'end') return this.inputEnd;
      return this.rest.length === 0 ? 'end' : this.foreign();
    }
    const magic = this.uint32(0);
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) return this.skip();
    if (magic !== ZSTD_MAGIC) return this.foreign();
    if (!(await this.has(5))) return this.brokenOff();
    const descriptor = this.rest[4]!;
    const isSingle = (descriptor & 0x20) !== 0;
    const sizeFlag = descriptor >> 6;
    const sizeBytes = sizeFlag === 0 && isSingle ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!;
    const length = 5 + (isSingle ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + sizeBytes;
    if (!(await this.has(length))) return this.brokenOff();
    this.frame = new Frame((descriptor & 4) !== 0);
    return this.give(this.frame, length);
  }

  private async block(frame: Frame): Promise<LineFault | undefined> {
    if (!(await this.has(3))) return this.brokenOff();
    const header = this.rest[0]! | (this.rest[1]! << 8) | (this.rest[2]! << 16);
    const isLast = (header & 1) !== 0;
    const kind = (header >> 1) & 3;
    if (kind === RESERVED_BLOCK) return damaged('a block of a reserved kind');
    const length = 3 + (kind === RLE_BLOCK ? 1 : header >> 3);
    const whole = length + (isLast && frame.hasChecksum ? 4 : 0);
    if (!(await this.has(whole))) return this.brokenOff();
    const wrong = await this.give(frame, whole);
    if (wrong !== undefined || !isLast) return wrong;
    this.frame = undefined;
    const damage = await frame.end();
    this.output.push(...frame.takeOutput());
    return damage === undefined ? undefined : damaged(damage);
  }

  private async give(frame: Frame, length: number): Promise<LineFault | undefined> {
    const damage = await frame.take(this.rest.subarray(0, length));
    this.rest = this.rest.subarray(length);
    this.output.push(...frame.takeOutput());
    return damage === undefined ? undefined : damaged(damage);
  }

  private async skip(): Promise<LineFault | undefined> {
    if (!(await this.has(8))) return this.brokenOff();
    let left = this.uint32(4);
    this.rest = this.rest.subarray(8);
    while (left > 0) {
      if (!(await this.has(1))) return this.brokenOff();
      const bytes = Math.min(left, this.rest.length);
      this.rest = this.rest.subarray(bytes);
      left -= bytes;
    }
    return undefined;
  }

  /** Reads until `count` bytes wait, or there are no more. */
  private async has(length: number): Promise<boolean> {
    while (this.rest.length < length) {
      if (this.inputEnd !== undefined) return false;
      const bytes = await this.input.next();
      if (!(bytes instanceof Uint8Array)) {
        this.inputEnd = bytes;
        return false;
      }
      const joined = new Uint8Array(this.rest.length + bytes.length);
      joined.set(this.rest);
      joined.set(bytes, this.rest.length);
      this.rest = joined;
    }
    return true;
  }

  private uint32(at: number): number {
    return new DataView(this.rest.buffer, this.rest.byteOffset + at, 4).getUint32(0, true);
  }

  private brokenOff(): LineFault {
    if (this.inputEnd !== 'end') return this.inputEnd!;
    const message = 'the file ends in the middle of its zstd data; expected the end of the frame';
    return lineFault('truncated-recording', message);
  }

  private foreign(): LineFault {
    const message =
      'behind the zstd data, which is whole, follow bytes that are none; expected the end of the file';
    return { ...lineFault('damaged-recording', message), isBehind: true };
  }
}

/** The frame being decompressed. */
class Frame {
  readonly hasChecksum: boolean;
  readonly stream: ZstdDecompress = createZstdDecompress();
  private output: Uint8Array[] = [];
  private damage: string | undefined;
  private wake: () => void = () => {};

  constructor(hasChecksum: boolean) {
    this.hasChecksum = hasChecksum;
    this.stream.on('data', (bytes: Uint8Array) => void this.output.push(bytes));
    this.stream.on('error', (error: Error) => {
      this.damage = error.message;
      this.wake();
    });
  }

  takeOutput(): Uint8Array[] {
    const { output } = this;
    this.output = [];
    return output;
  }

  /** Decompresses a block. @returns what is wrong with the data */
  async take(bytes: Uint8Array): Promise<string | undefined> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.stream.write(bytes, () => resolve());
    });
    return this.damage;
  }

  async end(): Promise<string | undefined> {
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.stream.once('end', () => resolve());
      this.stream.end();
    });
    return this.damage;
  }
}

function damaged(what: string): LineFault {
  const message = `the zstd data is damaged (${what}); expected zstd whose checksum holds`;
  return lineFault('damaged-recording', message);
}
