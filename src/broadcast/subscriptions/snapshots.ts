/**
 * Snapshots: the current state of topics for a new reader, made at once or while it is sent.
 *
 * If it is made while it is sent, a topic is joined in the same step in which its state is made:
 * what follows comes after the state, and what preceded is in it. Trades have no state that stands
 * for earlier ones, and `status` has one message for each instrument. Both are joined first,
 * together with the sequence number that the answer states, so that nothing after it is left out.
 */

import { hasState } from '../../../protocol/channels';
import type { Message } from '../../../protocol/messages';
import type { TurnMeter } from '../../base/turn-meter';
import type { DerivedTopics } from '../topics/derived-topics';
import type { AnswerPart } from '../backlog/long-answer';
import type { Mirror, MirroredInstrument, TopicState } from '../topics/mirror';
import type { Session } from '../sessions/session';

/** Topics joined in one turn, before the first snapshot is made. */
const JOINS_A_TURN = 2_000;

export class Snapshots {
  private readonly mirror: Mirror;
  private readonly derived: DerivedTopics;

  private readonly turns: TurnMeter;

  constructor(mirror: Mirror, derived: DerivedTopics, turns: TurnMeter) {
    this.turns = turns;
    this.mirror = mirror;
    this.derived = derived;
  }

  /**
   * Definition and current state of a topic.
   * @param defined instruments whose definition was sent; that of this topic is added
   */
  of(topic: TopicState, defined: Set<MirroredInstrument | null>): Message[] {
    const { instrument, numbering } = topic;
    if (instrument === null) return this.mirror.statuses(numbering);
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
   * Joins the topics that must be joined before the snapshots, some in each turn.
   * @param done called in the last turn with the statuses of all instruments, if `status` is among
   * the topics
   */
  joinFirst(
    session: Session,
    topics: readonly TopicState[],
    intervalMs: number,
    done: (statuses: readonly Message[]) => void,
  ): void {
    const trades = topics.filter((topic) => !hasState(topic.def));
    const join = (from: number): void => {
      if (session.isGone) return;
      for (const topic of trades.slice(from, from + JOINS_A_TURN))
        joinNow(session, topic, intervalMs);
      const next = from + JOINS_A_TURN;
      if (next < trades.length) {
        this.turns.soon('resume', () => join(next));
        return;
      }
      const statuses: Message[] = [];
      for (const topic of topics) {
        if (topic.instrument !== null) continue;
        joinNow(session, topic, intervalMs);
        statuses.push(...this.mirror.statuses(topic.numbering));
      }
      done(statuses);
    };
    join(0);
  }

  /**
   * Definitions and states, one topic after the other; each topic is joined when its state is made,
   * except those joined first.
   */
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
      if (hasState(topic.def)) {
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

/** Joins a topic before the answer; messages that precede its state are sent at once. */
export function joinNow(session: Session, topic: TopicState, intervalMs: number): void {
  const before = session.join(topic, intervalMs);
  if (before.length > 0) session.send(before);
}
