/**
 * Past epochs: the sequence number from which a reader of an earlier epoch resumes.
 *
 * What was lost in a crash was published but is in no journal. A reader that has some of it resumes
 * from before the loss and gets the whole range as a `gap`, so it learns which of its messages no
 * longer exist. Bounded: as the journal's list of its epochs.
 */

import type { PastEpoch } from '../../base/contracts/past';

export class PastEpochs {
  private readonly byEpoch: ReadonlyMap<number, PastEpoch>;
  /** Epochs that lost sequence numbers in a crash. */
  private readonly broken: readonly PastEpoch[];

  constructor(byEpoch: ReadonlyMap<number, PastEpoch>) {
    this.byEpoch = byEpoch;
    this.broken = [...byEpoch.values()].filter(({ kept, pushed }) => kept < pushed);
  }

  /**
   * The sequence number that a reader of an epoch resumes from; undefined if the reader has met a
   * number that this journal does not know as published: the journal went back in time or is a
   * copy.
   * @param newest the highest sequence number that the reader met in that epoch
   */
  startOf(epoch: number, seq: number, newest: number): number | undefined {
    const past = this.byEpoch.get(epoch);
    if (past === undefined || newest > past.pushed) return undefined;
    return Math.min(seq, past.kept);
  }

  /**
   * For a sequence number within a loss, the last one before it, so that the `gap` covers the whole
   * loss.
   */
  beforeLoss(seq: number): number {
    let start = seq;
    for (const { kept, pushed } of this.broken) {
      if (kept < seq && seq < pushed) start = Math.min(start, kept);
    }
    return start;
  }

  /** The newest sequence number after `start` that was lost in a crash; 0: none. */
  lostTo(start: number): number {
    const lost = this.broken.filter(({ pushed }) => pushed > start);
    return Math.max(0, ...lost.map(({ pushed }) => pushed));
  }
}
