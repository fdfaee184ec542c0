/**
 * Market reader: the subscriptions of one client, over one connection after another.
 *
 * It requests topics once, however many subscriptions want them, and delivers messages. What it has of each shard of the
 * server, and how it resumes that on a new connection, is in `numbering.ts`; which topic is in which shard, in
 * `numberings.ts`.
 */

import { ERRORS } from '../../protocol/codes';
import type { Instrument, Message, MessageOf } from '../../protocol/messages';
import { isTopicMessage, parseTopic, topicFault, type Topic } from '../../protocol/topics';
import type { Connection } from './connection';
import { Consumers } from './consumers';
import type { Timers } from './environment';
import { TapedeckError } from './errors';
import type { ReaderEvents } from './events';
import { chunks, Intervals } from './intervals';
import type { Item, TopicMessage } from './items';
import type { LocalBook } from './local-book';
import { Numbering, type NumberingHost } from './numbering';
import { Numberings } from './numberings';
import { Received } from './received';
import { Subscription, type SubscribeOptions } from './subscription';
import type { TopicChain } from './topic-chain';

/** Errors that are the server's fault, not the request's: the next connection may not have them. */
const PASSING: ReadonlySet<string> = new Set([
  'overloaded',
  'journal-failing',
  'history-failed',
  'shutting-down',
  'internal',
]);

export class MarketReader {
  readonly consumers = new Consumers();
  private readonly numberings: Numberings;
  private readonly intervals: Intervals;
  private connection: Connection | undefined;
  private readonly received: Received;

  constructor(timers: Timers, events: ReaderEvents) {
    this.numberings = new Numberings((shard) => new Numbering(shard, host));
    this.intervals = new Intervals(this.numberings, this.consumers);
    const host: NumberingHost = {
      timers,
      events,
      consumers: this.consumers,
      intervals: this.intervals,
      isShared: (name) => this.numberings.isShared(name),
      ask: (make, resolve, reject) => this.ask(make, resolve, reject),
      request: (topics, why) => this.request(topics, why),
      refused: (topics, error, again) => this.refused(topics, error, again),
      answered: () => {
        this.pace();
        this.admit();
      },
      abandon: (why) => this.connection?.abandon(why),
    };
    this.received = new Received(timers, () => {
      const { single } = this.numberings;
      // A `received` names no shard.
      return single === undefined ? 0 : this.consumers.takenSeq(single.table.newest);
    });
  }

  /** The copy of a book. */
  book(symbol: string): LocalBook | undefined {
    return this.numberings.of(symbol)?.table.book(symbol);
  }

  /** Whether the server has several shards. */
  get isSharded(): boolean {
    return this.numberings.single === undefined;
  }

  /** The shard of a symbol; null if it has none, or it is not known. */
  shardOf(symbol: string): string | null {
    return this.numberings.shardOf(symbol);
  }

  // ── subscriptions ───────────────────────────────────────────────────────────────────────────

  /** @throws TapedeckError `unknown-topic` */
  add(topics: readonly string[], options: SubscribeOptions): Subscription {
    const names = [...new Set(topics)];
    const asked: Topic[] = names.map((name) => {
      const topic = parseTopic(name);
      if (topic !== undefined) return topic;
      const { code, message } = topicFault(name, 'the topic');
      throw new TapedeckError(code, message, ERRORS[code].hint);
    });
    for (const [i, name] of names.entries()) {
      if (this.numberings.wanted.retain(name, asked[i]!)) this.numberings.place(name);
    }
    const subscription: Subscription = new Subscription(
      names,
      asked,
      {
        stateOf: (topic) => this.stateOfTopic(topic),
        shardOf: (symbol) => this.numberings.shardOf(symbol),
        topicCount: () => this.chainsOf(subscription).length,
        restart: () => this.restart(subscription),
        left: () => this.remove(subscription),
      },
      options,
    );
    this.consumers.add(subscription);
    if (this.connection !== undefined) this.start(names);
    this.pace();
    this.admit();
    return subscription;
  }

