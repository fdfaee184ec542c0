/**
 * Codec: messages to frames and back.
 *
 * A binary frame is one MessagePack array of messages, a text frame one JSON array of messages (or,
 * from a client, a single object). Hot messages go through the specialised path, all others through
 * @msgpack/msgpack. Decoding never throws: an invalid message becomes a `Fault` in its
 * position, and a frame with a broken structure is one single fault.
 */

import { decode, Encoder } from '@msgpack/msgpack';

import { fault, type Fault } from './codes';
import { readHot, readPublish, writeHot } from './hot';
import { fromJson, parseJson } from './json';
import { fromJsonInParts, parseJsonInParts } from './json-parts';
import { toJsonFrames, toJsonTexts } from './json-text';
import { MESSAGES, type Message } from './messages';
import { DecodeError, MsgReader } from './reader';
import { fromTuple, toTuple } from './tuple';
import { MsgWriter } from './writer';
import type { Scales, ScalesOf } from './units';

export const SUBPROTOCOL_MSGPACK = 'tapedeck.v1.msgpack';
export const SUBPROTOCOL_JSON = 'tapedeck.v1.json';
export type Subprotocol = typeof SUBPROTOCOL_MSGPACK | typeof SUBPROTOCOL_JSON;

/** Most messages that a server accepts in one frame. */
export const FRAME_MESSAGES_MAX = 10_000;

/** Messages of a long frame that are decoded in one step. */
const MESSAGES_A_PART = 32;

export function isFault(value: Message | Fault): value is Fault {
  return !('type' in value);
}

/** Encodes frames with buffers of its own; one encoder serves one thread. */
export class FrameEncoder {
  private readonly writer = new MsgWriter(64 * 1024);
  private readonly general = new Encoder({ useBigInt64: true, ignoreUndefined: true });

  /** A binary frame, as bytes of its own. */
  encode(messages: readonly Message[]): Uint8Array<ArrayBuffer> {
    const w = this.writer;
    w.reset();
    w.ensure(8);
    w.arrayHeader(messages.length);
    for (const message of messages) writeMessage(w, this.general, message);
    return w.copy() as Uint8Array<ArrayBuffer>;
  }

  /** Frames of at most `bytesMax` bytes; a longer message has a frame of its own. */
  encodeFrames(messages: readonly Message[], bytesMax: number): Uint8Array<ArrayBuffer>[] {
    const w = this.writer;
    w.reset();
    w.ensure(8);
    w.arrayHeader(messages.length);
    for (const message of messages) {
      writeMessage(w, this.general, message);
      if (w.position > bytesMax && messages.length > 1) return this.cut(messages, bytesMax);
    }
    return [w.copy() as Uint8Array<ArrayBuffer>];
  }

  private cut(messages: readonly Message[], bytesMax: number): Uint8Array<ArrayBuffer>[] {
    const w = this.writer;
    const frames: Uint8Array<ArrayBuffer>[] = [];
    for (let first = 0, next = 0; first < messages.length; first = next) {
      w.reset();
      const start = w.openArray();
      for (; next < messages.length; next++) {
        const before = w.position;
        writeMessage(w, this.general, messages[next]!);
        if (w.position <= bytesMax || next === first) continue;
        w.position = before;
        break;
      }
      w.closeArray(start, next - first);
      frames.push(w.copy() as Uint8Array<ArrayBuffer>);
    }
    return frames;
  }
}

/** Builds binary frames message by message, one after the other. Messages are copied when added. */
export class FrameSequence {
  private readonly writer = new MsgWriter(64 * 1024);
  private readonly general = new Encoder({ useBigInt64: true, ignoreUndefined: true });
  private start = 0;
  private messages = 0;

  /** Messages of the current frame; at most 65,535. */
  get length(): number {
    return this.messages;
  }

  add(message: Message): void {
    if (this.messages === 0) this.start = this.writer.openArray();
    this.messages += 1;
    writeMessage(this.writer, this.general, message);
  }

  /** Ends the current frame, which must have a message. @returns its end offset in the result of `take` */
  cut(): number {
    this.writer.closeArray(this.start, this.messages);
    this.messages = 0;
    return this.writer.position;
  }

