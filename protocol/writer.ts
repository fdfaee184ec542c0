/**
 * Writer: MessagePack into one growing buffer, without garbage. Callers reserve room once per message
 * (`ensure`) and then write unchecked; integers go into `view` by the functions of `integers.ts`.
 */

/** Most integers that are written at a time. */
export const VALUES_MAX = 64;

export class MsgWriter {
  private bytes: Uint8Array;
  /** View of the whole buffer; `ensure` may replace it. */
  view: DataView;
  /** Input of `putValues`. */
  readonly values = new Float64Array(VALUES_MAX);
  /** Offset of the next byte. */
  position = 0;
  private lastSymbol = '';
  private word0 = 0;
  private word1 = 0;
  private word2 = 0;
  private word3 = 0;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes. */
  ensure(count: number): void {
    const needed = this.position + count;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.position));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  /** Discards what was written; the buffer stays. */
  reset(): void {
    this.position = 0;
  }

  /** What was written, as a copy. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.position);
  }

  arrayHeader(length: number): void {
    if (length < 16) {
      this.bytes[this.position++] = 0x90 | length;
    } else if (length < 0x1_0000) {
      this.bytes[this.position] = 0xdc;
      this.view.setUint16(this.position + 1, length);
      this.position += 3;
    } else {
      this.bytes[this.position] = 0xdd;
      this.view.setUint32(this.position + 1, length);
      this.position += 5;
    }
  }

  /** Reserves the header of an array of unknown length; returns its offset. */
  openArray(): number {
    const start = this.position;
    this.ensure(3);
    this.position += 3;
    return start;
  }

  /** @param start result of `openArray` @param length less than 65536 */
  closeArray(start: number, length: number): void {
    if (length >= 16) {
      this.bytes[start] = 0xdc;
      this.view.setUint16(start + 1, length);
      return;
    }
    this.bytes.copyWithin(start + 1, start + 3, this.position);
    this.bytes[start] = 0x90 | length;
    this.position -= 2;
  }

  /**
   * Writes a symbol, at most 16 ASCII letters, at `at`; returns the next offset. Needs 17 bytes of
   * room. Messages of one symbol mostly come together, so the bytes of the last one are kept as four
   * 32-bit words.
   */
  symbol(at: number, text: string): number {
    if (text !== this.lastSymbol) this.keepSymbol(text);
    const { view } = this;
    const { length } = text;
    view.setUint8(at, 0xa0 | length);
    view.setInt32(at + 1, this.word0);
    view.setInt32(at + 5, this.word1);
    if (length > 8) {
      view.setInt32(at + 9, this.word2);
      view.setInt32(at + 13, this.word3);
    }
    return at + 1 + length;
  }

  /** Writes a string of at most 255 ASCII characters; the buffer must have room. */
  ascii(text: string): void {
    const { length } = text;
    if (length < 32) {
      this.bytes[this.position++] = 0xa0 | length;
    } else {
      this.bytes[this.position++] = 0xd9;
      this.bytes[this.position++] = length;
    }
    for (let i = 0; i < length; i++) this.bytes[this.position++] = text.charCodeAt(i);
  }

  /** Writes bytes that are MessagePack already. */
  raw(encoded: Uint8Array): void {
    this.ensure(encoded.length);
    this.bytes.set(encoded, this.position);
    this.position += encoded.length;
  }

  private keepSymbol(text: string): void {
    const letter = (i: number): number => (i < text.length ? text.charCodeAt(i) : 0);
    const word = (i: number): number =>
      (letter(i) << 24) | (letter(i + 1) << 16) | (letter(i + 2) << 8) | letter(i + 3);
    this.lastSymbol = text;
    this.word0 = word(0);
    this.word1 = word(4);
    this.word2 = word(8);
    this.word3 = word(12);
  }
}
