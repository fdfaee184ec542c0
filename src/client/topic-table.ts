/**
 * Topic table: what the client asked for and how far it has it; pure, without a connection.
 *
 * _The place to resume from._ A `resume` takes one place P for all topics, and the client must have
 * everything of each of them up to P. The lowest last `seq` of the topics would be right but of no
 * use: a topic that is quiet for an hour would have an hour of the others sent again. The highest
 * would be wrong: messages come in order within a topic only [T3], not between topics. What the
 * rules let a client conclude of a topic is
 *
 * - it has everything up to the last `seq` of the topic, since the chain holds [T5];
 * - it has everything up to the `ack.seq` of its subscription: that is where the state stands [S5];
 * - it has everything up to `heartbeat.seq`, the newest place published, if the heartbeat names no
 *   head above the last `seq` of the topic: a connection keeps its order [T7]. So a server must not
 *   let that place run ahead of messages that still wait for this session;
 * - it has everything below the place of a message in the answer of a `resume`, which ascends over
 *   all of its topics but bars and statistics [R2]; so a resume that is cut off is not begun anew.
 *
 * A topic's own place is the highest of these, and P is the lowest of the topics' own places: at
 * most one heartbeat old, however quiet a topic is. Of a `*` the first does not count, since nobody
 * says which topics fall under it. What comes above P a second time is dropped by [T5]. A topic with
 * messages missing stays at the last `seq` before them, whatever heartbeats say. Epochs: another one
 * makes every place void [T6].
 *
 * Bounded by the topics asked for and the instruments there are.
 */

import { CHANNEL_TABLE } from '../../protocol/channels';
import type { MessageOf } from '../../protocol/messages';
import { parseTopic, topicOf, type Topic } from '../../protocol/topics';
import type { TopicMessage } from './items';
import { LocalBook } from './local-book';
import { TopicChain } from './topic-chain';

/** A topic as asked for, `*` or not. */
export interface Asked {
  readonly name: string;
  readonly topic: Topic;
  /** Subscriptions that it serves. */
  users: number;
  /** `idle`: to be asked for. `pending`: asked for. `acked`: the server serves it. */
  stage: 'idle' | 'pending' | 'acked';
  /** Why its state is asked for anew; told to the application when it has come. */
  voidBy: string | undefined;
  /** A `resume` is under way: heartbeats say nothing of it until its answer is whole. */
  resuming: boolean;
  /** Up to here the client has everything of the topics that fall under it. */
  place: number;
  /** Behind a `reset`: where the state stands. */
  stateSeq: number | undefined;
}

/** What the table tells. */
export interface TableOutput {
  /** The next message of a topic. */
  deliver(chain: TopicChain, message: TopicMessage): void;
  /** Messages are missing that nobody announced, or a book does not prove. */
  broken(chain: TopicChain, why: 'chain-break' | 'book-mismatch', at: number): void;
}

/** What came with the answer of a `collect`. */
interface Collected {
  readonly fresh: readonly TopicChain[];
  /** What of it replaces something that the application was told before. */
  readonly resets: ReadonlyMap<string, { readonly topic: Topic; readonly why: string }>;
}

export class TopicTable {
  readonly asked = new Map<string, Asked>();
  readonly chains = new Map<string, TopicChain>();
  /** The epoch that the places are of; undefined before the first. */
  epoch: number | undefined;
  /** The newest seq met in anything; a resume tells it, so that the server sees a journal that went back. */
  newest = 0;
  /** The topics of the only request of a new connection, while its answer ascends over them. */
  private ascending: ReadonlySet<Asked> | undefined;
  private readonly output: TableOutput;

  constructor(output: TableOutput) {
    this.output = output;
  }

  /** Counts a user of a topic. @returns undefined when the text is no topic */
  retain(name: string): Asked | undefined {
    const topic = parseTopic(name);
    if (topic === undefined) return undefined;
    let asked = this.asked.get(name);
    if (asked === undefined) {
      const rest = { users: 0, stage: 'idle', resuming: false, place: 0 } as const;
      asked = { name, topic, ...rest, voidBy: undefined, stateSeq: undefined };
      this.asked.set(name, asked);
    }
    asked.users += 1;
    return asked;
  }

