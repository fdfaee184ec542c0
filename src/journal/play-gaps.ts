/**
 * Play gaps: places of a play that the journal has not got. Their list only grows where nobody has read
 * yet: records may leave while they are played.
 */

import type { MissingPlaces } from './history-messages';

export class PlayGaps {
  /** In order, without overlap. What lies before the place that is read next never changes. */
  readonly all: MissingPlaces[];

  constructor(gaps: readonly MissingPlaces[]) {
    this.all = [...gaps];
  }

  /**
   * Places up to one have been deleted.
   * @param nextSeq the place that is read next
   * @returns whether that is news
   */
  expire(nextSeq: number, toSeq: number): boolean {
    const { all } = this;
    const kept = all.findIndex(({ from }) => from >= nextSeq);
    const later = kept < 0 ? [] : all.splice(kept);
    const from = Math.max(nextSeq, (all.at(-1)?.to ?? 0) + 1);
    const isNews = from <= toSeq;
    if (isNews) all.push({ from, to: toSeq, reason: 'retention' });
    for (const gap of later) {
      if (gap.to > toSeq) all.push({ ...gap, from: Math.max(gap.from, toSeq + 1) });
    }
    return isNews;
  }
}
