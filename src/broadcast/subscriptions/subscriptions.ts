/**
 * Subscriptions: subscribe, resume and unsubscribe.
 *
 * A subscription is answered with the state at the newest published sequence number, and joins its
 * topics in the same step, so updates follow without gap or duplicate. A resume sends what was
 * published after the reader's position, from memory or the journal, and then joins live.
 *
 * Bounded: the topics of a session (a `*` grows beyond that with the number of instruments, which
 * is bounded itself), the events in memory that one resume goes through, and the requests answered
 * in one turn.
 */

import { fieldFault, type Fault } from '../../../protocol/codes';
import { ackOf } from '../../../protocol/answers';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { BatchEvent } from '../../../protocol/records';
import type { Clock } from '../../base/clock';
import { TopicResolver, type ResolvedTopics } from './topic-resolver';
import { BarResume } from '../resume/bar-resume';
import type { DerivedTopics } from '../topics/derived-topics';
import { JobQueue } from './job-queue';
import { LongAnswer, type AnswerPart } from '../backlog/long-answer';
import { channelOf, type Mirror, type MirroredInstrument, type TopicState } from '../topics/mirror';
import { PastEpochs } from '../resume/past-epochs';
import type { PastBarQueries } from '../resume/past-bars';
import type { Playbacks } from '../playback/playbacks';
import { replayUnderWay } from '../replay/replay';
import {
  barsOf,
  definitionsOf,
  gapsOf,
  isDerived,
  NO_GAPS,
  resetsOf,
  type SkippedRange,
} from '../resume/resume-messages';
import {
  JournalResume,
  type Answered,
  type Outcome,
  type ResetReason,
} from '../resume/journal-resume';
import type { Session } from '../sessions/session';
import { joinNow, Snapshots } from './snapshots';
import { channelOfTopic } from '../../../protocol/channels';
import { WaitingResume } from '../resume/waiting-resume';
import { Wildcards } from './wildcards';

/**
 * Events that a resume goes through in memory; what is older comes from the journal. A frame of
 * that many fits into the buffer of a socket.
 */
export const RESUMED_MESSAGES_MAX = 5_000;
/** Resumes answered in one turn; this many topics count as one more. */
const RESUMES_A_TURN = 8;
const TOPICS_A_RESUME = 1_250;
/** An answer with the snapshots of more topics is made while it is sent. */
const STATES_AT_ONCE_MAX = 256;
/** Topics that one request leaves in one turn. */
const LEFT_A_TURN = 1_000;
/** Approximate memory of such an answer for each topic. */
const TOPIC_OF_ANSWER_BYTES = 8;

type Done = (refused?: Fault) => void;

/** How a resume is answered. */
interface Answering {
  /** Definitions, if they were not sent yet. */
  readonly opening: readonly Message[];
  readonly gaps: SkippedRange;
  /** Missed bars; null if the answer is a reset. */
  readonly bars: BarResume | null;
}

export class Subscriptions {
  /** The epoch of the sequence numbers. */
  epoch = 0;
  pastEpochs: PastEpochs = new PastEpochs(new Map());
  /**
   * All events after a sequence number, in order; undefined if some of them are not in memory any
   * more.
   */
  since: (seq: number) => Iterable<readonly BatchEvent[]> | undefined = () => undefined;
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private readonly resolver: TopicResolver;
  private readonly statesAtOnceMax: number;
  private readonly snapshots: Snapshots;
  /** The journal; if it is null, a resume has only what is in memory. */
  playbacks: Playbacks | null = null;
  /** The sessions that subscribed to a channel with `*`. */
  readonly wildcards = new Wildcards();
  /** Reads bars of the past. */
  pastBars: PastBarQueries | null = null;
  private readonly clock: Clock;
  private readonly resumes: JobQueue;
  private readonly lastSeq: () => number;

