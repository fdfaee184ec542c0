/**
 * Subscriptions: what sessions ask for, and the state that they are answered with.
 *
 * A subscription is answered with the state at the newest pushed place, and joins its topics in the same
 * step, so their updates follow without gap or duplicate. A reader that comes back resumes: it gets what
 * was pushed behind its place, out of memory or the journal, and goes on live.
 * Bounded: the topics that a session may ask for (a `*` grows beyond that with the instruments, which are
 * bounded themselves), what one resume goes through in memory, and how many are answered in one turn.
 */

import { fieldFault, type Fault } from '../../../protocol/codes';
import { ackOf } from '../../../protocol/answers';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { BatchEvent } from '../../../protocol/records';
import type { Clock } from '../../base/clock';
import { AskedTopics, type Asked } from './topic-resolver';
import { BarResume } from '../resume/bar-resume';
import type { DerivedTopics } from '../topics/derived-topics';
import { Desk } from './job-queue';
import { LongAnswer, type AnswerPart } from '../backlog/long-answer';
import { channelOf, type Mirror, type MirroredInstrument, type TopicState } from '../topics/mirror';
import { PastEpochs } from '../resume/past-epochs';
import type { PastBarQuestions } from '../resume/past-bars';
import type { Plays } from '../playback/playbacks';
import { replayUnderWay } from '../replay/replay';
import {
  barsOf,
  definitionsOf,
  gapsOf,
  isDerived,
  NO_GAPS,
  resetsOf,
  type Passed,
} from '../resume/resume-messages';
import {
  Resumption,
  type Answered,
  type Outcome,
  type ResetReason,
} from '../resume/journal-resume';
import type { Session } from '../sessions/session';
import { joinNow, States } from './snapshots';
import { channelOfTopic } from '../../../protocol/channels';
import { WaitingFeed } from '../resume/waiting-resume';
import { Wildcards } from './wildcards';

/**
 * Events that a resume goes through in memory; what is further back comes out of the journal. A frame of
 * so many fits well into a socket's backlog.
 */
export const RESUMED_MESSAGES_MAX = 5_000;
/** So many of those are answered in one turn; and so many topics count as a further one. */
const RESUMES_A_TURN = 8;
const TOPICS_A_RESUME = 1_250;
/** An answer with the states of more topics is made as it is sent. */
const STATES_AT_ONCE_MAX = 256;
/** Topics that one request leaves in a turn. */
const LEFT_A_TURN = 1_000;
/** About what is held of such an answer for each of its topics. */
const TOPIC_OF_ANSWER_BYTES = 8;

type Done = (refused?: Fault) => void;

/** How a resume is answered. */
interface Answering {
  /** What comes first, where it was not sent yet. */
  readonly opening: readonly Message[];
  readonly gaps: Passed;
  /** What was missed of bars; null where the answer is a reset. */
  readonly bars: BarResume | null;
}

export class Subscriptions {
  /** The life of the numbering. */
  epoch = 0;
  pastEpochs: PastEpochs = new PastEpochs(new Map());
  /** All events behind a place, in order; undefined when some of them have left the memory. */
  since: (seq: number) => Iterable<readonly BatchEvent[]> | undefined = () => undefined;
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private readonly asked: AskedTopics;
  private readonly statesAtOnceMax: number;
  private readonly states: States;
  /** The journal; without it a resume has what is in memory. */
  plays: Plays | null = null;
  /** Who is on a channel for every symbol. */
  readonly wildcards = new Wildcards();
  /** Bars of the past. */
  pastBars: PastBarQuestions | null = null;
  private readonly clock: Clock;
  private readonly desk: Desk;
  private readonly lastSeq: () => number;

  constructor(
    mirror: Mirror,
    derived: DerivedTopics,
    options: { readonly topicsMax: number; readonly statesAtOnceMax?: number },
    clock: Clock,
    lastSeq: () => number,
  ) {
    this.clock = clock;
    this.desk = new Desk(RESUMES_A_TURN, clock.turns);
    this.mirror = mirror;
    this.derived = derived;
    this.asked = new AskedTopics(mirror, options);
    this.statesAtOnceMax = options.statesAtOnceMax ?? STATES_AT_ONCE_MAX;
    this.states = new States(mirror, derived, clock.turns);
    this.lastSeq = lastSeq;
  }

