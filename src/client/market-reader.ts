/**
 * Market reader: the subscriptions of one client, over one connection after another.
 *
 * It requests topics once, however many subscriptions want them; delivers messages; repairs broken topics; and on a new
 * connection resumes where the last one ended, or requests the state again and reports that [R1] to [R4]. The rules of
 * sequence numbers are in `topic-table.ts`. Bound: one request to repair topics every `REPAIR_EVERY_MS`, so a server that is
 * always wrong is not asked in a loop.
 */

import { ERRORS } from '../../protocol/codes';
import type { Message, MessageOf } from '../../protocol/messages';
import { parseTopic, topicFault, type Topic } from '../../protocol/topics';
import type { Connection } from './connection';
import { Consumers } from './consumers';
import { Crossing } from './crossing';
import type { Timers } from './environment';
import { TapedeckError } from './errors';
import type { ReaderEvents } from './events';
import { chunks, Intervals } from './intervals';
import type { Item, TopicMessage } from './items';
import { Received } from './received';
import { Subscription, type SubscribeOptions } from './subscription';
import type { TopicChain } from './topic-chain';
import { isTopicMessage } from '../../protocol/topics';
import { TopicTable } from './topic-table';

const REPAIR_EVERY_MS = 250;
/** Errors that are the server's fault, not the request's: the next connection may not have them. */
const PASSING: ReadonlySet<string> = new Set([
  'overloaded',
  'journal-failing',
  'history-failed',
  'shutting-down',
  'internal',
]);

export class MarketReader {
  readonly table: TopicTable;
  readonly consumers = new Consumers();
  private readonly intervals: Intervals;
  private connection: Connection | undefined;
  /** Whether this connection can be asked to resume. */
  private resumes = true;
  private readonly toRepair = new Map<string, string>();
  private repairTimer: unknown;
  private readonly received: Received;
  private crossing: Crossing | undefined;
  private mayCross = true;
  private readonly timers: Timers;
  private readonly events: ReaderEvents;

