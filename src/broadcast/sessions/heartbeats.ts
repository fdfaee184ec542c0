/**
 * Heartbeats: once an interval each session is sent the sequence number up to which it has
 * everything, and the heads of its topics that moved; in a message for each numbering.
 *
 * The interval is divided into steps and each session belongs to one of them, so the load is
 * spread; a step is done in slices, each in a turn of the event loop. Changed topics are found
 * through the list of topics that moved or through the session's topics, whichever is shorter.
 * Sessions with the same content share the frame.
 *
 * This is most of the work of an idle server: a session none of whose topics moved costs one write
 * and no allocation. Bounded: by the sessions.
 */

import { encodeTextFrame } from '../../../protocol/codec';
import type { Message } from '../../../protocol/messages';
import type { Nanos } from '../../../protocol/time';
import { isSliceOver } from '../../base/agenda';
import type { Clock } from '../../base/clock';
import type { Numbering, Numberings } from '../numbering';
import type { TopicState } from '../topics/mirror';
import type { Session } from './session';
import type { Encoders } from './encoders';
import type { TopicChanges } from '../topics/topic-changes';

/** Heads in one heartbeat message. */
const HEADS_A_MESSAGE = 200;
/** Sessions in one turn of the event loop, and no more than the time of a slice allows. */
const SESSIONS_A_TURN = 200;
/** Approximate length of a step; the interval is a whole number of steps. */
const STEP_MS = 50;
const NONE: readonly TopicState[] = [];

export interface HeartbeatParts {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly encoders: Encoders;
  readonly changes: TopicChanges<TopicState>;
  readonly numberings: Numberings;
}

/** A session and what its last heartbeat stated. */
interface Beat {
  readonly session: Session;
  readonly step: number;
  /** `TopicChanges.moves` at that time. */
  move: number;
}

/** Frames for the newest sequence numbers without heads. */
interface Quiet {
  /** Sum of the sequence numbers, none of which falls. */
  seqs: number;
  text: string | Uint8Array | null;
  binary: string | Uint8Array | null;
}

export class Heartbeats {
  /** Heartbeats sent, frames encoded and topics looked at so far. */
  readonly work = { sessions: 0, frames: 0, topics: 0 };
  private readonly parts: HeartbeatParts;
  private readonly beats = new Map<Session, Beat>();
  /** The sessions of each step of the interval. */
  private readonly steps: readonly Set<Beat>[];
  private readonly stepMs: number;
  /**
   * `step`: the current step, counted since the clock began; `left`: its sessions that have no
   * heartbeat yet; `end`: the first step that is not due.
   */
  private step = 0;
  private left: SetIterator<Beat> | null = null;
  private end = 0;
  private isScheduled = false;
  /**
   * Frames that sessions share, by content. They hold for one `time` and one `move`; `quiet` has
   * those without heads.
   */
  private readonly frames = new Map<string, string | Uint8Array>();
  private readonly quiet: Quiet = { seqs: -1, text: null, binary: null };
  private time: Nanos;
  private move = 0;

  constructor(parts: HeartbeatParts) {
    this.parts = parts;
    this.time = parts.clock.now();
    const count = Math.max(1, Math.round(parts.everyMs / STEP_MS));
    this.steps = Array.from({ length: count }, () => new Set());
    this.stepMs = parts.everyMs / count;
  }

  /** @param phase position of the session in the interval, from 0 to 1 */
  enter(session: Session, phase: number): void {
    const { clock, everyMs, changes } = this.parts;
    const due = Math.ceil((clock.monotonicMs() + phase * everyMs) / this.stepMs);
    const beat = { session, step: due % this.steps.length, move: changes.moves };
    this.beats.set(session, beat);
    this.steps[beat.step]!.add(beat);
  }

  leave(session: Session): void {
    const beat = this.beats.get(session);
    if (beat === undefined) return;
    this.beats.delete(session);
    this.steps[beat.step]!.delete(beat);
  }

  /** Sends the heartbeats that are due. To be called several times an interval. */
  look(): void {
    this.begin();
    this.end = Math.floor(this.parts.clock.monotonicMs() / this.stepMs) + 1;
    // A session that is late by more than an interval gets one heartbeat.
    if (this.end - this.step > this.steps.length) this.goTo(this.end - this.steps.length);
    this.go();
  }

  /** Sends a heartbeat to every session now. */
  sendAll(): void {
    this.begin();
    for (const beat of this.beats.values()) this.send(beat, this.parts.clock.monotonicMs());
  }

