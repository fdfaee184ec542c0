/**
 * Blocks: `BLOCK_ROWS` event records each, with what proves and what finds them.
 *
 * A block's checksum is the CRC-32 of three: of the numbers of its rows as a frame holds them, of their
 * levels, and of their texts. Its parts say where in time each instrument is. What the journal notes
 * (gaps, checkpoints, epochs) stands in no block: a checkpoint goes again when newer ones are there,
 * and has a checksum of its own. Writer, recovery and verification fold the same rows in the same way.
 * Bounded: one part for each instrument of the block.
 */

import { LEVELS_FIELD, ROW_FIELDS, type RowFrame } from './row-frame';
import { BLOCK_ROWS, KIND, seqOf } from './schema';

/** An instrument in a block. Times are int64 nanoseconds as two words. */
export interface Part {
  instrument: number;
  minHi: number;
  minLo: number;
  maxHi: number;
  maxLo: number;
  /** Its newest trade, and its newest book event or snapshot; 0: none. */
  tradeSeq: number;
  bookSeq: number;
}

export interface Block {
  readonly firstId: number;
  readonly lastId: number;
  readonly crc: number;
  readonly parts: Iterable<Part>;
}

/** Called with each row: where its numbers begin, and its levels or text. */
export type TakeRow = (
  kind: number,
  numbers: Float64Array,
  at: number,
  body: Uint8Array | string | null,
) => void;

export class BlockFold {
  /** Of the block in the making. */
  rows = 0;
  private firstId = 0;
  private lastId = 0;
  private numbersCrc = 0;
  private levelsCrc = 0;
  private textsCrc = 0;
  private parts = new Map<number, Part>();
  private newest: Part | undefined;

  /** Takes the rows of a frame on; tells each, and each block that is full behind its last row. */
  take(frame: RowFrame, takeRow: TakeRow | null, onBlock: (block: Block) => void): void {
    const { rows, numbers, blobs, texts } = frame;
    let blobEnd = 0;
    let text = 0;
    let first = 0; // of the rows whose numbers are not in the checksum yet
    let firstByte = 0;
    for (let row = 0; row < rows; row++) {
      const at = row * ROW_FIELDS;
      const kind = numbers[at]!;
      const levels = numbers[at + LEVELS_FIELD]!;
      let body: Uint8Array | string | null = null;
      if (levels >= 0) {
        if (takeRow !== null) body = blobs.subarray(blobEnd, blobEnd + levels);
        blobEnd += levels;
      } else if (hasText(kind)) {
        body = texts[text++]!;
      }
      takeRow?.(kind, numbers, at, body);
      if (kind >= KIND.gap) {
        this.addNumbers(numbers, first, row);
        first = row + 1;
        continue;
      }
      if (typeof body === 'string') this.textsCrc = Bun.hash.crc32(body, this.textsCrc);
      this.addRow(kind, numbers, at);
      if (this.rows < BLOCK_ROWS) continue;
      this.addNumbers(numbers, first, row + 1);
      this.levelsCrc = Bun.hash.crc32(blobs.subarray(firstByte, blobEnd), this.levelsCrc);
      first = row + 1;
      firstByte = blobEnd;
      onBlock(this.end()!);
    }
    this.addNumbers(numbers, first, rows);
    if (blobEnd > firstByte) {
      this.levelsCrc = Bun.hash.crc32(blobs.subarray(firstByte, blobEnd), this.levelsCrc);
    }
  }

  /** The block in the making as it stands; undefined when it has no row. */
  current(): Block | undefined {
    if (this.rows === 0) return undefined;
    const crcs = Uint32Array.of(this.numbersCrc, this.levelsCrc, this.textsCrc);
    const { firstId, lastId } = this;
    return { firstId, lastId, crc: Bun.hash.crc32(crcs), parts: this.parts.values() };
  }

  /** Ends it. */
  end(): Block | undefined {
    const block = this.current();
    this.rows = 0;
    this.numbersCrc = this.levelsCrc = this.textsCrc = 0;
    this.parts = new Map();
    this.newest = undefined;
    return block;
  }

  private addNumbers(numbers: Float64Array, from: number, to: number): void {
    if (to === from) return;
    const bytes = numbers.subarray(from * ROW_FIELDS, to * ROW_FIELDS);
    this.numbersCrc = Bun.hash.crc32(bytes, this.numbersCrc);
  }

  private addRow(kind: number, n: Float64Array, at: number): void {
    const id = n[at + 1]!;
    if (this.rows === 0) this.firstId = id;
    this.lastId = id;
    this.rows += 1;
    const part = this.partOf(n[at + 2]!);
    if (kind === KIND.trade) part.tradeSeq = seqOf(id);
    else if (kind === KIND.book || kind === KIND.snapshot) part.bookSeq = seqOf(id);
    if (kind === KIND.instrument) return; // a definition has no time
    const hi = n[at + 4]!;
    const lo = n[at + 5]!;
    if (hi < part.minHi || (hi === part.minHi && lo < part.minLo)) {
      part.minHi = hi;
      part.minLo = lo;
    }
    if (hi > part.maxHi || (hi === part.maxHi && lo > part.maxLo)) {
      part.maxHi = hi;
      part.maxLo = lo;
    }
  }

  private partOf(instrument: number): Part {
    if (this.newest?.instrument === instrument) return this.newest;
    let part = this.parts.get(instrument);
    if (part === undefined) {
      // Times that any other is before, and behind: what has only a definition here is in no range.
      part = { instrument, minHi: 0x7fff_ffff, minLo: 0xffff_ffff, maxHi: 0, maxLo: 0, tradeSeq: 0, bookSeq: 0 }; // prettier-ignore
      this.parts.set(instrument, part);
    }
    this.newest = part;
    return part;
  }
}

function hasText(kind: number): boolean {
  return kind === KIND.instrument || kind === KIND.status || kind === KIND.command || kind >= KIND.gap; // prettier-ignore
}
