/**
 * Topic table: what the client has requested of one numbering and how far it has it; pure, without a connection. A client
 * has one, or one for each shard of its server.
 *
 * _The sequence number to resume from._ A `resume` has one number P for all topics, and the client must have everything of
 * each of them up to P. The lowest last `seq` of the topics would be correct but useless: if one topic was quiet for an
 * hour, an hour of the others would be sent again. The highest would be wrong: messages are ordered within a topic only
 * [T3], not between topics. The rules allow these conclusions for a topic:
 *
 * - it has everything up to the last `seq` of the topic, since the chain is complete [T5];
 * - it has everything up to the `ack.seq` of its subscription: that is the sequence number of the state [S5];
 * - it has everything up to `heartbeat.seq`, the newest published number, if the heartbeat names no head above the last
 *   `seq` of the topic: a connection keeps its order [T7]. So a server must not let that number run ahead of messages
 *   that still wait for this session;
 * - it has everything below the `seq` of a message in the answer of a `resume`, which ascends over all of its topics
 *   except bars and statistics [R2]; so a resume that was interrupted is not started again.
 *
 * The number of a topic is the highest of these, and P is the lowest over all topics: at most one heartbeat old, however
 * quiet a topic is. For a `*` the first does not count, since the set of its topics is unknown. Messages above P that come
 * a second time are dropped by [T5]. A topic with missing messages stays at the last `seq` before them, whatever
 * heartbeats say. Another epoch invalidates all numbers [T6].
 *
 * Bounds: requested topics, and instruments.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import type { MessageOf } from '../../protocol/messages';
import { parseTopic, topicOf, type Topic } from '../../protocol/topics';
import type { TopicMessage } from './items';
import { LocalBook } from './local-book';
import { TopicChain } from './topic-chain';

/** A requested topic, which may have a `*`. */
export interface Asked {
  readonly name: string;
  readonly topic: Topic;
  /** `idle`: not requested. `pending`: requested. `acked`: the server serves it. */
  stage: 'idle' | 'pending' | 'acked';
  /** Why its state is requested again; reported to the application when it has arrived. */
  voidBy: string | undefined;
  /** It is requested by a `resume` without a position, which a `reset` answers [H5]. */
  byReset: boolean;
  /** A `resume` is in progress: heartbeats do not count until its answer is complete. */
  resuming: boolean;
  /** The client has everything of the topics that it covers, up to this sequence number. */
  upTo: number;
  /** After a `reset`: the sequence number of the state. */
  stateSeq: number | undefined;
}

/** What the table reports. */
export interface TableOutput {
  /** The next message of a topic. */
  deliver(chain: TopicChain, message: TopicMessage): void;
  /** Messages are missing that nobody declared, or the checksum of a book differs. */
  broken(chain: TopicChain, why: 'chain-break' | 'book-mismatch', at: number): void;
}

/** The result of a `collect`. */
interface Collected {
  readonly fresh: readonly TopicChain[];
  /** The part that replaces something that the application had before. */
  readonly resets: ReadonlyMap<string, { readonly topic: Topic; readonly why: string }>;
}

export class TopicTable {
  readonly asked = new Map<string, Asked>();
  readonly chains = new Map<string, TopicChain>();
  /** The epoch of the sequence numbers; undefined before the first. */
  epoch: number | undefined;
  /** The newest seq of any message; a resume states it, so that the server detects a journal that went back. */
  newest = 0;
  /** The topics of the only request of a new connection, while its answer ascends over them. */
  private ascending: ReadonlySet<Asked> | undefined;
  private readonly output: TableOutput;

  constructor(output: TableOutput) {
    this.output = output;
  }

  /** Adds a topic, which is to be requested. */
  want(name: string, topic: Topic): void {
    if (this.asked.has(name)) return;
    const rest = { stage: 'idle', byReset: false, resuming: false, upTo: 0 } as const;
    this.asked.set(name, { name, topic, ...rest, voidBy: undefined, stateSeq: undefined });
  }

  /** What the application has of a topic is of a numbering that is gone: its state here replaces that. */
  replace(name: string): void {
    const asked = this.asked.get(name);
    if (asked?.stage === 'idle') asked.voidBy ??= 'other-epoch';
  }

