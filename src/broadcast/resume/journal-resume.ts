/**
 * Resumption: what a reader missed, out of the journal, until so little is left that memory has it; then
 * it joins live in the same turn.
 *
 * It reads in rounds, each up to what was newest when the round began, and takes as long as the reader
 * does. A reader that loses ground from round to round would never arrive: it is told the state instead.
 * A round is read in one turn or, where others wait, in several: each goes on from the seq that the one
 * before reached, and is asked for when the reader can take something.
 * Nothing is kept for it meanwhile but two chunks, and nothing while it waits.
 */

import type { Fault } from '../../../protocol/codes';
import type { Message, MessageOf } from '../../../protocol/messages';
import type { Feed, Frame } from '../sessions/frame-source';
import type { Playback } from '../playback/playback';
import type { Plays } from '../playback/playbacks';

export type ResetReason = MessageOf<'reset'>['reason'];

/** The rest of what was missed, or why it cannot be had. */
export type Answered = readonly Message[] | ResetReason;
/** What comes of it: its answer, or why it is refused. */
export type Outcome = Answered | Fault;

export interface ResumptionStage {
  readonly plays: Plays;
  /** Whom it is for. */
  readonly client: string;
  /** Newest place pushed. */
  lastSeq(): number;
  /** Everything behind a place, in this turn; undefined when it is not in memory, or too much. */
  recent(seq: number): readonly Message[] | undefined;
  /** Whether all else that is answered is at hand in this turn; where not, who has it later calls `pull`. */
  isReady(): boolean;
  /** Something can be taken. */
  pull(): void;
  /** Ends it, in the turn in which `recent` was asked. */
  finish(outcome: Outcome): void;
  /** It waits for its first turn, and so many of its client have waited longer. */
  queued(ahead: number): void;
  /** The newest seq behind the reader's that a crash took; 0: none. */
  readonly lostTo: number;
  /** Of the topics of which nothing came since that crash, the state from before it. */
  renewed(): Message[];
}

/** Of what needs no reading so many go out at a time, so that a window holds for them as well. */
export const OPENING_MESSAGES = 100;
/** From the second round on a reader must come nearer; so often it need not. */
const ROUNDS_LOST_MAX = 3;

export class Resumption implements Feed {
  private readonly stage: ResumptionStage;
  private readonly topics: readonly string[];
  private readonly isText: boolean;
  private opening: readonly Message[];
  /** Up to here the reader has had everything. */
  private seq: number;
  /** Where the round ends. */
  private roundTo: number;
  /** Null: the next turn is asked for when the reader can take something. */
  private play: Playback | null;
  /** Its first turn has come. */
  private hasBegun = false;
  private hasTold = false;
  /** A turn is being asked for: that it waits may be sent meanwhile, and what sends takes from here. */
  private isAsking = false;
  private outcome: Outcome | null = null;
  private hasRenewed = false;
  private distance = Infinity;
  private roundsLost = 0;

  /**
   * @param topics such that the journal has them @param seq the last place that the reader has
   * @param opening told first
   */
  constructor(
    stage: ResumptionStage,
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
    this.roundTo = stage.lostTo > 0 ? stage.lostTo : stage.lastSeq();
    this.play = this.begin();
  }

  get isOver(): boolean {
    return this.outcome !== null && this.opening.length === 0;
  }

  take(): Frame | undefined {
    const frame = this.next();
    if (frame !== undefined) this.hasTold = true;
    return frame;
  }

  finished(): void {
    this.play?.close();
    this.stage.finish(this.outcome!);
  }

  end(): void {
    this.outcome = 'not-kept';
    this.play?.close();
  }

  private next(): Frame | undefined {
    if (this.isAsking) return undefined;
    if (this.opening.length > 0) {
      // That it waits is said before everything else.
      if (!this.hasBegun && this.outcome === null) return undefined;
      const messages = this.opening.slice(0, OPENING_MESSAGES);
      this.opening = this.opening.slice(OPENING_MESSAGES);
      return messages;
    }
    if (this.outcome !== null) return undefined;
    const play = (this.play ??= this.begin());
    if (play.hasFrame) {
      const { data } = play.take();
      if (play.isSpent) this.giveUp(play);
      return data;
    }
    // Only here, where the reader has taken all: what is left is looked for in the turn that it joins in.
    if (play.isOver) return this.endRound();
    if (play.isSpent) {
      this.giveUp(play);
      this.play = this.begin();
    } else play.goOn();
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
    };
    this.isAsking = true;
    const isFirst = !this.hasBegun;
    const play: Playback = this.stage.plays.openInTurn(this.stage.client, request, {
      opened: (range) => {
        this.hasBegun = true;
        if (range.isBroken) this.stop('not-kept');
      },
      ready: () => this.stage.pull(),
      failed: () => this.stop('not-kept'),
      waits: (ahead) => {
        if (!this.hasTold) this.stage.queued(ahead);
      },
      idle: () => this.giveUp(play),
      ...(isFirst && { expired: (reason: Fault) => this.refuse(reason) }),
    });
    this.isAsking = false;
    return play;
  }

  /** Others have the next turn; what the reader has not taken is read again. Only on a border. */
  private giveUp(play: Playback): void {
    this.seq = play.reachedSeq!;
    this.play = null;
    play.close();
  }

  private endRound(): Frame | undefined {
    this.seq = this.roundTo;
    // Behind the gaps and before all that is newer: who is cut off later has the states that stand.
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
    const distance = this.stage.lastSeq() - this.seq;
    this.roundsLost = distance < this.distance ? 0 : this.roundsLost + 1;
    this.distance = distance;
    if (this.roundsLost > ROUNDS_LOST_MAX) {
      this.outcome = 'too-slow';
      return undefined;
    }
    this.roundTo = this.stage.lastSeq();
    this.play = this.begin();
    return undefined;
  }

  /** It was sent nothing yet. */
  private refuse(reason: Fault): void {
    this.opening = [];
    this.outcome = reason;
    this.play?.close();
    this.stage.pull();
  }

  private stop(reason: ResetReason): void {
    if (this.outcome !== null) return;
    this.outcome = reason;
    this.play?.close();
    this.stage.pull();
  }
}
