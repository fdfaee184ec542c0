/**
 * Waiting feed: the resume of a session that reads nothing from the journal itself, until what is asked for
 * it has come. It joins live in the turn in which all of it is at hand.
 */

import type { Message } from '../../../protocol/messages';
import type { Feed, Frame } from '../sessions/frame-source';
import { OPENING_MESSAGES, type Outcome, type ResumptionStage } from './journal-resume';

type WaitingStage = Omit<ResumptionStage, 'plays' | 'queued' | 'lostTo' | 'renewed'>;

export class WaitingFeed implements Feed {
  private readonly stage: WaitingStage;
  private readonly seq: number;
  private opening: readonly Message[];
  private outcome: Outcome | null = null;

  /** @param seq the last seq that the reader has @param opening sent first */
  constructor(stage: WaitingStage, seq: number, opening: readonly Message[]) {
    this.stage = stage;
    this.seq = seq;
    this.opening = opening;
  }

  get isOver(): boolean {
    return this.outcome !== null;
  }

  take(): Frame | undefined {
    if (this.opening.length > 0) {
      const messages = this.opening.slice(0, OPENING_MESSAGES);
      this.opening = this.opening.slice(OPENING_MESSAGES);
      return messages;
    }
    if (this.outcome === null && this.stage.isReady()) {
      this.outcome = this.stage.recent(this.seq) ?? 'too-old';
    }
    return undefined;
  }

  finished(): void {
    this.stage.finish(this.outcome!);
  }

  end(): void {
    this.outcome = 'not-kept';
  }
}
