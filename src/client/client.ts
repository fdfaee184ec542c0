/**
 * TapedeckClient: a permanent client. It reads topics, enters orders, publishes and replays; when its connection ends, it
 * reconnects and continues where it was.
 *
 * Bounds: subscriptions by their queues, publishing by 16 messages in progress, connection attempts by a back-off with
 * jitter. Invariant: an application sees every message of a topic once and in order, or a `gap` or `reset` item in its
 * place.
 */

import type { Instrument, Message, MessageOf, SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import type { Scales } from '../../protocol/units';
import { Addresses } from './addresses';
import { Backoff, type BackoffOptions } from './backoff';
import { Connection, type ConnectionOptions } from './connection';
import { environmentOf, type Environment } from './environment';
import { ConnectFailure, TapedeckError, type ConnectionEnd } from './errors';
import { Emitter, type ClientEvents } from './events';
import type { MessageOfTopic } from './items';
import type { LocalBook } from './local-book';
import { MarketReader } from './market-reader';
import {
  OrderEntry,
  type AmendRequest,
  type OrderAnswer,
  type OrderRequest,
  type OrderTarget,
} from './order-entry';
import { Publishing, refuseSeveralShards, type PublishOptions } from './publishing';
import { Replay, type ReplayOptions } from './replay';
import { planReplay, type ShardsOfSymbols } from './replay-plan';
import { fetchDefinitions, fetchScales } from './rest';
import type { SubscribeOptions, Subscription } from './subscription';

export interface ClientOptions {
  /** The key of the application; reading needs none. */
  readonly key?: string;
  /** Binary frames, or readable text. Default `msgpack`. */
  readonly form?: 'msgpack' | 'json';
  /** Name and version of the application, for the server's log; at most 64 characters. */
  readonly client?: string;
  /** How to reconnect; `false`: not at all. */
  readonly reconnect?: BackoffOptions | false;
  /** The longest wait for a server's welcome, in ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Sockets, timers and randomness in place of the machine's own. */
  readonly environment?: Partial<Environment>;
}

/** The server's clock as measured by a ping. */
export interface ServerClock {
  /** Round trip, in ms. */
  readonly roundTripMs: number;
  /** Add this to the local time to get the server's time, in ms; the error is at most half the round trip. */
  readonly offsetMs: number;
}

export type ClientState = 'connected' | 'reconnecting' | 'closed';

export class TapedeckClient {
  state: ClientState = 'reconnecting';
  /** Definitions received so far, by symbol: the decimals of prices and quantities. */
  readonly instruments = new Map<string, Instrument>();
  private readonly addresses: Addresses;
  private readonly options: ClientOptions;
  private readonly environment: Environment;
  private readonly emitter = new Emitter();
  private readonly reader: MarketReader;
  private readonly entry: OrderEntry;
  private readonly backoff: Backoff;
  private connection: Connection | undefined;
  private retryTimer: unknown;
  /** How a connection ended that ended right after its welcome. */
  private earlyEnd: ConnectionEnd | undefined;
  private readonly publishing = new Publishing();
  private readonly replays = new Set<Pick<Replay, 'end'>>();
  /** Aborts pending requests when the client is closed. */
  private readonly closing = new AbortController();
  private readonly scales = new Map<string, Scales>();
  private learning: Promise<void> = Promise.resolve();
  private serverClock: ServerClock = { roundTripMs: 0, offsetMs: 0 };

  private constructor(urls: string | readonly string[], options: ClientOptions) {
    this.addresses = new Addresses(urls);
    this.options = options;
    this.environment = environmentOf(options.environment);
    const { timers, random, clientName } = this.environment;
    this.backoff = new Backoff(options.reconnect || {}, random);
    this.entry = new OrderEntry(clientName);
    this.reader = new MarketReader(timers, {
      broken: (why, event) => this.emitter.emit(why, event),
      gap: (gap) => this.emitter.emit('gap', gap),
      resumed: (range) => this.emitter.emit('resumed', range),
      reset: (reset) => this.emitter.emit('reset', reset),
    });
  }

  /**
   * Connects for the first time, and verifies the key if there is one.
   * @param urls of the server, such as `http://127.0.0.1:7070`; or of several members of one cluster: the client uses
   *   one of them, and goes on to the next when it is lost
   * @throws TapedeckError `connection-failed` if there is no Tapedeck at these addresses, `unauthorized` if it does not
   *   accept the key; neither is retried
   */
  static async connect(
    urls: string | readonly string[],
    options: ClientOptions = {},
  ): Promise<TapedeckClient> {
    const client = new TapedeckClient(urls, options);
    const connection = await client.openAny();
    if (options.key !== undefined) {
      // An accepted key gets no answer [W15], but answers come in order, and a pong is one.
      try {
        await connection.request((id) => ({ type: 'ping', id, time: Nanos.ZERO }));
      } catch (e) {
        client.close();
        throw e;
      }
    }
    return client;
  }

  /**
   * Epoch and newest sequence number of the server when the present connection began. If the server has several shards,
   * both are 0, and `shards` has those of each.
   */
  get welcome(): Connection['welcome'] | undefined {
    return this.connection?.welcome;
  }

  /** @returns a function that removes the handler */
  on<E extends keyof ClientEvents>(name: E, handler: (event: ClientEvents[E]) => void): () => void {
    return this.emitter.on(name, handler);
  }

  /**
   * Reads topics: `for await (const item of client.subscribe(['trade:*', 'book:BTCUSDT']))`. First
   * comes the state of each topic, then its messages; `gap` and `reset` items declare what is missing.
   * Several subscriptions share one connection, and each topic is requested once.
   * @throws TapedeckError `unknown-topic`, `closed`; if the server refuses a topic, the iteration throws
   *   and `ready` rejects
   */
  subscribe<const T extends string>(
    topics: readonly T[],
    options: SubscribeOptions = {},
  ): Subscription<MessageOfTopic<T>> {
    this.assertOpen();
    return this.reader.add(topics, options) as unknown as Subscription<MessageOfTopic<T>>;
  }

  /** The local copy of a book that a subscription reads; it knows whether it is reliable. */
  book(symbol: string): LocalBook | undefined {
    return this.reader.book(symbol);
  }

  /**
   * Publishes a source's events; resolves with the last sequence number that they produced, once they are journaled.
   * At most 16 messages are in progress; await the promises to send no faster than the server accepts.
   * The event `intake` reports events without effect. After a reconnect the client states by itself that it continues
   * the numbering of what it published before; a source that restarts its numbering sends `renumber`.
   * At a server of several shards all events are of one, and the definition of a new symbol names it (`shard`).
   * @throws TapedeckError with the server's code and the field at fault; `several-shards` too before it is sent;
   *   `connection-failed` if no answer came, so
   *   the outcome is unknown
   */
  publish(events: readonly SourceEvent[], options: PublishOptions = {}): Promise<number> {
    return this.publishing.inTurn(async () => {
      const connection = this.connected();
      const { reader } = this;
      if (reader.isSharded) refuseSeveralShards(events, (symbol) => reader.shardOf(symbol));
      if (this.options.form === 'json') {
        // One after the other, so that a source's events keep their order.
        const turn = this.learning.then(() => this.learn(connection, events));
        this.learning = turn.catch(() => {});
        await turn;
      }
      const continues = this.publishing.claim(connection, events, options);
      return connection.publish(events, continues);
    });
  }

  /**
   * Enters an order; resolves when it is journaled. Needs a key with the role `trade`.
   * @throws TapedeckError with the code of the rejection, such as `price-outside-band`
   */
  async order(request: OrderRequest): Promise<OrderAnswer> {
    const scales = await this.scalesOf(request.symbol);
    return this.entry.order(this.connected(), request, scales);
  }

  /** Cancels an order by either of its ids. @throws TapedeckError such as `unknown-order` */
  async cancel(target: OrderTarget): Promise<OrderAnswer> {
    return this.entry.cancel(this.connected(), target);
  }

  /** Changes price or open quantity of a resting order. @throws TapedeckError such as `same-state` */
  async amend(request: AmendRequest): Promise<OrderAnswer> {
    const scales = await this.scalesOf(request.symbol);
    return this.entry.amend(this.connected(), request, scales);
  }

  /**
   * Asks for the server's clock.
   * @throws TapedeckError `connection-failed` if there is no connection, or it ends before the answer
   */
  async ping(): Promise<ServerClock> {
    const { clock } = this.environment;
    await this.connected().request((id) => ({ type: 'ping', id, time: clock.now() }));
    // The pong itself was delivered before the promise of its request resolved.
    return this.serverClock;
  }

  /** Reconnects now, if the wait before the next attempt is still running. */
  reconnectNow(): void {
    if (this.state !== 'reconnecting' || this.retryTimer === undefined) return;
    this.environment.timers.clear(this.retryTimer);
    this.comeBack();
  }

  /**
   * Replays the journal over a connection of its own; if the topics are of several shards, over one for each, merged by
   * receive time.
   * @throws TapedeckError `closed`
   */
  replay<const T extends string>(options: ReplayOptions<T>): Replay<T> {
    this.assertOpen();
    const replay: Replay<T> = new Replay({
      open: (onMessage, onClose, signal) =>
        Connection.connect(this.addresses.current, {
          ...this.connecting,
          onMessage,
          onClose,
          signal,
        }),
      plan: (shards) => planReplay(shards, options, this.shardsOfSymbols()),
      environment: this.environment,
      ended: () => void this.replays.delete(replay),
    });
    this.replays.add(replay);
    return replay;
  }

  /**
   * Ends everything, including all iterations and replays. A request that was sent is rejected with
   * `connection-failed`, one that waits to be sent with `closed`.
   */
  close(): void {
    this.finish(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ── connections ─────────────────────────────────────────────────────────────────────────────

  private get connecting(): ConnectionOptions {
    const { key, form, client, timeoutMs, environment = {} } = this.options;
    return { key, form, client, timeoutMs, environment, liveness: true };
  }

  /** The first connection: with the first address that answers. */
  private async openAny(): Promise<Connection> {
    for (let left = this.addresses.size; ; left--) {
      try {
        return await this.open();
      } catch (e) {
        if (left === 1 || !(e instanceof ConnectFailure)) throw e;
        this.addresses.next(e.end.url);
      }
    }
  }

  private async open(): Promise<Connection> {
    // Messages after a welcome arrive before the promise of its connection settles.
    let early: Message[] | undefined = [];
    this.earlyEnd = undefined;
    const connection: Connection = await Connection.connect(this.addresses.current, {
      ...this.connecting,
      signal: this.closing.signal,
      onMessage: (message) => {
        if (early === undefined) this.take(message);
        else early.push(message);
      },
      onFrameEnd: () => early === undefined && this.reader.frameEnd(),
      onClose: (end) => {
        if (early === undefined) this.lost(connection, end);
        else this.earlyEnd = end;
      },
    });
    const before = early;
    early = undefined;
    if (this.state === 'closed') {
      connection.abandon('closed by the application', 1000);
      throw new TapedeckError('closed', 'the client was closed');
    }
    for (const message of before) this.take(message);
    if (connection.ended) {
      throw connection.endedBy!;
    }
    this.connection = connection;
    this.state = 'connected';
    const { epoch, seq, server, shards } = connection.welcome;
    this.reader.attach(connection);
    this.emitter.emit('connected', { epoch, seq, server, shards });
    return connection;
  }

  private lost(connection: Connection, end: ConnectionEnd): void {
    if (this.connection !== connection) return;
    this.connection = undefined;
    this.reader.detach();
    const error = connection.endedBy;
    this.retry(end, error ?? new TapedeckError('connection-failed', 'the connection ended'));
  }

  /** Reconnects later, or gives up. */
  private retry(end: ConnectionEnd, error: TapedeckError): void {
    if (this.state === 'closed') return;
    const { reconnect } = this.options;
    const wanted = end.reconnect && reconnect !== false;
    const failed = this.addresses.current;
    if (wanted) this.addresses.next(end.url);
    // What a server asks to wait for holds for itself.
    const waitMs = this.addresses.current === failed ? end.retryMs : 0;
    const retryInMs = wanted ? this.backoff.next(waitMs) : undefined;
    if (retryInMs !== undefined) this.state = 'reconnecting';
    this.emitter.emit('disconnected', { ...end, retryInMs });
    if (retryInMs === undefined) {
      this.finish(error);
      return;
    }
    this.retryTimer = this.environment.timers.set(() => this.comeBack(), retryInMs);
  }

  private comeBack(): void {
    this.retryTimer = undefined;
    this.open().catch((e: unknown) => {
      const failure = e as TapedeckError;
      const lost = { code: 1006, reason: failure.message, reconnect: true, retryMs: 0, url: null };
      const end = failure instanceof ConnectFailure ? failure.end : this.earlyEnd;
      this.retry(end ?? lost, failure);
    });
  }

  private finish(error: TapedeckError | undefined): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.environment.timers.clear(this.retryTimer);
    this.closing.abort();
    const { connection } = this;
    this.connection = undefined;
    connection?.close();
    connection?.abandon('closed by the application', 1000);
    this.reader.detach();
    if (error === undefined) this.reader.consumers.close();
    else this.reader.consumers.fail(error);
    for (const replay of this.replays) replay.end(error);
    this.publishing.end();
    this.emitter.emit('closed', { error });
  }

  private take(message: Message): void {
    switch (message.type) {
      case 'instrument':
        this.instruments.set(message.symbol, message);
        this.reader.instrument(message);
        this.emitter.emit('instrument', message);
        return;
      case 'ack': {
        const { seq, repeated, waiting } = message;
        if (repeated || waiting) {
          this.emitter.emit('intake', { seq, repeated: repeated ?? 0, waiting: waiting ?? 0 });
        }
        return;
      }
      case 'execution':
        this.entry.execution(message);
        this.emitter.emit('execution', message);
        return;
      case 'error': {
        const { code, hint, field } = message;
        this.emitter.emit('error', new TapedeckError(code, message.message, hint, field));
        return;
      }
      case 'pong': {
        const roundTripMs = this.environment.clock.now().since(message.time) / 1e6;
        const offsetMs = message.serverTime.since(message.time) / 1e6 - roundTripMs / 2;
        this.serverClock = { roundTripMs, offsetMs };
        return;
      }
      case 'epoch':
        this.emitter.emit('epoch', positionOf(message));
        break;
      case 'queued':
        this.emitter.emit('queued', { ahead: message.ahead });
        return;
      case 'heartbeat':
        // Only a stable connection ends the back-off: one may be accepted and cut at once.
        this.backoff.succeeded();
        break;
      default:
    }
    this.reader.message(message);
  }

  /** Shards of symbols, also of those of which no definition has come yet. */
  private shardsOfSymbols(): ShardsOfSymbols {
    const fetched = new Map<string, string | null>();
    return {
      shardOf: (symbol) => fetched.get(symbol) ?? this.instruments.get(symbol)?.shard ?? null,
      learn: async () => {
        const all = await fetchDefinitions(this.addresses.current, this.options.key);
        for (const { symbol, shard } of all) fetched.set(symbol, shard);
      },
    };
  }

  private async scalesOf(symbol: string): Promise<Scales> {
    const known = this.instruments.get(symbol) ?? this.scales.get(symbol);
    if (known !== undefined) return known;
    const fetched = await fetchScales(
      this.addresses.current,
      symbol,
      this.options.key,
      this.closing.signal,
    );
    this.scales.set(symbol, fetched);
    return fetched;
  }

  /** The text form needs the decimals of each symbol; fetches those that the events do not define. */
  private async learn(connection: Connection, events: readonly SourceEvent[]): Promise<void> {
    const defined = new Set<string>();
    for (const { type, symbol } of events) {
      if (type === 'instrument') defined.add(symbol);
      else if (!defined.has(symbol) && !connection.knows(symbol)) {
        connection.know(symbol, await this.scalesOf(symbol));
      }
    }
  }

  private connected(): Connection {
    this.assertOpen();
    if (this.connection !== undefined) return this.connection;
    throw new TapedeckError('connection-failed', 'there is no connection at present; it is sought');
  }

  private assertOpen(): void {
    if (this.state === 'closed') throw new TapedeckError('closed', 'the client is closed');
  }
}

function positionOf({ epoch, seq, shard }: MessageOf<'epoch'>): ClientEvents['epoch'] {
  return { epoch, seq, shard };
}
