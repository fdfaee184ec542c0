/**
 * Replay: the journal in the live format [R6], as an async iterable over a connection of its own; on a shared one nobody
 * could tell replayed messages from live ones.
 *
 * Nothing is dropped: with more than `WAITING_HIGH` messages waiting for the consumer the replay is paused, and continued
 * at `WAITING_LOW`. Messages in flight still arrive; beyond `WAITING_MAX` the server did not pause, and the iteration
 * fails. It does not reconnect: an error has the reached sequence number in its hint. The `ack` of `start` ends it, as
 * that of `resume` ends its answer.
 */

import type { Instrument, Message, MessageOf } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { Connection } from './connection';
import { deferred } from './environment';
import { TapedeckError } from './errors';
import type { Item, MessageOfTopic } from './items';
import { isTopicMessage } from '../../protocol/topics';

const WAITING_HIGH = 20_000;
const WAITING_LOW = 5_000;
const WAITING_MAX = 1_000_000;

export interface ReplayRange {
  /** First event time; undefined: from the beginning. */
  readonly from?: Nanos | undefined;
  /** Last event time. */
  readonly to?: Nanos | undefined;
  /** First sequence number, instead of `from`. */
  readonly fromSeq?: number | undefined;
  /** Last sequence number, instead of `to`. */
  readonly toSeq?: number | undefined;
}

export interface ReplayOptions<T extends string = string> extends ReplayRange {
  readonly topics: readonly T[];
  /** Multiple of real time: 1 as recorded, 10 ten times as fast. Default: as fast as it is read. */
  readonly speed?: number;
}

interface Waiter {
  resolve(result: IteratorResult<Item, undefined>): void;
  reject(error: TapedeckError): void;
}

/** What a replay needs of the client. */
export interface ReplayHost {
  /** Opens a connection whose messages go to `take` and its end to `lost`; `signal` aborts. */
  open(take: (m: Message) => void, lost: () => void, signal: AbortSignal): Promise<Connection>;
  /** The replay has ended, for any reason. */
  ended(): void;
}

type ReplayAction = MessageOf<'replay'>['action'];

/** Iterate over it once, with `for await`; leaving the loop stops it. */
export class Replay<T extends string = string> implements AsyncIterableIterator<
  Item<MessageOfTopic<T>>
