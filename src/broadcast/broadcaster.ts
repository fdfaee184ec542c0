/**
 * Broadcaster: batches out to sessions over Bun's native topics.
 *
 * A batch is cut by topic; each topic that somebody is on is encoded once a form and published once.
 * A subscription is answered with the state at the newest pushed place and joins the native topic in
 * the same step, so its updates follow without gap or duplicate. Bounded: the topics that a session
 * may ask for; a `*` grows beyond that with the instruments, which are bounded themselves.
 */

import { encodeTextFrame, FrameEncoder } from '../../protocol/codec';
import { CLOSES, fault, fieldFault, type CloseReason, type Fault } from '../../protocol/codes';
import {
  HEADS_MAX,
  type Execution,
  type Instrument,
  type MarketEvent,
  type Message,
} from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import type { Nanos } from '../../protocol/time';
import { parseTopic, type Topic } from '../../protocol/topics';
import type { Clock } from '../base/clock';
import { DerivedTopics } from './derived';
import {
  Mirror,
  type Follower,
  type MirroredInstrument,
  type SymbolChannel,
  type TopicState,
} from './mirror';
import { INSTRUMENT_TOPIC, type Encoders, type Session, type SessionCounters } from './session';

/** What the broadcaster needs of a server. */
export interface NativeTopics {
  publish(nativeTopic: string, data: string | Uint8Array<ArrayBuffer>): unknown;
}

export interface BroadcastOptions {
  readonly topicsMax: number;
  /** When a session of the market ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

/** A run of events as pushed. */
export interface BroadcastBatch {
  readonly lastSeq: number;
  readonly events: readonly BatchEvent[];
  readonly executions: readonly { readonly owner: string; readonly message: Execution }[];
}

interface Target {
  readonly topic: TopicState;
  readonly instrument: MirroredInstrument | null;
}

export class Broadcaster {
  readonly sessions = new Set<Session>();
  readonly encoders: Encoders;
  /** Newest place pushed. */
  lastSeq = 0;
  /** Asks for a call of `endBars` in this time; it takes the place of the one asked for before. */
  wakeIn: (ms: number) => void = () => {};
  /** Told of a session that was closed for being slow. */
  ended: (session: Session, reason: CloseReason) => void = () => {};
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private wakesAt: Nanos | null = null;
  private readonly native: NativeTopics;
  private readonly options: BroadcastOptions;
  private readonly clock: Clock;
  private readonly dirty: TopicState[] = [];
  private readonly followed = new Set<Follower>();
  private readonly past: SessionCounters = { conflated: 0, dropped: 0, gaps: 0, lagged: 0 };
  private hasNews = false;

  constructor(options: BroadcastOptions, native: NativeTopics, clock: Clock) {
    this.options = options;
    this.native = native;
    this.clock = clock;
    this.mirror = new Mirror(options.sessionBoundary);
    this.derived = new DerivedTopics(clock, (topic, message) => this.queue(topic, message));
    this.encoders = {
      binary: new FrameEncoder(),
      scalesOf: (symbol) => this.mirror.get(symbol)?.definition,
    };
  }

  /** Takes the state of the time before on, up to place `lastSeq`, without pushing it. */
  hydrate(
    events: Iterable<MarketEvent>,
    lastSeq: number,
    statistics: Readonly<Record<string, StatisticsState>> = {},
  ): void {
    this.lastSeq = lastSeq;
    for (const event of events) {
      if (event.type === 'instrument') this.mirror.define(event);
      else this.mirror.apply(event);
    }
    for (const [symbol, state] of Object.entries(statistics)) {
      this.derived.hydrate(this.mirror.get(symbol)!, state);
    }
    this.endBars();
  }

  accept(batch: BroadcastBatch): void {
    for (const event of batch.events) {
      if (event.type === 'command' || event.type === 'snapshot') continue;
      if (event.type === 'instrument') {
        this.announce(event);
        continue;
      }
      const topic = this.mirror.apply(event);
      if (event.type === 'trade') this.derived.add(this.mirror.get(event.symbol)!, event);
      if (topic.isRead) this.queue(topic, event);
    }
    this.derived.seal();
    this.lastSeq = batch.lastSeq;
    this.publishDirty();
    if (batch.executions.length > 0) this.tellOwners(batch.executions);
    this.wakeForBars();
  }

  /** Ends the bars that are over by the clock. */
  endBars(): void {
    this.wakesAt = null;
    this.derived.endBars();
    this.publishDirty();
    this.wakeForBars();
  }

