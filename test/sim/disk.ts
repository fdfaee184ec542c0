/**
 * Disk: what stands in the data directory of a run besides the messages themselves, and the faults that
 * it has: it goes back to any commit, with or without the head file, and copies come back later, also in
 * turn with what they are copies of. It says what a start finds, by rules of its own.
 */

import { freshNumber } from '../../src/base/secrets';
import type { Prng } from '../../src/base/prng';
import type { PastEpoch } from '../../src/base/contracts/past';
import type { SavedTruth, Truth } from './truth';

/** One life of the numbering, and the newest place before it. */
interface Life {
  readonly epoch: number;
  readonly after: number;
}

interface Copy {
  readonly truth: SavedTruth;
  readonly lives: readonly Life[];
}

/** How lives get their number. `counted`: as they did once, by a clock that was put back. */
export type Numbering = 'random' | 'counted';

const COPIES_MAX = 4;

export class Disk {
  private lives: Life[] = [];
  private readonly copies: Copy[] = [];
  private readonly truth: Truth;
  private readonly random: Prng;
  private readonly numbering: Numbering;

  constructor(truth: Truth, random: Prng, numbering: Numbering) {
    this.truth = truth;
    this.random = random;
    this.numbering = numbering;
  }

  /** Another life begins. @returns its epoch, and what is known of those before */
  begin(): { readonly epoch: number; readonly past: ReadonlyMap<number, PastEpoch> } {
    const { truth, random, numbering } = this;
    const numbers = this.lives.map(({ epoch }) => epoch);
    const bytes = (count: number): Uint8Array =>
      Uint8Array.from({ length: count }, () => random.int(0, 255));
    const epoch =
      numbering === 'random' ? freshNumber(bytes, new Set(numbers)) : 1 + Math.max(6, ...numbers);
    // One that numbered nothing leaves its place to the next.
    this.lives = this.lives.filter(({ after }) => after < truth.lastSeq);
    const past = new Map(this.lives.map((life, i) => [life.epoch, this.keptOf(this.lives[i + 1])]));
    this.lives.push({ epoch, after: truth.lastSeq });
    return { epoch, past };
  }

  /** Up to which place a life is on record, that the next one follows. */
  private keptOf(next: Life | undefined): PastEpoch {
    const pushed = next?.after ?? this.truth.lastSeq;
    let kept = pushed;
    for (let lost = this.truth.lostAt(kept); lost !== undefined; lost = this.truth.lostAt(kept)) {
      kept = lost.from - 1;
    }
    return { kept, pushed };
  }

  /** Somebody copies the directory. */
  copy(): void {
    if (this.copies.length === COPIES_MAX)
      this.copies.splice(this.random.int(0, COPIES_MAX - 1), 1);
    this.copies.push({ truth: this.truth.save(), lives: [...this.lives] });
  }

  /**
   * The directory goes back in time, while no server runs.
   * @param isWhole whether all symbols are defined by then
   * @returns whether it did
   */
  goBack(isWhole: () => boolean): boolean {
    const { truth, random, copies } = this;
    const present: Copy = { truth: truth.save(), lives: [...this.lives] };
    const copy = random.chance(0.6) ? copies[random.int(0, copies.length - 1)] : undefined;
    if (copy !== undefined) this.restore(copy);
    const shown = truth.lastSeq;
    const { commits } = truth;
    const back = random.chance(0.3)
      ? 0
      : random.chance(0.8)
        ? random.int(0, 4)
        : random.int(0, commits.length - 1);
    const commit = commits[Math.max(0, commits.length - 1 - back)];
    if (commit !== undefined) truth.goBack(commit);
    if (!isWhole()) {
      this.restore(present);
      return false;
    }
    // An epoch that began here may not be on record yet.
    const isNoted = random.chance(0.5);
    this.lives = this.lives.filter(
      ({ after }, i) => i === 0 || after < truth.lastSeq || (isNoted && after === truth.lastSeq),
    );
    // The head: none, that of then, one from in between, or that of today.
    const heads = [
      truth.lastSeq,
      shown,
      random.int(truth.lastSeq, Math.max(truth.lastSeq, shown)),
      present.truth.lastSeq,
    ];
    truth.loseTo(heads[random.int(0, 3)]!);
    if (copy !== undefined && random.chance(0.7)) copies.push(present); // served again later
    if (copies.length > COPIES_MAX) copies.shift();
    return true;
  }

  private restore({ truth, lives }: Copy): void {
    this.truth.restore(truth);
    this.lives = [...lives];
  }
}
