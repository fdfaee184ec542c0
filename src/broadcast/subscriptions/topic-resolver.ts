/**
 * Topic resolver: the topics that the names of a request stand for, or why the request is refused.
 */

import { fault, fieldFault, type Fault } from '../../../protocol/codes';
import { parseTopic, topicFault, type Topic } from '../../../protocol/topics';
import {
  channelOf,
  type Mirror,
  type MirroredInstrument,
  type SymbolChannel,
  type TopicState,
} from '../topics/mirror';
import type { Numbering } from '../numbering';
import type { Session } from '../sessions/session';

export type Targets = ReadonlyMap<TopicState, MirroredInstrument | null>;

export interface ResolvedTopics {
  readonly topics: readonly Topic[];
  readonly targets: Targets;
}

export class TopicResolver {
  private readonly mirror: Mirror;
  private readonly options: { readonly topicsMax: number };

  constructor(mirror: Mirror, options: { readonly topicsMax: number }) {
    this.mirror = mirror;
    this.options = options;
  }

  /**
   * The topics of these names, or why one of them is refused.
   * @param among the targets of this numbering only; absent: all
   */
  resolve(session: Session, names: readonly string[], among?: Numbering): ResolvedTopics | Fault {
    const topics: Topic[] = [];
    const seen = new Set<string>();
    let wild = 0;
    for (const [i, name] of names.entries()) {
      if (seen.has(name)) continue; // each `*` is expanded once, however often it is named
      seen.add(name);
      const topic = this.check(name, `topics[${i}]`);
      if ('code' in topic) return topic;
      topics.push(topic);
      if (topic.symbol === '*') wild += this.mirror.size;
    }
    const most = this.options.topicsMax;
    // What is too much in any case is refused before it is expanded.
    if (wild > most)
      return fault('too-many-topics', `this would make ${wild} topics or more; at most ${most}`);
    const targets = this.targetsOf(topics, among);
    const count = this.countWith(session, targets);
    if (count > most) {
      return fault('too-many-topics', `this would make ${count} topics; at most ${most}`);
    }
    return { topics, targets };
  }

  /** Number of topics that the session would have. */
  private countWith({ topics }: Session, targets: Targets): number {
    if (topics.size === 0) return targets.size;
    let count = topics.size;
    for (const topic of targets.keys()) if (!topics.has(topic)) count += 1;
    return count;
  }

  /** @param among of `*` and `status` only their part in this numbering; absent: all of it */
  targetsOf(
    topics: readonly Topic[],
    among?: Numbering,
  ): Map<TopicState, MirroredInstrument | null> {
    const targets = new Map<TopicState, MirroredInstrument | null>();
    for (const topic of topics) {
      if (topic.symbol === '*') this.addAll(topic, targets);
      else for (const target of this.statesOf(topic)) targets.set(target, target.instrument);
    }
    if (among === undefined || this.mirror.numberings.all.length === 1) return targets;
    for (const topic of targets.keys()) if (topic.numbering !== among) targets.delete(topic);
    return targets;
  }

  private addAll(topic: Topic, targets: Map<TopicState, MirroredInstrument | null>): void {
    const channel = channelOf(topic) as SymbolChannel;
    for (const instrument of this.mirror.all()) targets.set(instrument.topics[channel], instrument);
  }

  /** The topics of one name. */
  statesOf(topic: Topic): TopicState[] {
    if (topic.symbol === '') return [...this.mirror.statusTopics];
    const channel = channelOf(topic) as SymbolChannel;
    if (topic.symbol !== '*') return [this.mirror.get(topic.symbol)!.topics[channel]];
    return Array.from(this.mirror.all(), ({ topics }) => topics[channel]);
  }

  /** The topic that a name stands for, or what is wrong with the name. */
  check(name: string, at: string): Topic | Fault {
    const topic = parseTopic(name);
    if (topic === undefined) return topicFault(name, at);
    const { symbol } = topic;
    if (symbol === '' || symbol === '*' || this.mirror.get(symbol) !== undefined) return topic;
    return fieldFault(at, name, 'the symbol of a defined instrument', 'unknown-symbol');
  }
}