  constructor(
    mirror: Mirror,
    derived: DerivedTopics,
    options: { readonly topicsMax: number; readonly statesAtOnceMax?: number },
    clock: Clock,
    lastSeq: () => number,
  ) {
    this.clock = clock;
    this.resumes = new JobQueue(RESUMES_A_TURN, clock.turns);
    this.mirror = mirror;
    this.derived = derived;
    this.resolver = new TopicResolver(mirror, options);
    this.statesAtOnceMax = options.statesAtOnceMax ?? STATES_AT_ONCE_MAX;
    this.snapshots = new Snapshots(mirror, derived, clock.turns);
    this.lastSeq = lastSeq;
  }

  /**
   * Subscribes to all of these topics or none: sends their state and then their updates. For a
   * topic that the session is on already, the state is sent again; a reader repairs its copy that
   * way.
   * @param intervalMs at most one frame of each topic in this time, conflated; 0: every message
   * @param done called when the answer was made; until then the session may not send requests about
   * topics
   */
  subscribe(
    session: Session,
    id: number,
    names: readonly string[],
    intervalMs: number,
    done: () => void = () => {},
  ): Fault | undefined {
    const asked = session.hasSource ? replayUnderWay() : this.resolver.resolve(session, names);
    if ('code' in asked) return asked;
    if (asked.targets.size > this.statesAtOnceMax) {
      this.subscribeLong(session, id, asked, intervalMs, done);
      return undefined;
    }
    const messages: Message[] = [];
    const defined = new Set<MirroredInstrument | null>();
    for (const topic of asked.targets.keys()) messages.push(...this.snapshots.of(topic, defined));
    messages.push(ackOf(id, this.lastSeq()));
    session.answer(messages, this.clock.monotonicMs(), () => this.join(session, asked, intervalMs));
    done();
    return undefined;
  }

  /** Subscribes to many topics: their snapshots are made while they are sent. */
  private subscribeLong(
    session: Session,
    id: number,
    { topics, targets }: ResolvedTopics,
    intervalMs: number,
    done: () => void,
  ): void {
    const { snapshots, lastSeq } = this;
    const all = [...targets.keys()];
    // The statuses that are sent first, and a seq not above that of any snapshot; null until the first topics are joined.
    const begun: { at: { seq: number; statuses: readonly Message[] } | null } = { at: null };
    const parts = function* (): Generator<AnswerPart, void> {
      while (begun.at === null) yield null;
      const { seq, statuses } = begun.at;
      if (statuses.length > 0) yield statuses;
      yield* snapshots.parts(session, all, intervalMs);
      yield [ackOf(id, seq)];
    };
    const answer = new LongAnswer(parts(), all.length + 1, TOPIC_OF_ANSWER_BYTES, done);
    session.answer(answer, this.clock.monotonicMs());
    this.setWildcards(session, topics, intervalMs);
    snapshots.joinFirst(session, all, intervalMs, (statuses) => {
      begun.at = { seq: lastSeq(), statuses };
      session.pull(this.clock.monotonicMs());
    });
  }

  /**
   * Sends everything of these topics after a sequence number and then updates; or, if that is not
   * available, a reset with the reason, and the current state.
   * @param done called when the request was answered or refused; until then the session may not
   * send requests about topics
   */
  resume(session: Session, request: MessageOf<'resume'>, done: Done): void {
    const refused = session.hasSource
      ? replayUnderWay()
      : this.resolver.resolve(session, request.topics);
    if ('code' in refused) return done(refused);
    const newest = request.newest ?? request.seq;
    if (newest < request.seq) {
      return done(fieldFault('newest', newest, `at least seq (${request.seq})`));
    }
    const cost = 1 + refused.targets.size / TOPICS_A_RESUME;
    this.resumes.run(() => this.resumeNow(session, request, newest, done), cost);
  }

  private resumeNow(
    session: Session,
    request: MessageOf<'resume'>,
    newest: number,
    done: Done,
  ): void {
    if (session.isGone) return;
    // Instruments may have been defined since the request that a `*` stands for.
    const asked = this.resolver.resolve(session, request.topics);
    if ('code' in asked) return done(asked);
    const start = this.startOf(request.epoch, request.seq, newest);
    if (typeof start === 'string') this.answer(session, request, asked, start, done);
    else this.catchUp(session, request, asked, this.pastEpochs.beforeLoss(start), done);
  }

