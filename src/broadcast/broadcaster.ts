/**
 * Broadcaster: batches out to sessions over Bun's native topics.
 *
 * A batch is cut by topic; each topic that somebody is on is encoded once a form and published once, and
 * kept in the log of the topic while some session reads it at its own pace.
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
import { Departure } from './sessions/drain';
import { Heartbeats } from './sessions/heartbeats';
import { Mirror, type TopicState } from './topics/mirror';
import type { NativeReaders } from './topics/native-readers';
import type { Session } from './sessions/session';
import { FRAME_BYTES_MAX } from './sessions/session-limits';
import { addCounters, type SessionCounters } from './sessions/session-counters';
import { type Encoders, SharedFrames } from './sessions/encoders';
import { type SessionCare } from './sessions/session';
import { Subscriptions } from './subscriptions/subscriptions';
import { SentTally, type Tallies } from './topics/counters';
import { Traders } from './sessions/executions';
import { INSTRUMENT_TOPIC } from './sessions/connection';

/** Behind so many frames of one batch of a topic its readers are sent a ping. */
const MARKED_FRAMES = 4;
/** So many sessions are looked at in a turn of the event loop. */
const LOOKS_A_TURN = 150;
/** Sessions that come one after the other have phases far from each other, and all of them even ones. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Bars that end in one turn: at a full minute those of all instruments do, and at midnight each has five. */
const BARS_AT_ONCE = 200;

/** Sessions that are counted in one step, a small part of a millisecond. */
const COUNTED_AT_ONCE = 256;

/** What is to be known of all sessions. */
export interface ReaderFigures {
  /** Sessions that do not keep up. */
  readonly lagging: number;
  /** About what is held: in the logs of topics, once for all their readers; and in all, with what is of one session. */
  readonly logBytes: number;
  readonly bytes: number;
}

/** What the broadcaster needs of a server. */
export interface NativeTopics {
  publish(nativeTopic: string, data: string | Uint8Array<ArrayBuffer>): unknown;
}

export interface BroadcastOptions {
  readonly topicsMax: number;
  /** When a session of the market ends, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
  /** Between heartbeats of a session; 5 s unless given. */
  readonly heartbeatMs?: number;
  /** An answer with the states of more topics is made as it is sent. */
  readonly statesAtOnceMax?: number;
  /** What the logs of all topics may hold, about. */
  readonly logsBytesMax?: number;
}

export class Broadcaster implements SessionCare {
  readonly sessions = new Set<Session>();
  readonly heartbeats: Heartbeats;
  readonly traders: Traders;
  readonly encoders: Encoders;
  /** Newest place pushed. */
  lastSeq = 0;
  /** Times that a session left the express lane for being slow. */
  lagged = 0;
  /** Asks for a call of `endBars` in this time; it takes the place of the one asked for before. */
  wakeIn: (ms: number) => void = () => {};
  /** Told of a trade in a bar that ended before those that are kept; `revise` takes what it became. */
  onPastBar: OnPastBar = () => {};
  /** Told of a session that was closed for being slow. */
  ended: (session: Session, reason: CloseReason) => void = () => {};
  /** What became of messages, of sessions that have gone. */
  readonly past: SessionCounters = { conflated: 0, dropped: 0, gaps: 0, lagged: 0, resets: 0 };
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private wakesAt: Nanos | null = null;
  private readonly native: NativeTopics;
  private readonly clock: Clock;
  /** What sessions ask for. */
  readonly subscriptions: Subscriptions;
  private readonly dirty: TopicState[] = [];
  private readonly agenda: Agenda<Session>;
  private readonly departure: Departure;
  private entered = 0;
  private textSessions = 0;
  /** Of definitions, since sessions were last credited with them. */
  private announcedBytes = 0;
  /** Acknowledgements of this turn. */
  private readonly acks = new Map<Session, Message[]>();

