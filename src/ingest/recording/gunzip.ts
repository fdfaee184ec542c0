/**
 * Gunzip: decompresses the bytes of a reader piece by piece, on demand.
 *
 * The members of the file are parsed here, and only their deflate data goes to node:zlib, in small slices: zlib drops
 * what a slice yielded before the damage in it. So, as with zcat, everything before a break counts, and what follows
 * complete members (padding, garbage) harms none of them. Several members in a row are accepted. Bounds: the output of
 * one slice, however far it expands, and the first `RETAINED_BYTES` of a member, to go through the damaged slice byte
 * by byte.
 */

import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';

import { lineFault, type LineFault } from './faults';

const OUTPUT_BYTES = 256 * 1024;
const SLICE_BYTES = 4 * 1024;
const RETAINED_BYTES = 256 * 1024;
/** What a member may have before its data: names and comments of any length are no data of ours. */
const HEADER_BYTES_MAX = 256 * 1024;
const TRAILER_BYTES = 8;
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16 } as const;

/** The next bytes, `end`, or a fault. Repeats `end` or the fault from then on. */
export interface ByteReader {
  /** The bytes are valid until the next call. */
  next(): Promise<Uint8Array | 'end' | LineFault>;
  close(): Promise<void>;
  /** What was ignored at the end without being a fault; undefined if nothing was. */
  readonly note?: string | undefined;
}

export class GunzipReader implements ByteReader {
  note: string | undefined;
  private readonly input: ByteReader;
  /** Bytes that are read and not consumed yet. */
  private rest: Uint8Array = new Uint8Array(0);
  private inputEnd: 'end' | LineFault | undefined;
  private member: Member | undefined;
  private members = 0;
  private outcome: 'end' | LineFault | undefined;

  constructor(input: ByteReader) {
    this.input = input;
  }

  async next(): Promise<Uint8Array | 'end' | LineFault> {
    for (;;) {
      const bytes = this.member?.takeOutput();
      if (bytes !== undefined) return bytes;
      if (this.outcome !== undefined) return this.outcome;
      this.outcome = await (this.member === undefined ? this.begin() : this.goOn(this.member));
    }
  }

  async close(): Promise<void> {
    this.outcome ??= 'end';
    this.member?.close();
    this.member = undefined;
    await this.input.close();
  }

  /** Handles what stands between members. */
  private async begin(): Promise<'end' | LineFault | undefined> {
    if (this.rest.length === 0 && !(await this.more())) return this.inputEnd;
    if (this.members > 0 && this.rest[0] === 0) return this.padding();
    for (;;) {
      const length = headerLength(this.rest);
      if (length === 'foreign') return this.foreign();
      if (typeof length === 'number') {
        this.rest = this.rest.subarray(length);
        this.member = new Member();
        return undefined;
      }
      if (this.rest.length > HEADER_BYTES_MAX) return damaged('its header has no end', false);
      if (!(await this.more())) return this.brokenOff(this.members > 0 && this.rest.length < 2);
    }
  }

  /** Decompresses one slice, or ends the member. */
  private async goOn(member: Member): Promise<'end' | LineFault | undefined> {
    if (this.rest.length === 0 && !member.ended && !(await this.more())) return this.brokenOff();
    if (!member.ended) {
      const taken = await member.take(this.rest.subarray(0, SLICE_BYTES));
      if (typeof taken !== 'number') return damaged(taken.damage, false);
      this.rest = this.rest.subarray(taken);
      return undefined;
    }
    while (this.rest.length < TRAILER_BYTES) {
      if (!(await this.more())) return this.brokenOff(true);
    }
    const wrong = member.check(this.rest);
    this.rest = this.rest.subarray(TRAILER_BYTES);
    this.member = undefined;
    this.members += 1;
    return wrong;
  }

  /** Reads more bytes. @returns whether there are any */
  private async more(): Promise<boolean> {
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
    return true;
  }

  /** Zeros up to the end, as tapes and block devices add them, are no damage; gzip ignores them too. */
  private async padding(): Promise<'end' | LineFault> {
    let zeros = 0;
    do {
      const other = this.rest.findIndex((byte) => byte !== 0);
      if (other >= 0) {
        this.rest = this.rest.subarray(other);
        return this.foreign(zeros + other);
      }
      zeros += this.rest.length;
      this.rest = new Uint8Array(0);
    } while (await this.more());
    if (this.inputEnd !== 'end') return this.inputEnd!;
    this.note = `${zeros} zero bytes follow the gzip data; they were passed over`;
    return 'end';
  }

  private foreign(zeros = 0): LineFault {
    const shown = [...this.rest.subarray(0, 4)].map((b) => b.toString(16).padStart(2, '0'));
    const before = zeros > 0 ? `${zeros} zero bytes and then ` : '';
    const message = `behind the gzip data, which is whole, follow ${before}bytes that are none (${shown.join(' ')} …); expected the end of the file`;
    return { ...lineFault('damaged-recording', message), isBehind: true };
  }

