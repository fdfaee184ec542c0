/**
 * Journal resume: sends what a reader missed from the journal, until memory has the rest; then the
 * reader joins live in the same turn.
 *
 * It reads in rounds. Each round ends at the sequence number that was the newest when it began, and
 * takes as long as the reader does. A reader that falls further behind from round to round would
 * never catch up: it is sent a reset with the current state. While others wait to read the journal,
 * a round is read in several shares; each continues after the last sequence number of the one
 * before, and is requested when the reader can take something.
 *
 * Bounded: two chunks in memory, and none while it waits.
 */

import type { Fault } from '../../../protocol/codes';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { FrameSource, Frame } from '../sessions/frame-source';
import type { Playback } from '../playback/playback';
import type { Numbering } from '../numbering';
import type { Playbacks } from '../playback/playbacks';

export type ResetReason = MessageOf<'reset'>['reason'];

/** The rest of what was missed, or why it is not available. */
export type Answered = readonly Message[] | ResetReason;
/** The outcome: an answer, or why the resume is refused. */
export type Outcome = Answered | Fault;

export interface ResumeStage {
  readonly numbering: Numbering;
  readonly playbacks: Playbacks;
  /** The client that it is for. */
  readonly client: string;
  /**
   * All messages after a sequence number, in this turn; undefined if they are not in memory or too
   * many.
   */
  recent(seq: number): readonly Message[] | undefined;
  /**
   * Whether the other parts of the answer are available in this turn; if not, `pull` is called when
   * they are.
   */
  isReady(): boolean;
  /** Called when something can be taken. */
  pull(): void;
  /** Ends the resume, in the turn in which `recent` was called. */
  finish(outcome: Outcome): void;
  /** It waits for its first share, behind this many others of its client. */
  queued(ahead: number): void;
  /** The newest sequence number after the reader's position that was lost in a crash; 0: none. */
  readonly lostTo: number;
  /** The states from before that crash of topics that have had no message since. */
  renewed(): Message[];
}

/** Messages that are sent at a time of what is in memory, so that a window bounds them as well. */
export const OPENING_MESSAGES = 100;
/** From the second round on the distance must shrink; it may fail to do so this often. */
const ROUNDS_LOST_MAX = 3;

export class JournalResume implements FrameSource {
  private readonly stage: ResumeStage;
  private readonly topics: readonly string[];
  private readonly isText: boolean;
  private opening: readonly Message[];
  /** The sequence number up to which the reader has everything. */
  private seq: number;
  /** The last sequence number of the round. */
  private roundTo: number;
  /** Null: the next share is requested when the reader can take something. */
  private playback: Playback | null;
  /** Its first share has begun. */
  private hasBegun = false;
  private hasSent = false;
  /**
   * A share is being requested: the message `queued` may be sent meanwhile, and sending calls
   * `take`.
   */
  private isAsking = false;
  private outcome: Outcome | null = null;
  private hasRenewed = false;
  private distance = Infinity;
  private roundsLost = 0;

  /**
   * @param topics that the journal has
   * @param seq the last sequence number of the reader
   * @param opening sent first
   */
  constructor(
    stage: ResumeStage,
    topics: readonly string[],
    isText: boolean,
    seq: number,
    opening: readonly Message[],
  ) {
    this.stage = stage;
    this.topics = topics;
    this.isText = isText;
    this.seq = seq;
    this.opening = opening;
    this.roundTo = stage.lostTo > 0 ? stage.lostTo : stage.numbering.lastSeq;
    this.playback = this.begin();
  }

  get isOver(): boolean {
    return this.outcome !== null && this.opening.length === 0;
  }

  take(): Frame | undefined {
    const frame = this.next();
    if (frame !== undefined) this.hasSent = true;
    return frame;
  }

  finished(): void {
    this.playback?.close();
    this.stage.finish(this.outcome!);
  }

  end(): void {
    this.outcome = 'not-kept';
    this.playback?.close();
  }

  private next(): Frame | undefined {
    if (this.isAsking) return undefined;
    if (this.opening.length > 0) {
      // The message `queued` precedes everything else.
      if (!this.hasBegun && this.outcome === null) return undefined;
      const messages = this.opening.slice(0, OPENING_MESSAGES);
      this.opening = this.opening.slice(OPENING_MESSAGES);
      return messages;
    }
    if (this.outcome !== null) return undefined;
    const playback = (this.playback ??= this.begin());
    if (playback.hasFrame) {
      const { data } = playback.take();
      if (playback.isSpent) this.giveUp(playback);
      return data;
    }
    // Only when the reader has taken everything: the rest must be found in the turn in which it joins.
    if (playback.isOver) return this.endRound();
    if (playback.isSpent) {
      this.giveUp(playback);
      this.playback = this.begin();
    } else playback.goOn();
    return undefined;
  }

  private begin(): Playback {
    const request = {
      topics: this.topics,
      isText: this.isText,
      fromSeq: this.seq + 1,
      toSeq: this.roundTo,
      from: null,
      to: null,
      hasOpening: false,
      speed: 0,
      shard: this.stage.numbering.shard,
    };
    this.isAsking = true;
    const isFirst = !this.hasBegun;
    const playback: Playback = this.stage.playbacks.openQueued(this.stage.client, request, {
      opened: (range) => {
        this.hasBegun = true;
        if (range.isBroken) this.stop('not-kept');
      },
      ready: () => this.stage.pull(),
      failed: () => this.stop('not-kept'),
      waits: (ahead) => {
        if (!this.hasSent) this.stage.queued(ahead);
      },
      idle: () => this.giveUp(playback),
      ...(isFirst && { expired: (reason: Fault) => this.refuse(reason) }),
    });
    this.isAsking = false;
    return playback;
  }

  /**
   * Leaves the rest to a later share; what the reader has not taken is read again. Only at a
   * border.
   */
  private giveUp(playback: Playback): void {
    this.seq = playback.reachedSeq!;
    this.playback = null;
    playback.close();
  }

  private endRound(): Frame | undefined {
    this.seq = this.roundTo;
    // After the gaps and before all newer messages, so that a reader that is disconnected later has the valid states.
    if (this.seq === this.stage.lostTo && !this.hasRenewed) {
      this.hasRenewed = true;
      this.opening = this.stage.renewed();
      if (this.opening.length > 0) return this.next();
    }
    const recent = this.stage.recent(this.seq);
    if (recent !== undefined) {
      if (this.stage.isReady()) this.outcome = recent;
      return undefined;
    }
    const distance = this.stage.numbering.lastSeq - this.seq;
    this.roundsLost = distance < this.distance ? 0 : this.roundsLost + 1;
    this.distance = distance;
    if (this.roundsLost > ROUNDS_LOST_MAX) {
      this.outcome = 'too-slow';
      return undefined;
    }
    this.roundTo = this.stage.numbering.lastSeq;
    this.playback = this.begin();
    return undefined;
  }

  /** Refuses the resume; nothing was sent yet. */
  private refuse(reason: Fault): void {
    this.opening = [];
    this.outcome = reason;
    this.playback?.close();
    this.stage.pull();
  }

  private stop(reason: ResetReason): void {
    if (this.outcome !== null) return;
    this.outcome = reason;
    this.playback?.close();
    this.stage.pull();
  }
}
