/**
 * Reader: strict, bounds-checked MessagePack, for bytes that may be hostile.
 *
 * It reads what the messages use (integers, nil, booleans, strings, arrays) and refuses the rest
 * with a `DecodeError`. `skip` passes over any value without building it; so depth is bounded before a
 * general decoder gets the bytes.
 */

import { Nanos } from './time';

const WORD = 4_294_967_296;
const SAFE_HI = 0x1f_ffff;
const DEPTH_MAX = 6;

/** What follows a tag: a scalar of `size` bytes, or a length of `size` bytes and what it counts. */
interface Form {
  readonly kind: 'scalar' | 'bytes' | 'text' | 'array' | 'map';
  readonly size: 0 | 1 | 2 | 4 | 8;
}

const form = (kind: Form['kind'], size: Form['size']): Form => ({ kind, size });
/** The forms of the tags 0xc0 to 0xdf; undefined: never used, or an extension type. */
const FORMS: readonly (Form | undefined)[] = [
  form('scalar', 0), // c0 nil
  undefined,
  form('scalar', 0), // c2 false
  form('scalar', 0), // c3 true
  form('bytes', 1), // c4 bin 8, 16, 32
  form('bytes', 2),
  form('bytes', 4),
  undefined, // c7 ext 8, 16, 32
  undefined,
  undefined,
  form('scalar', 4), // ca float 32, 64
  form('scalar', 8),
  form('scalar', 1), // cc uint 8, 16, 32, 64
  form('scalar', 2),
  form('scalar', 4),
  form('scalar', 8),
  form('scalar', 1), // d0 int 8, 16, 32, 64
  form('scalar', 2),
  form('scalar', 4),
  form('scalar', 8),
  undefined, // d4 fixext 1, 2, 4, 8, 16
  undefined,
  undefined,
  undefined,
  undefined,
  form('text', 1), // d9 str 8, 16, 32
  form('text', 2),
  form('text', 4),
  form('array', 2), // dc array 16, 32
  form('array', 4),
  form('map', 2), // de map 16, 32
  form('map', 4),
];

/** The bytes are not what was expected; `code` is one of the protocol's error codes. */
export class DecodeError extends Error {
  readonly code: 'malformed-msgpack' | 'too-deep' | 'out-of-range';

  constructor(
    message: string,
    code: 'malformed-msgpack' | 'too-deep' | 'out-of-range' = 'malformed-msgpack',
  ) {
    super(message);
    this.code = code;
  }
}