  /** Removes a topic. */
  drop(name: string): Asked | undefined {
    const asked = this.asked.get(name);
    if (asked === undefined) return undefined;
    this.asked.delete(name);
    for (const chain of this.chains.values()) {
      if (this.covering(chain.topic, chain.name).length === 0) this.chains.delete(chain.name);
    }
    return asked;
  }

  book(symbol: string): LocalBook | undefined {
    return this.chains.get(`book:${symbol}`)?.book;
  }

  /** The requested topics that cover a topic: itself, and the `*` of its channel. */
  covering({ channel, interval, symbol }: Topic, name: string): Asked[] {
    const found: Asked[] = [];
    const own = this.asked.get(name);
    if (own !== undefined) found.push(own);
    if (symbol === '' || symbol === '*') return found;
    const all = this.asked.get(interval === '' ? `${channel}:*` : `${channel}:*:${interval}`);
    if (all !== undefined) found.push(all);
    return found;
  }

  /** The chains that a topic covers. */
  *under({ channel, interval, symbol }: Topic): Generator<TopicChain> {
    for (const chain of this.chains.values()) {
      const { topic } = chain;
      if (topic.channel !== channel || topic.interval !== interval) continue;
      if (symbol === '*' || topic.symbol === symbol) yield chain;
    }
  }

  /** The sequence number to resume from; see above. */
  resumeSeq(): number {
    let lowest = Number.MAX_SAFE_INTEGER;
    for (const { name, stage, upTo } of this.asked.values()) {
      if (stage !== 'acked') continue;
      const chain = this.chains.get(name);
      lowest = Math.min(lowest, chain?.phase === 'live' ? Math.max(upTo, chain.last) : upTo);
    }
    for (const chain of this.chains.values()) {
      if (chain.phase === 'broken') lowest = Math.min(lowest, chain.last);
    }
    return lowest;
  }

  take(message: TopicMessage): void {
    const name = topicOf(message)!;
    const chain = this.chains.get(name) ?? this.begin(name);
    if (chain === undefined) return; // unsubscribed while it was in flight
    if (this.ascending !== undefined) this.ascend(chain, message.seq);
    const bridged = chain.bridged(message);
    const verdict = chain.take(bridged);
    this.met(message.seq);
    if (verdict === 'taken') this.output.deliver(chain, bridged);
    else if (verdict === 'broken') this.output.broken(chain, 'chain-break', message.seq);
    else if (verdict === 'mismatch') this.output.broken(chain, 'book-mismatch', message.seq);
  }

  /** @returns whether the gap goes to the application */
  gap(gap: MessageOf<'gap'>): boolean {
    this.met(gap.to);
    const chain = this.chains.get(gap.topic) ?? this.begin(gap.topic);
    return chain?.skip(gap) ?? false;
  }

  /** Marks the sequence numbers as of a past epoch, until a resume has been answered. */
  doubt(): void {
    for (const chain of this.chains.values()) chain.isUnconfirmed = true;
  }

  /** Discards what the server declares invalid; messages up to `seq` are state [R3]. */
  reset(topics: readonly string[], seq: number): void {
    this.ascending = undefined; // the state arrives topic by topic
    this.met(seq);
    for (const name of topics) {
      const topic = parseTopic(name);
      if (topic === undefined) continue;
      const asked = this.asked.get(name);
      const isAnswer = asked?.byReset === true;
      if (isAnswer) serve(asked);
      if (asked?.stage === 'acked') {
        asked.upTo = seq;
        asked.stateSeq = seq;
      }
      for (const chain of this.under(topic)) {
        if (isAnswer || chain.phase !== 'collecting') chain.reset(seq);
      }
      if (topic.symbol !== '*' && !this.chains.has(name)) this.begin(name)?.reset(seq);
    }
  }

  /** Invalidates everything: the server has restarted its numbering [T6]. */
  forget(): void {
    for (const chain of this.chains.values()) chain.discard('other-epoch');
    for (const asked of this.asked.values()) asked.upTo = 0;
    this.newest = 0;
  }

