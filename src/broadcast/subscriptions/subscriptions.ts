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
import type { Message, MessageOf } from '../../../protocol/messages';
import type { Clock } from '../../base/clock';
import { parseTopic, type Topic } from '../../../protocol/topics';
import { TopicResolver, type ResolvedTopics, type Targets } from './topic-resolver';
import { BarResume } from '../resume/bar-resume';
import type { DerivedTopics } from '../topics/derived-topics';
import { JobQueue } from './job-queue';
import { LongAnswer, type AnswerPart } from '../backlog/long-answer';
import { channelOf, type Mirror, type MirroredInstrument, type TopicState } from '../topics/mirror';
import type { Numbering, Numberings, ReaderPosition } from '../numbering';
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

interface WholeResume {
  readonly session: Session;
  readonly request: MessageOf<'resume'>;
  readonly positions: readonly ReaderPosition[];
  /** In the queue of resumes, in each numbering. */
  readonly cost: number;
  readonly done: Done;
}

/** A resume in one numbering; one of several is followed by the next. */
interface Resuming {
  readonly session: Session;
  readonly request: MessageOf<'resume'>;
  readonly position: ReaderPosition;
  /** The message at the end of its answer, made in the turn in which the topics are joined. */
  readonly last: () => readonly Message[];
  /** Called when it was answered, or when the whole request is refused. */
  readonly done: Done;
}

export class Subscriptions {
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
  private readonly numberings: Numberings;

  constructor(
    mirror: Mirror,
    derived: DerivedTopics,
    options: { readonly topicsMax: number; readonly statesAtOnceMax?: number },
    clock: Clock,
  ) {
    this.clock = clock;
    this.resumes = new JobQueue(RESUMES_A_TURN, clock.turns);
    this.mirror = mirror;
    this.derived = derived;
    this.resolver = new TopicResolver(mirror, options);
    this.statesAtOnceMax = options.statesAtOnceMax ?? STATES_AT_ONCE_MAX;
    this.snapshots = new Snapshots(mirror, derived, clock.turns);
    this.numberings = mirror.numberings;
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
    messages.push(this.numberings.ack(id));
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
    const { snapshots, numberings } = this;
    const all = [...targets.keys()];
    // The statuses that are sent first, and an ack whose seqs are not above that of any snapshot; null until the first
    // topics are joined.
    const begun: { at: { ack: Message; statuses: readonly Message[] } | null } = { at: null };
    const parts = function* (): Generator<AnswerPart, void> {
      while (begun.at === null) yield null;
      const { ack, statuses } = begun.at;
      if (statuses.length > 0) yield statuses;
      yield* snapshots.parts(session, all, intervalMs);
      yield [ack];
    };
    const answer = new LongAnswer(parts(), all.length + 1, TOPIC_OF_ANSWER_BYTES, done);
    session.answer(answer, this.clock.monotonicMs());
    this.setWildcards(session, topics, intervalMs);
    snapshots.joinFirst(session, all, intervalMs, (statuses) => {
      begun.at = { ack: numberings.ack(id), statuses };
      session.pull(this.clock.monotonicMs());
    });
  }

  /**
   * Sends everything of these topics after a position and then updates; or, if that is not
   * available, a reset with the reason, and the current state. With several positions it does so in
   * one numbering after the other.
   * @param done called when the request was answered or refused; until then the session may not
   * send requests about topics
   */
  resume(session: Session, request: MessageOf<'resume'>, done: Done): void {
    const refused = session.hasSource
      ? replayUnderWay()
      : this.resolver.resolve(session, request.topics);
    if ('code' in refused) return done(refused);
    const positions = positionsOf(request, this.numberings);
    if ('code' in positions) return done(positions);
    const foreign = this.foreignTopic(refused, positions);
    if (foreign !== undefined) return done(foreign);
    const cost = 1 + refused.targets.size / TOPICS_A_RESUME;
    this.resumeFrom({ session, request, positions, cost, done }, 0);
  }

  /** A topic of an instrument in none of these numberings. */
  private foreignTopic(
    { topics }: ResolvedTopics,
    positions: readonly ReaderPosition[],
  ): Fault | undefined {
    if (positions.length === this.numberings.all.length) return undefined;
    const among = new Set(positions.map(({ numbering }) => numbering));
    const foreign = topics.find(({ symbol }) => {
      const instrument = this.mirror.get(symbol);
      return instrument !== undefined && !among.has(instrument.numbering);
    });
    return foreign && fieldFault('topics', foreign.symbol, 'topics of the shards in positions');
  }

  /** Resumes in the numbering of a position, then in those after it. */
  private resumeFrom(whole: WholeResume, index: number): void {
    const { session, request, positions, cost, done } = whole;
    const next = index + 1;
    const isLast = next === positions.length;
    const among = positions.map(({ numbering }) => numbering);
    const resuming: Resuming = {
      session,
      request,
      position: positions[index]!,
      last: () => (isLast ? [this.numberings.ack(request.id, among)] : []),
      done: (refused) => {
        if (refused !== undefined && index > 0) this.undo(session, request);
        if (refused !== undefined || isLast) return done(refused);
        this.resumeFrom(whole, next);
      },
    };
    this.resumes.run(() => this.resumeNow(resuming), cost);
  }

