/**
 * Level counts: number of levels in the books of feed instruments, in all and for each key that feeds them. They are
 * counted as books change. After a restart they belong to no key until one feeds them again.
 */

import { fault, type Fault } from '../../protocol/codes';

export interface LevelLimits {
  readonly levelsMax: number;
  readonly levelsPerKeyMax: number;
}

export class LevelCounts {
  private readonly limits: LevelLimits;
  private readonly byOwner = new Map<string, number>();
  private total = 0;

  constructor(limits: LevelLimits) {
    this.limits = limits;
  }

  /** Levels in all books. */
  get levels(): number {
    return this.total;
  }

  of(owner: string): number {
    return this.byOwner.get(owner) ?? 0;
  }

  /** Adds to the levels of a key, or subtracts. */
  add(owner: string, levels: number): void {
    if (levels === 0) return;
    this.total += levels;
    const own = this.of(owner) + levels;
    if (own === 0) this.byOwner.delete(owner);
    else this.byOwner.set(owner, own);
  }

  /**
   * Why these levels would be too many; undefined if they fit.
   * @param more new levels in all books
   * @param own levels that would be new for this key
   */
  fault(owner: string, more: number, own: number): Fault | undefined {
    const { levelsMax, levelsPerKeyMax } = this.limits;
    if (more > 0 && this.total + more > levelsMax) {
      return tooMany(
        `all books would hold ${this.total + more} levels`,
        levelsMax,
        'limits.levelsMax',
      );
    }
    if (own > 0 && this.of(owner) + own > levelsPerKeyMax) {
      const what = `the books that ${owner} feeds would hold ${this.of(owner) + own} levels`;
      return tooMany(what, levelsPerKeyMax, 'limits.levelsPerKeyMax');
    }
    return undefined;
  }
}

/** The counted levels of one book. */
export class CountedLevels {
  /** The key that fed it last. */
  owner = '';
  private levels = 0;
  private readonly counts: LevelCounts;

  constructor(counts: LevelCounts) {
    this.counts = counts;
  }

  set(levels: number, owner = this.owner): void {
    if (owner === this.owner) {
      this.counts.add(owner, levels - this.levels);
    } else {
      this.counts.add(this.owner, -this.levels);
      this.counts.add(owner, levels);
    }
    this.owner = owner;
    this.levels = levels;
  }
}

function tooMany(what: string, most: number, setting: string): Fault {
  return fault('too-many-levels', `${what}; at most ${most} are expected (${setting})`, 'bids');
}