  /** Returns to a past epoch, whose highest seq is `newest`: what is held above it is invalid. */
  rewind(epoch: number, newest: number): void {
    this.epoch = epoch;
    this.newest = newest;
    for (const asked of this.asked.values()) asked.upTo = Math.min(asked.upTo, newest);
    for (const chain of this.chains.values()) chain.rewind(newest);
  }

  /** The connection has ended: incomplete states are invalid. */
  cut(): void {
    this.ascending = undefined;
    for (const asked of this.asked.values()) {
      if (asked.stage === 'pending') asked.stage = 'idle';
      // Of a `*`, the state of topics that are not known yet may be missing: a partial state counts as none.
      if (asked.stateSeq !== undefined) {
        asked.stage = 'idle';
        asked.voidBy ??= 'connection-failed';
        for (const chain of this.under(asked.topic)) chain.discard('connection-failed');
      }
      asked.byReset = false;
      asked.resuming = false;
      asked.stateSeq = undefined;
    }
    for (const chain of this.chains.values()) {
      chain.isRefreshed = false;
      if (chain.phase === 'collecting') chain.discard(undefined);
      else if (chain.phase === 'state') chain.discard('connection-failed');
    }
  }

  /** Requests these topics from their state on. @param why given if what is held of them is invalid */
  collect(topics: readonly string[], why: string | undefined): void {
    for (const name of topics) {
      const asked = this.asked.get(name);
      if (asked !== undefined) {
        asked.stage = 'pending';
        asked.byReset = false;
        asked.voidBy ??= why;
        asked.resuming = false;
        asked.stateSeq = undefined;
      }
      for (const chain of this.under(asked?.topic ?? parseTopic(name)!)) {
        if (why !== undefined || chain.phase === 'void') chain.collectState(why);
      }
    }
  }

  /** Requests topics that a `reset` will answer. @param why given if what is held of them is invalid */
  awaitReset(topics: readonly string[], why: string | undefined): void {
    for (const name of topics) {
      const asked = this.asked.get(name);
      if (asked === undefined) continue;
      asked.stage = 'pending';
      asked.byReset = true;
      asked.stateSeq = undefined;
      if (why === undefined) continue;
      for (const chain of this.under(asked.topic)) chain.discard(why);
    }
  }

  /** Whether a `reset` that was asked for will bring the state of a chain. */
  isAwaited({ topic, name }: TopicChain): boolean {
    return this.covering(topic, name).some(({ byReset }) => byReset);
  }

  /** Whether a reset of these topics answers `awaitReset`, and thus is about nothing else. */
  awaitsReset(topics: readonly string[]): boolean {
    return topics.every((name) => this.asked.get(name)?.byReset === true);
  }

  /** The answer of `collect`: the state of these topics is complete. */
  collected(topics: readonly string[], seq: number): Collected {
    const fresh: TopicChain[] = [];
    const wrong: TopicChain[] = [];
    const resets = new Map<string, { topic: Topic; why: string }>();
    for (const name of topics) {
      const asked = this.asked.get(name);
      const topic = asked?.topic ?? parseTopic(name)!;
      if (asked?.voidBy !== undefined) resets.set(name, { topic, why: asked.voidBy });
      for (const chain of this.under(topic)) {
        if (chain.phase !== 'collecting') continue;
        const { voidBy: why } = chain;
        if (why !== undefined && !resets.has(name))
          resets.set(chain.name, { topic: chain.topic, why });
        chain.voidBy = undefined;
        (chain.collected(seq) ? fresh : wrong).push(chain);
      }
      if (asked === undefined) continue;
      asked.stage = 'acked';
      asked.voidBy = undefined;
      asked.upTo = Math.max(asked.upTo, seq);
    }
    this.met(seq);
    for (const chain of wrong) {
      chain.discard('book-mismatch');
      this.output.broken(chain, 'book-mismatch', chain.last);
    }
    return { fresh, resets };
  }