  /** A request is refused as a whole: leaves the topics that it has joined. */
  private undo(session: Session, { topics: names }: MessageOf<'resume'>): void {
    const topics = names.map((name) => parseTopic(name)!);
    for (const topic of this.resolver.targetsOf(topics).keys()) session.leave(topic);
    this.dropWildcards(session, topics, this.numberings.all);
  }

  private resumeNow(resuming: Resuming): void {
    const { session, request, position, done } = resuming;
    if (session.isGone) return;
    // Instruments may have been defined since the request that a `*` stands for.
    const asked = this.resolver.resolve(session, request.topics, position.numbering);
    if ('code' in asked) return done(asked);
    const start = startOf(position);
    if (typeof start === 'string') this.answer(resuming, asked, start);
    else this.catchUp(resuming, asked, position.numbering.pastEpochs.beforeLoss(start));
  }

  /**
   * Resumes from memory or, if that does not reach back far enough, from the journal.
   * @param start the last sequence number that the reader need not be sent
   */
  private catchUp(resuming: Resuming, resolved: ResolvedTopics, start: number): void {
    const { session, request, position, done } = resuming;
    const { numbering } = position;
    const { topics } = resolved;
    const { playbacks } = this;
    const names = this.namesIn(request.topics, numbering);
    const kept = names.filter((name) => !isDerived(name));
    const targets = (): Targets => this.resolver.targetsOf(topics, numbering);
    const recent = (from: number): readonly Message[] | undefined =>
      kept.length === 0 ? [] : this.recent(numbering, from, targets());
    const pull = (): void => session.pull(this.clock.monotonicMs());
    const bars = this.barsBehind(session, position, start, pull);
    const isReady = (): boolean => bars.isReady(() => barsOf(targets()));
    const lostTo = numbering.pastEpochs.lostTo(start);
    const opening = definitionsOf(resolved.targets);
    const gaps = { start, lostTo };
    const missed = recent(start);
    if (missed === undefined && playbacks === null) {
      return this.answer(resuming, resolved, 'too-old');
    }
    if (missed !== undefined && isReady()) {
      return this.answer(resuming, resolved, missed, { opening, gaps, bars });
    }
    for (const topic of resolved.targets.keys()) session.leave(topic);
    this.dropWildcards(session, topics, [numbering]);
    const finish = (outcome: Outcome): void => {
      if (typeof outcome === 'object' && 'code' in outcome) return done(outcome);
      // Instruments may have been defined meanwhile that a `*` stands for.
      const now = this.resolver.resolve(session, request.topics, numbering);
      if ('code' in now) done(now);
      else this.answer(resuming, now, outcome, { opening: [], gaps, bars });
    };
    const queued = (ahead: number): void =>
      session.send([{ type: 'queued', id: request.id, ahead }]);
    const renewed = (): Message[] => this.mirror.standing(targets().keys(), lostTo);
    const { client } = session.meter;
    const common = { client, numbering, recent, isReady, pull, finish };
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

  /** The names that have a part in a numbering. */
  private namesIn(names: readonly string[], numbering: Numbering): readonly string[] {
    if (this.numberings.only !== undefined) return names;
    return names.filter((name) => {
      const instrument = this.mirror.get(parseTopic(name)!.symbol);
      return instrument === undefined || instrument.numbering === numbering;
    });
  }

  /** Collects the bars that the reader missed. */
  private barsBehind(
    session: Session,
    { numbering, epoch }: ReaderPosition,
    start: number,
    ready: () => void,
  ): BarResume {
    const isGone = (): boolean => session.isGone;
    const { client } = session.meter;
    const stage = {
      questions: this.pastBars,
      client,
      late: this.derived.late,
      lastSeq: () => numbering.lastSeq,
      since: numbering.since,
      ready,
      isGone,
    };
    if (epoch !== numbering.epoch) return BarResume.fromPast(stage, start);
    return new BarResume(stage, start, start);
  }

  /** Answers a resume and joins its topics in the same step. */
  private answer(
    { session, request, position: { numbering }, last, done }: Resuming,
    asked: ResolvedTopics,
    outcome: Answered,
    how: Answering = { opening: definitionsOf(asked.targets), gaps: NO_GAPS, bars: null },
  ): void {
    const { targets } = asked;
    const messages: Message[] = [...how.opening];
    const defined = new Set(targets.values());
    const reset = (topics: readonly string[], reason: ResetReason): void => {
      if (topics.length === 0) return;
      session.resets += 1;
      for (const topic of topics) this.mirror.counters[channelOfTopic(topic)].resets += 1;
      const { epoch, lastSeq: seq, shard } = numbering;
      messages.push(...resetsOf(topics, { epoch, seq, reason, shard }));
    };
    const isReset = typeof outcome === 'string';
    const bars = isReset || how.bars === null ? null : how.bars.messages();
    if (isReset) reset(this.namesIn(request.topics, numbering), outcome);
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
    messages.push(...last());
    const join = (): void => this.join(session, asked, 0, [numbering]);
    session.answer(messages, this.clock.monotonicMs(), join);
    done();
  }

  /**
   * The messages of the topics after a sequence number; undefined if they are not in memory or too
   * many.
   */
  private recent(
    numbering: Numbering,
    seq: number,
    targets: ReadonlyMap<TopicState, unknown>,
  ): Message[] | undefined {
    const { lastSeq, since } = numbering;
    if (seq >= lastSeq) return [];
    if (lastSeq - seq > RESUMED_MESSAGES_MAX) return undefined;
    const runs = since(seq);
    if (runs === undefined) return undefined;
    const messages: Message[] = [];
    for (const run of runs) {
      for (const event of run) {
        if (event.seq > lastSeq) return messages; // not published yet: it follows live
        if (event.type === 'command' || event.type === 'snapshot') continue;
        if (event.type === 'instrument') messages.push(numbering.named(event));
        else if (targets.has(this.mirror.topicOf(event))) messages.push(event);
      }
    }
    return messages;
  }

  private join(
    session: Session,
    { topics, targets }: ResolvedTopics,
    intervalMs: number,
    among = this.numberings.all,
  ): void {
    for (const topic of targets.keys()) joinNow(session, topic, intervalMs);
    this.setWildcards(session, topics, intervalMs, among);
  }

  private setWildcards(
    session: Session,
    topics: ResolvedTopics['topics'],
    intervalMs: number,
    among = this.numberings.all,
  ): void {
    for (const topic of topics) {
      if (topic.symbol === '*') this.wildcards.add(session, channelOf(topic), intervalMs, among);
    }
  }

  private dropWildcards(
    session: Session,
    topics: ResolvedTopics['topics'],
    among: readonly Numbering[],
  ): void {
    for (const topic of topics) {
      if (topic.symbol === '*') this.wildcards.delete(session, channelOf(topic), among);
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
    const wildcards: Topic[] = [];
    const seen = new Set<string>();
    for (const [i, name] of names.entries()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const topic = this.resolver.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      const on = this.resolver.statesOf(topic).filter((t) => session.topics.has(t));
      const isOn =
        topic.symbol === '*' ? this.wildcards.has(session, channelOf(topic)) : on.length > 0;
      if (!isOn) {
        return fieldFault(`topics[${i}]`, name, 'a topic of this session', 'not-subscribed');
      }
      for (const one of on) leaving.push(one);
      if (topic.symbol === '*') wildcards.push(topic);
    }
    this.dropWildcards(session, wildcards, this.numberings.all); // new instruments are not joined any more
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

/** The positions of a request, or what is wrong with it. */
function positionsOf(
  request: MessageOf<'resume'>,
  numberings: Numberings,
): readonly ReaderPosition[] | Fault {
  if (request.positions !== null) return namedPositions(request.positions, numberings);
  const { epoch, seq, newest } = request;
  const { only } = numberings;
  // Nobody knows which of several numberings such a position is of. No epoch is 0.
  if (only === undefined) {
    return numberings.all.map((numbering) => ({ numbering, epoch: 0, seq: 0, newest: 0 }));
  }
  if ((newest ?? seq) < seq) return fieldFault('newest', newest, `at least seq (${seq})`);
  return [{ numbering: only, epoch, seq, newest: newest ?? seq }];
}

function namedPositions(
  named: NonNullable<MessageOf<'resume'>['positions']>,
  numberings: Numberings,
): readonly ReaderPosition[] | Fault {
  const positions: ReaderPosition[] = [];
  for (const [i, { shard, epoch, seq, newest }] of named.entries()) {
    const numbering = numberings.named(shard);
    const isTwice = positions.some((other) => other.numbering === numbering);
    if (numbering === undefined || isTwice) {
      const expected = isTwice ? 'each shard once' : 'a shard of this server';
      return fieldFault(`positions[${i}].shard`, shard, expected);
    }
    if ((newest ?? seq) < seq) {
      return fieldFault(`positions[${i}].newest`, newest, `at least seq (${seq})`);
    }
    positions.push({ numbering, epoch, seq, newest: newest ?? seq });
  }
  return positions.length > 0 ? positions : fieldFault('positions', named, 'at least one');
}

/** The sequence number to resume from, or why none is safe: `newest` may have been lost in a crash. */
function startOf({ numbering, epoch, seq, newest }: ReaderPosition): number | ResetReason {
  if (epoch === numbering.epoch) return newest > numbering.lastSeq ? 'from-the-future' : seq;
  return numbering.pastEpochs.startOf(epoch, seq, newest) ?? 'other-epoch';
}