  private wakeForBars(): void {
    const at = this.derived.nextEnd();
    if (at === null || (this.wakesAt !== null && this.wakesAt.compare(at) <= 0)) return;
    this.wakesAt = at;
    this.wakeIn(Math.max(0, Math.ceil(at.since(this.clock.now()) / 1e6)));
  }

  private queue(topic: TopicState, message: Message): void {
    if (topic.pending.length === 0) this.dirty.push(topic);
    topic.pending.push(message);
  }

  private publishDirty(): void {
    for (const topic of this.dirty) this.publish(topic);
    this.dirty.length = 0;
    for (const follower of this.followed) follower.settle();
    this.followed.clear();
  }

  /** Looks after the sessions: who is slow, who is well again, who is to be closed. Now and then. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    for (const session of this.sessions) {
      const reason = session.look(nowMs, this.hasNews);
      if (reason !== undefined) this.end(session, reason);
    }
    this.hasNews = false;
  }

  /** What became of messages, of all sessions that there were. */
  get counters(): SessionCounters {
    const sum = { ...this.past };
    for (const session of this.sessions) addCounters(sum, session.counters);
    return sum;
  }

  leave(session: Session): void {
    if (!this.sessions.delete(session)) return;
    addCounters(this.past, session.counters);
    session.gone();
  }

  private end(session: Session, reason: CloseReason): void {
    // It would not read what it is told; the code is what is left of it.
    if (reason === 'unresponsive') session.terminate();
    else session.close(CLOSES[reason].code, reason);
    this.ended(session, reason);
  }

  /** Each session of an owner gets what became of its orders, in one frame. */
  private tellOwners(executions: BroadcastBatch['executions']): void {
    for (const session of this.sessions) {
      if (session.owner === null) continue;
      const messages: Message[] = [];
      for (const { owner, message } of executions) {
        if (owner !== session.owner) continue;
        messages.push(...this.scalesFor(session, message.symbol), message);
      }
      if (messages.length > 0) session.send(messages);
    }
  }

  /** The definition that gives an execution its decimals, once; its topics need not be subscribed. */
  private scalesFor(session: Session, symbol: string): Instrument[] {
    if (session.traded.has(symbol)) return [];
    session.traded.add(symbol);
    return [this.mirror.get(symbol)!.definition];
  }

  private publish(topic: TopicState): void {
    if (topic.binarySubscribers > 0) {
      const frame = this.encoders.binary.encode(topic.pending);
      topic.binaryBytes += frame.length;
      this.native.publish(topic.nativeBinary, frame);
    }
    if (topic.textSubscribers > 0) {
      const frame = encodeTextFrame(topic.pending, this.encoders.scalesOf);
      topic.textBytes += frame.length;
      this.native.publish(topic.nativeText, frame);
    }
    for (const follower of topic.followers) {
      follower.follow(topic, topic.pending);
      this.followed.add(follower);
    }
    topic.pending.length = 0;
    this.hasNews = true;
  }

  /** Definitions go to every session, and before the first event that needs them. */
  private announce(definition: Instrument): void {
    const added = this.mirror.define(definition);
    this.native.publish(INSTRUMENT_TOPIC.binary, this.encoders.binary.encode([definition]));
    this.native.publish(
      INSTRUMENT_TOPIC.text,
      encodeTextFrame([definition], this.encoders.scalesOf),
    );
    if (added === undefined) return;
    for (const session of this.sessions) {
      for (const [channel, intervalMs] of session.wildcards) {
        session.join(added.topics[channel as SymbolChannel], intervalMs);
      }
    }
  }

  /**
   * All of these topics or none: sends their state and, from then on, their updates. Of a topic that
   * the session is on already the state is sent anew, which is how a reader mends its copy.
   * @param intervalMs at most one frame of each in this time, conflated; 0: every message
   */
  subscribe(
    session: Session,
    id: number,
    names: readonly string[],
    intervalMs: number,
  ): Fault | undefined {
    const topics: Topic[] = [];
    for (const [i, name] of names.entries()) {
      const topic = this.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      topics.push(topic);
    }
    const targets = new Map<TopicState, MirroredInstrument | null>();
    let count = session.topics.size;
    for (const { topic, instrument } of topics.flatMap((t) => this.targets(t))) {
      if (!session.topics.has(topic) && !targets.has(topic)) count += 1;
      targets.set(topic, instrument);
    }
    if (count > this.options.topicsMax) {
      const most = this.options.topicsMax;
      return fault('too-many-topics', `this would make ${count} topics; at most ${most}`);
    }
    const messages: Message[] = [];
    const defined = new Set<MirroredInstrument>();
    for (const [topic, instrument] of targets) {
      messages.push(...this.state(topic, instrument, defined));
      session.join(topic, intervalMs);
    }
    for (const topic of topics)
      if (topic.symbol === '*') session.wildcards.set(channelOf(topic), intervalMs);
    messages.push({ type: 'ack', id, seq: this.lastSeq });
    session.answer(messages);
    return undefined;
  }

