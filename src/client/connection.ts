/**
 * Connection: a client's side of `/v1/stream`, for browsers, Bun and Node; binary subprotocol.
 *
 * Requests are promises that settle with their `ack` or `error`; everything else goes to
 * `onMessage` in the order in which the server sent it.
 */

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import { CLOSES, type ErrorCode, type Fault } from '../../protocol/codes';
import type { Instrument, Message, MessageOf, SourceEvent } from '../../protocol/messages';

export interface ConnectionOptions {
  /** Presented with `hello`; reading needs none. */
  readonly key?: string | undefined;
  /** Name and version of the application, for the server's log. */
  readonly client?: string;
  /** The longest wait for the server's welcome, in ms; 10,000 unless told. */
  readonly timeoutMs?: number;
  readonly onMessage?: (message: Message) => void;
  /** Called once, when the connection has ended, wanted or not. */
  readonly onClose?: (end: ConnectionEnd) => void;
}

export interface ConnectionEnd {
  readonly code: number;
  readonly reason: string;
  /** Whether the server advises to come back. */
  readonly reconnect: boolean;
}

/** A request that the server refused, or a connection that failed. */
export class TapedeckError extends Error {
  readonly code: string;
  readonly hint: string | null;
  /** Path of the field at fault, such as `publish.events[3].price`. */
  readonly field: string | null;

  constructor(
    code: string,
    message: string,
    hint: string | null = null,
    field: string | null = null,
  ) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.field = field;
  }
}

/** The longest wait for an answer of a server, unless told. */
export const TIMEOUT_MS = 10_000;

interface Waiting {
  resolve(seq: number): void;
  reject(error: Error): void;
}

export class Connection {
  /** The first message of the server: epoch, place, limits. */
  readonly welcome: MessageOf<'welcome'>;
  /** Definitions received so far, by symbol. */
  readonly instruments = new Map<string, Instrument>();
  private readonly socket: WebSocket;
  private readonly options: ConnectionOptions;
  private readonly encoder = new FrameEncoder();
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private closing: MessageOf<'closing'> | undefined;
  /** Why no more requests can be made. */
  private failure: TapedeckError | undefined;

  private constructor(
    socket: WebSocket,
    welcome: MessageOf<'welcome'>,
    options: ConnectionOptions,
  ) {
    this.socket = socket;
    this.welcome = welcome;
    this.options = options;
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.ended(event.code, event.reason);
  }