  /** @param isWhole whether the deflate data was complete */
  private brokenOff(isWhole = false): LineFault {
    if (this.inputEnd !== 'end') return this.inputEnd!;
    const expected = isWhole ? 'its checksum' : 'the end of the gzip member';
    const message = `the file ends in the middle of its gzip data; expected ${expected}`;
    return { ...lineFault('truncated-recording', message), isBehind: isWhole };
  }
}

/** One member: its deflate data, decompressed a slice at a time. */
class Member {
  /** Whether the deflate data has ended. */
  ended = false;
  private readonly inflater = new Inflater();
  private retained: Uint8Array[] | undefined = [];
  private retainedBytes = 0;
  private output: Uint8Array[] = [];
  private crc = 0;
  private length = 0;

  takeOutput(): Uint8Array | undefined {
    return this.output.shift();
  }

  /** @returns how many of the bytes belong to the deflate data */
  async take(slice: Uint8Array): Promise<number | Damage> {
    const taken = await this.inflater.take(slice);
    if (typeof taken !== 'number') {
      await this.salvage(slice);
      return taken;
    }
    if (taken < slice.length) this.ended = true;
    this.retain(slice);
    for (const bytes of this.inflater.takeOutput()) this.put(bytes);
    return taken;
  }

  /** Whether length and checksum of the trailer are those of the data. */
  check(trailer: Uint8Array): LineFault | undefined {
    this.close();
    const view = new DataView(trailer.buffer, trailer.byteOffset, TRAILER_BYTES);
    if (view.getUint32(0, true) !== this.crc) return damaged('incorrect data check', true);
    if (view.getUint32(4, true) !== this.length >>> 0) return damaged('incorrect length', true);
    return undefined;
  }

  close(): void {
    this.inflater.close();
  }

  private put(bytes: Uint8Array): void {
    this.crc = crc32(bytes, this.crc);
    this.length = (this.length + bytes.length) % 0x1_0000_0000;
    this.output.push(bytes);
  }

  private retain(slice: Uint8Array): void {
    if (this.retained === undefined) return;
    this.retainedBytes += slice.length;
    if (this.retainedBytes > RETAINED_BYTES) this.retained = undefined;
    else this.retained.push(new Uint8Array(slice));
  }

  /** The output of the damaged slice before the damage, if the bytes up to it are still retained. */
  private async salvage(slice: Uint8Array): Promise<void> {
    if (this.retained === undefined) return;
    const again = new Inflater();
    for (const before of this.retained) await again.take(before);
    again.takeOutput();
    for (let at = 0; at < slice.length; at++) {
      if (typeof (await again.take(slice.subarray(at, at + 1))) !== 'number') break;
      for (const bytes of again.takeOutput()) this.put(bytes);
    }
    again.close();
  }
}

interface Damage {
  readonly damage: string;
}

/** Drives the stream of node:zlib, one write at a time. */
class Inflater {
  private readonly stream: InflateRaw = createInflateRaw({ chunkSize: OUTPUT_BYTES });
  private output: Uint8Array[] = [];
  private damage: Damage | undefined;
  private wake: () => void = () => {};

  constructor() {
    this.stream.on('data', (bytes: Uint8Array) => void this.output.push(bytes));
    this.stream.on('error', (error: Error) => {
      this.damage = { damage: error.message };
      this.wake();
    });
  }

  takeOutput(): Uint8Array[] {
    const { output } = this;
    this.output = [];
    return output;
  }

  /** @returns how many bytes it consumed; fewer than given if the data ends among them */
  async take(bytes: Uint8Array): Promise<number | Damage> {
    const before = this.stream.bytesWritten;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      this.stream.write(bytes, () => resolve());
    });
    return this.damage ?? this.stream.bytesWritten - before;
  }

  close(): void {
    this.stream.destroy();
  }
}

/** Offset of the deflate data of a member; undefined while it is not known. */
function headerLength(bytes: Uint8Array): number | 'foreign' | undefined {
  const magic = [0x1f, 0x8b, 8];
  if (magic.some((byte, i) => i < bytes.length && bytes[i] !== byte)) return 'foreign';
  if (bytes.length < 10) return undefined;
  const flags = bytes[3]!;
  let at = 10;
  if ((flags & FLAG.extra) !== 0) {
    if (bytes.length < at + 2) return undefined;
    at += 2 + bytes[at]! + bytes[at + 1]! * 256;
  }
  for (const flag of [FLAG.name, FLAG.comment]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, at);
    if (zero < 0) return undefined;
    at = zero + 1;
  }
  if ((flags & FLAG.headerCrc) !== 0) at += 2;
  return bytes.length < at ? undefined : at;
}

/** @param isBehind whether it follows complete members */
function damaged(what: string, isBehind: boolean): LineFault {
  const message = `the gzip data is damaged (${what}); expected gzip whose checksum holds`;
  return { ...lineFault('damaged-recording', message), isBehind };
}