  /**
   * The sequence number to resume from, or why none is safe: `newest` may have been lost in a
   * crash.
   */
  private startOf(epoch: number, seq: number, newest: number): number | ResetReason {
    if (epoch === this.epoch) return newest > this.lastSeq() ? 'from-the-future' : seq;
    return this.pastEpochs.startOf(epoch, seq, newest) ?? 'other-epoch';
  }

  /**
   * Resumes from memory or, if that does not reach back far enough, from the journal.
   * @param start the last sequence number that the reader need not be sent
   */
  private catchUp(
    session: Session,
    request: MessageOf<'resume'>,
    resolved: ResolvedTopics,
    start: number,
    done: Done,
  ): void {
    const { topics, epoch } = request;
    const { playbacks } = this;
    const kept = topics.filter((name) => !isDerived(name));
    const recent = (from: number): readonly Message[] | undefined =>
      kept.length === 0 ? [] : this.recent(from, this.resolver.targetsOf(resolved.topics));
    const pull = (): void => session.pull(this.clock.monotonicMs());
    const bars = this.barsBehind(session, start, epoch, pull);
    const isReady = (): boolean =>
      bars.isReady(() => barsOf(this.resolver.targetsOf(resolved.topics)));
    const lostTo = this.pastEpochs.lostTo(start);
    const opening = definitionsOf(resolved.targets);
    const gaps = { start, lostTo };
    const missed = recent(start);
    if (missed === undefined && playbacks === null) {
      return this.answer(session, request, resolved, 'too-old', done);
    }
    if (missed !== undefined && isReady()) {
      return this.answer(session, request, resolved, missed, done, { opening, gaps, bars });
    }
    for (const topic of resolved.targets.keys()) session.leave(topic);
    for (const topic of resolved.topics)
      if (topic.symbol === '*') this.wildcards.delete(session, channelOf(topic));
    const finish = (outcome: Outcome): void => {
      if (typeof outcome === 'object' && 'code' in outcome) return done(outcome);
      // Instruments may have been defined meanwhile that a `*` stands for.
      const now = this.resolver.resolve(session, topics);
      if ('code' in now) done(now);
      else this.answer(session, request, now, outcome, done, { opening: [], gaps, bars });
    };
    const queued = (ahead: number): void =>
      session.send([{ type: 'queued', id: request.id, ahead }]);
    const renewed = (): Message[] =>
      this.mirror.standing(this.resolver.targetsOf(resolved.topics).keys(), lostTo);
    const common = {
      client: session.meter.client,
      lastSeq: this.lastSeq,
      recent,
      isReady,
      pull,
      finish,
    };
    const stage = { ...common, lostTo, renewed, queued };
    const source =
      kept.length === 0 || playbacks === null
        ? new WaitingResume(stage, start, opening)
        : new JournalResume(
            { ...stage, playbacks: playbacks },
            kept,
            session.isText,
            start,
            opening,
          );
    session.serve(source, this.clock.monotonicMs());
  }

  /** Collects the bars that the reader missed. */
  private barsBehind(session: Session, start: number, epoch: number, ready: () => void): BarResume {
    const { since, lastSeq, pastBars } = this;
    const isGone = (): boolean => session.isGone;
    const { client } = session.meter;
    const stage = {
      questions: pastBars,
      client,
      late: this.derived.late,
      lastSeq,
      since,
      ready,
      isGone,
    };
    if (epoch !== this.epoch) return BarResume.fromPast(stage, start);
    return new BarResume(stage, start, start);
  }

