/** Replay requests: starts and controls the replays of sessions; one for each session at a time. */

import { fault, fieldFault, within, type Fault } from '../../../protocol/codes';
import { CHANNEL_TABLE, REPLAYED_CHANNELS } from '../../../protocol/channels';
import { listed, parseTopic, topicFault, type Topic } from '../../../protocol/topics';
import {
  noReplay,
  Replay,
  replayRange,
  replayStart,
  replayUnderWay,
  type ReplayMessage,
  type ReplayParts,
} from './replay';
import type { Numbering, Numberings } from '../numbering';
import type { Session } from '../sessions/session';

export interface ReplayStage extends ReplayParts {
  readonly numberings: Numberings;
  /** Undefined: no instrument of this symbol is defined. */
  numberingOf(symbol: string): Numbering | undefined;
}

export class ReplayRequests {
  private readonly stage: ReplayStage;
  private readonly bySession = new WeakMap<
    Session,
    { readonly replay: Replay; readonly numbering: Numbering }
  >();

  constructor(stage: ReplayStage) {
    this.stage = stage;
  }

  /** @returns why it is refused; otherwise the replay answers it */
  handle(session: Session, m: ReplayMessage): Fault | undefined {
    const refused = m.action === 'start' ? this.start(session, m) : this.steer(session, m);
    return refused && within('replay', refused);
  }

  private start(session: Session, m: ReplayMessage): Fault | undefined {
    if (session.hasSource) return replayUnderWay();
    if (session.topics.size > 0 || session.wildcards.size > 0) {
      const message =
        'a session with subscriptions cannot distinguish replayed messages from live ones';
      return fault('replay-under-way', message);
    }
    if (m.topics.length === 0) return fieldFault('topics', m.topics, 'at least one topic');
    for (const [i, name] of m.topics.entries()) {
      const wrong = this.check(parseTopic(name), name, `topics[${i}]`);
      if (wrong !== undefined) return wrong;
    }
    const numbering = this.choose(m);
    if ('code' in numbering) return numbering;
    const range = replayRange(m, numbering.lastSeq);
    if ('code' in range) return range;
    const full = this.stage.playbacks.refusal(session.meter.client);
    if (full !== undefined) return full;
    const { topics, speed } = m;
    const request = {
      topics,
      isText: session.isText,
      ...range,
      hasOpening: true,
      speed: speed ?? 0,
      shard: numbering.shard,
    };
    const replay = new Replay(session, this.stage, m.id, request);
    this.bySession.set(session, { replay, numbering });
    session.serve(replay, this.stage.clock.monotonicMs());
    return undefined;
  }

  private steer(session: Session, m: ReplayMessage): Fault | undefined {
    const own = session.hasSource ? this.bySession.get(session) : undefined;
    if (own === undefined || own.replay.hasEnded) return noReplay();
    const { replay, numbering } = own;
    if (m.action === 'pause') replay.pause(m.id);
    else if (m.action === 'continue') replay.continue(m.id);
    else if (m.action === 'stop') replay.stop(m.id);
    else {
      if (m.from === null && m.fromSeq === null)
        return fieldFault('from', null, 'a time, or fromSeq');
      const where = replayStart(m, numbering.lastSeq);
      if ('code' in where) return where;
      replay.seek(m.id, where);
    }
    return undefined;
  }

  /** The numbering of a replay [H6]. */
  private choose({ shard, topics }: ReplayMessage): Numbering | Fault {
    const { numberings } = this.stage;
    const named = shard === null ? numberings.only : numberings.named(shard);
    if (shard !== null && named === undefined) {
      return fieldFault('shard', shard, 'a shard of this server');
    }
    const own = topics.map((name) => this.stage.numberingOf(parseTopic(name)!.symbol));
    const all = new Set(own.filter((numbering) => numbering !== undefined));
    const [first = named] = all;
    if (first === undefined || all.size > 1) {
      return fault('several-shards', 'the topics are of several shards, and shard is nil');
    }
    if (named === undefined || named === first) return first;
    const foreign = own.findIndex((numbering) => numbering === first);
    return fieldFault(`topics[${foreign}]`, topics[foreign], `a topic of the shard ${named.shard}`);
  }

  private check(topic: Topic | undefined, name: string, at: string): Fault | undefined {
    if (topic === undefined) return topicFault(name, at);
    if (!CHANNEL_TABLE[topic.channel].isReplayed) {
      return fieldFault(at, name, `a topic of ${listed(REPLAYED_CHANNELS)} [D1]`);
    }
    const { symbol } = topic;
    if (symbol === '' || symbol === '*' || this.stage.numberingOf(symbol) !== undefined)
      return undefined;
    return fieldFault(at, name, 'the symbol of a defined instrument', 'unknown-symbol');
  }
}
