/**
 * Replay gaps: the missing ranges of a replay. The list changes only where nothing has been read
 * yet: records may be deleted, or be found damaged, during the replay, and a gap may be noted late.
 */

import { without } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';

export class ReplayGaps {
  /** In order, without overlap. What lies before the next seq to read never changes. */
  readonly all: MissingRange[];

  constructor(gaps: readonly MissingRange[]) {
    this.all = [...gaps];
  }

  /**
   * Updates the list with what the journal declares now.
   * @param nextSeq the next seq to read
   * @param current all missing ranges from there on, in order
   * @returns whether something is missing that was not before
   */
  renew(nextSeq: number, toSeq: number, current: readonly MissingRange[]): boolean {
    const { all } = this;
    const kept = all.findIndex(({ from }) => from >= nextSeq);
    const before = kept < 0 ? [] : all.splice(kept);
    const first = Math.max(nextSeq, (all.at(-1)?.to ?? 0) + 1);
    let isNews = false;
    for (const gap of current) {
      if (gap.to < first || gap.from > toSeq) continue;
      const places = { ...gap, from: Math.max(gap.from, first) };
      isNews ||= without({ ...places, to: Math.min(gap.to, toSeq) }, before).length > 0;
      all.push(places);
    }
    return isNews;
  }
}
