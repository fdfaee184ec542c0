/**
 * Lines: turns bytes in pieces of any size into numbered lines of text.
 *
 * Invariant: how the bytes are divided into pieces makes no difference. Bound: what is carried from piece to piece never
 * exceeds the longest line allowed; a longer line is reported as soon as that is known, and its rest is dropped as it
 * arrives. Text is decoded a piece at a time and split by slices, since decoding each line costs several times as much.
 */

import { lineFault, type LineFault } from './faults';

export const LINE_BYTES_MAX = 16 * 1024 * 1024;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const BYTE_ORDER_MARK = '\uFEFF';

export interface LineTaker {
  /** Takes one line, without its line feed. @returns whether to continue */
  line(text: string, line: number): boolean;
  /** Takes a line that could not be decoded. @returns whether to continue */
  fault(fault: LineFault, line: number): boolean;
}

export class LineSplitter {
  /** Lines emitted so far. */
  lines = 0;
  private readonly taker: LineTaker;
  private readonly lineBytesMax: number;
  // Without ignoreBOM the decoder would drop a byte order mark at the start of every piece.
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private carried: Uint8Array[] = [];
  private carriedBytes = 0;
  /** Whether the current line was too long and has been reported. */
  private discarding = false;

  constructor(taker: LineTaker, lineBytesMax = LINE_BYTES_MAX) {
    this.taker = taker;
    this.lineBytesMax = lineBytesMax;
  }

  /** Takes the next bytes; the caller may overwrite them afterwards. @returns whether to continue */
  push(bytes: Uint8Array): boolean {
    const lastFeed = bytes.lastIndexOf(LINE_FEED);
    if (lastFeed < 0) return this.carry(bytes);
    let from = 0;
    if (this.discarding) {
      from = bytes.indexOf(LINE_FEED) + 1;
      this.discarding = false;
    }
    if (from <= lastFeed && !this.whole(this.withCarried(bytes.subarray(from, lastFeed)))) {
      return false;
    }
    return this.carry(bytes.subarray(lastFeed + 1));
  }

  /** Ends the bytes; the last line may lack a line feed. @returns whether to continue */
  end(): boolean {
    if (this.carriedBytes === 0) return true;
    return this.whole(this.withCarried(new Uint8Array(0)));
  }

  private carry(bytes: Uint8Array): boolean {
    if (this.discarding || bytes.length === 0) return true;
    this.carriedBytes += bytes.length;
    // A carriage return may belong to the end of the line, so one byte more is allowed until that is known.
    if (this.carriedBytes > this.lineBytesMax + 1) {
      this.discarding = true;
      this.carried = [];
      this.carriedBytes = 0;
      return this.tooLong();
    }
    this.carried.push(new Uint8Array(bytes)); // a copy; a slice of a Buffer would share its bytes
    return true;
  }

  private withCarried(bytes: Uint8Array): Uint8Array {
    if (this.carriedBytes === 0) return bytes;
    const joined = joinPieces([...this.carried, bytes], this.carriedBytes + bytes.length);
    this.carried = [];
    this.carriedBytes = 0;
    return joined;
  }

  /** Emits complete lines; the last has no line feed. */
  private whole(bytes: Uint8Array): boolean {
    const text = bytes.length > this.lineBytesMax ? undefined : this.decode(bytes);
    if (text === undefined) return this.oneByOne(bytes);
    for (let from = 0; ;) {
      const to = text.indexOf('\n', from);
      if (to < 0) return this.hand(from === 0 ? text : text.slice(from));
      if (!this.hand(text.slice(from, to))) return false;
      from = to + 1;
    }
  }

  /** Decodes line by line to find the one at fault. */
  private oneByOne(bytes: Uint8Array): boolean {
    for (let from = 0; from <= bytes.length;) {
      const feed = bytes.indexOf(LINE_FEED, from);
      const to = feed < 0 ? bytes.length : feed;
      if (!this.one(bytes.subarray(from, to))) return false;
      from = to + 1;
    }
    return true;
  }

  private one(bytes: Uint8Array): boolean {
    const ending = bytes.at(-1) === CARRIAGE_RETURN ? 1 : 0;
    if (bytes.length - ending > this.lineBytesMax) return this.tooLong();
    const text = this.decode(bytes);
    if (text !== undefined) return this.hand(text);
    this.lines += 1;
    return this.taker.fault(lineFault('not-utf8', notUtf8(bytes)), this.lines);
  }

  private hand(text: string): boolean {
    this.lines += 1;
    const clean = this.lines === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
    return this.taker.line(clean, this.lines);
  }

  private tooLong(): boolean {
    this.lines += 1;
    const message = `the line is too long; expected at most ${this.lineBytesMax} bytes`;
    return this.taker.fault(lineFault('line-too-long', message), this.lines);
  }

  private decode(bytes: Uint8Array): string | undefined {
    try {
      return this.decoder.decode(bytes);
    } catch {
      return undefined;
    }
  }
}

/** @param length the sum of the lengths of the pieces */
export function joinPieces(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Describes the first bytes that are not UTF-8. */
function notUtf8(bytes: Uint8Array): string {
  const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const before = new TextEncoder().encode(decoded.slice(0, decoded.indexOf('\uFFFD'))).length;
  const hex = [...bytes.subarray(before, before + 4)].map((b) => b.toString(16).padStart(2, '0'));
  return `byte ${before + 1} of the line begins ${hex.join(' ')}; expected UTF-8`;
}
