/**
 * Blocks: `BLOCK_ROWS` event records each, with the checksum that proves them and the parts that
 * find them.
 *
 * The checksum of a block is a CRC-32 over three CRC-32s: of the numbers of its rows as a frame
 * holds them, of their levels, and of their texts. If a row of the block has extra columns, a
 * fourth CRC-32 covers these. Each part gives the times and the newest records of one instrument in
 * the block. Notes of the journal (gaps, checkpoints, epochs) belong to no block: a checkpoint is
 * deleted when newer ones exist, and has a checksum of its own. Writer, recovery and verification
 * fold the rows in the same way. Bounded: one part for each instrument of the block.
 */

import {
  EXTRA_FIELDS,
  KIND_NAMES,
  LEVELS_FIELD,
  NONE,
  ROW_FIELDS,
  type RowFrame,
} from './write/row-frame';
import { BLOCK_ROWS, BODY_COLUMN, isNote, KIND, seqOf } from './schema';

/**
 * An instrument in a block. The times are those that order its records: int64 nanoseconds as two
 * 32-bit halves.
 */
export interface Part {
  instrument: number;
  minHi: number;
  minLo: number;
  maxHi: number;
  maxLo: number;
  /** Seq of its newest trade, and of its newest book event or snapshot; 0: none. */
  tradeSeq: number;
  bookSeq: number;
}

export interface Block {
  readonly firstId: number;
  readonly lastId: number;
  readonly crc: number;
  readonly parts: Iterable<Part>;
}

/**
 * Called for each row with the offset of its numbers, its levels or text, and the offset of its
 * extras, or −1.
 */
export type TakeRow = (
  kind: number,
  numbers: Float64Array,
  at: number,
  body: Uint8Array | string | null,
  extraAt: number,
) => void;

export class BlockFold {
  /** Rows of the open block: the block that is not full yet. */
  rows = 0;
  private firstId = 0;
  private lastId = 0;
  private numbersCrc = 0;
  private levelsCrc = 0;
  private textsCrc = 0;
  private extrasCrc = 0;
  private hasExtras = false;
  private readonly extra = new Float64Array(EXTRA_FIELDS);
  private parts = new Map<number, Part>();
  private newest: Part | undefined;

  /**
   * Adds the rows of a frame. Calls `takeRow` for each row, and `onBlock` for each block behind its
   * last row.
   */
  take(frame: RowFrame, takeRow: TakeRow | null, onBlock: (block: Block) => void): void {
    const { rows, numbers, blobs, texts, extras } = frame;
    let blobEnd = 0;
    let text = 0;
    let extra = 0;
    let first = 0; // the first row whose numbers are not in the checksum yet
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
      const isExtra = extra < extras.length && extras[extra] === row;
      const extraAt = isExtra ? extra : -1;
      if (isExtra) extra += EXTRA_FIELDS;
      takeRow?.(kind, numbers, at, body, extraAt);
      if (isNote(kind)) {
        this.addNumbers(numbers, first, row);
        first = row + 1;
        continue;
      }
      if (typeof body === 'string') this.textsCrc = Bun.hash.crc32(body, this.textsCrc);
      this.addRow(kind, numbers, at, extras, extraAt);
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

  /** The open block so far; undefined if it has no row. */
  current(): Block | undefined {
    if (this.rows === 0) return undefined;
    const { numbersCrc, levelsCrc, textsCrc, extrasCrc } = this;
    const crcs = Uint32Array.of(numbersCrc, levelsCrc, textsCrc, extrasCrc);
    const proven = this.hasExtras ? crcs : crcs.subarray(0, 3);
    const { firstId, lastId } = this;
    return { firstId, lastId, crc: Bun.hash.crc32(proven), parts: this.parts.values() };
  }

  /** Ends the open block, full or not. */
  end(): Block | undefined {
    const block = this.current();
    this.rows = 0;
    this.numbersCrc = this.levelsCrc = this.textsCrc = this.extrasCrc = 0;
    this.hasExtras = false;
    this.parts = new Map();
    this.newest = undefined;
    return block;
  }

  private addNumbers(numbers: Float64Array, from: number, to: number): void {
    if (to === from) return;
    const bytes = numbers.subarray(from * ROW_FIELDS, to * ROW_FIELDS);
    this.numbersCrc = Bun.hash.crc32(bytes, this.numbersCrc);
  }

  /**
   * The checksum covers the id in place of the row's index, since the index differs from frame to
   * frame.
   */
  private addExtra(id: number, extras: Float64Array, at: number): void {
    const { extra } = this;
    extra.set(extras.subarray(at, at + EXTRA_FIELDS));
    extra[0] = id;
    this.extrasCrc = Bun.hash.crc32(extra, this.extrasCrc);
    this.hasExtras = true;
  }

  private addRow(
    kind: number,
    n: Float64Array,
    at: number,
    extras: Float64Array,
    extraAt: number,
  ): void {
    const id = n[at + 1]!;
    if (this.rows === 0) this.firstId = id;
    this.lastId = id;
    this.rows += 1;
    const part = this.partOf(n[at + 2]!);
    if (kind === KIND.trade) part.tradeSeq = seqOf(id);
    else if (kind === KIND.book || kind === KIND.snapshot) part.bookSeq = seqOf(id);
    if (extraAt >= 0) this.addExtra(id, extras, extraAt);
    if (kind === KIND.instrument) return; // a definition has no time
    const isOrdered = extraAt >= 0 && extras[extraAt + 1] !== NONE;
    const hi = isOrdered ? extras[extraAt + 1]! : n[at + 4]!;
    const lo = isOrdered ? extras[extraAt + 2]! : n[at + 5]!;
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
      // Start values: any time is below the minimum and above the maximum. So an instrument with
      // nothing but its definition in this block is in no time range.
      part = {
        instrument,
        minHi: 0x7fff_ffff,
        minLo: 0xffff_ffff,
        maxHi: 0,
        maxLo: 0,
        tradeSeq: 0,
        bookSeq: 0,
      };
      this.parts.set(instrument, part);
    }
    this.newest = part;
    return part;
  }
}

const HAS_TEXT = KIND_NAMES.map((name) => BODY_COLUMN[name] === 'text');

function hasText(kind: number): boolean {
  return HAS_TEXT[kind] === true;
}