export class MsgReader {
  private readonly view: DataView;
  readonly bytes: Uint8Array;
  position = 0;
  /** Whether a string that `skip` stepped over was not UTF-8. */
  hasBadText = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.position >= this.bytes.length;
  }

  /** The length of the array that starts here. */
  arrayHeader(): number {
    const tag = this.byte();
    if ((tag & 0xf0) === 0x90) return tag & 0x0f;
    if (tag === 0xdc) return this.unsigned(2);
    if (tag === 0xdd) return this.unsigned(4);
    throw this.unexpected('an array', tag);
  }

  /** A safe integer, of any MessagePack integer form. */
  int(): number {
    const tag = this.byte();
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xcc:
        return this.unsigned(1);
      case 0xcd:
        return this.unsigned(2);
      case 0xce:
        return this.unsigned(4);
      case 0xcf: {
        const hi = this.unsigned(4);
        const lo = this.unsigned(4);
        if (hi > SAFE_HI) throw new DecodeError('an integer is beyond 2^53 - 1', 'out-of-range');
        return hi * WORD + lo;
      }
      case 0xd0:
        return (this.unsigned(1) << 24) >> 24;
      case 0xd1:
        return (this.unsigned(2) << 16) >> 16;
      case 0xd2:
        return this.unsigned(4) | 0;
      case 0xd3: {
        const value = (this.unsigned(4) | 0) * WORD + this.unsigned(4);
        if (!Number.isSafeInteger(value)) {
          throw new DecodeError('an integer is beyond 2^53 - 1', 'out-of-range');
        }
        return value;
      }
      default:
        throw this.unexpected('an integer', tag);
    }
  }

  intOrNil(): number | null {
    if (this.bytes[this.position] === 0xc0) {
      this.position += 1;
      return null;
    }
    return this.int();
  }

  booleanOrNil(): boolean | null {
    const tag = this.byte();
    if (tag === 0xc0) return null;
    if (tag === 0xc2) return false;
    if (tag === 0xc3) return true;
    throw this.unexpected('true, false or nil', tag);
  }

  nanos(): Nanos {
    const tag = this.bytes[this.position];
    if (tag === 0xcf || tag === 0xd3) {
      this.position += 1;
      const hi = this.unsigned(4);
      const lo = this.unsigned(4);
      if (hi > 0x7fff_ffff) throw new DecodeError('a time is outside int64', 'out-of-range');
      return new Nanos(hi, lo);
    }
    const value = this.int();
    if (value < 0) throw new DecodeError('a time is negative', 'out-of-range');
    return new Nanos(Math.floor(value / WORD), value % WORD);
  }

  /** A string of at most `lengthMax` ASCII characters. */
  ascii(lengthMax: number): string {
    const tag = this.byte();
    let length: number;
    if ((tag & 0xe0) === 0xa0) length = tag & 0x1f;
    else if (tag === 0xd9) length = this.unsigned(1);
    else throw this.unexpected('a short string', tag);
    if (length > lengthMax) {
      throw new DecodeError(`a string of ${length} bytes; at most ${lengthMax} are expected`);
    }
    const end = this.advance(length);
    let text = '';
    for (let i = end - length; i < end; i++) {
      const code = this.bytes[i]!;
      if (code >= 0x80) throw new DecodeError('a string is not ASCII');
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** Steps over one value, however built, down to `DEPTH_MAX` levels of nesting. */
  skip(): void {
    // A stack of counts instead of recursion: the nesting is the sender's choice.
    const left: number[] = [1];
    while (left.length > 0) {
      const top = left.length - 1;
      if (left[top] === 0) {
        left.pop();
        continue;
      }
      left[top]! -= 1;
      const children = this.skipOne();
      if (children > 0) {
        if (left.length > DEPTH_MAX) {
          throw new DecodeError(`nesting is deeper than ${DEPTH_MAX}`, 'too-deep');
        }
        if (children > this.bytes.length - this.position) {
          throw new DecodeError('a length is larger than the frame');
        }
        left.push(children);
      }
    }
  }

  /** Steps over a scalar or the head of a container; returns how many values it contains. */
  private skipOne(): number {
    const tag = this.byte();
    if (tag < 0x80 || tag >= 0xe0) return 0;
    if (tag < 0x90) return (tag & 0x0f) * 2;
    if (tag < 0xa0) return tag & 0x0f;
    if (tag < 0xc0) return this.skipText(tag & 0x1f);
    const form = FORMS[tag - 0xc0];
    if (form === undefined) {
      throw new DecodeError(`byte 0x${tag.toString(16)} is not used by this protocol`);
    }
    return this.skipForm(form);
  }

  /** Steps over what follows a tag from 0xc0 to 0xdf; returns how many values it contains. */
  private skipForm({ kind, size }: Form): number {
    if (kind === 'scalar') return this.skipBytes(size);
    const length = this.unsigned(size as 1 | 2 | 4);
    switch (kind) {
      case 'bytes':
        return this.skipBytes(length);
      case 'text':
        return this.skipText(length);
      case 'array':
        return length;
      case 'map':
        return length * 2;
    }
  }

  private skipBytes(count: number): 0 {
    this.advance(count);
    return 0;
  }

  private skipText(count: number): 0 {
    const end = this.advance(count);
    let at = end - count;
    while (at < end && this.bytes[at]! < 0x80) at += 1;
    if (at < end && !isUtf8(this.bytes.subarray(at, end))) this.hasBadText = true;
    return 0;
  }

  private byte(): number {
    return this.bytes[this.advance(1) - 1]!;
  }

  private unsigned(size: 1 | 2 | 4): number {
    const at = this.advance(size) - size;
    if (size === 1) return this.bytes[at]!;
    return size === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private advance(count: number): number {
    const end = this.position + count;
    if (end > this.bytes.length) throw new DecodeError('the frame ends in the middle of a value');
    this.position = end;
    return end;
  }

  private unexpected(expected: string, tag: number): DecodeError {
    return new DecodeError(
      `byte 0x${tag.toString(16).padStart(2, '0')} at ${this.position - 1}; ${expected} was expected`,
    );
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
