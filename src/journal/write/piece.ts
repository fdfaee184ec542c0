/**
 * Piece: the state of one thing at one seq: an instrument with its book at full depth, some of its open
 * orders that have a name, a thousand orders that have ended, a thousand names of owners. The newest pieces of all things, and the records behind
 * them, are the state.
 *
 * The loop copies what a piece is made of; the writer packs it and takes its checksum:
 *
 *     ┌──────────────┬──────┬───────┬─ of each list ────────────┬──────────────┬───────┐
 *     │ length  u32  │ text │ lists │ levels, then each level:  │ length  u32  │ bytes │
 *     │ of the text  │ UTF-8│   u8  │ price − price before it,  │ of the bytes │       │
 *     │              │      │       │ quantity                  │              │       │
 *     └──────────────┴──────┴───────┴───────────────────────────┴──────────────┴───────┘
 *
 * Numbers of lists are varints of seven bits a byte, the lowest first; a difference of prices has its sign
 * in its lowest bit. The checksum is the CRC-32 of kind, key, cycle and seq as doubles, followed by these bytes.
 */

export const PIECE_KIND = { instrument: 1, orders: 2, ended: 3, owners: 4 } as const;
export type PieceKind = keyof typeof PIECE_KIND;

/** The content of a piece. */
export interface PieceContent {
  readonly text: string;
  /** Flat: price, quantity, price, quantity …; the best level first. */
  readonly levels: readonly Float64Array<ArrayBuffer>[];
  readonly bytes: Uint8Array<ArrayBuffer> | null;
}

export interface PieceName {
  readonly kind: number;
  /** For an instrument: its id. For open orders: `chunkKey`. Otherwise: the number of the chunk. */
  readonly key: number;
}

/** A piece on its way to the writer. */
export interface RawPiece extends PieceName, PieceContent {
  readonly cycle: number;
  /** The seq at which the state was this. */
  readonly seq: number;
}

/** A piece as the journal stores it. */
export interface PieceRow extends PieceName {
  readonly cycle: number;
  readonly seq: number;
  readonly crc: number;
  readonly body: Uint8Array;
}

/** The most chunks of orders that an instrument can have. */
const CHUNKS_MAX = 2 ** 20;

export function chunkKey(instrument: number, chunk: number): number {
  return instrument * CHUNKS_MAX + chunk;
}

/** About how much memory it takes until it is written. */
export function pieceBytes({ text, levels, bytes }: PieceContent): number {
  return text.length * 2 + levels.reduce((sum, l) => sum + l.byteLength, bytes?.length ?? 0);
}

export function pieceCrc({ kind, key, cycle, seq, body }: Omit<PieceRow, 'crc'>): number {
  return Bun.hash.crc32(body, Bun.hash.crc32(Float64Array.of(kind, key, cycle, seq)));
}

const VARINT_MAX = 8;
const LENGTH_BYTES = 4;
const UTF8_MAX = 3;

/** Packs one piece after another into a buffer that grows to the size of the largest. */
export class PiecePacker {
  private buffer = new Uint8Array(64 * 1_024);
  private readonly encoder = new TextEncoder();

  /** @returns the packed piece, valid until the next call */
  pack({ text, levels, bytes }: PieceContent): Uint8Array {
    this.reserve(text, levels, bytes);
    const { buffer } = this;
    const view = new DataView(buffer.buffer);
    const { written } = this.encoder.encodeInto(text, buffer.subarray(LENGTH_BYTES));
    view.setUint32(0, written, true);
    let at = LENGTH_BYTES + written;
    buffer[at++] = levels.length;
    for (const list of levels) at = packLevels(list, buffer, at);
    view.setUint32(at, bytes?.length ?? 0, true);
    at += LENGTH_BYTES;
    if (bytes !== null) buffer.set(bytes, at);
    return buffer.subarray(0, at + (bytes?.length ?? 0));
  }

  private reserve(text: string, levels: PieceContent['levels'], bytes: Uint8Array | null): void {
    let length = text.length * UTF8_MAX + (bytes?.length ?? 0) + 2 * LENGTH_BYTES + 1;
    for (const list of levels) length += (list.length + 1) * (VARINT_MAX + 1);
    if (length > this.buffer.length) this.buffer = new Uint8Array(length * 2);
  }
}

function packLevels(list: Float64Array, to: Uint8Array, start: number): number {
  let at = putVarint(list.length >> 1, to, start);
  let before = 0;
  for (let i = 0; i < list.length; i += 2) {
    const step = list[i]! - before;
    before = list[i]!;
    // A doubled difference of two safe prices may exceed 2^53; prices are never negative.
    at = putSigned(step, to, at);
    at = putVarint(list[i + 1]!, to, at);
  }
  return at;
}

function putSigned(value: number, to: Uint8Array, start: number): number {
  const size = Math.abs(value);
  const low = size % 64;
  const rest = (size - low) / 64;
  to[start] = (rest > 0 ? 0x80 : 0) | (low << 1) | (value < 0 ? 1 : 0);
  return rest > 0 ? putVarint(rest, to, start + 1) : start + 1;
}

function putVarint(value: number, to: Uint8Array, start: number): number {
  let at = start;
  let left = value;
  while (left > 0x0fff_ffff) {
    const low = left % 128;
    to[at++] = low | 0x80;
    left = (left - low) / 128;
  }
  let small = left | 0;
  while (small > 0x7f) {
    to[at++] = (small & 0x7f) | 0x80;
    small >>>= 7;
  }
  to[at++] = small;
  return at;
}

/** Unpacks a body whose checksum was verified. @throws RangeError when it is not a packed piece */
export function unpackPiece(body: Uint8Array): PieceContent {
  return new Unpacker(body).content();
}

class Unpacker {
  private readonly body: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(body: Uint8Array) {
    this.body = body;
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  }

  content(): PieceContent {
    const text = new TextDecoder().decode(this.take(this.length()));
    const lists = this.take(1)[0]!;
    const levels = Array.from({ length: lists }, () => this.list());
    const length = this.length();
    const bytes = length === 0 ? null : this.take(length).slice();
    if (this.at !== this.body.length) throw new RangeError('a piece of the state is too long');
    return { text, levels, bytes };
  }

  private length(): number {
    this.at += LENGTH_BYTES;
    return this.view.getUint32(this.at - LENGTH_BYTES, true);
  }

  private take(length: number): Uint8Array {
    const from = this.at;
    this.at += length;
    if (this.at > this.body.length) throw new RangeError('a piece of the state is too short');
    return this.body.subarray(from, this.at);
  }

  private list(): Float64Array<ArrayBuffer> {
    const levels = this.varint();
    if (levels > this.body.length) throw new RangeError('a piece of the state is too short');
    const list = new Float64Array(levels * 2);
    let price = 0;
    for (let i = 0; i < list.length; i += 2) {
      price += this.signed();
      list[i] = price;
      list[i + 1] = this.varint();
    }
    return list;
  }

  private signed(): number {
    const first = this.body[this.at++]!;
    let size = (first & 0x7f) >> 1;
    if (first > 0x7f) size += this.varint() * 64;
    return (first & 1) === 1 ? -size : size;
  }

  private varint(): number {
    const { body } = this;
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = body[this.at++]!;
      if (byte <= 0x7f) return value + byte * scale;
      if (byte === undefined) throw new RangeError('a piece of the state is too short');
      value += (byte & 0x7f) * scale;
      scale *= 128;
    }
  }
}