  /**
   * All of these topics or none: sends their state and, from then on, their updates. Of a topic that
   * the session is on already the state is sent anew, which is how a reader mends its copy.
   * @param intervalMs at most one frame of each in this time, conflated; 0: every message
   * @param done told when the answer is made; nothing else may be asked of topics meanwhile
   */
  subscribe(
    session: Session,
    id: number,
    names: readonly string[],
    intervalMs: number,
    done: () => void = () => {},
  ): Fault | undefined {
    const asked = session.isFed ? replayUnderWay() : this.asked.resolve(session, names);
    if ('code' in asked) return asked;
    if (asked.targets.size > this.statesAtOnceMax) {
      this.subscribeLong(session, id, asked, intervalMs, done);
      return undefined;
    }
    const messages: Message[] = [];
    const defined = new Set<MirroredInstrument | null>();
    for (const topic of asked.targets.keys()) messages.push(...this.states.of(topic, defined));
    messages.push(ackOf(id, this.lastSeq()));
    session.answer(messages, this.clock.monotonicMs(), () => this.join(session, asked, intervalMs));
    done();
    return undefined;
  }

  /** The same of many topics: their states are made as they are sent. */
  private subscribeLong(
    session: Session,
    id: number,
    { topics, targets }: Asked,
    intervalMs: number,
    done: () => void,
  ): void {
    const { states, lastSeq } = this;
    const all = [...targets.keys()];
    // What goes first, and a seq that no state stands below; null: not all of that is joined.
    const begun: { at: { seq: number; statuses: readonly Message[] } | null } = { at: null };
    const parts = function* (): Generator<AnswerPart, void> {
      while (begun.at === null) yield null;
      const { seq, statuses } = begun.at;
      if (statuses.length > 0) yield statuses;
      yield* states.parts(session, all, intervalMs);
      yield [ackOf(id, seq)];
    };
    const answer = new LongAnswer(parts(), all.length + 1, TOPIC_OF_ANSWER_BYTES, done);
    session.answer(answer, this.clock.monotonicMs());
    this.setWildcards(session, topics, intervalMs);
    states.joinFirst(session, all, intervalMs, (statuses) => {
      begun.at = { seq: lastSeq(), statuses };
      session.pull(this.clock.monotonicMs());
    });
  }

  /**
   * Everything of these topics behind a place, then live; or, where that is not at hand, a reset with
   * the reason, and their state.
   * @param done told when it was answered, or why it is refused; nothing else may be asked meanwhile
   */
  resume(session: Session, request: MessageOf<'resume'>, done: Done): void {
    const refused = session.isFed ? replayUnderWay() : this.asked.resolve(session, request.topics);
    if ('code' in refused) return done(refused);
    const newest = request.newest ?? request.seq;
    if (newest < request.seq) {
      return done(fieldFault('newest', newest, `at least seq (${request.seq})`));
    }
    const cost = 1 + refused.targets.size / TOPICS_A_RESUME;
    this.desk.run(() => this.resumeNow(session, request, newest, done), cost);
  }

  private resumeNow(
    session: Session,
    request: MessageOf<'resume'>,
    newest: number,
    done: Done,
  ): void {
    if (session.isGone) return;
    // Since it was asked, instruments may have come that a `*` stands for.
    const asked = this.asked.resolve(session, request.topics);
    if ('code' in asked) return done(asked);
    const start = this.startOf(request.epoch, request.seq, newest);
    if (typeof start === 'string') this.answer(session, request, asked, start, done);
    else this.catchUp(session, request, asked, this.pastEpochs.beforeLoss(start), done);
  }

  /** The seq that a resume goes on from, or why none is safe: `newest` may be of what is no more. */
  private startOf(epoch: number, seq: number, newest: number): number | ResetReason {
    if (epoch === this.epoch) return newest > this.lastSeq() ? 'from-the-future' : seq;
    return this.pastEpochs.startOf(epoch, seq, newest) ?? 'other-epoch';
  }