  unsubscribe(session: Session, names: readonly string[]): Fault | undefined {
    const leaving: TopicState[] = [];
    const wildcards: string[] = [];
    for (const [i, name] of names.entries()) {
      const topic = this.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      const joined = this.targets(topic).map((t) => t.topic);
      const on = joined.filter((t) => session.topics.has(t));
      if (topic.symbol === '*' ? !session.wildcards.has(channelOf(topic)) : on.length === 0) {
        return fieldFault(`topics[${i}]`, name, 'a topic of this session', 'not-subscribed');
      }
      leaving.push(...on);
      if (topic.symbol === '*') wildcards.push(channelOf(topic));
    }
    for (const topic of leaving) session.leave(topic);
    for (const channel of wildcards) session.wildcards.delete(channel);
    return undefined;
  }

  private check(name: string, at: string): Topic | Fault {
    const topic = parseTopic(name);
    if (topic === undefined) {
      return fieldFault(at, name, 'a topic such as book:BTCUSDT', 'unknown-topic');
    }
    if (
      topic.symbol !== '' &&
      topic.symbol !== '*' &&
      this.mirror.get(topic.symbol) === undefined
    ) {
      return fieldFault(at, name, 'the symbol of a defined instrument', 'unknown-symbol');
    }
    return topic;
  }

  private targets(topic: Topic): Target[] {
    if (topic.channel === 'status') return [{ topic: this.mirror.statusTopic, instrument: null }];
    const channel = channelOf(topic) as SymbolChannel;
    const instruments =
      topic.symbol === '*' ? [...this.mirror.all()] : [this.mirror.get(topic.symbol)!];
    return instruments.map((instrument) => ({ topic: instrument.topics[channel], instrument }));
  }

  /** Definition and newest state of a topic, as a new reader gets them. */
  private state(
    topic: TopicState,
    instrument: MirroredInstrument | null,
    defined: Set<MirroredInstrument>,
  ): Message[] {
    if (instrument === null) {
      const all = [...this.mirror.all()];
      const known = all.map((i) => i.status).filter((status) => status !== null);
      return known.sort((a, b) => a.seq - b.seq);
    }
    const messages: Message[] = [];
    if (!defined.has(instrument)) {
      defined.add(instrument);
      messages.push(instrument.definition);
    }
    const { topics } = instrument;
    let newest: Message | null = null;
    if (topic === topics.tick) newest = instrument.tick;
    else if (topic === topics.bbo) newest = instrument.bbo;
    else if (topic === topics.book) newest = instrument.bookSnapshot();
    else if (topic !== topics.trade) newest = this.derived.state(instrument, topic);
    if (newest !== null) messages.push(newest);
    return messages;
  }

  /** The server stops: tells every session to come back later. */
  goAway(): void {
    const { code, reconnect } = CLOSES['going-away'];
    const reason = 'going-away';
    for (const session of this.sessions) {
      session.send([{ type: 'closing', code, reason, reconnect, retryMs: 1000 }]);
      session.close(code, reason);
    }
  }

  /** Tells each session the heads of its topics that moved since it was last told. */
  heartbeat(): void {
    const time = this.clock.now();
    for (const session of this.sessions) {
      const heads: { topic: string; seq: number }[] = [];
      // Of a reader that waits for some of them, the heads would tell of a loss that is none.
      const topics = session.isLagging ? [] : session.topics;
      for (const [topic, told] of topics) {
        if (session.isPaced(topic)) continue;
        if (topic.head === told) continue;
        session.topics.set(topic, topic.head);
        heads.push({ topic: topic.name, seq: topic.head });
      }
      const seq = session.toldUpTo(this.lastSeq);
      const messages: Message[] = [];
      do {
        const some = heads.splice(0, HEADS_MAX);
        messages.push({ type: 'heartbeat', time, seq, heads: some });
      } while (heads.length > 0);
      session.send(messages);
    }
  }
}

function addCounters(sum: SessionCounters, one: SessionCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
  sum.lagged += one.lagged;
}

/** The topic but for its symbol; of a bar with its interval. */
function channelOf({ channel, interval }: Topic): string {
  return channel === 'bar' ? `bar:${interval}` : channel;
}
