/**
 * Broadcaster: publishes batches to sessions through Bun's native topics.
 *
 * A batch is split by topic. Each topic that has readers is encoded once for each form (binary,
 * text) and published once. While a topic also has lagging readers, its messages are kept in the
 * log of the topic.
 */

import { encodeTextFrames, FrameEncoder } from '../../protocol/codec';
import { CLOSES, type CloseReason } from '../../protocol/codes';
import type { Bar, Instrument, MarketEvent, Message } from '../../protocol/messages';
import type { StatisticsState } from '../../protocol/statistics';
import type { Nanos } from '../../protocol/time';
import { Agenda } from '../base/agenda';
import type { Clock } from '../base/clock';
import type { SessionBatch } from '../base/contracts/batch';
import type { Prng } from '../base/prng';
import { DerivedTopics, type OnPastBar } from './topics/derived-topics';
import { Drain } from './sessions/drain';
import { Heartbeats } from './sessions/heartbeats';
import { Mirror, type TopicState } from './topics/mirror';
import { type Numbering, Numberings } from './numbering';
import type { NativeReaders } from './topics/native-readers';
import type { Session } from './sessions/session';
import { FRAME_BYTES_MAX } from './sessions/session-limits';
import { addCounters, type SessionCounters } from './sessions/session-counters';
import { type Encoders, SharedFrames } from './sessions/encoders';
import { type SessionHost } from './sessions/session';
import { Subscriptions } from './subscriptions/subscriptions';
import { SentCounter, type CountersByChannel } from './topics/counters';
import { ExecutionReports } from './sessions/executions';
import { INSTRUMENT_TOPIC } from './sessions/connection';

/** After this many frames of one batch of a topic, its readers are sent a ping. */
const MARKED_FRAMES = 4;
/** Sessions that are looked after in one turn of the event loop. */
const LOOKS_PER_TURN = 150;
/**
 * Multiples of this, modulo 1, give successive sessions phases that are far apart, and all sessions
 * an even spread.
 */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/**
 * Bars that are ended in one turn. At a full minute the bars of all instruments end; at midnight,
 * five of each.
 */
const BARS_AT_ONCE = 200;

/** Sessions that are counted before `figures` yields; a small part of a millisecond. */
const COUNTED_AT_ONCE = 256;

/** Figures over all sessions. */
export interface ReaderFigures {
  /** Sessions that do not keep up. */
  readonly lagging: number;
  /**
   * Approximate memory: in the logs of topics (once for all their readers), and in total with what
   * belongs to single sessions.
   */
  readonly logBytes: number;
  readonly bytes: number;
}

/** What the broadcaster needs of a Bun server. */
export interface NativeTopics {
  publish(nativeTopic: string, data: string | Uint8Array<ArrayBuffer>): unknown;
}

export interface BroadcastOptions {
  readonly topicsMax: number;
  /** Names of its shards; absent: one numbering without a name. */
  readonly shards?: readonly string[];
  /** When a market session ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
  /** Time between heartbeats of a session; default 5 s. */
  readonly heartbeatMs?: number;
  /** An answer with the snapshots of more topics than this is made while it is sent. */
  readonly statesAtOnceMax?: number;
  /** Approximate bound for the logs of all topics together, in bytes. */
  readonly logsBytesMax?: number;
}

export class Broadcaster implements SessionHost {
  readonly sessions = new Set<Session>();
  readonly heartbeats: Heartbeats;
  readonly executions: ExecutionReports;
  readonly encoders: Encoders;
  readonly numberings: Numberings;
  /** How often a session became lagging. */
  lagged = 0;
  /** Requests a call of `endBars` after this time; replaces an earlier request. */
  wakeIn: (ms: number) => void = () => {};
  /**
   * Called for a trade in a bar that has ended and is no longer kept in memory. The caller reads
   * the bar from history and passes it to `revise`.
   */
  onPastBar: OnPastBar = () => {};
  /** Called for a session that was closed for being slow. */
  ended: (session: Session, reason: CloseReason) => void = () => {};
  /** Counters of sessions that have closed. */
  readonly past: SessionCounters = { conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 };
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private wakesAt: Nanos | null = null;
  private readonly native: NativeTopics;
  private readonly clock: Clock;
  readonly subscriptions: Subscriptions;
  private readonly dirty: TopicState[] = [];
  private readonly agenda: Agenda<Session>;
  private readonly drain: Drain;
  private entered = 0;
  private textSessions = 0;
  /** Bytes of definitions that sessions were not credited with yet. */
  private announcedBytes = 0;
  /** Acknowledgements to send at the end of this turn. */
  private readonly acks = new Map<Session, Message[]>();

