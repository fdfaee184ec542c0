/**
 * Broadcaster: batches out to sessions over Bun's native topics.
 *
 * A batch is cut by topic; each topic that somebody is on is encoded once a form and published once, and
 * kept in the log of the topic while some session reads it at its own pace.
 */

import { encodeTextFrame, encodeTextFrames, FrameEncoder } from '../../protocol/codec';
import { CLOSES, type CloseReason } from '../../protocol/codes';
import {
  type Bar,
  type Execution,
  type Instrument,
  type MarketEvent,
  type Message,
} from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import type { StatisticsState } from '../../protocol/statistics';
import type { Nanos } from '../../protocol/time';
import type { Clock } from '../base/clock';
import type { Prng } from '../base/prng';
import { DerivedTopics, type OnPastBar } from './derived';
import { Mirror, type SymbolChannel, type TopicState } from './mirror';
import type { Session } from './session';
import { FRAME_BYTES_MAX } from './session-limits';
import type { Encoders, SessionCounters } from './session-parts';
import { Subscriptions } from './subscriptions';
import { SentTally, type Tallies } from './tally';
import { INSTRUMENT_TOPIC } from './wire';

/** After a stop sessions are asked to come back not before this time, which a start takes, */
const RETRY_MS_MIN = 250;
/** and spread over one that grows with them, so that none waits longer than it must. */
const SPREAD_MS_MIN = 250;
const SPREAD_MS_MAX = 1_750;
const RETURNS_PER_MS = 5;

/** Behind so many frames of one batch of a topic its readers are sent a ping. */
const MARKED_FRAMES = 4;
/** So many heads of a heartbeat fit into a frame. */
const HEADS_A_MESSAGE = 200;

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

export class Broadcaster {
  readonly sessions = new Set<Session>();
  readonly encoders: Encoders;
  /** Newest place pushed. */
  lastSeq = 0;
  /** Asks for a call of `endBars` in this time; it takes the place of the one asked for before. */
  wakeIn: (ms: number) => void = () => {};
  /** Told of a trade in a bar that ended before those that are kept; `revise` takes what it became. */
  onPastBar: OnPastBar = () => {};
  /** Told of a session that was closed for being slow. */
  ended: (session: Session, reason: CloseReason) => void = () => {};
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private wakesAt: Nanos | null = null;
  private readonly native: NativeTopics;
  private readonly clock: Clock;
  /** What sessions ask for. */
  readonly subscriptions: Subscriptions;
  private readonly dirty: TopicState[] = [];
  private readonly past: SessionCounters = { conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 }; // prettier-ignore
  private publishedBytes = 0;
  /** Of definitions, since sessions were last sent a ping for them. */
  private announcedBytes = 0;
  /** Acknowledgements of this turn. */
  private readonly acks = new Map<Session, Message[]>();

