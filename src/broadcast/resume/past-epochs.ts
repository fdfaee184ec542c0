/**
 * Past epochs: from which seq a reader of an earlier epoch goes on.
 *
 * What a crash took was pushed and is in no journal: a reader that holds some of it goes on from before
 * it, and gets the whole range as a `gap`, so it learns which of its messages nobody else has.
 * Bounded: as the journal's list of its epochs.
 */

import type { PastEpoch } from '../../base/contracts/past';

export class PastEpochs {
  private readonly byEpoch: ReadonlyMap<number, PastEpoch>;
  /** Those of which a crash took some. */
  private readonly broken: readonly PastEpoch[];

  constructor(byEpoch: ReadonlyMap<number, PastEpoch>) {
    this.byEpoch = byEpoch;
    this.broken = [...byEpoch.values()].filter(({ kept, pushed }) => kept < pushed);
  }

  /**
   * The seq that a reader of an epoch goes on from; undefined where nobody knows what it holds: it met a
   * seq that this journal does not know was pushed then, so the journal went back in time, or is a copy.
   * @param newest the highest seq that the reader met in that epoch
   */
  startOf(epoch: number, seq: number, newest: number): number | undefined {
    const past = this.byEpoch.get(epoch);
    if (past === undefined || newest > past.pushed) return undefined;
    return Math.min(seq, past.kept);
  }

  /** A seq within what a crash took: the last before it, so that the `gap` is told whole. */
  beforeLoss(seq: number): number {
    let start = seq;
    for (const { kept, pushed } of this.broken) {
      if (kept < seq && seq < pushed) start = Math.min(start, kept);
    }
    return start;
  }

  /** The newest seq behind a start that a crash took; 0 where none is. */
  lostTo(start: number): number {
    const lost = this.broken.filter(({ pushed }) => pushed > start);
    return Math.max(0, ...lost.map(({ pushed }) => pushed));
  }
}