  constructor(options: BroadcastOptions, native: NativeTopics, clock: Clock) {
    this.native = native;
    this.clock = clock;
    this.drain = new Drain(
      this.sessions,
      clock,
      (session) => this.leave(session),
      (session) => this.executions.settle(session),
    );
    this.agenda = new Agenda(LOOKS_PER_TURN, clock.turns, (session) => this.lookAfter(session));
    this.numberings = new Numberings(options.shards);
    this.mirror = new Mirror(options.sessionBoundary, options.logsBytesMax, this.numberings);
    this.derived = new DerivedTopics(
      clock,
      (topic, message) => this.queue(topic, message),
      (symbol, interval, openTime) => this.onPastBar(symbol, interval, openTime),
    );
    this.subscriptions = new Subscriptions(this.mirror, this.derived, options, clock);
    this.encoders = {
      binary: new FrameEncoder(),
      scalesOf: (symbol) => this.mirror.get(symbol)?.definition,
      own: new SentCounter(),
      shared: new SharedFrames(),
    };
    const { encoders } = this;
    this.executions = new ExecutionReports(
      clock,
      encoders.shared,
      (symbol) => this.mirror.get(symbol)!.definition,
    );
    const { changes } = this.mirror;
    const everyMs = options.heartbeatMs ?? 5_000;
    this.heartbeats = new Heartbeats({
      everyMs,
      clock,
      encoders,
      changes,
      numberings: this.numberings,
    });
  }

  /** Adds a session. */
  enter(session: Session): void {
    const phase = (++this.entered * GOLDEN) % 1;
    this.sessions.add(session);
    if (session.isText) this.textSessions += 1;
    session.begin(this, phase);
    this.heartbeats.enter(session, phase);
  }

  /** For sessions only. */
  wake(session: Session, atMs = 0): void {
    if (atMs === 0) this.agenda.soon(session);
    else if (atMs < Infinity) this.agenda.at(session, atMs);
    else this.agenda.never(session);
  }

  /** For sessions only. */
  fellBehind(): void {
    this.lagged += 1;
  }

  soon(act: () => void): void {
    this.clock.turns.soon('disconnect', act);
  }

  nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** Restores the state of a numbering up to `lastSeq` without publishing it. */
  hydrate(
    events: Iterable<MarketEvent>,
    lastSeq: number,
    statistics: Readonly<Record<string, StatisticsState>> = {},
    numbering = this.numberings.at(0),
  ): void {
    numbering.lastSeq = lastSeq;
    for (const event of events) {
      if (event.type === 'instrument') this.mirror.define(numbering.named(event), numbering);
      else this.mirror.apply(event);
    }
    for (const [symbol, state] of Object.entries(statistics)) {
      this.derived.restore(this.mirror.get(symbol)!, state);
    }
    this.endBars();
  }

  accept(batch: SessionBatch, numbering = this.numberings.at(0)): void {
    const definitions: Instrument[] = [];
    for (const event of batch.events) {
      if (event.type === 'command' || event.type === 'snapshot') continue;
      if (event.type === 'instrument') {
        const definition = numbering.named(event);
        definitions.push(definition);
        const added = this.mirror.define(definition, numbering);
        if (added !== undefined) this.subscriptions.wildcards.join(added);
        continue;
      }
      const topic = this.mirror.apply(event);
      if (event.type === 'trade') this.derived.add(this.mirror.get(event.symbol)!, event);
      if (topic.hasReaders) this.queue(topic, event);
    }
    this.derived.seal();
    numbering.lastSeq = batch.lastSeq;
    if (definitions.length > 0) this.announce(definitions);
    this.publishDirty();
    if (batch.executions.length > 0) this.executions.publish(batch.executions);
    this.wakeForBars();
  }

  /** Another leader continues the numbering after a seq: what readers hold stays valid [T8]. */
  beginEpoch(numbering: Numbering, epoch: number, seq: number): void {
    numbering.epoch = epoch;
    this.announce([{ type: 'epoch', epoch, seq, shard: numbering.shard }]);
  }

  /** Publishes new states of bars that had already ended. */
  revise(bars: readonly Bar[]): void {
    for (const bar of bars) {
      const instrument = this.mirror.get(bar.symbol);
      if (instrument !== undefined)
        this.derived.revise(instrument, bar, instrument.numbering.lastSeq);
    }
    this.publishDirty();
  }

  /**
   * Ends bars whose time is over, a bounded number of them; if some are left, requests another call
   * at once.
   */
  endBars(): void {
    this.wakesAt = null;
    this.derived.endBars(BARS_AT_ONCE);
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

  /**
   * Sends an acknowledgement to a publisher, after the messages of this turn: other sessions wait
   * for those.
   */
  acknowledge(session: Session, ack: Message): void {
    if (this.acks.size === 0) this.clock.turns.soon('ack', () => this.sendAcks());
    const waiting = this.acks.get(session);
    if (waiting === undefined) this.acks.set(session, [ack]);
    else waiting.push(ack);
  }

  private sendAcks(): void {
    for (const [session, acks] of this.acks) session.send(acks);
    this.acks.clear();
  }

  /**
   * Looks after sessions that asked for it: finds the slow, the recovered and those to close. To be
   * called periodically.
   */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    this.agenda.run(nowMs);
    this.subscriptions.playbacks?.look(nowMs);
  }

