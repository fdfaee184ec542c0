/**
 * Subscriptions: what sessions ask for, and the state that they are answered with.
 *
 * A subscription is answered with the state at the newest pushed place, and joins its topics in the same
 * step, so their updates follow without gap or duplicate. A reader that comes back resumes: it gets what
 * was pushed behind its place, as long as that is in memory and not too much, and goes on live.
 * Bounded: the topics that a session may ask for (a `*` grows beyond that with the instruments, which are
 * bounded themselves), and what one resume may bring (`RESUMED_MESSAGES_MAX`).
 */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
import type { Message, MessageOf } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { parseTopic, type Topic } from '../../protocol/topics';
import type { DerivedTopics } from './derived';
import type { Mirror, MirroredInstrument, SymbolChannel, TopicState } from './mirror';
import type { Session } from './session';

/** Beyond it the state is told instead. A frame of so many fits well into a socket's backlog. */
export const RESUMED_MESSAGES_MAX = 5_000;

type ResetReason = MessageOf<'reset'>['reason'];

interface Target {
  readonly topic: TopicState;
  readonly instrument: MirroredInstrument | null;
}

interface Asked {
  readonly topics: readonly Topic[];
  readonly targets: ReadonlyMap<TopicState, MirroredInstrument | null>;
}

export class Subscriptions {
  /** The life of the numbering. */
  epoch = 0;
  /** All events behind a place, in order; undefined when some of them have left the memory. */
  since: (seq: number) => Iterable<readonly BatchEvent[]> | undefined = () => undefined;
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;
  private readonly options: { readonly topicsMax: number };
  private readonly lastSeq: () => number;

  constructor(
    mirror: Mirror,
    derived: DerivedTopics,
    options: { readonly topicsMax: number },
    lastSeq: () => number,
  ) {
    this.mirror = mirror;
    this.derived = derived;
    this.options = options;
    this.lastSeq = lastSeq;
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
    const asked = this.resolve(session, names);
    if ('code' in asked) return asked;
    const messages: Message[] = [];
    const defined = new Set<MirroredInstrument>();
    for (const [topic, instrument] of asked.targets) {
      messages.push(...this.state(topic, instrument, defined));
    }
    this.join(session, asked, intervalMs);
    session.answer([...messages, { type: 'ack', id, seq: this.lastSeq() }]);
    return undefined;
  }

  /**
   * Everything of these topics behind a place, then live; or, where that is not at hand, a reset with
   * the reason, and their state.
   */
  resume(
    session: Session,
    { id, epoch, seq, topics: names }: MessageOf<'resume'>,
  ): Fault | undefined {
    const asked = this.resolve(session, names);
    if ('code' in asked) return asked;
    const { targets } = asked;
    const missed = this.missed(epoch, seq, targets);
    const defined = new Set<MirroredInstrument>();
    const messages: Message[] = [];
    for (const instrument of targets.values()) {
      if (instrument === null || defined.has(instrument)) continue;
      defined.add(instrument);
      messages.push(instrument.definition);
    }
    const reset = (topics: readonly string[], reason: ResetReason): void => {
      if (topics.length === 0) return;
      session.resets += 1;
      messages.push({ type: 'reset', topics: [...topics], epoch: this.epoch, seq: this.lastSeq(), reason }); // prettier-ignore
    };
    // Bars and statistics are not numbered for themselves: what they are now says it all.
    const isDerived = (name: string): boolean => /^(bar|stats):/.test(name);
    if (typeof missed === 'string') reset(names, missed);
    else reset(names.filter(isDerived), 'not-kept');
    for (const [topic, instrument] of targets) {
      if (typeof missed !== 'string' && !isDerived(topic.name)) continue;
      messages.push(...this.state(topic, instrument, defined));
    }
    if (typeof missed !== 'string') messages.push(...missed);
    this.join(session, asked, 0);
    session.answer([...messages, { type: 'ack', id, seq: this.lastSeq() }]);
    return undefined;
  }

  /** What of the topics was pushed behind a place; or why that is not known. */
  private missed(
    epoch: number,
    seq: number,
    targets: ReadonlyMap<TopicState, unknown>,
  ): Message[] | ResetReason {
    const lastSeq = this.lastSeq();
    if (epoch !== this.epoch) return 'other-epoch';
    if (seq > lastSeq) return 'from-the-future';
    if (seq === lastSeq) return [];
    const runs = this.since(seq);
    if (runs === undefined) return 'too-old';
    const messages: Message[] = [];
    for (const run of runs) {
      for (const event of run) {
        if (event.seq > lastSeq) return messages; // not pushed yet: it follows live
        if (event.type === 'command' || event.type === 'snapshot') continue;
        if (event.type === 'instrument' || targets.has(this.mirror.topicOf(event)))
          messages.push(event);
        if (messages.length > RESUMED_MESSAGES_MAX) return 'too-old';
      }
    }
    return messages;
  }

  private join(session: Session, { topics, targets }: Asked, intervalMs: number): void {
    for (const topic of targets.keys()) session.join(topic, intervalMs);
    for (const topic of topics) {
      if (topic.symbol === '*') session.wildcards.set(channelOf(topic), intervalMs);
    }
  }

  /** The topics of these names: all, or why one of them may not be. */
  private resolve(session: Session, names: readonly string[]): Asked | Fault {
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
    return { topics, targets };
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
}

/** The topic but for its symbol; of a bar with its interval. */
function channelOf({ channel, interval }: Topic): string {
  return channel === 'bar' ? `bar:${interval}` : channel;
}