  /**
   * Out of memory, or where that does not reach back, out of the journal.
   * @param start the last seq that the reader need not be sent
   */
  private catchUp(
    session: Session,
    request: MessageOf<'resume'>,
    asked: Asked,
    start: number,
    done: Done,
  ): void {
    const { topics, epoch } = request;
    const { plays } = this;
    const kept = topics.filter((name) => !isDerived(name));
    const recent = (from: number): readonly Message[] | undefined =>
      kept.length === 0 ? [] : this.recent(from, this.asked.targetsOf(asked.topics));
    const pull = (): void => session.pull(this.clock.monotonicMs());
    const bars = this.barsBehind(session, start, epoch, pull);
    const isReady = (): boolean => bars.isReady(() => barsOf(this.asked.targetsOf(asked.topics)));
    const lostTo = this.pastEpochs.lostTo(start);
    const opening = definitionsOf(asked.targets);
    const gaps = { start, lostTo };
    const missed = recent(start);
    if (missed === undefined && plays === null) {
      return this.answer(session, request, asked, 'too-old', done);
    }
    if (missed !== undefined && isReady()) {
      return this.answer(session, request, asked, missed, done, { opening, gaps, bars });
    }
    for (const topic of asked.targets.keys()) session.leave(topic);
    for (const topic of asked.topics)
      if (topic.symbol === '*') this.wildcards.delete(session, channelOf(topic));
    const finish = (outcome: Outcome): void => {
      if (typeof outcome === 'object' && 'code' in outcome) return done(outcome);
      // Instruments may have come meanwhile that a `*` stands for.
      const now = this.asked.resolve(session, topics);
      if ('code' in now) done(now);
      else this.answer(session, request, now, outcome, done, { opening: [], gaps, bars });
    };
    const queued = (ahead: number): void =>
      session.send([{ type: 'queued', id: request.id, ahead }]);
    const renewed = (): Message[] =>
      this.mirror.standing(this.asked.targetsOf(asked.topics).keys(), lostTo);
    const common = {
      client: session.meter.client,
      lastSeq: this.lastSeq,
      recent,
      isReady,
      pull,
      finish,
    };
    const stage = { ...common, lostTo, renewed, queued };
    const feed =
      kept.length === 0 || plays === null
        ? new WaitingFeed(stage, start, opening)
        : new Resumption({ ...stage, plays }, kept, session.isText, start, opening);
    session.serve(feed, this.clock.monotonicMs());
  }

  /** What becomes known of bars behind a position. */
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

  /** Answers a resume, and joins its topics in the same step. */
  private answer(
    session: Session,
    { id, topics: names }: MessageOf<'resume'>,
    asked: Asked,
    outcome: Answered,
    done: Done,
    how: Answering = { opening: definitionsOf(asked.targets), gaps: NO_GAPS, bars: null },
  ): void {
    const { targets } = asked;
    const messages: Message[] = [...how.opening];
    const defined = new Set(targets.values());
    const reset = (topics: readonly string[], reason: ResetReason): void => {
      session.resets += 1;
      for (const topic of topics) this.mirror.tallies[channelOfTopic(topic)].resets += 1;
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
        messages.push(...this.states.of(topic, defined));
      }
    }
    if (!isReset) {
      messages.push(...outcome);
      const derived = Array.from(targets.keys()).filter(({ name }) => isDerived(name));
      const kept = derived.filter((topic) => bars?.lost.has(topic) !== true);
      messages.push(...gapsOf(kept, how.gaps));
      for (const topic of targets.keys()) {
        if (topic.name.startsWith('stats:')) messages.push(...this.states.of(topic, defined));
      }
      if (bars !== null) for (const message of bars.messages) messages.push(message);
    }
    messages.push(ackOf(id, this.lastSeq()));
    session.answer(messages, this.clock.monotonicMs(), () => this.join(session, asked, 0));
    done();
  }

  /** What of the topics was pushed behind a place; undefined when memory has it not, or it is much. */
  private recent(seq: number, targets: ReadonlyMap<TopicState, unknown>): Message[] | undefined {
    const lastSeq = this.lastSeq();
    if (seq >= lastSeq) return [];
    if (lastSeq - seq > RESUMED_MESSAGES_MAX) return undefined;
    const runs = this.since(seq);
    if (runs === undefined) return undefined;
    const messages: Message[] = [];
    for (const run of runs) {
      for (const event of run) {
        if (event.seq > lastSeq) return messages; // not pushed yet: it follows live
        if (event.type === 'command' || event.type === 'snapshot') continue;
        if (event.type === 'instrument' || targets.has(this.mirror.topicOf(event)))
          messages.push(event);
      }
    }
    return messages;
  }

  private join(session: Session, { topics, targets }: Asked, intervalMs: number): void {
    for (const topic of targets.keys()) joinNow(session, topic, intervalMs);
    this.setWildcards(session, topics, intervalMs);
  }

  private setWildcards(session: Session, topics: Asked['topics'], intervalMs: number): void {
    for (const topic of topics) {
      if (topic.symbol === '*') this.wildcards.add(session, channelOf(topic), intervalMs);
    }
  }

  /**
   * Leaves all of these topics or none, of many some in each turn.
   * @param done told when it is on none of them any more; nothing else may be asked of topics meanwhile
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
      const topic = this.asked.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      const on = this.asked.statesOf(topic).filter((t) => session.topics.has(t));
      if (topic.symbol === '*' ? !session.wildcards.has(channelOf(topic)) : on.length === 0) {
        return fieldFault(`topics[${i}]`, name, 'a topic of this session', 'not-subscribed');
      }
      for (const one of on) leaving.push(one);
      if (topic.symbol === '*') wildcards.push(channelOf(topic));
    }
    for (const channel of wildcards) this.wildcards.delete(session, channel); // joins no more of them
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