  /** @returns true when that was the last user, and the topic is forgotten */
  release(name: string): boolean {
    const asked = this.asked.get(name);
    if (asked === undefined || --asked.users > 0) return false;
    this.asked.delete(name);
    for (const chain of this.chains.values()) {
      if (this.covering(chain.topic, chain.name).length === 0) this.chains.delete(chain.name);
    }
    return true;
  }

  book(symbol: string): LocalBook | undefined {
    return this.chains.get(`book:${symbol}`)?.book;
  }

  /** What of the asked-for covers a topic: itself, and the `*` of its channel. */
  covering({ channel, interval, symbol }: Topic, name: string): Asked[] {
    const found: Asked[] = [];
    const own = this.asked.get(name);
    if (own !== undefined) found.push(own);
    if (symbol === '' || symbol === '*') return found;
    const all = this.asked.get(interval === '' ? `${channel}:*` : `${channel}:*:${interval}`);
    if (all !== undefined) found.push(all);
    return found;
  }

  /** The chains that fall under a topic. */
  *under({ channel, interval, symbol }: Topic): Generator<TopicChain> {
    for (const chain of this.chains.values()) {
      const { topic } = chain;
      if (topic.channel !== channel || topic.interval !== interval) continue;
      if (symbol === '*' || topic.symbol === symbol) yield chain;
    }
  }

  /** The place to resume from; see above. */
  place(): number {
    let lowest = Number.MAX_SAFE_INTEGER;
    for (const { name, stage, place } of this.asked.values()) {
      if (stage !== 'acked') continue;
      const chain = this.chains.get(name);
      lowest = Math.min(lowest, chain?.phase === 'live' ? Math.max(place, chain.last) : place);
    }
    for (const chain of this.chains.values()) {
      if (chain.phase === 'broken') lowest = Math.min(lowest, chain.last);
    }
    return lowest;
  }

  take(message: TopicMessage): void {
    const name = topicOf(message)!;
    const chain = this.chains.get(name) ?? this.begin(name);
    if (chain === undefined) return; // left, and it was under way
    if (this.ascending !== undefined) this.ascend(chain, message.seq);
    const bridged = chain.bridged(message);
    const verdict = chain.take(bridged);
    this.met(message.seq);
    if (verdict === 'taken') this.output.deliver(chain, bridged);
    else if (verdict === 'broken') this.output.broken(chain, 'chain-break', message.seq);
    else if (verdict === 'mismatch') this.output.broken(chain, 'book-mismatch', message.seq);
  }

  /** @returns whether the gap is told to the application */
  gap(gap: MessageOf<'gap'>): boolean {
    this.met(gap.to);
    const chain = this.chains.get(gap.topic) ?? this.begin(gap.topic);
    return chain?.skip(gap) ?? false;
  }

  /** The places are of a past epoch, until a resume has been answered. */
  doubt(): void {
    for (const chain of this.chains.values()) chain.isUnconfirmed = true;
  }

  /** Forgets what the server says is void; what comes up to `seq` is state [R3]. */
  reset(topics: readonly string[], seq: number): void {
    this.ascending = undefined; // the state comes topic by topic
    this.met(seq);
    for (const name of topics) {
      const topic = parseTopic(name);
      if (topic === undefined) continue;
      const asked = this.asked.get(name);
      if (asked?.stage === 'acked') {
        asked.place = seq;
        asked.stateSeq = seq;
      }
      for (const chain of this.under(topic)) if (chain.phase !== 'collecting') chain.reset(seq);
      if (topic.symbol !== '*' && !this.chains.has(name)) this.begin(name)?.reset(seq);
    }
  }

  /** Everything that is held is void: the numbering began anew [T6]. */
  forget(): void {
    for (const chain of this.chains.values()) chain.discard('other-epoch');
    for (const asked of this.asked.values()) asked.place = 0;
    this.newest = 0;
  }

