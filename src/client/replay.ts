/**
 * Replay: the journal played in the live format [R6], as an async iterable over a connection of its
 * own, since on a shared one what is replayed could not be told from what is live.
 *
 * Nothing is dropped: when more than `WAITING_HIGH` messages wait for the consumer the replay is
 * paused, and goes on at `WAITING_LOW`. What is under way then still comes; past `WAITING_MAX` the
 * server did not pause, and the iteration fails. It does not reconnect: an error carries the place
 * reached in its hint. The `ack` of `start` ends it, as that of `resume` ends its answer.
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
  /** First event time; open where undefined. */
  readonly from?: Nanos | undefined;
  /** Last event time. */
  readonly to?: Nanos | undefined;
  /** First place, in place of `from`. */
  readonly fromSeq?: number | undefined;
  /** Last place, in place of `to`. */
  readonly toSeq?: number | undefined;
}

export interface ReplayOptions<T extends string = string> extends ReplayRange {
  readonly topics: readonly T[];
  /** Times real time: 1 is as it was, 10 ten times as fast; as fast as it is read unless told. */
  readonly speed?: number;
}

interface Waiter {
  resolve(result: IteratorResult<Item, undefined>): void;
  reject(error: TapedeckError): void;
}

/** What a replay needs of the client. */
export interface ReplayHost {
  /** A connection whose messages go to `take` and its end to `lost`; given up when `signal` says so. */
  open(take: (m: Message) => void, lost: () => void, signal: AbortSignal): Promise<Connection>;
  /** It has ended, however that came. */
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
  /** By the application; a pause of the queue does not end it. */
  private paused = false;
  private held = false;
  private place = 0;

  private readonly host: ReplayHost;
  private readonly opening = new AbortController();

  /** For the client only. */
  constructor(options: ReplayOptions<T>, host: ReplayHost) {
    this.host = host;
    this.opened = host.open(
      (message) => this.take(message),
      () => this.finish(this.connection?.endedBy ?? lostAt(this.place)),
      this.opening.signal,
    );
    const speed = options.speed === undefined ? null : Math.round(options.speed * 100);
    void this.opened
      .then((connection) => {
        this.connection = connection;
        if (this.state === 'playing') return this.act('start', { ...options, speed });
        this.letGo(); // it came too late to be given up
        return 0;
      })
      .then(
        () => this.finish('ended'),
        (e: unknown) => this.finish(e as TapedeckError),
      );
  }

  /** Definitions that came with it: the decimals of what it plays. */
  get instruments(): ReadonlyMap<string, Instrument> {
    return this.connection?.instruments ?? new Map<string, Instrument>();
  }

  /** Resolves when nothing more is sent until `continue`; what was under way is still given. */
  async pause(): Promise<void> {
    this.paused = true;
    await this.request('pause');
  }

  async continue(): Promise<void> {
    this.paused = false;
    if (!this.held) await this.request('continue');
  }

  /**
   * Goes on from another moment or place; what waits from before is dropped.
   * @throws TapedeckError `no-replay` when the server has played all of it
   */
  async seek(to: { readonly from?: Nanos; readonly fromSeq?: number }): Promise<void> {
    await this.request('seek', to);
  }

  /** Ends it; the iteration ends too. */
  async stop(): Promise<void> {
    if (this.state !== 'playing') return;
    try {
      // Before it is open there is nobody to ask.
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

  /** For the client only: it ends, with this error where there is one. */
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
      // The server has played all, and what it sent still comes.
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
      make: (id) => ({ type: 'replay', id, action, ...fields }),
      resolve: (seq) => {
        // In the order of the wire: what came before the answer of a seek is of the time before.
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
      this.place = message.seq;
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
    // If it is refused the connection lives on, and so does the replay.
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
      this.state = 'ended'; // it is said once
      waiters.shift()!.reject(how);
    }
    for (const waiter of waiters) waiter.resolve({ done: true, value: undefined });
  }

  /** Without waiting for the other side, which may be dead. */
  private letGo(): void {
    this.connection?.close();
    this.connection?.abandon('the replay has ended', 1000);
  }
}

function lostAt(place: number): TapedeckError {
  const hint = `The newest place that came is ${place}; start again with fromSeq.`;
  return new TapedeckError('connection-failed', 'the connection of the replay ended', hint);
}