  /** A `resume` of these topics is sent. @param only whether this connection was asked nothing else */
  resume(topics: readonly string[], only: boolean): void {
    const resuming = topics.flatMap((name) => this.asked.get(name) ?? []);
    for (const asked of resuming) asked.resuming = true;
    // Bars and statistics follow the others.
    const ascending = resuming.filter(
      ({ topic }) => CHANNEL_TABLE[topic.channel].nature !== 'derived',
    );
    this.ascending = only ? new Set(ascending) : undefined;
  }

  /** Everything of these topics up to `seq` has arrived. */
  resumed(topics: readonly string[], seq: number): void {
    this.ascending = undefined;
    this.met(seq);
    for (const name of topics) {
      const asked = this.asked.get(name);
      if (asked !== undefined) {
        if (asked.byReset) serve(asked);
        asked.resuming = false;
        asked.stateSeq = undefined;
        asked.upTo = Math.max(asked.upTo, seq);
      }
      const topic = asked?.topic ?? parseTopic(name);
      if (topic === undefined) continue;
      for (const chain of this.under(topic)) {
        chain.isUnconfirmed = false;
        const missingAt = chain.settle();
        if (missingAt !== undefined) this.output.broken(chain, 'chain-break', missingAt);
      }
    }
  }

  /** Marks topics whose state is requested although it is held, until it has arrived. */
  refresh(names: readonly string[], isRefreshed: boolean): void {
    for (const name of names) {
      for (const chain of this.under(parseTopic(name)!)) chain.isRefreshed = isRefreshed;
    }
  }

  heartbeat({ seq, heads }: MessageOf<'heartbeat'>): void {
    for (const { topic: name, seq: head } of heads) {
      const topic = parseTopic(name);
      if (topic === undefined) continue;
      const covering = this.covering(topic, name);
      if (covering.some(({ resuming }) => resuming)) continue;
      if (!covering.some(({ stage }) => stage === 'acked')) continue;
      const chain = this.chains.get(name) ?? this.begin(name);
      if (chain === undefined || !chain.lacks(head)) continue;
      chain.break(head);
      this.output.broken(chain, 'chain-break', head);
    }
    for (const asked of this.asked.values()) {
      if (asked.stage !== 'acked' || asked.resuming) continue;
      if (asked.stateSeq !== undefined && seq < asked.stateSeq) continue;
      asked.stateSeq = undefined;
      asked.upTo = Math.max(asked.upTo, seq);
    }
    for (const chain of this.chains.values()) {
      if (chain.phase !== 'state') continue;
      // While its request is open, its state is still under way.
      if (!this.covering(chain.topic, chain.name).some(({ resuming }) => resuming)) chain.settle();
    }
    this.met(seq);
  }

  private met(seq: number): void {
    if (seq > this.newest) this.newest = seq;
  }

  /** Creates the chain of a new topic; undefined if nobody requested it. */
  private begin(name: string): TopicChain | undefined {
    const topic = parseTopic(name);
    if (topic === undefined) return undefined;
    const covering = this.covering(topic, name);
    if (covering.length === 0) return undefined;
    const served = covering.filter(({ stage }) => stage === 'acked');
    const floor = Math.min(...served.map(({ upTo }) => upTo), Number.MAX_SAFE_INTEGER);
    const book = CHANNEL_TABLE[topic.channel].nature === 'book' ? new LocalBook() : undefined;
    const chain = new TopicChain(name, topic, floor, book);
    const stateSeq = served.find((asked) => asked.stateSeq !== undefined)?.stateSeq;
    if (served.length === 0) chain.collectState(undefined);
    else if (stateSeq !== undefined) chain.reset(stateSeq);
    this.chains.set(name, chain);
    return chain;
  }

  /** The answer of a resume ascends: everything below its newest message has arrived. */
  private ascend(chain: TopicChain, seq: number): void {
    const { ascending } = this;
    const own = this.covering(chain.topic, chain.name);
    if (ascending === undefined || !own.every((asked) => ascending.has(asked))) return;
    for (const asked of ascending) asked.upTo = Math.max(asked.upTo, seq - 1);
  }
}

function serve(asked: Asked): void {
  asked.stage = 'acked';
  asked.byReset = false;
  asked.voidBy = undefined;
}
