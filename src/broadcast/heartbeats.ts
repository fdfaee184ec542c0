/**
 * Heartbeats: each session is told once an interval up to where it has everything, and which of its topics
 * moved. Sessions have a phase of their own in the interval, so of many only some are told at once. What
 * changed is found through the topics that moved, or those of the session, whichever are fewer; sessions that
 * are told the same share the frame.
 */

import { encodeTextFrame } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import { Agenda } from '../base/agenda';
import type { Clock } from '../base/clock';
import type { TopicState } from './mirror';
import type { Session } from './session';
import type { Encoders } from './session-parts';
import type { TopicChanges } from './topic-changes';

/** So many heads of a heartbeat fit into a frame. */
const HEADS_A_MESSAGE = 200;
/** So many sessions are told in a turn of the event loop. */
const SESSIONS_A_TURN = 200;

export interface HeartbeatParts {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly encoders: Encoders;
  readonly changes: TopicChanges<TopicState>;
  readonly lastSeq: () => number;
}

/** What a session was told last. */
interface Told {
  dueMs: number;
  /** The newest move of a topic then. */
  move: number;
}

export class Heartbeats {
  /** Frames encoded, and topics looked at, so far. */
  readonly work = { frames: 0, topics: 0 };
  private readonly parts: HeartbeatParts;
  private readonly told = new Map<Session, Told>();
  private readonly agenda: Agenda<Session>;
  /** Those of one time and state of the topics, by what they say. */
  private readonly frames = new Map<string, string | Uint8Array>();
  private time: Nanos;
  private move = 0;

  constructor(parts: HeartbeatParts) {
    this.parts = parts;
    this.time = parts.clock.now();
    const { turns } = parts.clock;
    this.agenda = new Agenda(SESSIONS_A_TURN, turns, (session) => this.tellDue(session));
  }

  /** @param phase where in the interval it is told, from 0 to 1 */
  enter(session: Session, phase: number): void {
    const dueMs = this.parts.clock.monotonicMs() + phase * this.parts.everyMs;
    this.told.set(session, { dueMs, move: this.parts.changes.moves });
    this.agenda.at(session, dueMs);
  }

  leave(session: Session): void {
    this.told.delete(session);
    this.agenda.delete(session);
  }

  /** Tells those whose time has come. Several times an interval. */
  look(): void {
    this.begin();
    this.agenda.run(this.parts.clock.monotonicMs());
  }

  /** Tells all, whatever the time. */
  tellAll(): void {
    this.begin();
    for (const session of this.told.keys()) this.tell(session);
  }

  private begin(): void {
    this.time = this.parts.clock.now();
    this.move = this.parts.changes.moves;
    this.frames.clear();
  }

  private tellDue(session: Session): void {
    const { everyMs, clock } = this.parts;
    const told = this.told.get(session)!;
    const lateMs = clock.monotonicMs() - told.dueMs;
    if (lateMs >= 0) {
      this.tell(session);
      told.dueMs += everyMs * Math.floor(lateMs / everyMs + 1);
    }
    this.agenda.at(session, told.dueMs);
  }

  private tell(session: Session): void {
    // Any frame shows that the server lives, and behind a long answer this one would show nothing.
    if (session.isAnswering) return;
    if (this.move !== this.parts.changes.moves) this.begin();
    const seq = session.toldUpTo(this.parts.lastSeq());
    // Of a reader that waits for some of them, the heads would tell of a loss that is none.
    const moved = session.isExpress ? this.takeMoved(session) : [];
    if (moved.length <= HEADS_A_MESSAGE) return this.tellShared(session, seq, moved);
    const messages: Message[] = [];
    for (let at = 0; at < moved.length; at += HEADS_A_MESSAGE) {
      messages.push(this.message(seq, moved.slice(at, at + HEADS_A_MESSAGE)));
    }
    this.work.frames += messages.length;
    session.send(messages);
  }

  /** Topics of a session that moved since it was told of them last, which it is now. */
  private takeMoved(session: Session): TopicState[] {
    const { changes } = this.parts;
    const { topics } = session;
    const told = this.told.get(session)!;
    const moved: TopicState[] = [];
    for (const topic of changes.since(told.move, topics.size) ?? topics.keys()) {
      this.work.topics += 1;
      const head = topics.get(topic);
      if (head === undefined || head === topic.head) continue;
      if (session.isPaced(topic)) continue; // something of it may wait
      topics.set(topic, topic.head);
      moved.push(topic);
    }
    told.move = changes.moves;
    return moved;
  }

  private tellShared(session: Session, seq: number, moved: readonly TopicState[]): void {
    const { clock, everyMs, encoders } = this.parts;
    const { binary, scalesOf } = encoders;
    const key = `${session.isText ? 't' : 'b'} ${seq} ${moved.map(({ name }) => name).join(' ')}`;
    const message = this.message(seq, moved);
    let frame = this.frames.get(key);
    if (frame === undefined) {
      frame = session.isText ? encodeTextFrame([message], scalesOf) : binary.encode([message]);
      this.frames.set(key, frame);
      this.work.frames += 1;
    }
    session.beat(message, frame, clock.monotonicMs(), everyMs);
  }

  private message(seq: number, topics: readonly TopicState[]): Message {
    const heads = topics.map(({ name, head }) => ({ topic: name, seq: head }));
    return { type: 'heartbeat', time: this.time, seq, heads };
  }
}