  /** Answers a resume and joins its topics in the same step. */
  private answer(
    session: Session,
    { id, topics: names }: MessageOf<'resume'>,
    asked: ResolvedTopics,
    outcome: Answered,
    done: Done,
    how: Answering = { opening: definitionsOf(asked.targets), gaps: NO_GAPS, bars: null },
  ): void {
    const { targets } = asked;
    const messages: Message[] = [...how.opening];
    const defined = new Set(targets.values());
    const reset = (topics: readonly string[], reason: ResetReason): void => {
      session.resets += 1;
      for (const topic of topics) this.mirror.counters[channelOfTopic(topic)].resets += 1;
      messages.push(...resetsOf(topics, { epoch: this.epoch, seq: this.lastSeq(), reason }));
    };
    const isReset = typeof outcome === 'string';
    const bars = isReset || how.bars === null ? null : how.bars.messages();
    if (isReset) reset(names, outcome);
    else if (bars !== null && bars.lost.size > 0) {
      reset(
        Array.from(bars.lost, ({ name }) => name),
        'not-kept',
      );
    }
    for (const topic of targets.keys()) {
      if (isReset || bars?.lost.has(topic) === true) {
        messages.push(...this.snapshots.of(topic, defined));
      }
    }
    if (!isReset) {
      messages.push(...outcome);
      const derived = Array.from(targets.keys()).filter(({ def }) => def.nature === 'derived');
      const kept = derived.filter((topic) => bars?.lost.has(topic) !== true);
      messages.push(...gapsOf(kept, how.gaps));
      // Past bars come from the trades; of any other derived state there is only the newest.
      for (const topic of derived) {
        if (topic.def.topic === 'interval') continue;
        messages.push(...this.snapshots.of(topic, defined));
      }
      if (bars !== null) for (const message of bars.messages) messages.push(message);
    }
    messages.push(ackOf(id, this.lastSeq()));
    session.answer(messages, this.clock.monotonicMs(), () => this.join(session, asked, 0));
    done();
  }

  /**
   * The messages of the topics after a sequence number; undefined if they are not in memory or too
   * many.
   */
  private recent(seq: number, targets: ReadonlyMap<TopicState, unknown>): Message[] | undefined {
    const lastSeq = this.lastSeq();
    if (seq >= lastSeq) return [];
    if (lastSeq - seq > RESUMED_MESSAGES_MAX) return undefined;
    const runs = this.since(seq);
    if (runs === undefined) return undefined;
    const messages: Message[] = [];
    for (const run of runs) {
      for (const event of run) {
        if (event.seq > lastSeq) return messages; // not published yet: it follows live
        if (event.type === 'command' || event.type === 'snapshot') continue;
        if (event.type === 'instrument' || targets.has(this.mirror.topicOf(event)))
          messages.push(event);
      }
    }
    return messages;
  }

  private join(session: Session, { topics, targets }: ResolvedTopics, intervalMs: number): void {
    for (const topic of targets.keys()) joinNow(session, topic, intervalMs);
    this.setWildcards(session, topics, intervalMs);
  }

  private setWildcards(
    session: Session,
    topics: ResolvedTopics['topics'],
    intervalMs: number,
  ): void {
    for (const topic of topics) {
      if (topic.symbol === '*') this.wildcards.add(session, channelOf(topic), intervalMs);
    }
  }

  /**
   * Unsubscribes from all of these topics or none, with many topics over several turns.
   * @param done called when the session has left all of them; until then it may not send requests
   * about topics
   */
  unsubscribe(
    session: Session,
    names: readonly string[],
    done: () => void = () => {},
  ): Fault | undefined {
    const leaving: TopicState[] = [];
    const wildcards: string[] = [];
    const seen = new Set<string>();
    for (const [i, name] of names.entries()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const topic = this.resolver.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      const on = this.resolver.statesOf(topic).filter((t) => session.topics.has(t));
      if (topic.symbol === '*' ? !session.wildcards.has(channelOf(topic)) : on.length === 0) {
        return fieldFault(`topics[${i}]`, name, 'a topic of this session', 'not-subscribed');
      }
      for (const one of on) leaving.push(one);
      if (topic.symbol === '*') wildcards.push(channelOf(topic));
    }
    for (const channel of wildcards) this.wildcards.delete(session, channel); // new instruments are not joined any more
    this.leave(session, leaving, 0, done);
    return undefined;
  }

  private leave(
    session: Session,
    topics: readonly TopicState[],
    from: number,
    done: () => void,
  ): void {
    if (session.isGone) return;
    const to = from + LEFT_A_TURN;
    for (const topic of topics.slice(from, to)) session.leave(topic);
    if (to >= topics.length) return done();
    this.clock.turns.soon('slice', () => this.leave(session, topics, to, done));
  }
}
