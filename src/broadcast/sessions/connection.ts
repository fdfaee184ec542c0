/**
 * Connection: a session's socket with its form (binary or text), the native topics it is on, and
 * what was sent over it.
 *
 * Native topics count what they publish once for all sessions. A connection subtracts a topic's
 * count when it joins and adds the count when it leaves.
 */

import { encodeTextFrames, SUBPROTOCOL_JSON, type Subprotocol } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { TopicState } from '../topics/mirror';
import type { NativeReader } from '../topics/native-readers';
import type { Encoders } from './encoders';
import type { Socket } from './socket';

/** The native topic of definitions, which every session is on. */
export const INSTRUMENT_TOPIC = { binary: 'b:instrument', text: 't:instrument' } as const;

/** The payload of every ping; a socket copies it. */
const PAYLOAD = new Uint8Array(4);
/** Arguments of the corked write, kept here so that no closure is made for each. */
const corked = {
  connection: null as Connection | null,
  frame: '' as string | Uint8Array,
  messages: 0,
  ping: 0,
};

export class Connection {
  readonly isText: boolean;
  /**
   * The socket's buffer is over its limit: the last frame is lost and the socket is being closed.
   */
  overrun = false;
  private readonly socket: Socket;
  private readonly encoders: Encoders;
  private readonly natives = new Set<TopicState>();
  private ownBytes = 0;
  private ownFrames = 0;

  constructor(form: Subprotocol, socket: Socket, encoders: Encoders) {
    this.isText = form === SUBPROTOCOL_JSON;
    this.socket = socket;
    this.encoders = encoders;
    socket.subscribe(this.isText ? INSTRUMENT_TOPIC.text : INSTRUMENT_TOPIC.binary);
  }

  /** Bytes that the operating system has not taken yet. */
  get bufferedBytes(): number {
    return this.socket.getBufferedAmount();
  }

  /**
   * Bytes of all frames sent to it, without the WebSocket's own. Goes through all native topics.
   */
  sentBytes(): number {
    let bytes = this.ownBytes;
    for (const topic of this.natives) bytes += topic.readers(this.isText).bytes;
    return bytes;
  }

  /** Number of frames sent to it, without definitions, which all sessions get. */
  sentFrames(): number {
    let frames = this.ownFrames;
    for (const topic of this.natives) frames += topic.readers(this.isText).frames;
    return frames;
  }

  /** @returns its size; 0 when nothing can be sent any more */
  write(frame: string | Uint8Array, messages = 0): number {
    if (this.overrun) return 0;
    const bytes = frame.length;
    this.ownBytes += bytes;
    this.ownFrames += 1;
    this.encoders.own.add(bytes, messages, 1);
    this.overrun = this.socket.send(frame) === 0;
    return bytes;
  }

  /**
   * Encodes messages in frames of at most this many bytes; a longer message has a frame of its own.
   */
  frames(messages: readonly Message[], bytesMax: number): readonly (string | Uint8Array)[] {
    if (this.overrun) return [];
    const { shared } = this.encoders;
    if (!shared.has(messages)) return this.encode(messages, bytesMax);
    return shared.frames(messages, `${this.isText} ${bytesMax}`, () =>
      this.encode(messages, bytesMax),
    );
  }

  private encode(messages: readonly Message[], bytesMax: number): readonly (string | Uint8Array)[] {
    const { binary, scalesOf } = this.encoders;
    if (this.isText) return encodeTextFrames(messages, scalesOf, bytesMax);
    return binary.encodeFrames(messages, bytesMax);
  }

  /** Writes a frame and a ping, which go to the operating system together. @returns as `write` */
  writeWithPing(frame: string | Uint8Array, messages: number, ping: number): number {
    corked.connection = this;
    corked.frame = frame;
    corked.messages = messages;
    corked.ping = ping;
    this.socket.cork(sendCorked);
    corked.connection = null;
    return this.overrun ? 0 : frame.length;
  }

  ping(number: number): void {
    PAYLOAD[0] = number >>> 24;
    PAYLOAD[1] = number >>> 16;
    PAYLOAD[2] = number >>> 8;
    PAYLOAD[3] = number;
    this.socket.ping(PAYLOAD);
  }

  get hasNative(): boolean {
    return this.natives.size > 0;
  }

  /** The native topics that it is on. */
  native(): SetIterator<TopicState> {
    return this.natives.values();
  }

  /** @param reader is credited with what the topic publishes */
  join(topic: TopicState, reader: NativeReader): void {
    const readers = topic.readers(this.isText);
    readers.join(reader, this.natives.size);
    this.natives.add(topic);
    this.ownBytes -= readers.bytes;
    this.ownFrames -= readers.frames;
    this.socket.subscribe(this.isText ? topic.nativeText : topic.nativeBinary);
  }

  leave(topic: TopicState, reader: NativeReader): void {
    if (!this.natives.delete(topic)) return;
    const readers = topic.readers(this.isText);
    this.ownBytes += readers.bytes;
    this.ownFrames += readers.frames;
    readers.leave(reader);
    topic.settle(this.isText);
    this.socket.unsubscribe(this.isText ? topic.nativeText : topic.nativeBinary);
  }

  /** The connection is closed; the socket has left its native topics by itself. */
  forget(topic: TopicState, reader: NativeReader): void {
    if (!this.natives.delete(topic)) return;
    topic.readers(this.isText).leave(reader);
    topic.settle(this.isText);
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  /** Closes without a close frame. */
  terminate(): void {
    this.socket.terminate();
  }
}

/** The number in the payload of a pong; NaN if it is not one of ours. */
export function pongNumber(payload: Uint8Array): number {
  if (payload.length !== 4) return NaN;
  // A DataView would cost more than the rest of handling a pong.
  const [a, b, c, d] = [payload[0]!, payload[1]!, payload[2]!, payload[3]!];
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

function sendCorked(): void {
  const { connection, frame, messages, ping } = corked;
  connection!.write(frame, messages);
  connection!.ping(ping);
}
