/**
 * Play gaps: places of a play that the journal has not got. Their list changes only where nobody has read
 * yet: records may leave, or be found damaged, while they are played, and a hole may be noted late.
 */

import { without } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';

export class PlayGaps {
  /** In order, without overlap. What lies before the place that is read next never changes. */
  readonly all: MissingRange[];

  constructor(gaps: readonly MissingRange[]) {
    this.all = [...gaps];
  }

  /**
   * Takes over what the journal says now.
   * @param nextSeq the place that is read next @param current all from there on, in order
   * @returns whether a place is missing that was not before
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
