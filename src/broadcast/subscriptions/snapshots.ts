/**
 * States: the newest of topics, as a new reader gets it, at once or as it is sent.
 *
 * Made as it is sent, the state of each topic is that of the moment at which its slice is made, and the
 * topic is joined in that moment: so what comes of it follows its state, and what came before is in it. Trades
 * have no state that would stand for those before, and `status` has one message each: both are joined before,
 * in one go with the seq that the answer tells, so that none behind that is left out.
 */

import type { Message } from '../../../protocol/messages';
import type { TurnMeter } from '../../base/turn-meter';
import type { DerivedTopics } from '../topics/derived-topics';
import type { AnswerPart } from '../backlog/long-answer';
import type { Mirror, MirroredInstrument, TopicState } from '../topics/mirror';
import type { Session } from '../sessions/session';

/** Topics that are joined in one turn, before the state of the first is made. */
const JOINS_A_TURN = 2_000;

export class States {
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;

  private readonly turns: TurnMeter;

  constructor(mirror: Mirror, derived: DerivedTopics, turns: TurnMeter) {
    this.turns = turns;
    this.mirror = mirror;
    this.derived = derived;
  }

  /**
   * Definition and newest state of a topic.
   * @param defined instruments of which the definition was sent; takes on that of this one
   */
  of(topic: TopicState, defined: Set<MirroredInstrument | null>): Message[] {
    const { instrument } = topic;
    if (instrument === null) return this.mirror.statuses();
    const messages: Message[] = [];
    if (!defined.has(instrument)) {
      defined.add(instrument);
      messages.push(instrument.definition);
    }
    const newest = this.newest(topic, instrument);
    if (newest !== null) messages.push(newest);
    return messages;
  }

  /**
   * Joins those of the topics that go before the states, some in each turn.
   * @param done in the last, with the messages that stand for the topic `status`, where it is among them
   */
  joinFirst(
    session: Session,
    topics: readonly TopicState[],
    intervalMs: number,
    done: (statuses: readonly Message[]) => void,
  ): void {
    const { statusTopic } = this.mirror;
    const trades = topics.filter((topic) => isTrade(topic));
    const join = (from: number): void => {
      if (session.isGone) return;
      for (const topic of trades.slice(from, from + JOINS_A_TURN))
        joinNow(session, topic, intervalMs);
      const next = from + JOINS_A_TURN;
      if (next < trades.length) {
        this.turns.soon('resume', () => join(next));
        return;
      }
      if (!topics.includes(statusTopic)) return done([]);
      joinNow(session, statusTopic, intervalMs);
      done(this.mirror.statuses());
    };
    join(0);
  }

  /** Definitions and states, a topic at a time, each joined as its state is made, but for those before. */
  *parts(
    session: Session,
    topics: readonly TopicState[],
    intervalMs: number,
  ): Generator<AnswerPart, void> {
    const defined = new Uint8Array((this.mirror.size >> 3) + 1);
    for (const topic of topics) {
      const { instrument } = topic;
      if (instrument === null) continue;
      const { index } = instrument;
      const bit = 1 << (index & 7);
      const messages: Message[] = [];
      if ((defined[index >> 3]! & bit) === 0) messages.push(instrument.definition);
      defined[index >> 3]! |= bit;
      if (!isTrade(topic)) {
        messages.push(...session.join(topic, intervalMs));
        const newest = this.newest(topic, instrument);
        if (newest !== null) messages.push(newest);
      }
      yield messages;
    }
  }

  private newest(topic: TopicState, instrument: MirroredInstrument): Message | null {
    switch (topic.def.nature) {
      case 'state':
        return topic.newest;
      case 'book':
        return instrument.bookSnapshot();
      case 'derived':
        return this.derived.state(instrument, topic);
      case 'stream':
        return null;
    }
  }
}

/** Joins a topic ahead of the answer: what of it goes before its state is sent at once. */
export function joinNow(session: Session, topic: TopicState, intervalMs: number): void {
  const before = session.join(topic, intervalMs);
  if (before.length > 0) session.send(before);
}

function isTrade({ def }: TopicState): boolean {
  return def.nature === 'stream' && def.topic === 'symbol';
}