  /** Bytes so far. */
  get bytes(): number {
    return this.writer.position;
  }

  /** Returns a copy of the frames so far and starts again. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.writer.copy() as Uint8Array<ArrayBuffer>;
    this.writer.reset();
    return bytes;
  }
}

/** Writes the array of a message. */
export function writeMessage(w: MsgWriter, general: Encoder, message: Message): void {
  switch (message.type) {
    case 'tick':
    case 'trade':
    case 'bbo':
    case 'book':
      return writeHot(w, message);
    default:
      return w.raw(general.encodeSharedRef(toTuple(message)));
  }
}

/** A text frame. */
export function encodeTextFrame(messages: readonly Message[], scalesOf: ScalesOf): string {
  return toJsonTexts(messages, scalesOf);
}

/** Text frames of at most `bytesMax` bytes; a longer message has a frame of its own. */
export function encodeTextFrames(
  messages: readonly Message[],
  scalesOf: ScalesOf,
  bytesMax: number,
): string[] {
  return toJsonFrames(messages, scalesOf, bytesMax);
}

/**
 * The messages of a binary frame, each as a message or its fault.
 * @param messagesMax a frame with more is refused as a whole
 * @param faultsMax decoding stops after this many faults: one byte can be a fault, and a fault costs as much
 *   as a hundred valid bytes
 */
export function decodeFrame(
  bytes: Uint8Array,
  messagesMax: number = Number.POSITIVE_INFINITY,
  faultsMax: number = Number.POSITIVE_INFINITY,
): (Message | Fault)[] {
  return new FrameDecoder(bytes, messagesMax, faultsMax).take(Number.POSITIVE_INFINITY);
}

/** The same in parts of some messages; a part is valid whatever follows it. */
export function* decodeFrameInParts(
  bytes: Uint8Array,
  messagesMax: number,
  faultsMax: number,
): Generator<(Message | Fault)[], void> {
  const decoder = new FrameDecoder(bytes, messagesMax, faultsMax);
  while (!decoder.isDone) yield decoder.take(MESSAGES_A_PART);
}

class FrameDecoder {
  isDone = false;
  private readonly r: MsgReader;
  private readonly messagesMax: number;
  private faultsLeft: number;
  /** Undefined before the first. */
  private left: number | undefined;

  constructor(bytes: Uint8Array, messagesMax: number, faultsMax: number) {
    this.r = new MsgReader(bytes);
    this.messagesMax = messagesMax;
    this.faultsLeft = faultsMax;
  }

  /** Decodes at most `count` more messages. */
  take(most: number): (Message | Fault)[] {
    const out: (Message | Fault)[] = [];
    try {
      this.read(most, out);
    } catch (e) {
      if (!(e instanceof DecodeError)) throw e;
      // Messages before the break are valid; the positions of the rest are unknown.
      out.push(fault(e.code, e.message));
      this.isDone = true;
    }
    return out;
  }