> {
  private readonly opened: Promise<Connection>;
  private connection: Connection | undefined;
  private items: Item[] = [];
  private head = 0;
  private readonly waiters: Waiter[] = [];
  private state: 'playing' | 'ended' | TapedeckError = 'playing';
  /** Whether the application paused it; a pause by the queue is separate. */
  private paused = false;
  private held = false;
  private reachedSeq = 0;

  private readonly host: ReplayHost;
  private readonly opening = new AbortController();

  /** For the client only. */
  constructor(options: ReplayOptions<T>, host: ReplayHost) {
    this.host = host;
    this.opened = host.open(
      (message) => this.take(message),
      () => this.finish(this.connection?.endedBy ?? lostAt(this.reachedSeq)),
      this.opening.signal,
    );
    const speed = options.speed === undefined ? null : Math.round(options.speed * 100);
    void this.opened
      .then((connection) => {
        this.connection = connection;
        if (this.state === 'playing') return this.act('start', { ...options, speed });
        this.letGo(); // it opened too late to be aborted
        return 0;
      })
      .then(
        () => this.finish('ended'),
        (e: unknown) => this.finish(e as TapedeckError),
      );
  }

  /** Definitions that came with it: the decimals of its messages. */
  get instruments(): ReadonlyMap<string, Instrument> {
    return this.connection?.instruments ?? new Map<string, Instrument>();
  }

  /** Resolves when nothing more is sent until `continue`; messages in flight are still delivered. */
  async pause(): Promise<void> {
    this.paused = true;
    await this.request('pause');
  }

  async continue(): Promise<void> {
    this.paused = false;
    if (!this.held) await this.request('continue');
  }

  /**
   * Continues from another time or sequence number; messages that wait from before are dropped.
   * @throws TapedeckError `no-replay` if the server has sent all of it
   */
  async seek(to: { readonly from?: Nanos; readonly fromSeq?: number }): Promise<void> {
    await this.request('seek', to);
  }

  /** Ends it; the iteration ends too. */
  async stop(): Promise<void> {
    if (this.state !== 'playing') return;
    try {
      // Before it is open there is no connection to use.
      if (this.connection !== undefined) await this.request('stop');
    } catch (e) {
      if (this.state === 'playing') throw e;
    } finally {
      this.clear();
      this.finish('ended');
    }
  }

  next(): Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>> {
    return this.nextItem() as Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>>;
  }

  return(): Promise<IteratorResult<Item<MessageOfTopic<T>>, undefined>> {
    this.clear();
    this.finish('ended');
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends it as `return` does. */
  throw(error: unknown): Promise<IteratorResult<never, undefined>> {
    void this.return();
    return Promise.reject(error);
  }

  /** For the client only: ends it, with this error if there is one. */
  end(error: TapedeckError | undefined): void {
    if (error === undefined) void this.return();
    else this.finish(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private async request(action: ReplayAction, range: ReplayRange = {}): Promise<void> {
    try {
      await this.opened;
      if (this.state === 'playing') return void (await this.act(action, range));
    } catch (e) {
      // The server has sent everything; messages in flight still arrive.
      const isOver = e instanceof TapedeckError && e.code === 'no-replay';
      if (this.state === 'playing' && !isOver) throw e;
    }
    if (action === 'seek') throw new TapedeckError('no-replay', 'the replay is over');
  }

  private act(
    action: ReplayAction,
    range: ReplayRange & { readonly topics?: readonly string[]; readonly speed?: number | null },
  ): Promise<number> {
    const { promise, resolve, reject } = deferred<number>();
    const { topics = [], from = null, to = null, fromSeq = null, toSeq = null } = range;
    const { speed = null } = range;
    const fields = { topics: [...topics], from, to, fromSeq, toSeq, speed };
    this.connection!.ask({
      make: (id) => ({ type: 'replay', id, action, ...fields, shard: null }),
      resolve: (seq) => {
        // In the order of the wire: messages before the answer of a seek are from before it.
        if (action === 'seek') this.clear();
        resolve(seq);
      },
      reject,
    });
    return promise;
  }

  private take(message: Message): void {
    if (this.state !== 'playing') return;
    if (message.type === 'gap' || message.type === 'reset') {
      this.push({ ...message, local: false });
    } else if (isTopicMessage(message)) {
      this.reachedSeq = message.seq;
      this.push(message);
    }
  }

  private push(item: Item): void {
    const waiter = this.waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: item });
      return;
    }
    this.items.push(item);
    const waiting = this.items.length - this.head;
    if (waiting > WAITING_MAX) {
      const message = `${waiting} messages wait, and the server did not pause`;
      this.finish(new TapedeckError('overloaded', message));
    } else if (waiting > WAITING_HIGH && !this.held) {
      this.hold(true);
    }
  }

  private hold(held: boolean): void {
    this.held = held;
    if (this.paused) return;
    // If it is refused, the connection and the replay continue.
    this.act(held ? 'pause' : 'continue', {}).catch(() => {});
  }

  private nextItem(): Promise<IteratorResult<Item, undefined>> {
    const item = this.items[this.head];
    if (item !== undefined) {
      this.head += 1;
      if (this.head >= 1024 || this.head === this.items.length) {
        this.items = this.items.slice(this.head);
        this.head = 0;
      }
      const waiting = this.items.length - this.head;
      if (this.held && waiting < WAITING_LOW && this.state === 'playing') this.hold(false);
      return Promise.resolve({ done: false, value: item });
    }
    if (this.state === 'ended') return Promise.resolve({ done: true, value: undefined });
    if (this.state !== 'playing') {
      const error = this.state;
      this.state = 'ended';
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
    });
  }

  private clear(): void {
    this.items = [];
    this.head = 0;
    if (this.held) this.hold(false);
  }

  private finish(how: 'ended' | TapedeckError): void {
    if (this.state !== 'playing') return;
    this.state = how;
    this.opening.abort();
    this.letGo();
    this.host.ended();
    const waiters = this.waiters.splice(0);
    if (how !== 'ended' && waiters.length > 0) {
      this.state = 'ended'; // reported once
      waiters.shift()!.reject(how);
    }
    for (const waiter of waiters) waiter.resolve({ done: true, value: undefined });
  }

  /** Closes without waiting for the peer, which may be dead. */
  private letGo(): void {
    this.connection?.close();
    this.connection?.abandon('the replay has ended', 1000);
  }
}

function lostAt(reachedSeq: number): TapedeckError {
  const hint = `The newest received seq is ${reachedSeq}; start again with fromSeq.`;
  return new TapedeckError('connection-failed', 'the connection of the replay ended', hint);
}