  private remove(subscription: Subscription): void {
    if (!this.consumers.remove(subscription)) return;
    const { numberings } = this;
    const gone = subscription.topics.filter((name) => {
      const stage = numberings.asked(name)?.stage;
      if (!numberings.wanted.release(name)) return false;
      for (const { table } of numberings.all) table.drop(name);
      return stage !== 'idle';
    });
    this.intervals.forget(gone);
    if (gone.length > 0) this.leave(gone);
    this.pace();
  }

  /** Unsubscribing from a `*` ends single topics of its channel too [S8]: those still wanted are requested again. */
  private leave(gone: readonly string[]): void {
    // A single topic that a `*` still covers continues.
    const left = gone.filter((name) => !this.numberings.wanted.isUnderAll(name));
    const wanted = [...this.numberings.allAsked()].filter(
      ({ topic, stage }) =>
        stage !== 'idle' &&
        left.some((other) => {
          const { channel, interval, symbol } = parseTopic(other)!;
          return symbol === '*' && channel === topic.channel && interval === topic.interval;
        }),
    );
    for (const some of chunks(left)) {
      this.ask(
        (id) => ({ type: 'unsubscribe', id, topics: some }),
        () => {},
        () => {},
      );
    }
    this.subscribeAgain(wanted.map(({ name }) => name));
  }

  /** Their chains continue: the state that arrives is a repetition, or replaces what was conflated. */
  private subscribeAgain(names: readonly string[]): void {
    this.subscribe(names, undefined, (some) => {
      const refresh = (isRefreshed: boolean): void => {
        for (const [{ table }, own] of this.numberings.split(some)) table.refresh(own, isRefreshed);
      };
      refresh(true);
      return () => {
        refresh(false);
        this.pace();
      };
    });
  }

  /** Changes intervals to what consumers want now. */
  private pace(): void {
    if (this.connection !== undefined) this.subscribeAgain(this.intervals.off());
  }

  /** Requests the topics that are not requested yet, or those parts of them. */
  private start(names: readonly string[]): void {
    const idle = names.filter((name) => this.numberings.asked(name)?.stage === 'idle');
    this.request(idle, undefined);
    if (this.numberings.single !== undefined) return;
    for (const numbering of this.numberings.all) {
      const { asked } = numbering.table;
      const parts = names.filter((name) => asked.get(name)?.stage === 'idle');
      numbering.requestPart(parts, undefined);
    }
  }

  private admit(): void {
    for (const subscription of this.consumers.waiting()) {
      const { topics } = subscription;
      if (!topics.every((name) => this.numberings.asked(name)?.stage === 'acked')) continue;
      this.consumers.admit(subscription, this.stateOf(subscription));
    }
  }

  private chainsOf(subscription: Subscription): TopicChain[] {
    return [...this.numberings.all].flatMap(({ table }) =>
      [...table.chains.values()].filter(({ topic }) => subscription.covers(topic)),
    );
  }

  private stateOf(subscription: Subscription): TopicMessage[] {
    return this.chainsOf(subscription).flatMap((chain) => chain.state());
  }

  private stateOfTopic(name: string): TopicMessage[] {
    const { symbol } = parseTopic(name)!;
    return this.numberings.of(symbol)?.table.chains.get(name)?.state() ?? [];
  }

  /** A reset and the state, for each numbering that the subscription has a part in. */
  private restart(subscription: Subscription): Item[] {
    const items: Item[] = [];
    for (const [{ table, shard }, topics] of this.numberings.split(subscription.topics)) {
      const head = { type: 'reset', topics, epoch: table.epoch ?? 0, seq: table.newest } as const;
      items.push({ ...head, reason: 'slow-reader', local: true, shard });
      for (const chain of table.chains.values()) {
        if (subscription.covers(chain.topic)) items.push(...chain.state());
      }
    }
    return items;
  }

  // ── connections ─────────────────────────────────────────────────────────────────────────────

