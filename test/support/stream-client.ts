/**
 * Stream client: a WebSocket to a real server that exposes every frame as received, in either form, and sends any
 * bytes. It shares nothing with the SDK but the codec.
 */

import {
  decodeFrame,
  FrameEncoder,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
  type Subprotocol,
} from '../../protocol/codec';
import { fromJson, toJson } from '../../protocol/json';
import type { Instrument, Message } from '../../protocol/messages';

/** Much longer than a busy machine takes. */
const WAIT_MS_MAX = 30_000;

/** Both forms of the stream, for tests that hold for each. */
export const FORMS: readonly Subprotocol[] = [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON];

/** A message in its JSON form, whichever form was received. */
export type Seen = Record<string, unknown> & { readonly type: string };

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class StreamClient {
  /** Every message so far, in order. */
  readonly seen: Seen[] = [];
  /** Messages of each frame. */
  readonly frames: number[] = [];
  /** Binary form only: the decoded messages. */
  readonly messages: Message[] = [];
  readonly closed: Promise<Closed>;
  ended: Closed | undefined;
  private readonly socket: WebSocket;
  private readonly instruments = new Map<string, Instrument>();
  private readonly encoder = new FrameEncoder();
  private readonly watchers = new Set<() => void>();
  private lastId = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', (event) => {
      const data = event.data as string | ArrayBuffer;
      this.take(data);
      for (const look of this.watchers) look();
    });
    this.closed = new Promise((resolve) => {
      socket.addEventListener('close', ({ code, reason }) => {
        this.ended = { code, reason };
        resolve(this.ended);
        for (const look of this.watchers) look();
      });
    });
  }

  /** Opens a connection and waits for its welcome. */
  static async open(
    url: string,
    form: Subprotocol = SUBPROTOCOL_MSGPACK,
    headers: Record<string, string> = {},
  ): Promise<StreamClient> {
    const client = StreamClient.start(url, [form], headers);
    await client.next('welcome');
    return client;
  }

  static json(url: string, headers: Record<string, string> = {}): Promise<StreamClient> {
    return StreamClient.open(url, SUBPROTOCOL_JSON, headers);
  }

  static start(
    url: string,
    protocols: string[],
    headers: Record<string, string> = {},
  ): StreamClient {
    const options = { headers, ...(protocols.length > 0 && { protocols }) };
    return new StreamClient(
      new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, options as unknown as string[]),
    );
  }

  get protocol(): string {
    return this.socket.protocol;
  }

  get text(): boolean {
    return this.socket.protocol !== SUBPROTOCOL_MSGPACK;
  }

  /** Sends one frame of messages, given in their JSON form, in the form of this connection. */
  send(...messages: unknown[]): void {
    if (this.text) this.socket.send(JSON.stringify(messages));
    else this.socket.send(this.encoder.encode(messages.map(asMessage)));
  }

  raw(data: string | Uint8Array<ArrayBuffer>): void {
    this.socket.send(data);
  }

  /** Subscribes. @returns what was received from the request up to its answer, the answer included */
  async subscribe(...topics: string[]): Promise<Seen[]> {
    const from = this.seen.length;
    const id = ++this.lastId;
    this.send({ type: 'subscribe', id, topics, intervalMs: null });
    await this.answer(id, from);
    return this.seen.slice(from);
  }

  async unsubscribe(...topics: string[]): Promise<Seen> {
    const from = this.seen.length;
    const id = ++this.lastId;
    this.send({ type: 'unsubscribe', id, topics });
    return this.answer(id, from);
  }

  async publish(...events: unknown[]): Promise<Seen> {
    const from = this.seen.length;
    const id = ++this.lastId;
    this.send({ type: 'publish', id, events, continues: null });
    return this.answer(id, from);
  }

  /** Waits until the server has handled everything sent so far; an error reply counts as well. */
  async settle(): Promise<void> {
    const from = this.seen.length;
    const id = ++this.lastId;
    this.send({ type: 'ping', id, time: '1' });
    await this.find((m) => (m.type === 'pong' || m.type === 'error') && m['id'] === id, from);
  }

  /** The answer to a request, from index `from` on. */
  answer(id: number, from: number): Promise<Seen> {
    return this.find((m) => m['id'] === id && (m.type === 'ack' || m.type === 'error'), from);
  }

  /** The first message of a type from index `from` on. */
  next(type: string, from = 0): Promise<Seen> {
    return this.find((m) => m.type === type, from);
  }

  /** Waits for the first message that fits, from index `from` on. */
  find(fits: (message: Seen) => boolean, from = 0): Promise<Seen> {
    let position = from;
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.watchers.delete(look);
      };
      const look = (): void => {
        for (; position < this.seen.length; position++) {
          const message = this.seen[position]!;
          if (!fits(message)) continue;
          finish();
          resolve(message);
          return;
        }
        if (this.ended === undefined) return;
        finish();
        reject(new Error(`closed with ${this.ended.code} ${this.ended.reason}`));
      };
      const timer = setTimeout(() => {
        this.watchers.delete(look);
        reject(new Error(`no such message in ${WAIT_MS_MAX} ms: ${fits.toString()}`));
      }, WAIT_MS_MAX);
      this.watchers.add(look);
      look();
    });
  }

  /** Waits until as many messages fit, and gives the last of them. */
  findCount(fits: (message: Seen) => boolean, count: number): Promise<Seen> {
    let found = 0;
    return this.find((message) => fits(message) && (found += 1) === count);
  }

  close(): Promise<Closed> {
    this.socket.close(1000);
    return this.closed;
  }

  private take(data: string | ArrayBuffer): void {
    if (typeof data === 'string') {
      const frame = JSON.parse(data) as Seen[];
      this.frames.push(frame.length);
      this.seen.push(...frame);
      return;
    }
    const frame = decodeFrame(new Uint8Array(data));
    this.frames.push(frame.length);
    for (const message of frame) {
      if (isFault(message)) throw new Error(`a frame of the server: ${message.message}`);
      if (message.type === 'instrument') this.instruments.set(message.symbol, message);
      this.messages.push(message);
      this.seen.push(toJson(message, (symbol) => this.instruments.get(symbol)) as Seen);
    }
  }
}

/** All instruments of these tests have the same decimals: two of a price, three of a quantity. */
export const SCALES = { priceScale: 2, quantityScale: 3 } as const;

export function asMessage(value: unknown): Message {
  const message = fromJson(value, () => SCALES);
  if (isFault(message)) throw new Error(message.message);
  return message;
}
