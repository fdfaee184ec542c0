/**
 * Heartbeats: each session is told once an interval up to where it has everything, and which of its topics
 * moved. The interval is cut into steps, and each session has one of them, so of many only some are told at
 * once: in slices, each a turn of the event loop. What changed is found through the topics that moved, or
 * those of the session, whichever are fewer; sessions that are told the same share the frame.
 *
 * Of an idle server this is what takes the most: a session of which no topic moved costs one write, and
 * allocates nothing. Bounded: by the sessions.
 */

import { encodeTextFrame } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import { isSliceOver } from '../../base/agenda';
import type { Clock } from '../../base/clock';
import type { TopicState } from '../topics/mirror';
import type { Session } from './session';
import type { Encoders } from './encoders';
import type { TopicChanges } from '../topics/topic-changes';

/** So many heads of a heartbeat fit into a frame. */
const HEADS_A_MESSAGE = 200;
/** So many sessions are told in a turn of the event loop, and no more than a slice of time takes. */
const SESSIONS_A_TURN = 200;
/** About, so that the interval is a whole number of them. */
const STEP_MS = 50;
const NONE: readonly TopicState[] = [];

export interface HeartbeatParts {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly encoders: Encoders;
  readonly changes: TopicChanges<TopicState>;
  readonly lastSeq: () => number;
}

/** A session, and what it was told last. */
interface Told {
  readonly session: Session;
  readonly step: number;
  /** The newest move of a topic then. */
  move: number;
}

/** Frames of one place without a head. */
interface Quiet {
  seq: number;
  text: string | Uint8Array | null;
  binary: string | Uint8Array | null;
}

export class Heartbeats {
  /** Sessions told, frames encoded, and topics looked at, so far. */
  readonly work = { sessions: 0, frames: 0, topics: 0 };
  private readonly parts: HeartbeatParts;
  private readonly told = new Map<Session, Told>();
  /** Who is told in each step of the interval. */
  private readonly steps: readonly Set<Told>[];
  private readonly stepMs: number;
  /** The step that is gone through, counted from the start; who is left of it, and the first that is not due yet. */
  private step = 0;
  private left: SetIterator<Told> | null = null;
  private end = 0;
  private isScheduled = false;
  /** Frames of one time and state of the topics, by what they say; and those without a head. */
  private readonly frames = new Map<string, string | Uint8Array>();
  private readonly quiet: Quiet = { seq: -1, text: null, binary: null };
  private time: Nanos;
  private move = 0;

  constructor(parts: HeartbeatParts) {
    this.parts = parts;
    this.time = parts.clock.now();
    const count = Math.max(1, Math.round(parts.everyMs / STEP_MS));
    this.steps = Array.from({ length: count }, () => new Set());
    this.stepMs = parts.everyMs / count;
  }

  /** @param phase where in the interval it is told, from 0 to 1 */
  enter(session: Session, phase: number): void {
    const { clock, everyMs, changes } = this.parts;
    const due = Math.ceil((clock.monotonicMs() + phase * everyMs) / this.stepMs);
    const told = { session, step: due % this.steps.length, move: changes.moves };
    this.told.set(session, told);
    this.steps[told.step]!.add(told);
  }

  leave(session: Session): void {
    const told = this.told.get(session);
    if (told === undefined) return;
    this.told.delete(session);
    this.steps[told.step]!.delete(told);
  }

  /** Tells those whose time has come. Several times an interval. */
  look(): void {
    this.begin();
    this.end = Math.floor(this.parts.clock.monotonicMs() / this.stepMs) + 1;
    // Whoever is late by an interval is told once.
    if (this.end - this.step > this.steps.length) this.goTo(this.end - this.steps.length);
    this.go();
  }

  /** Tells all, whatever the time. */
  tellAll(): void {
    this.begin();
    for (const told of this.told.values()) this.tell(told, this.parts.clock.monotonicMs());
  }

  private begin(): void {
    this.time = this.parts.clock.now();
    this.move = this.parts.changes.moves;
    this.quiet.seq = -1;
    this.frames.clear();
  }

  private goTo(step: number): void {
    this.step = step;
    this.left = null;
  }

  private go(): void {
    const { turns } = this.parts.clock;
    for (let told = 0; this.step < this.end;) {
      this.left ??= this.steps[this.step % this.steps.length]!.values();
      const next = this.left.next();
      if (next.done === true) this.goTo(this.step + 1);
      else this.tell(next.value, this.step * this.stepMs);
      if (next.done !== true && isSliceOver(turns, ++told, SESSIONS_A_TURN)) return this.goOn();
    }
  }

  private goOn(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.parts.clock.turns.soon('heartbeat', () => {
      this.isScheduled = false;
      this.go();
    });
  }

  /** @param beatMs when it is due */
  private tell(told: Told, beatMs: number): void {
    const { session } = told;
    const { isExpress } = session;
    this.work.sessions += 1;
    // Any frame shows that the server lives, and behind a long answer this one would show nothing.
    if (!isExpress && session.isAnswering) return;
    const { clock, everyMs, changes, lastSeq } = this.parts;
    if (this.move !== changes.moves) this.begin();
    const seq = session.toldUpTo(lastSeq());
    if (!isExpress) return session.send([this.message(seq, NONE)]);
    // Of a reader that waits for some of them, the heads would tell of a loss that is none.
    const moved = told.move === changes.moves ? NONE : this.takeMoved(told);
    if (moved.length > HEADS_A_MESSAGE) return this.tellParts(session, seq, moved);
    session.beat(this.frame(session.isText, seq, moved), beatMs, everyMs, clock.monotonicMs());
  }

  private tellParts(session: Session, seq: number, moved: readonly TopicState[]): void {
    const messages: Message[] = [];
    for (let at = 0; at < moved.length; at += HEADS_A_MESSAGE) {
      messages.push(this.message(seq, moved.slice(at, at + HEADS_A_MESSAGE)));
    }
    this.work.frames += messages.length;
    session.send(messages);
  }

  /** Topics of a session that moved since it was told of them last, which it is now. */
  private takeMoved(told: Told): TopicState[] {
    const { session } = told;
    const { topics } = session;
    const { changes } = this.parts;
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

  /** Sessions that are told the same get the same one. */
  private frame(isText: boolean, seq: number, moved: readonly TopicState[]): string | Uint8Array {
    if (moved.length === 0 && seq === this.parts.lastSeq()) return this.quietFrame(isText, seq);
    const key = `${isText ? 't' : 'b'} ${seq} ${moved.map(({ name }) => name).join(' ')}`;
    let frame = this.frames.get(key);
    if (frame === undefined) {
      frame = this.encode(isText, this.message(seq, moved));
      this.frames.set(key, frame);
    }
    return frame;
  }

  private quietFrame(isText: boolean, seq: number): string | Uint8Array {
    const { quiet } = this;
    if (quiet.seq !== seq) {
      quiet.seq = seq;
      quiet.text = null;
      quiet.binary = null;
    }
    const form = isText ? 'text' : 'binary';
    return (quiet[form] ??= this.encode(isText, this.message(seq, NONE)));
  }

  private encode(isText: boolean, message: Message): string | Uint8Array {
    const { binary, scalesOf } = this.parts.encoders;
    this.work.frames += 1;
    return isText ? encodeTextFrame([message], scalesOf) : binary.encode([message]);
  }

  private message(seq: number, topics: readonly TopicState[]): Message {
    const heads = topics.map(({ name, head }) => ({ topic: name, seq: head }));
    return { type: 'heartbeat', time: this.time, seq, heads };
  }
}