  /**
   * Opens a connection and waits for the server's welcome.
   * @param url of the server, such as `http://127.0.0.1:7070`
   * @throws TapedeckError `connection-failed` when there is no Tapedeck at that address
   */
  static connect(url: string, options: ConnectionOptions = {}): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const failed = (why: string): void => {
        reject(new TapedeckError('connection-failed', `no Tapedeck answers at ${url}: ${why}`));
      };
      let socket: WebSocket;
      try {
        socket = new WebSocket(streamUrl(url), [SUBPROTOCOL_MSGPACK]);
      } catch (e) {
        failed((e as Error).message);
        return;
      }
      socket.binaryType = 'arraybuffer';
      const timeout = setTimeout(() => {
        failed('it does not answer in time');
        socket.close();
      }, options.timeoutMs ?? TIMEOUT_MS);
      socket.onclose = (event) => {
        clearTimeout(timeout);
        failed(event.reason || `closed with ${event.code}`);
      };
      socket.onmessage = (event) => {
        clearTimeout(timeout);
        const [first, ...rest] = decodeFrame(new Uint8Array(event.data as ArrayBuffer));
        if (first === undefined || isFault(first) || first.type !== 'welcome') {
          socket.close();
          failed('its first message is not a welcome');
          return;
        }
        const connection = new Connection(socket, first, options);
        connection.hello();
        connection.takeAll(rest);
        resolve(connection);
      };
    });
  }

  /** Starts topics; resolves with the place that their snapshots stand at. */
  subscribe(topics: readonly string[]): Promise<number> {
    return this.request((id) => ({ type: 'subscribe', id, topics: [...topics], intervalMs: null }));
  }

  unsubscribe(topics: readonly string[]): Promise<number> {
    return this.request((id) => ({ type: 'unsubscribe', id, topics: [...topics] }));
  }

  /** Brings events in; resolves with the last place they produced, once they are journaled. */
  publish(events: readonly SourceEvent[]): Promise<number> {
    return this.request((id) => ({ type: 'publish', id, events: [...events] }));
  }

  close(): void {
    this.socket.close(1000);
  }

  private hello(): void {
    const { key, client } = this.options;
    if (key === undefined && client === undefined) return;
    this.socket.send(
      this.encoder.encode([
        { type: 'hello', version: 1, client: client ?? 'tapedeck-client', key: key ?? null },
      ]),
    );
  }

  private request(make: (id: number) => Message): Promise<number> {
    const id = (this.lastId = (this.lastId + 1) >>> 0);
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(this.failure ?? new TapedeckError('connection-failed', 'the connection has ended'));
        return;
      }
      const frame = this.encoder.encode([make(id)]); // what does not encode rejects, and waits for nothing
      this.waiting.set(id, { resolve, reject });
      this.socket.send(frame);
    });
  }

  private receive(data: unknown): void {
    // What does not decode may have been anything: going on would lose it silently.
    if (!(data instanceof ArrayBuffer)) {
      this.giveUp('wrong-frame', 'the server sent a text frame on the MessagePack subprotocol');
      return;
    }
    this.takeAll(decodeFrame(new Uint8Array(data)));
  }

  private takeAll(messages: readonly (Message | Fault)[]): void {
    for (const message of messages) {
      if (!isFault(message)) this.take(message);
      // A message of a later version is nothing to a reader of this one.
      else if (message.code !== 'unknown-message') this.giveUp(message.code, message.message);
    }
  }

  private giveUp(code: ErrorCode, message: string): void {
    this.failure ??= new TapedeckError(code, message);
    this.socket.close(4000, 'protocol-error');
  }

  private take(message: Message): void {
    switch (message.type) {
      case 'ack':
        this.settle(message.id)?.resolve(message.seq);
        return;
      case 'error': {
        const { code, hint, field } = message;
        const error = new TapedeckError(code, message.message, hint, field);
        const waiting = message.id === null ? undefined : this.settle(message.id);
        if (waiting !== undefined) {
          waiting.reject(error);
          return;
        }
        // Of no request: if the connection ends now, this is why.
        this.failure = error;
        break;
      }
      case 'closing':
        this.closing = message;
        break;
      case 'instrument':
        this.instruments.set(message.symbol, message);
        break;
      default:
    }
    this.options.onMessage?.(message);
  }

  private settle(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private ended(code: number, reason: string): void {
    const how = `the connection ended with ${code} ${reason}`.trim();
    this.failure ??= new TapedeckError('connection-failed', how);
    for (const waiting of this.waiting.values()) waiting.reject(this.failure);
    this.waiting.clear();
    const reconnect = this.closing?.reconnect ?? worthComingBack(code);
    this.options.onClose?.({ code, reason, reconnect });
  }
}

/** What the code of a close says of itself, when no `closing` came before it [E6]. */
function worthComingBack(code: number): boolean {
  const known = Object.values(CLOSES).find((close) => close.code === code);
  return known?.reconnect ?? code !== 1000;
}

/** The stream of a server: `http://host:port` becomes `ws://host:port/v1/stream`. */
function streamUrl(url: string): string {
  const stream = new URL('/v1/stream', url.includes('://') ? url : `http://${url}`);
  stream.protocol = stream.protocol === 'https:' || stream.protocol === 'wss:' ? 'wss:' : 'ws:';
  return stream.href;
}