  /** Back to a past epoch, none of whose seqs is above `newest`: what is held from behind it is void. */
  rewind(epoch: number, newest: number): void {
    this.epoch = epoch;
    this.newest = newest;
    for (const asked of this.asked.values()) asked.place = Math.min(asked.place, newest);
    for (const chain of this.chains.values()) chain.rewind(newest);
  }

  /** The connection has ended: what was only half told is void. */
  cut(): void {
    this.ascending = undefined;
    for (const asked of this.asked.values()) {
      if (asked.stage === 'pending') asked.stage = 'idle';
      asked.resuming = false;
      asked.stateSeq = undefined;
    }
    for (const chain of this.chains.values()) {
      chain.isRefreshed = false;
      if (chain.phase === 'collecting') chain.discard(undefined);
      else if (chain.phase === 'state') chain.discard('connection-failed');
    }
  }

  /** These topics are asked for from their state on; `why`, where what is held of them is void. */
  collect(topics: readonly string[], why: string | undefined): void {
    for (const name of topics) {
      const asked = this.asked.get(name);
      if (asked !== undefined) {
        asked.stage = 'pending';
        asked.voidBy ??= why;
        asked.resuming = false;
        asked.stateSeq = undefined;
      }
      for (const chain of this.under(asked?.topic ?? parseTopic(name)!)) {
        if (why !== undefined || chain.phase === 'void') chain.collectState(why);
      }
    }
  }

  /** The answer of `collect`: the state of these topics is whole. */
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
      asked.place = Math.max(asked.place, seq);
    }
    this.met(seq);
    for (const chain of wrong) {
      chain.discard('book-mismatch');
      this.output.broken(chain, 'book-mismatch', chain.last);
    }
    return { fresh, resets };
  }

  /** A `resume` of these goes out. @param only whether it is all that this connection was asked */
  resume(topics: readonly string[], only: boolean): void {
    const resuming = topics.flatMap((name) => this.asked.get(name) ?? []);
    for (const asked of resuming) asked.resuming = true;
    // Bars and statistics come behind the others.
    const ascending = resuming.filter(
      ({ topic }) => CHANNEL_TABLE[topic.channel].nature !== 'derived',
    );
    this.ascending = only ? new Set(ascending) : undefined;
  }

  /** Everything of them up to `seq` has come. */
  resumed(topics: readonly string[], seq: number): void {
    this.ascending = undefined;
    this.met(seq);
    for (const name of topics) {
      const asked = this.asked.get(name);
      if (asked !== undefined) {
        asked.resuming = false;
        asked.stateSeq = undefined;
        asked.place = Math.max(asked.place, seq);
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

  /** The state of these is asked for although it is held: from then on, until it has come. */
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
      asked.place = Math.max(asked.place, seq);
    }
    for (const chain of this.chains.values()) if (chain.phase === 'state') chain.settle();
    this.met(seq);
  }

  private met(seq: number): void {
    if (seq > this.newest) this.newest = seq;
  }

  /** The chain of a topic that is met for the first time; undefined when nobody asked for it. */
  private begin(name: string): TopicChain | undefined {
    const topic = parseTopic(name);
    if (topic === undefined) return undefined;
    const covering = this.covering(topic, name);
    if (covering.length === 0) return undefined;
    const served = covering.filter(({ stage }) => stage === 'acked');
    const floor = Math.min(...served.map(({ place }) => place), Number.MAX_SAFE_INTEGER);
    const book = CHANNEL_TABLE[topic.channel].nature === 'book' ? new LocalBook() : undefined;
    const chain = new TopicChain(name, topic, floor, book);
    const stateSeq = served.find((asked) => asked.stateSeq !== undefined)?.stateSeq;
    if (served.length === 0) chain.collectState(undefined);
    else if (stateSeq !== undefined) chain.reset(stateSeq);
    this.chains.set(name, chain);
    return chain;
  }

  /** The answer of a resume ascends: whatever lies below its newest message has come. */
  private ascend(chain: TopicChain, seq: number): void {
    const { ascending } = this;
    const own = this.covering(chain.topic, chain.name);
    if (ascending === undefined || !own.every((asked) => ascending.has(asked))) return;
    for (const asked of ascending) asked.place = Math.max(asked.place, seq - 1);
  }
}
