/**
 * Waiting resume: a resume that reads no events from the journal but waits for bars. It joins live
 * in the turn in which everything is available.
 */

import type { Message } from '../../../protocol/messages';
import type { FrameSource, Frame } from '../sessions/frame-source';
import { OPENING_MESSAGES, type Outcome, type ResumeStage } from './journal-resume';

type WaitingStage = Omit<ResumeStage, 'numbering' | 'playbacks' | 'queued' | 'lostTo' | 'renewed'>;

export class WaitingResume implements FrameSource {
  private readonly stage: WaitingStage;
  private readonly seq: number;
  private opening: readonly Message[];
  private outcome: Outcome | null = null;

  /** @param seq the last sequence number of the reader @param opening sent first */
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