  /** Continues over a new connection. */
  attach(connection: Connection): void {
    this.connection = connection;
    const { welcome } = connection;
    const { numberings } = this;
    const held = numberings.serve(welcome.shards).flatMap((gone) => gone.retire());
    for (const [{ table }, names] of numberings.split(held)) {
      for (const name of names) table.replace(name);
    }
    for (const { shard, epoch } of welcome.shards ?? [{ shard: null, epoch: welcome.epoch }]) {
      numberings.get(shard)!.attach(epoch);
    }
    this.start(numberings.wanted.names);
    for (const numbering of numberings.all) numbering.repairVoid();
    this.received.begin((seq) => connection.tell({ type: 'received', seq }));
  }

  detach(): void {
    this.connection = undefined;
    for (const numbering of this.numberings.all) numbering.detach();
    this.received.end();
  }

  /** Requests topics from their state on. @param why given if what was held of them is invalid */
  private request(topics: readonly string[], why: string | undefined): void {
    this.subscribe(topics, why, (some) => {
      for (const [{ table }, own] of this.numberings.split(some)) table.collect(own, why);
      return (ack) => {
        for (const [numbering, own] of this.numberings.split(some)) numbering.collected(own, ack);
        this.pace();
        this.admit();
      };
    });
  }

  /** Subscribes to topics with their intervals. @param begin gives the effect of the answer */
  private subscribe(
    topics: readonly string[],
    why: string | undefined,
    begin: (some: readonly string[]) => (ack: MessageOf<'ack'>) => void,
  ): void {
    for (const { intervalMs, topics: some } of this.intervals.requests(topics)) {
      const answered = begin(some);
      this.intervals.apply(some, intervalMs);
      this.ask(
        (id) => ({ type: 'subscribe', id, topics: [...some], intervalMs: intervalMs || null }),
        answered,
        (error) => this.refused(some, error, (name) => this.request([name], why)),
      );
    }
  }

  private ask(
    make: (id: number) => Message,
    resolve: (ack: MessageOf<'ack'>) => void,
    reject: (error: TapedeckError) => void,
  ): void {
    const { connection } = this;
    connection?.ask({
      make,
      // Ignore an answer of an earlier connection.
      resolve: (_seq, ack) => connection === this.connection && resolve(ack!),
      reject: (error) => connection === this.connection && !connection.ended && reject(error),
    });
  }

  /** A request is refused as a whole [S2]: asks for each topic by itself to find the ones at fault. */
  private refused(
    topics: readonly string[],
    error: TapedeckError,
    again: (name: string) => void,
  ): void {
    if (PASSING.has(error.code)) {
      this.connection?.abandon(`refused to subscribe: ${error.code}`);
      return;
    }
    if (topics.length > 1) {
      for (const name of topics) again(name);
      return;
    }
    const [name] = topics;
    for (const { table } of this.numberings.all) {
      const asked = table.asked.get(name!);
      if (asked !== undefined) asked.stage = 'idle'; // there is nothing to unsubscribe
    }
    for (const subscription of this.consumers.of(name!)) subscription.fail(error);
    // One instrument of a `*` was removed; its chain ends.
    for (const { table } of this.numberings.all) table.chains.delete(name!);
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────

  message(message: Message): void {
    // Before the first request of the new connection, its messages belong to no topic.
    if (this.connection === undefined) return;
    if (isTopicMessage(message)) this.numberings.of(message.symbol)?.take(message);
    else if ('shard' in message) this.numberings.get(message.shard)?.control(message);
  }

  /** A definition arrived, which names the shard of a symbol. */
  instrument(definition: Instrument): void {
    const moved = this.numberings.define(definition);
    if (moved.length > 0 && this.connection !== undefined) this.start(moved);
  }

  /** Requests the topics that broke in a frame with one request, after the frame. */
  frameEnd(): void {
    for (const numbering of this.numberings.all) numbering.frameEnd();
  }
}
