/**
 * Connection: one WebSocket to `/v1/stream`, from its welcome to its end, in either form.
 *
 * Requests settle with their `ack` or `error`, in the order of the wire: `ask` calls back before the next message is
 * delivered, so messages after an answer find it done. Everything else goes to `onMessage` in the order of the server.
 * It does not reconnect; `TapedeckClient` does.
 */

import {
  decodeFrame,
  decodeTextFrame,
  encodeTextFrame,
  FrameEncoder,
  isFault,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from '../../protocol/codec';
import { CLOSES, type ErrorCode, type Fault } from '../../protocol/codes';
import type { Instrument, Message, MessageOf, SourceEvent } from '../../protocol/messages';
import type { Scales, ScalesOf } from '../../protocol/units';
import { environmentOf, type Environment, type SocketLike } from './environment';
import { ConnectFailure, TapedeckError, type ConnectionEnd } from './errors';

export { TapedeckError } from './errors';
export type { ConnectionEnd } from './errors';

export interface ConnectionOptions {
  /** Presented with `hello`; reading needs none. */
  readonly key?: string | undefined;
  /** Name and version of the application, for the server's log. */
  readonly client?: string | undefined;
  /** Binary frames, or readable text. Default `msgpack`. */
  readonly form?: 'msgpack' | 'json' | undefined;
  /** The longest wait for the server's welcome, in ms. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Whether to end the connection after 2.5 heartbeats of silence. Default: no. */
  readonly liveness?: boolean;
  readonly onMessage?: (message: Message) => void;
  /** Called after the last message of each frame. */
  readonly onFrameEnd?: () => void;
  /** Aborts connecting; has no effect later. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when the connection has ended for any reason. */
  readonly onClose?: (end: ConnectionEnd) => void;
  readonly environment?: Partial<Environment>;
}

/** The default of the longest wait for an answer of a server. */
export const TIMEOUT_MS = 10_000;
/** Silence is counted in quarters of a heartbeat; more of them than this end the connection. */
const SILENT_QUARTERS_MAX = 10;
/** `WebSocket.OPEN`, which an injected socket need not name. */
const OPEN = 1;

/** A request and its callback. */
export interface Ask {
  make(id: number): Message;
  resolve(seq: number, ack?: MessageOf<'ack'>): void;
  reject(error: TapedeckError): void;
}

export class Connection {
  /** The first message of the server: epoch, sequence number, limits. */
  readonly welcome: MessageOf<'welcome'>;
  /** Definitions received so far, by symbol. */
  readonly instruments = new Map<string, Instrument>();
  /** Whether it has ended. */
  ended = false;
  private readonly socket: SocketLike;
  private readonly options: ConnectionOptions;
  private readonly environment: Environment;
  private readonly encoder = new FrameEncoder();
  private readonly waiting = new Map<number, Ask>();
  /** Decimals of symbols that are sent from here, before the server has published their definitions. */
  private readonly offered = new Map<string, Scales>();
  private readonly scalesOf: ScalesOf = (symbol) =>
    this.instruments.get(symbol) ?? this.offered.get(symbol);
  private lastId = 0;
  private silentQuarters = 0;
  private livenessTimer: unknown;
  private closing: MessageOf<'closing'> | undefined;
  /** Why no more requests can be sent. */
  private failure: TapedeckError | undefined;

  private constructor(
    socket: SocketLike,
    welcome: MessageOf<'welcome'>,
    options: ConnectionOptions,
    environment: Environment,
  ) {
    this.socket = socket;
    this.welcome = welcome;
    this.options = options;
    this.environment = environment;
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.end(event.code, event.reason);
    if (options.liveness === true) this.watch();
  }

  /**
   * Opens a connection and waits for the server's welcome.
   * @param url of the server, such as `http://127.0.0.1:7070`
   * @throws TapedeckError `connection-failed` if there is no Tapedeck at that address; `closed` if `signal` aborted
   */
  static connect(url: string, options: ConnectionOptions = {}): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const environment = environmentOf(options.environment);
      const { timers } = environment;
      const { signal } = options;
      if (signal?.aborted === true) return reject(givenUp());
      let closing: MessageOf<'closing'> | undefined;
      const failed = (why: string, code = 1006): void => {
        reject(new ConnectFailure(url, why, endOf(code, why, closing)));
      };
      let socket: SocketLike;
      try {
        const form = options.form === 'json' ? SUBPROTOCOL_JSON : SUBPROTOCOL_MSGPACK;
        socket = new environment.WebSocket(streamUrl(url), [form]);
      } catch (e) {
        failed((e as Error).message);
        return;
      }
      socket.binaryType = 'arraybuffer';
      const timeout = timers.set(() => {
        silence(socket);
        failed('it does not answer in time');
      }, options.timeoutMs ?? TIMEOUT_MS);
      const giveUp = (): void => {
        timers.clear(timeout);
        silence(socket);
        reject(givenUp());
      };
      const settle = (): void => {
        timers.clear(timeout);
        signal?.removeEventListener('abort', giveUp);
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      socket.onclose = (event) => {
        settle();
        failed(event.reason || `closed with ${event.code}`, event.code);
      };
      socket.onmessage = (event) => {
        const [first, ...rest] = decode(event.data, options, () => undefined);
        // A full server sends an error in place of a welcome; its close follows.
        if (first !== undefined && !isFault(first) && first.type === 'closing') {
          closing = first;
          return;
        }
        settle();
        if (first === undefined || isFault(first) || first.type !== 'welcome') {
          silence(socket);
          failed('its first message is not a welcome');
          return;
        }
        const connection = new Connection(socket, first, options, environment);
        connection.hello();
        connection.takeAll(rest);
        resolve(connection);
      };
    });
  }

  /** Subscribes to topics; resolves with the sequence number of their snapshots. */
  subscribe(topics: readonly string[]): Promise<number> {
    return this.request((id) => ({ type: 'subscribe', id, topics: [...topics], intervalMs: null }));
  }

  unsubscribe(topics: readonly string[]): Promise<number> {
    return this.request((id) => ({ type: 'unsubscribe', id, topics: [...topics] }));
  }

  /**
   * Publishes events; resolves with the last seq that they produced, once they are journaled.
   * @param continues whether they continue the numbering of the source's last session [P3]
   */
  publish(events: readonly SourceEvent[], continues: boolean | null = null): Promise<number> {
    for (const event of events) if (event.type === 'instrument') this.know(event.symbol, event);
    return this.request((id) => ({ type: 'publish', id, events: [...events], continues }));
  }

  /** Sends one request; resolves with the `seq` of its `ack`. */
  request(make: (id: number) => Message): Promise<number> {
    return new Promise((resolve, reject) => this.ask({ make, resolve, reject }));
  }

  /** Sends requests in one frame, which the server handles without other requests between. */
  ask(...asks: readonly Ask[]): void {
    if (this.ended || this.socket.readyState !== OPEN) {
      const error =
        this.failure ?? new TapedeckError('connection-failed', 'the connection has ended');
      for (const ask of asks) ask.reject(error);
      return;
    }
    const ids = asks.map(() => (this.lastId = (this.lastId + 1) >>> 0));
    let frame: string | Uint8Array<ArrayBuffer>;
    try {
      frame = this.encode(asks.map((ask, i) => ask.make(ids[i]!)));
    } catch (e) {
      // A request that cannot be encoded is never pending.
      const error = new TapedeckError(
        'invalid-field',
        `it cannot be sent: ${(e as Error).message}`,
      );
      for (const ask of asks) ask.reject(error);
      return;
    }
    const bytesMax = this.welcome.limits.frameBytesMax;
    // A text has at most three bytes a character; only one that may be too long is measured.
    const bytes = typeof frame === 'string' ? textBytes(frame, bytesMax) : frame.length;
    if (bytes > bytesMax) {
      const message = `a frame of ${bytes} bytes; at most ${bytesMax}`;
      const error = new TapedeckError('frame-too-large', message, 'Send it in parts.');
      for (const ask of asks) ask.reject(error);
      return;
    }
    for (const [i, ask] of asks.entries()) this.waiting.set(ids[i]!, ask);
    this.socket.send(frame);
  }

  /** Whether a message of this symbol can be written as text: its decimals are known. */
  knows(symbol: string): boolean {
    return this.options.form !== 'json' || this.scalesOf(symbol) !== undefined;
  }

  know(symbol: string, { priceScale, quantityScale }: Scales): void {
    this.offered.set(symbol, { priceScale, quantityScale });
  }

  /** Sends a message that gets no answer. */
  tell(message: Message): void {
    if (!this.ended && this.socket.readyState === OPEN) this.socket.send(this.encode([message]));
  }

  close(): void {
    this.socket.close(1000);
  }

  /** Ends it at once, without waiting for the peer, which may be dead. */
  abandon(reason: string, code = 1006): void {
    if (this.ended) return;
    silence(this.socket);
    this.end(code, reason);
  }

  private hello(): void {
    const { key, client } = this.options;
    if (key === undefined && client === undefined) return;
    this.tell({ type: 'hello', version: 1, client: client ?? 'tapedeck-client', key: key ?? null });
  }

  private encode(messages: readonly Message[]): string | Uint8Array<ArrayBuffer> {
    return this.options.form === 'json'
      ? encodeTextFrame(messages, this.scalesOf)
      : this.encoder.encode(messages);
  }

  private receive(data: unknown): void {
    this.silentQuarters = 0;
    // A frame that does not decode may contain anything: continuing would lose it silently.
    if ((this.options.form === 'json') !== (typeof data === 'string')) {
      this.giveUp('wrong-frame', 'the server sent a frame of the other form');
      return;
    }
    this.takeAll(decode(data, this.options, this.scalesOf));
  }

  private takeAll(messages: readonly (Message | Fault)[]): void {
    for (const message of messages) {
      if (this.ended) return;
      if (!isFault(message)) this.take(message);
      // Messages of a later version are ignored.
      else if (message.code !== 'unknown-message') {
        this.giveUp(message.code, message.message);
        return;
      }
    }
    this.options.onFrameEnd?.();
  }

  private giveUp(code: ErrorCode, message: string): void {
    this.failure ??= new TapedeckError(code, message);
    this.socket.onmessage = null;
    this.socket.close(4000, 'protocol-error');
  }

  private take(message: Message): void {
    switch (message.type) {
      case 'ack':
        this.settle(message.id)?.resolve(message.seq, message);
        if (message.repeated === null && message.waiting === null) return;
        break; // the outcome of the events of a publish
      case 'pong':
        this.settle(message.id)?.resolve(0);
        break;
      case 'error': {
        const { code, hint, field } = message;
        const error = new TapedeckError(code, message.message, hint, field);
        const waiting = message.id === null ? undefined : this.settle(message.id);
        if (waiting !== undefined) {
          waiting.reject(error);
          return;
        }
        // It belongs to no request: if the connection ends now, this is the reason.
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

  private settle(id: number): Ask | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }

  private watch(): void {
    const quarterMs = this.welcome.limits.heartbeatMs / 4;
    // Counts ticks, not time: a program that was suspended reads what waits for it first.
    this.livenessTimer = this.environment.timers.set(() => {
      this.silentQuarters += 1;
      if (this.silentQuarters > SILENT_QUARTERS_MAX) this.abandon('silent for 2.5 heartbeats');
      else this.watch();
    }, quarterMs);
  }

  private end(code: number, reason: string): void {
    if (this.ended) return;
    this.ended = true;
    if (this.livenessTimer !== undefined) this.environment.timers.clear(this.livenessTimer);
    const how = `the connection ended with ${code} ${reason}`.trim();
    this.failure ??= new TapedeckError('connection-failed', how);
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const ask of waiting) ask.reject(this.failure);
    this.options.onClose?.(endOf(code, reason, this.closing));
  }

  /** Why it ended, as the server stated if it did; undefined while it is open. */
  get endedBy(): TapedeckError | undefined {
    return this.ended ? this.failure : undefined;
  }
}

function decode(
  data: unknown,
  options: ConnectionOptions,
  scalesOf: ScalesOf,
): (Message | Fault)[] {
  if (options.form === 'json') {
    return typeof data === 'string' ? decodeTextFrame(data, scalesOf) : [];
  }
  return data instanceof ArrayBuffer ? decodeFrame(new Uint8Array(data)) : [];
}

function givenUp(): TapedeckError {
  return new TapedeckError('closed', 'the connection was given up before it was made');
}

/** Removes all handlers of a socket and closes it. */
function silence(socket: SocketLike): void {
  socket.onmessage = null;
  socket.onclose = null;
  socket.close();
}

function textBytes(text: string, enough: number): number {
  return text.length * 3 <= enough ? text.length : new TextEncoder().encode(text).length;
}

function endOf(
  code: number,
  reason: string,
  closing: MessageOf<'closing'> | undefined,
): ConnectionEnd {
  const reconnect = closing?.reconnect ?? worthComingBack(code);
  return { code, reason, reconnect, retryMs: closing?.retryMs ?? 0, url: closing?.url ?? null };
}

/** The meaning of a close code, if no `closing` came before it [E6]. */
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