  private lookAfter(session: Session): void {
    if (!this.sessions.has(session)) return;
    const reason = session.look(this.clock.monotonicMs());
    if (reason !== undefined) return this.end(session, reason);
    this.wake(session, session.nextLookMs);
  }

  /** Undefined: no instrument of this symbol is defined. */
  numberingOf(symbol: string): Numbering | undefined {
    return this.mirror.get(symbol)?.numbering;
  }

  /** What was sent natively, conflated and dropped, by channel. */
  get counters(): CountersByChannel {
    return this.mirror.counters;
  }

  /** Figures whose cost grows with the number of sessions. Yields where it may be interrupted. */
  *figures(): Generator<undefined, ReaderFigures> {
    let [lagging, ownBytes, seen] = [0, 0, 0];
    for (const session of this.sessions) {
      ownBytes += session.ownBytes;
      if (session.isLagging) lagging += 1;
      if (++seen % COUNTED_AT_ONCE === 0) yield;
    }
    const { logBytes } = this.mirror;
    return { lagging, logBytes, bytes: logBytes + ownBytes };
  }

  leave(session: Session): void {
    if (!this.sessions.delete(session)) return;
    if (session.isText) this.textSessions -= 1;
    this.agenda.delete(session);
    this.heartbeats.leave(session);
    this.executions.leave(session);
    this.subscriptions.wildcards.leave(session);
    addCounters(this.past, session.counters);
    this.drain.gone(session);
    session.gone();
  }

  /** Closes a session that holds more memory than there is room for. */
  shed(session: Session): void {
    this.end(session, 'limit-reached');
  }

  private end(session: Session, reason: CloseReason): void {
    // A close frame would wait in the socket until the reader takes everything before it.
    const isHeld = reason === 'limit-reached' && session.meter.of('sockets') > 0;
    if (reason === 'unresponsive' || isHeld) session.terminate();
    else session.close(CLOSES[reason].code, reason);
    this.leave(session); // its close event may come late: after all that waits in its socket
    this.ended(session, reason);
  }

  private publish(topic: TopicState): void {
    const { pending } = topic;
    if (topic.binary !== null) {
      const frames = this.encoders.binary.encodeFrames(pending, FRAME_BYTES_MAX);
      this.publishFrames(topic, topic.nativeBinary, topic.binary, frames);
    }
    if (topic.text !== null) {
      const frames = encodeTextFrames(pending, this.encoders.scalesOf, FRAME_BYTES_MAX);
      this.publishFrames(topic, topic.nativeText, topic.text, frames);
    }
    topic.log?.append(topic.pending, this.clock.monotonicMs());
    topic.pending.length = 0;
  }

  private publishFrames(
    { pending, counters }: TopicState,
    nativeTopic: string,
    readers: NativeReaders,
    frames: readonly (string | Uint8Array<ArrayBuffer>)[],
  ): void {
    for (const [i, frame] of frames.entries()) {
      // These pings show whether a slow line keeps up with a long batch.
      if (i > 0 && i % MARKED_FRAMES === 0) readers.mark(this.clock.monotonicMs());
      counters.sent.add(frame.length, 0, readers.size);
      this.native.publish(nativeTopic, frame);
      readers.sent(frame.length);
    }
    counters.sent.messages += pending.length * readers.size;
  }

  /** Sends messages, such as the definitions of a batch, to every session before all others of the batch. */
  private announce(messages: readonly Message[]): void {
    const { own, binary, scalesOf } = this.encoders;
    for (const frame of encodeTextFrames(messages, scalesOf, FRAME_BYTES_MAX)) {
      this.native.publish(INSTRUMENT_TOPIC.text, frame);
      own.add(frame.length, 0, this.textSessions);
      this.announcedBytes += frame.length;
    }
    for (const frame of binary.encodeFrames(messages, FRAME_BYTES_MAX)) {
      this.native.publish(INSTRUMENT_TOPIC.binary, frame);
      own.add(frame.length, 0, this.sessions.size - this.textSessions);
    }
    own.messages += messages.length * this.sessions.size;
    if (this.announcedBytes <= MARKED_FRAMES * FRAME_BYTES_MAX) return;
    for (const session of this.sessions) session.took(this.announcedBytes);
    this.announcedBytes = 0;
  }

  /**
   * Begins the shutdown: asks every session to reconnect later and sends each what is waiting for
   * it.
   */
  goAway(random: Prng, elsewhere?: () => string | null): void {
    this.drain.begin(random, elsewhere);
  }

  /**
   * Closes some of the sessions that have received everything; with `all`, every session at once.
   */
  closeDrained(all: boolean): void {
    this.drain.closeDrained(all);
  }

  /** Sends the heartbeats that are due. To be called periodically. */
  beat(): void {
    this.heartbeats.look();
  }
}