  private begin(): void {
    this.time = this.parts.clock.now();
    this.move = this.parts.changes.moves;
    this.quiet.seqs = -1;
    this.frames.clear();
  }

  private goTo(step: number): void {
    this.step = step;
    this.left = null;
  }

  private go(): void {
    const { turns } = this.parts.clock;
    for (let sent = 0; this.step < this.end;) {
      this.left ??= this.steps[this.step % this.steps.length]!.values();
      const next = this.left.next();
      if (next.done === true) this.goTo(this.step + 1);
      else this.send(next.value, this.step * this.stepMs);
      if (next.done !== true && isSliceOver(turns, ++sent, SESSIONS_A_TURN)) return this.goOn();
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
  private send(beat: Beat, beatMs: number): void {
    const { session } = beat;
    const { isNative } = session;
    this.work.sessions += 1;
    // Any frame shows that the server is alive, and after a long answer a heartbeat would show nothing.
    if (!isNative && session.isAnswering) return;
    const { clock, everyMs, changes } = this.parts;
    if (this.move !== changes.moves) this.begin();
    if (!isNative) return session.send(this.messages(session, NONE));
    // Heads go to native sessions only: to a reader with waiting messages they would look like a loss.
    const moved = beat.move === changes.moves ? NONE : this.takeMoved(beat);
    if (moved.length > HEADS_A_MESSAGE) {
      const messages = this.messages(session, moved);
      this.work.frames += messages.length;
      return session.send(messages);
    }
    session.beat(this.frame(session, moved), beatMs, everyMs, clock.monotonicMs());
  }

  /** The topics of a session that moved since its last heartbeat; marks them as stated. */
  private takeMoved(beat: Beat): TopicState[] {
    const { session } = beat;
    const { topics } = session;
    const { changes } = this.parts;
    const moved: TopicState[] = [];
    for (const topic of changes.since(beat.move, topics.size) ?? topics.keys()) {
      this.work.topics += 1;
      const head = topics.get(topic);
      if (head === undefined || head === topic.head) continue;
      if (session.isPaced(topic)) continue; // some of its messages may wait
      topics.set(topic, topic.head);
      moved.push(topic);
    }
    beat.move = changes.moves;
    return moved;
  }

  /** The frame of a heartbeat; sessions with the same content share it. */
  private frame(session: Session, moved: readonly TopicState[]): string | Uint8Array {
    const { isText } = session;
    const { all } = this.parts.numberings;
    const isQuiet = moved.length === 0 && all.every((n) => session.sentUpTo(n) === n.lastSeq);
    if (isQuiet) return this.quietFrame(session);
    const seqs = all.map((numbering) => session.sentUpTo(numbering)).join(' ');
    const key = `${isText ? 't' : 'b'} ${seqs} ${moved.map(({ nativeText }) => nativeText).join(' ')}`;
    let frame = this.frames.get(key);
    if (frame === undefined) {
      frame = this.encode(isText, this.messages(session, moved));
      this.frames.set(key, frame);
    }
    return frame;
  }

  private quietFrame(session: Session): string | Uint8Array {
    const { quiet } = this;
    let seqs = 0;
    for (const { lastSeq } of this.parts.numberings.all) seqs += lastSeq;
    if (quiet.seqs !== seqs) {
      quiet.seqs = seqs;
      quiet.text = null;
      quiet.binary = null;
    }
    const { isText } = session;
    const form = isText ? 'text' : 'binary';
    return (quiet[form] ??= this.encode(isText, this.messages(session, NONE)));
  }

  private encode(isText: boolean, messages: readonly Message[]): string | Uint8Array {
    const { binary, scalesOf } = this.parts.encoders;
    this.work.frames += 1;
    return isText ? encodeTextFrame(messages, scalesOf) : binary.encode(messages);
  }

  /** At least one for each numbering; more where the heads of one do not fit. */
  private messages(session: Session, moved: readonly TopicState[]): Message[] {
    const messages: Message[] = [];
    const { all } = this.parts.numberings;
    for (const numbering of all) {
      const own = all.length === 1 ? moved : moved.filter((topic) => topic.numbering === numbering);
      const seq = session.sentUpTo(numbering);
      for (let at = 0; at === 0 || at < own.length; at += HEADS_A_MESSAGE) {
        messages.push(this.message(numbering, seq, own.slice(at, at + HEADS_A_MESSAGE)));
      }
    }
    return messages;
  }

  private message({ shard }: Numbering, seq: number, topics: readonly TopicState[]): Message {
    const heads = topics.map(({ name, head }) => ({ topic: name, seq: head }));
    return { type: 'heartbeat', time: this.time, seq, heads, shard };
  }
}
