/**
 * Resumption: what a reader missed, out of the journal, until so little is left that memory has it; then
 * it joins live in the same turn.
 *
 * It reads in rounds, each up to what was newest when the round began, and takes as long as the reader
 * does. A reader that loses ground from round to round would never arrive: it is told the state instead.
 * Nothing is kept for it meanwhile but two chunks.
 */

import type { Message, MessageOf } from '../../protocol/messages';
import type { Feed, Frame } from './feed';
import type { Play, PlayRange, Plays } from './plays';

export type ResetReason = MessageOf<'reset'>['reason'];

/** What comes of it: the rest of what was missed, or why it cannot be had. */
export type Outcome = readonly Message[] | ResetReason;

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
}

/** From the second round on a reader must come nearer; so often it need not. */
const ROUNDS_LOST_MAX = 3;

export class Resumption implements Feed {
  private readonly stage: ResumptionStage;
  private readonly topics: readonly string[];
  private readonly isText: boolean;
  private opening: readonly Message[];
  private seq: number;
  private play: Play;
  private range: PlayRange | null = null;
  private outcome: Outcome | null = null;
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
    this.play = this.begin();
  }

  get isOver(): boolean {
    return this.outcome !== null && this.opening.length === 0;
  }

  take(): Frame | undefined {
    if (this.opening.length > 0) {
      const messages = this.opening;
      this.opening = [];
      return messages;
    }
    if (this.outcome !== null) return undefined;
    if (this.play.hasFrame) return this.play.take().data;
    // Only here, where the reader has taken all: what is left is looked for in the turn that it joins in.
    if (this.play.isOver && this.range !== null) this.endRound(this.range.toSeq);
    return undefined;
  }

  finished(): void {
    this.play.close();
    this.stage.finish(this.outcome!);
  }

  end(): void {
    this.outcome = 'not-kept';
    this.play.close();
  }

  private begin(): Play {
    const toSeq = this.stage.lastSeq();
    const request = { topics: this.topics, isText: this.isText, fromSeq: this.seq + 1, toSeq, from: null, to: null, hasOpening: false, speed: 0 }; // prettier-ignore
    return this.stage.plays.open(this.stage.client, request, {
      opened: (range) => {
        this.range = range;
        if (range.isBroken) this.stop('not-kept');
      },
      ready: () => this.stage.pull(),
      failed: () => this.stop('not-kept'),
    });
  }

  private endRound(toSeq: number): void {
    this.seq = toSeq;
    const recent = this.stage.recent(toSeq);
    if (recent !== undefined) {
      if (this.stage.isReady()) this.outcome = recent;
      return;
    }
    const distance = this.stage.lastSeq() - toSeq;
    this.roundsLost = distance < this.distance ? 0 : this.roundsLost + 1;
    this.distance = distance;
    if (this.roundsLost > ROUNDS_LOST_MAX) {
      this.outcome = 'too-slow';
      return;
    }
    this.play.close();
    this.range = null;
    this.play = this.begin();
  }

  private stop(reason: ResetReason): void {
    if (this.outcome !== null) return;
    this.outcome = reason;
    this.play.close();
    this.stage.pull();
  }
}
