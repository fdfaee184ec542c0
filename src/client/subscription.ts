/**
 * Subscription: one consumer of topics, as an async iterable with a queue of its own. A consumer that awaits slows only
 * itself; `item-queue.ts` decides what happens to what waits for it.
 */

import type { Topic } from '../../protocol/topics';
import { deferred } from './environment';
import { TapedeckError } from './errors';
import { ItemQueue, type QueueSource } from './item-queue';
import type { Item, TopicMessage } from './items';

/** What a subscription needs of the client. */
export interface SubscriptionHost extends QueueSource {
  left(): void;
}

export interface SubscribeOptions {
  /** Most items that wait for the consumer. Default 10,000. */
  readonly queueMax?: number;
  /**
   * At most one message of each topic in this many ms, up to 60,000. The server conflates: the message stands
   * for `count`. Trades and statuses are not conflated: all arrive, together. Default: every message. Consumers of one topic share the shortest
   * interval. What was missed while disconnected arrives in full.
   */
  readonly intervalMs?: number;
}

const QUEUE_MAX = 10_000;

interface Waiter {
  resolve(result: IteratorResult<Item, undefined>): void;
  reject(error: TapedeckError): void;
}

/**
 * Iterate over it once, with `for await`; leaving the loop closes it. Items keep the order of each topic, without
 * repetition; a `gap` or `reset` item declares what is missing. If the client cannot continue, what waits is still
 * delivered, then the iteration throws a TapedeckError.
 */
export class Subscription<M extends TopicMessage = TopicMessage> implements AsyncIterableIterator<
  Item<M>
> {
  readonly topics: readonly string[];
  /**
   * Resolves when the server serves all of its topics; rejects with the server's refusal, and with `closed` if it is
   * closed before that.
   */
  readonly ready: Promise<void>;
  /** The `seq` of the newest item that the consumer took; 0 before the first. */
  taken = 0;
  /** Whether it gets messages; before that its topics are being requested. */
  admitted = false;
  readonly asked: readonly Topic[];
  readonly intervalMs: number;
  private readonly queue: ItemQueue;
  private readonly host: SubscriptionHost;
  private readonly started = deferred<void>();
  private readonly waiters: Waiter[] = [];
  private isClosed = false;
  private failure: TapedeckError | undefined;

  /** For the client only. */
  constructor(
    topics: readonly string[],
    asked: readonly Topic[],
    host: SubscriptionHost,
    options: SubscribeOptions,
  ) {
    this.topics = topics;
    this.asked = asked;
    this.intervalMs = options.intervalMs ?? 0;
    this.host = host;
    this.queue = new ItemQueue(Math.max(1, options.queueMax ?? QUEUE_MAX), host);
    this.ready = this.started.promise;
    this.ready.catch(() => {}); // the iteration throws it too
  }

  /** Items that wait for the consumer. */
  get waiting(): number {
    return this.queue.length;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** The next item, as soon as there is one. @throws TapedeckError if the client cannot continue */
  next(): Promise<IteratorResult<Item<M>, undefined>> {
    return this.nextItem() as Promise<IteratorResult<Item<M>, undefined>>;
  }

  /** Ends it; what waits is dropped. Called when a `for await` ends. */
  return(): Promise<IteratorResult<Item<M>, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends it as `return` does. */
  throw(error: unknown): Promise<IteratorResult<never, undefined>> {
    this.close();
    return Promise.reject(error);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.queue.clear();
    for (const waiter of this.waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
    this.started.reject(new TapedeckError('closed', 'the subscription was closed before it began'));
    this.host.left();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** For the client only: its topics are served. */
  admit(): void {
    this.admitted = true;
    this.started.resolve();
  }

  /** For the client only. */
  push(item: Item): void {
    if (this.isClosed || this.failure !== undefined) return;
    const waiter = this.waiters.shift();
    if (waiter === undefined) {
      this.queue.push(item);
      return;
    }
    this.take(item);
    waiter.resolve({ done: false, value: item });
  }

  /** For the client only: nothing more will come. */
  fail(error: TapedeckError): void {
    if (this.isClosed || this.failure !== undefined) return;
    this.failure = error;
    this.started.reject(error);
    this.host.left();
    if (this.waiters.length === 0) return;
    this.waiters.shift()!.reject(error);
    this.close();
  }

  /** Whether its topics cover this one, which may have a `*`. */
  covers({ channel, interval, symbol }: Topic): boolean {
    return this.asked.some(
      (own) =>
        own.channel === channel &&
        own.interval === interval &&
        (own.symbol === '*' || own.symbol === symbol),
    );
  }

  private nextItem(): Promise<IteratorResult<Item, undefined>> {
    const item = this.queue.shift();
    if (item !== undefined) {
      this.take(item);
      return Promise.resolve({ done: false, value: item });
    }
    const { failure } = this;
    if (failure !== undefined && !this.isClosed) {
      this.close();
      return Promise.reject(failure);
    }
    if (this.isClosed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  private take(item: Item): void {
    const seq = item.type === 'gap' ? item.to : item.seq;
    // A reset to another epoch starts again; otherwise sequence numbers only grow.
    if (item.type === 'reset' || seq > this.taken) this.taken = seq;
  }
}