  constructor(timers: Timers, events: ReaderEvents) {
    this.timers = timers;
    this.events = events;
    this.table = new TopicTable({
      deliver: ({ name, topic }, message) => this.consumers.hand(name, topic, message),
      broken: (chain, why, seq) => this.broken(chain, why, seq),
    });
    this.intervals = new Intervals(this.table, this.consumers);
    this.received = new Received(timers, () => this.consumers.takenSeq(this.table.newest));
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
    for (const name of names) this.table.retain(name);
    const subscription: Subscription = new Subscription(
      names,
      asked,
      {
        stateOf: (topic) => this.table.chains.get(topic)?.state() ?? [],
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
    const gone = subscription.topics.filter((name) => {
      const stage = this.table.asked.get(name)?.stage;
      return this.table.release(name) && stage !== 'idle';
    });
    this.intervals.forget(gone);
    if (gone.length > 0) this.leave(gone);
    this.pace();
  }

  /** Unsubscribing from a `*` ends single topics of its channel too [S8]: those still wanted are requested again. */
  private leave(gone: readonly string[]): void {
    // A single topic that a `*` still covers continues.
    const left = gone.filter((name) => this.table.covering(parseTopic(name)!, name).length === 0);
    const wanted = [...this.table.asked.values()].filter(
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
    this.subscribe(names, (some) => {
      this.table.refresh(some, true);
      const refreshed = (): void => {
        this.table.refresh(some, false);
        this.pace();
      };
      return [refreshed, undefined];
    });
  }

  /** Changes intervals to what consumers want now. */
  private pace(): void {
    if (this.connection !== undefined) this.subscribeAgain(this.intervals.off());
  }

  /** Requests the topics that are not requested yet. */
  private start(names: readonly string[]): void {
    const idle = names.filter((name) => this.table.asked.get(name)?.stage === 'idle');
    this.request(idle, undefined);
  }

  private admit(): void {
    for (const subscription of this.consumers.waiting()) {
      const { topics } = subscription;
      if (!topics.every((name) => this.table.asked.get(name)?.stage === 'acked')) continue;
      this.consumers.admit(subscription, this.stateOf(subscription));
    }
  }

  private chainsOf(subscription: Subscription): TopicChain[] {
    return [...this.table.chains.values()].filter(({ topic }) => subscription.covers(topic));
  }

  private stateOf(subscription: Subscription): TopicMessage[] {
    return this.chainsOf(subscription).flatMap((chain) => chain.state());
  }

  private restart(subscription: Subscription): Item[] {
    const { table } = this;
    const { topics } = subscription;
    const head = {
      type: 'reset',
      topics,
      epoch: table.epoch ?? 0,
      seq: table.newest,
      shard: null,
    } as const;
    return [{ ...head, reason: 'slow-reader', local: true }, ...this.stateOf(subscription)];
  }

  // ── connections ─────────────────────────────────────────────────────────────────────────────

  /** Continues over a new connection. */
  attach(connection: Connection): void {
    this.connection = connection;
    this.resumes = true;
    const { table } = this;
    const { epoch } = connection.welcome;
    const all = [...table.asked.values()];
    const held = all.filter(({ stage }) => stage === 'acked').map(({ name }) => name);
    const before = table.epoch;
    const other = before !== undefined && before !== epoch;
    const crosses = other && this.mayCross && held.length > 0;
    if (other && !crosses) table.forget();
    table.epoch = epoch;
    this.crossing = crosses ? new Crossing(before, table, chunks(held).length) : undefined;
    this.mayCross = true;
    if (other && !crosses) this.request(held, 'other-epoch');
    else if (held.length > 0) this.resumeHeld(held, all.length === held.length);
    this.start(all.map(({ name }) => name));
    for (const { name, phase, voidBy } of table.chains.values()) {
      if (phase === 'void') this.toRepair.set(name, voidBy ?? 'chain-break');
    }
    this.received.begin((seq) => connection.tell({ type: 'received', seq }));
  }

  detach(): void {
    this.connection = undefined;
    this.table.cut();
    // Unanswered requests are sent again.
    if (this.crossing?.isOver === false)
      this.table.rewind(this.crossing.epoch, this.crossing.newest);
    this.crossing = undefined;
    this.toRepair.clear();
    this.timers.clear(this.repairTimer);
    this.received.end();
    this.repairTimer = undefined;
  }

  /** Resumes on a new connection. @param only whether nothing else is requested */
  private resumeHeld(topics: readonly string[], only: boolean): void {
    const { crossing } = this;
    this.resume(topics, this.table.resumeSeq(), only, () => crossing?.answered());
  }

  /** @param answered called for each answered request */
  private resume(
    topics: readonly string[],
    seq: number,
    only: boolean,
    answered: () => void = () => {},
  ): void {
    const { crossing } = this;
    // Messages of a topic above the newest seq of a past epoch are of the present epoch.
    const isPast = crossing?.isOver === false && seq <= crossing.newest;
    const { epoch, newest } = isPast ? crossing : this.table;
    const parts = chunks(topics);
    this.table.resume(topics, only && parts.length === 1);
    for (const some of parts) {
      this.intervals.apply(some, 0);
      this.ask(
        (id) => ({ type: 'resume', id, epoch: epoch!, seq, topics: some, newest, positions: null }),
        (to) => {
          answered();
          this.table.resumed(some, to);
          this.events.resumed(seq, to);
          this.pace();
        },
        (error) => {
          if (error.code === 'not-supported') this.resumes = false;
          if (this.crossing?.isAccepted !== false) return this.request(some, error.code);
          // It is unknown whether the sequence numbers are still valid: another connection requests the topics as new.
          this.mayCross = false;
          this.connection?.abandon(`refused to resume: ${error.code}`);
        },
      );
    }
  }

  /** Requests topics from their state on. @param why given if what was held of them is invalid */
  private request(topics: readonly string[], why: string | undefined): void {
    this.subscribe(topics, (some) => {
      this.table.collect(some, why);
      return [(seq) => this.collected(some, seq), why];
    });
  }

  /** Subscribes to topics with their intervals. @param begin gives the effect of the answer, and the reason */
  private subscribe(
    topics: readonly string[],
    begin: (some: readonly string[]) => readonly [(seq: number) => void, string | undefined],
  ): void {
    for (const { intervalMs, topics: some } of this.intervals.requests(topics)) {
      const [answered, why] = begin(some);
      this.intervals.apply(some, intervalMs);
      this.ask(
        (id) => ({ type: 'subscribe', id, topics: [...some], intervalMs: intervalMs || null }),
        answered,
        (error) => this.refused(some, why, error),
      );
    }
  }

  private ask(
    make: (id: number) => Message,
    resolve: (seq: number) => void,
    reject: (error: TapedeckError) => void,
  ): void {
    const { connection } = this;
    connection?.ask({
      make,
      // Ignore an answer of an earlier connection.
      resolve: (seq) => connection === this.connection && resolve(seq),
      reject: (error) => connection === this.connection && !connection.ended && reject(error),
    });
  }

  private collected(topics: readonly string[], seq: number): void {
    const { fresh, resets } = this.table.collected(topics, seq);
    // One item for each reason.
    for (const reason of new Set([...resets.values()].map(({ why }) => why))) {
      const own = [...resets].filter(([, { why }]) => why === reason);
      this.tellReset(new Map(own.map(([name, { topic }]) => [name, topic])), seq, reason, true);
    }
    this.consumers.state(fresh);
    this.pace();
    this.admit();
  }

  private tellReset(
    topics: ReadonlyMap<string, Topic>,
    seq: number,
    reason: string,
    local: boolean,
  ): void {
    this.events.reset([...topics.keys()], seq, reason, local);
    this.consumers.reset(topics, { epoch: this.table.epoch!, seq, reason, local });
  }

  /** A request is refused as a whole [S2]: asks for each topic by itself to find the ones at fault. */
  private refused(topics: readonly string[], why: string | undefined, error: TapedeckError): void {
    if (PASSING.has(error.code)) {
      this.connection?.abandon(`refused to subscribe: ${error.code}`);
      return;
    }
    if (topics.length > 1) {
      for (const name of topics) this.request([name], why);
      return;
    }
    const [name] = topics;
    const asked = this.table.asked.get(name!);
    if (asked !== undefined) asked.stage = 'idle'; // there is nothing to unsubscribe
    for (const subscription of this.consumers.of(name!)) subscription.fail(error);
    // One instrument of a `*` was removed; its chain ends.
    this.table.chains.delete(name!);
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────

  message(message: Message): void {
    // Before the first request of the new connection, its messages belong to no topic.
    if (this.connection === undefined) return;
    if (isTopicMessage(message)) {
      this.crossing?.met(message);
      this.table.take(message);
    } else if (message.type === 'heartbeat') this.table.heartbeat(message);
    else if (message.type === 'gap') this.gap(message);
    else if (message.type === 'reset') this.reset(message);
    // Everything held stays valid [T8]; in a crossing, the crossing leads to this epoch.
    else if (message.type === 'epoch') this.table.epoch = message.epoch;
  }

  /** Requests the topics that broke in a frame with one request, after the frame. */
  frameEnd(): void {
    if (this.toRepair.size > 0 && this.repairTimer === undefined) this.repair();
  }

  private gap(message: MessageOf<'gap'>): void {
    if (message.reason === 'not-journaled') this.crossing?.lost(message.to);
    if (!this.table.gap(message)) return;
    this.events.gap(message);
    const { topic } = message;
    this.consumers.hand(topic, parseTopic(topic)!, { ...message, local: false });
  }

  private reset({ topics, epoch, seq, reason }: MessageOf<'reset'>): void {
    const { table } = this;
    if (epoch !== table.epoch || (this.crossing !== undefined && reason === 'other-epoch')) {
      table.forget();
      table.epoch = epoch;
      this.crossing = undefined;
    }
    table.reset(topics, seq);
    for (const { name, phase } of table.chains.values()) {
      if (phase === 'void') this.toRepair.set(name, 'other-epoch');
      else if (phase !== 'broken') this.toRepair.delete(name);
    }
    const known = topics.flatMap((name) => {
      const topic = parseTopic(name);
      return topic === undefined ? [] : [[name, topic] as const];
    });
    this.tellReset(new Map(known), seq, reason, false);
  }

  // ── repair ─────────────────────────────────────────────────────────────────────────────────

  private broken(chain: TopicChain, why: 'chain-break' | 'book-mismatch', seq: number): void {
    this.toRepair.set(chain.name, why);
    this.events.broken(why, { topic: chain.name, last: chain.last, seq });
  }

  private repair(): void {
    const chains = [...this.toRepair].flatMap(([name, why]) => {
      const chain = this.table.chains.get(name);
      return chain?.phase === 'broken' || chain?.phase === 'void' ? [{ name, why, chain }] : [];
    });
    this.toRepair.clear();
    if (chains.length === 0) return;
    this.repairTimer = this.timers.set(() => {
      this.repairTimer = undefined;
      this.frameEnd();
    }, REPAIR_EVERY_MS);
    const broken = chains.filter(({ chain }) => this.resumes && chain.mayResume());
    if (broken.length > 0) {
      const from = Math.min(...broken.map(({ chain }) => chain.last));
      const names = broken.map(({ name }) => name);
      this.resume(names, from, false);
    }
    for (const reason of new Set(chains.map(({ why }) => why))) {
      const again = chains.filter((c) => c.why === reason && !broken.includes(c));
      this.request(
        again.map(({ name }) => name),
        reason,
      );
    }
  }
}
