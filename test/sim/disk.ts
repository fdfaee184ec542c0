/**
 * Disk: the contents of the data directory of a run other than the messages, and its faults. The directory goes
 * back to any commit, with or without the head file; copies are put back later, also alternating with the directory
 * that they were copied from. It computes what a start finds, by its own rules.
 */

import { freshNumber } from '../../src/base/secrets';
import type { Prng } from '../../src/base/prng';
import type { PastEpoch } from '../../src/base/contracts/past';
import type { SavedTruth, Truth } from './truth';

/** One epoch, and the newest seq before it. */
interface Epoch {
  readonly epoch: number;
  readonly after: number;
}

interface Copy {
  readonly truth: SavedTruth;
  readonly epochs: readonly Epoch[];
}

/** How epochs are numbered. `counted`: the old way, with a clock that was set back. */
export type Numbering = 'random' | 'counted';

const COPIES_MAX = 4;

export class Disk {
  private epochs: Epoch[] = [];
  private readonly copies: Copy[] = [];
  private readonly truth: Truth;
  private readonly random: Prng;
  private readonly numbering: Numbering;

  constructor(truth: Truth, random: Prng, numbering: Numbering) {
    this.truth = truth;
    this.random = random;
    this.numbering = numbering;
  }

  /** Begins another epoch. @returns its number, and what is known of those before */
  begin(): { readonly epoch: number; readonly past: ReadonlyMap<number, PastEpoch> } {
    const { truth, random, numbering } = this;
    const numbers = this.epochs.map(({ epoch }) => epoch);
    const bytes = (count: number): Uint8Array =>
      Uint8Array.from({ length: count }, () => random.int(0, 255));
    const epoch =
      numbering === 'random' ? freshNumber(bytes, new Set(numbers)) : 1 + Math.max(6, ...numbers);
    // An epoch that numbered nothing is replaced by the next.
    this.epochs = this.epochs.filter(({ after }) => after < truth.lastSeq);
    const past = new Map(this.epochs.map((own, i) => [own.epoch, this.keptOf(this.epochs[i + 1])]));
    this.epochs.push({ epoch, after: truth.lastSeq });
    return { epoch, past };
  }

  /** Up to which seq the journal has an epoch, given the next one. */
  private keptOf(next: Epoch | undefined): PastEpoch {
    const pushed = next?.after ?? this.truth.lastSeq;
    let kept = pushed;
    for (let lost = this.truth.lostAt(kept); lost !== undefined; lost = this.truth.lostAt(kept)) {
      kept = lost.from - 1;
    }
    return { kept, pushed };
  }

  /** Makes a copy of the directory. */
  copy(): void {
    if (this.copies.length === COPIES_MAX)
      this.copies.splice(this.random.int(0, COPIES_MAX - 1), 1);
    this.copies.push({ truth: this.truth.save(), epochs: [...this.epochs] });
  }

  /**
   * Puts an older state of the directory back, while no server runs.
   * @param isWhole whether all symbols are defined in that state
   * @returns whether it did
   */
  goBack(isWhole: () => boolean): boolean {
    const { truth, random, copies } = this;
    const present: Copy = { truth: truth.save(), epochs: [...this.epochs] };
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
    // An epoch that began here may not be recorded yet.
    const isNoted = random.chance(0.5);
    this.epochs = this.epochs.filter(
      ({ after }, i) => i === 0 || after < truth.lastSeq || (isNoted && after === truth.lastSeq),
    );
    // The head file: none, that of the copy, one between the two, or the present one.
    const heads = [
      truth.lastSeq,
      shown,
      random.int(truth.lastSeq, Math.max(truth.lastSeq, shown)),
      present.truth.lastSeq,
    ];
    truth.loseTo(heads[random.int(0, 3)]!);
    if (copy !== undefined && random.chance(0.7)) copies.push(present); // a later start may use it again
    if (copies.length > COPIES_MAX) copies.shift();
    return true;
  }

  private restore({ truth, epochs }: Copy): void {
    this.truth.restore(truth);
    this.epochs = [...epochs];
  }
}