  private read(most: number, out: (Message | Fault)[]): void {
    const { r } = this;
    this.left ??= r.arrayHeader();
    this.isDone = this.left > this.messagesMax;
    if (this.isDone) {
      out.push(fault('malformed-msgpack', `${this.left} messages; at most ${this.messagesMax}`));
      return;
    }
    while (this.left > 0 && out.length < most) {
      const message = readMessage(r);
      this.left -= 1;
      out.push(message);
      this.isDone = isFault(message) && --this.faultsLeft === 0;
      if (this.isDone) return;
    }
    if (this.left > 0) return;
    this.isDone = true;
    if (!r.atEnd)
      out.push(fault('malformed-msgpack', `${r.bytes.length - r.position} bytes follow the frame`));
  }
}

/** The message that starts here, or its fault; the reader is then behind it. @throws DecodeError if the structure is broken */
export function readMessage(r: MsgReader): Message | Fault {
  const start = r.position;
  const hot = tryHot(r);
  if (hot !== undefined) return hot;
  r.position = start;
  r.hasBadText = false;
  r.skip(); // throws if the structure is broken; later faults concern this message alone
  let tuple: unknown;
  try {
    tuple = decode(r.bytes.subarray(start, r.position), { useBigInt64: true });
  } catch (e) {
    return fault(
      'malformed-msgpack',
      `not a message: ${(e as Error).message.slice(0, 120).toWellFormed()}`,
    );
  }
  const message = fromTuple(tuple);
  if (!r.hasBadText || isFault(message)) return message;
  // The library replaces invalid UTF-8, so its result would differ from what was sent.
  const bad = fault('malformed-msgpack', 'a string is not UTF-8');
  return 'id' in message && message.id !== null ? { ...bad, id: message.id } : bad;
}

/** The hot message that starts here; undefined if it is another one, or needs the general path. */
function tryHot(r: MsgReader): Message | undefined {
  try {
    const length = r.arrayHeader();
    if (length === 0) return undefined;
    const code = r.int();
    return code === MESSAGES.publish.code ? readPublish(r, length) : readHot(r, code, length);
  } catch (e) {
    // The general path finds the same fault, names its field, and knows where the next message is.
    if (e instanceof DecodeError) return undefined;
    throw e;
  }
}

/** The messages of a text frame, each or its fault; as `decodeFrame`. */
export function decodeTextFrame(
  text: string,
  scalesOf: ScalesOf,
  messagesMax: number = Number.POSITIVE_INFINITY,
  faultsMax: number = Number.POSITIVE_INFINITY,
): (Message | Fault)[] {
  const parsed = parseJson(text);
  if (!('value' in parsed)) return [parsed];
  const items = new TextItems(parsed.value, scalesOf, messagesMax, faultsMax);
  const out: (Message | Fault)[] = items.refused;
  for (let item = items.next(); item !== undefined; item = items.next()) {
    out.push(items.taken(fromJson(item.value, items.scalesOf)));
  }
  return out;
}

/** The same in parts, which may be empty. No message is returned before the whole text has been parsed. */
export function* decodeTextFrameInParts(
  text: string,
  scalesOf: ScalesOf,
  messagesMax: number,
  faultsMax: number,
): Generator<(Message | Fault)[], void> {
  const parsing = parseJsonInParts(text);
  let step = parsing.next();
  for (; step.done !== true; step = parsing.next()) yield [];
  const parsed = step.value;
  if (!('value' in parsed)) return yield [parsed];
  const items = new TextItems(parsed.value, scalesOf, messagesMax, faultsMax);
  let part: (Message | Fault)[] = items.refused;
  for (let item = items.next(); item !== undefined; item = items.next()) {
    const reading = fromJsonInParts(item.value, items.scalesOf);
    let read = reading.next();
    for (; read.done !== true; read = reading.next()) yield [];
    part.push(items.taken(read.value));
    if (part.length < MESSAGES_A_PART) continue;
    yield part;
    part = [];
  }
  yield part;
}

/** The content of a text frame, and the decimals that it defines. */
class TextItems {
  /** The fault of the whole frame. */
  readonly refused: Fault[] = [];
  // A frame may define an instrument before the first message that needs its decimals.
  private readonly defined = new Map<string, Scales>();
  private readonly list: readonly unknown[];
  private at = 0;
  private faultsLeft: number;
  readonly scalesOf: ScalesOf;

  constructor(value: unknown, scalesOf: ScalesOf, messagesMax: number, faultsMax: number) {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isTooMany = list.length > messagesMax;
    if (isTooMany)
      this.refused.push(fault('malformed-json', `${list.length} messages; at most ${messagesMax}`));
    this.list = isTooMany ? [] : list;
    this.faultsLeft = faultsMax;
    this.scalesOf = (symbol) => scalesOf(symbol) ?? this.defined.get(symbol);
  }

  next(): { readonly value: unknown } | undefined {
    if (this.at === this.list.length || this.faultsLeft === 0) return undefined;
    return { value: this.list[this.at++] };
  }

  taken(message: Message | Fault): Message | Fault {
    if (isFault(message)) {
      this.faultsLeft -= 1;
      return message;
    }
    for (const part of message.type === 'publish' ? message.events : [message]) {
      if (part.type === 'instrument') this.defined.set(part.symbol, part);
    }
    return message;
  }
}