  constructor(options: BroadcastOptions, native: NativeTopics, clock: Clock) {
    this.native = native;
    this.clock = clock;
    this.mirror = new Mirror(options.sessionBoundary);
    this.derived = new DerivedTopics(
      clock,
      (topic, message) => this.queue(topic, message),
      (symbol, interval, openTime) => this.onPastBar(symbol, interval, openTime),
    );
    this.subscriptions = new Subscriptions(
      this.mirror,
      this.derived,
      options,
      clock,
      () => this.lastSeq,
    );
    this.encoders = {
      binary: new FrameEncoder(),
      scalesOf: (symbol) => this.mirror.get(symbol)?.definition,
      own: new SentTally(),
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

  /** Publishes bars that ended before, as history has them now. */
  revise(bars: readonly Bar[]): void {
    for (const bar of bars) {
      const instrument = this.mirror.get(bar.symbol);
      if (instrument !== undefined) this.derived.revise(instrument, bar, this.lastSeq);
    }
    this.publishDirty();
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
  }

  /** Acknowledges to a source, behind what this turn pushes: that is what others wait for. */
  acknowledge(session: Session, ack: Message): void {
    if (this.acks.size === 0) setImmediate(() => this.sendAcks());
    const waiting = this.acks.get(session);
    if (waiting === undefined) this.acks.set(session, [ack]);
    else waiting.push(ack);
  }

  private sendAcks(): void {
    for (const [session, acks] of this.acks) session.send(acks);
    this.acks.clear();
  }

  /** Looks after the sessions: who is slow, who is well again, who is to be closed. Now and then. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    for (const session of this.sessions) {
      const reason = session.look(nowMs, this.publishedBytes);
      if (reason !== undefined) this.end(session, reason);
    }
    this.subscriptions.plays?.look(nowMs);
  }

  /** What became of messages, of all sessions that there were; and how many lag now. */
  get lanes(): SessionCounters & { readonly lagging: number } {
    const sum = { ...this.past };
    let lagging = 0;
    for (const session of this.sessions) {
      addCounters(sum, session.counters);
      if (session.isLagging) lagging += 1;
    }
    return { ...sum, lagging };
  }

  /** What was sent natively and what became of the rest, by kind of topic. */
  get tallies(): Tallies {
    return this.mirror.tallies;
  }

  /** About what is held: in the logs of topics, once for all their readers; and in all, with what is of one session. */
  get waiting(): { readonly logBytes: number; readonly bytes: number } {
    const { logBytes } = this.mirror;
    let bytes = logBytes;
    for (const session of this.sessions) bytes += session.ownBytes;
    return { logBytes, bytes };
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
    this.leave(session); // its close comes behind what waits in its socket, which may be long
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
    const { pending } = topic;
    const { binary, scalesOf } = this.encoders;
    if (topic.binarySubscribers > 0) {
      const frames = binary.encodeFrames(pending, FRAME_BYTES_MAX);
      for (const [i, frame] of frames.entries()) {
        if (i > 0 && i % MARKED_FRAMES === 0) this.mark(topic, false);
        topic.binaryBytes += frame.length;
        topic.binaryFrames += 1;
        topic.tally.sent.add(frame.length, 0, topic.binarySubscribers);
        this.publishedBytes += frame.length;
        this.native.publish(topic.nativeBinary, frame);
      }
    }
    if (topic.textSubscribers > 0) {
      const frames = encodeTextFrames(pending, scalesOf, FRAME_BYTES_MAX);
      for (const [i, frame] of frames.entries()) {
        if (i > 0 && i % MARKED_FRAMES === 0) this.mark(topic, true);
        topic.textBytes += frame.length;
        topic.textFrames += 1;
        topic.tally.sent.add(frame.length, 0, topic.textSubscribers);
        this.publishedBytes += frame.length;
        this.native.publish(topic.nativeText, frame);
      }
    }
    topic.tally.sent.messages += pending.length * (topic.binarySubscribers + topic.textSubscribers);
    topic.log?.append(topic.pending, this.clock.monotonicMs());
    topic.pending.length = 0;
  }

  /** In the middle of a long batch: a slow line shows by these pings that it takes it. */
  private mark(topic: TopicState, isText: boolean): void {
    const nowMs = this.clock.monotonicMs();
    for (const session of this.sessions) {
      if (session.isText === isText && session.isExpress && session.topics.has(topic)) session.mark(nowMs); // prettier-ignore
    }
  }

  /** Definitions go to every session, and before the first event that needs them. */
  private announce(definition: Instrument): void {
    const added = this.mirror.define(definition);
    const { own, binary, scalesOf } = this.encoders;
    const frame = binary.encode([definition]);
    this.native.publish(INSTRUMENT_TOPIC.binary, frame);
    const text = encodeTextFrame([definition], scalesOf);
    this.native.publish(INSTRUMENT_TOPIC.text, text);
    for (const { isText } of this.sessions) own.add(isText ? text.length : frame.length, 1, 1);
    this.announcedBytes += text.length;
    if (this.announcedBytes > MARKED_FRAMES * FRAME_BYTES_MAX) {
      this.announcedBytes = 0;
      const nowMs = this.clock.monotonicMs();
      for (const session of this.sessions) session.mark(nowMs);
    }
    if (added === undefined) return;
    for (const session of this.sessions) {
      for (const [channel, intervalMs] of session.wildcards) {
        session.join(added.topics[channel as SymbolChannel], intervalMs);
      }
    }
  }

  /**
   * The server stops: tells every session to come back, each after a time of its own, so that they do
   * not come all at once; and sends each what waits for it. `letGo` closes those that have it.
   */
  goAway(random: Prng): void {
    const { code, reconnect } = CLOSES['going-away'];
    const nowMs = this.clock.monotonicMs();
    const wanted = Math.round(this.sessions.size / RETURNS_PER_MS);
    const spreadMs = Math.min(Math.max(SPREAD_MS_MIN, wanted), SPREAD_MS_MAX);
    for (const session of this.sessions) {
      const retryMs = random.int(RETRY_MS_MIN, RETRY_MS_MIN + spreadMs);
      session.goAway({ type: 'closing', code, reason: 'going-away', reconnect, retryMs }, nowMs);
    }
  }

  /** Closes those that have all that they were to get; or all, when there is no more time. */
  letGo(all: boolean): void {
    for (const session of this.sessions) {
      if (!all && !session.isDrained) continue;
      session.close(CLOSES['going-away'].code, 'going-away');
      this.leave(session);
    }
  }

  /** Tells each session the heads of its topics that moved since it was last told. */
  heartbeat(): void {
    const time = this.clock.now();
    for (const session of this.sessions) {
      // Any frame shows that the server lives, and behind a long answer this one would show nothing.
      if (session.isAnswering) continue;
      const heads: { topic: string; seq: number }[] = [];
      // Of a reader that waits for some of them, the heads would tell of a loss that is none.
      const topics = session.isExpress ? session.topics : [];
      for (const [topic, told] of topics) {
        if (session.isPaced(topic)) continue; // something of it may wait
        if (topic.head === told) continue;
        session.topics.set(topic, topic.head);
        heads.push({ topic: topic.name, seq: topic.head });
      }
      const seq = session.toldUpTo(this.lastSeq);
      const messages: Message[] = [];
      do {
        const some = heads.splice(0, HEADS_A_MESSAGE);
        messages.push({ type: 'heartbeat', time, seq, heads: some });
      } while (heads.length > 0);
      session.send(messages);
    }
    this.subscriptions.plays?.tellWaiting();
  }
}

function addCounters(sum: SessionCounters, one: SessionCounters): void {
  sum.conflated += one.conflated;
  sum.dropped += one.dropped;
  sum.gaps += one.gaps;
  sum.lagged += one.lagged;
  sum.resets += one.resets;
}