  constructor(options: BroadcastOptions, native: NativeTopics, clock: Clock) {
    this.native = native;
    this.clock = clock;
    this.departure = new Departure(
      this.sessions,
      clock,
      (session) => this.leave(session),
      (session) => this.traders.settle(session),
    );
    this.agenda = new Agenda(LOOKS_A_TURN, clock.turns, (session) => this.lookAt(session));
    this.mirror = new Mirror(options.sessionBoundary, options.logsBytesMax);
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
      shared: new SharedFrames(),
    };
    const { encoders } = this;
    this.traders = new Traders(
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
      lastSeq: () => this.lastSeq,
    });
  }

  /** A session has come. */
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

  accept(batch: SessionBatch): void {
    const definitions: Instrument[] = [];
    for (const event of batch.events) {
      if (event.type === 'command' || event.type === 'snapshot') continue;
      if (event.type === 'instrument') {
        definitions.push(event);
        const added = this.mirror.define(event);
        if (added !== undefined) this.subscriptions.wildcards.join(added);
        continue;
      }
      const topic = this.mirror.apply(event);
      if (event.type === 'trade') this.derived.add(this.mirror.get(event.symbol)!, event);
      if (topic.isRead) this.queue(topic, event);
    }
    this.derived.seal();
    this.lastSeq = batch.lastSeq;
    if (definitions.length > 0) this.announce(definitions);
    this.publishDirty();
    if (batch.executions.length > 0) this.traders.publish(batch.executions);
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

  /** Ends bars that are over by the clock, some of them now; what is left asks for another call at once. */
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

  /** Acknowledges to a source, behind what this turn pushes: that is what others wait for. */
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

  /** Looks after the sessions that need it: who is slow, who is well again, who is to be closed. Now and then. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    this.agenda.run(nowMs);
    this.subscriptions.plays?.look(nowMs);
  }

  private lookAt(session: Session): void {
    if (!this.sessions.has(session)) return;
    const reason = session.look(this.clock.monotonicMs());
    if (reason !== undefined) return this.end(session, reason);
    this.wake(session, session.nextLookMs);
  }

  /** What was sent natively and what became of the rest, by kind of topic. */
  get tallies(): Tallies {
    return this.mirror.tallies;
  }

  /** What grows with the sessions. Yields where it may be interrupted. */
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
    this.traders.leave(session);
    this.subscriptions.wildcards.leave(session);
    addCounters(this.past, session.counters);
    this.departure.gone(session);
    session.gone();
  }

  /** It holds more than there is room for. */
  shed(session: Session): void {
    this.end(session, 'limit-reached');
  }

  private end(session: Session, reason: CloseReason): void {
    // It would not read what it is told, or it would stay until it has; the code is what is left of it.
    const isHeld = reason === 'limit-reached' && session.meter.of('sockets') > 0;
    if (reason === 'unresponsive' || isHeld) session.terminate();
    else session.close(CLOSES[reason].code, reason);
    this.leave(session); // its close comes behind what waits in its socket, which may be long
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
    { pending, tally }: TopicState,
    nativeTopic: string,
    readers: NativeReaders,
    frames: readonly (string | Uint8Array<ArrayBuffer>)[],
  ): void {
    for (const [i, frame] of frames.entries()) {
      // A slow line shows by these pings that it takes a long batch.
      if (i > 0 && i % MARKED_FRAMES === 0) readers.mark(this.clock.monotonicMs());
      tally.sent.add(frame.length, 0, readers.size);
      this.native.publish(nativeTopic, frame);
      readers.sent(frame.length);
    }
    tally.sent.messages += pending.length * readers.size;
  }

  /** The definitions of a batch go to every session, in as few frames as they fit in, before all else of it. */
  private announce(definitions: readonly Instrument[]): void {
    const { own, binary, scalesOf } = this.encoders;
    for (const frame of encodeTextFrames(definitions, scalesOf, FRAME_BYTES_MAX)) {
      this.native.publish(INSTRUMENT_TOPIC.text, frame);
      own.add(frame.length, 0, this.textSessions);
      this.announcedBytes += frame.length;
    }
    for (const frame of binary.encodeFrames(definitions, FRAME_BYTES_MAX)) {
      this.native.publish(INSTRUMENT_TOPIC.binary, frame);
      own.add(frame.length, 0, this.sessions.size - this.textSessions);
    }
    own.messages += definitions.length * this.sessions.size;
    if (this.announcedBytes <= MARKED_FRAMES * FRAME_BYTES_MAX) return;
    for (const session of this.sessions) session.took(this.announcedBytes);
    this.announcedBytes = 0;
  }

  /** The server stops: asks every session to come back, and sends each what waits for it. */
  goAway(random: Prng): void {
    this.departure.begin(random);
  }

  /** Closes some of those that have all that they were to get; or all, when there is no more time. */
  letGo(all: boolean): void {
    this.departure.letGo(all);
  }

  /** Tells sessions whose time has come the heads of their topics that moved. Now and then. */
  beat(): void {
    this.heartbeats.look();
  }
}
