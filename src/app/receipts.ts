/**
 * Receipts: which numbers a leader gave to the publishes of other members, until the batch log has them. They go into
 * the batches of the log, so each member can see there what became of a publish whose answer it did not get.
 */

import type { Receipt, StreamReceipts } from '../../protocol/batch';
import type { Worked } from '../base/contracts/submission';
import { Deque } from '../base/deque';

/** The most receipts that may wait for the log. */
const RECEIPTS_MAX = 100_000;

interface Kept {
  readonly member: string;
  readonly stream: number;
  readonly receipt: Receipt;
}

export class Receipts {
  /** By rising `firstSeq`. */
  private readonly kept = new Deque<Kept>();
  private readonly base: number;

  /** @param base nothing is known of the events up to this one, which the leader found in its journal */
  constructor(base: number) {
    this.base = base;
  }

  get isFull(): boolean {
    return this.kept.length >= RECEIPTS_MAX;
  }

  get length(): number {
    return this.kept.length;
  }

  /**
   * What a submission is to report its numbers to. A publish without any has no receipt: nothing came of it.
   * @param publish its number in the stream
   */
  noting(member: string, stream: number, publish: number): (worked: Worked) => void {
    let hasBegun = false;
    return ({ firstSeq, lastSeq, intake }) => {
      // Parts between the first and the last say nothing new.
      if (hasBegun ? intake === null : lastSeq < firstSeq) return;
      hasBegun = true;
      const { repeated, waiting } = intake ?? { repeated: 0, waiting: 0 };
      const isWhole = intake !== null;
      const receipt = { publish, firstSeq, lastSeq, isWhole, repeated, waiting };
      this.kept.push({ member, stream, receipt });
    };
  }

  /** The receipts of a batch that goes to the log. */
  of(firstSeq: number, lastSeq: number): StreamReceipts[] | null | undefined {
    if (firstSeq <= this.base) return null;
    const { kept } = this;
    const streams = new Map<string, { member: string; stream: number; receipts: Receipt[] }>();
    for (let at = this.indexOf(firstSeq); at < kept.length; at++) {
      const { member, stream, receipt } = kept.at(at)!;
      if (receipt.firstSeq > lastSeq) break;
      const name = `${stream} ${member}`;
      let of = streams.get(name);
      if (of === undefined) streams.set(name, (of = { member, stream, receipts: [] }));
      of.receipts.push(receipt);
    }
    return streams.size === 0 ? undefined : [...streams.values()];
  }

  /** The log has everything up to a number. */
  acknowledged(seq: number): void {
    const { kept } = this;
    while (kept.length > 0 && kept.at(0)!.receipt.firstSeq <= seq) kept.shift();
  }

  /** The first receipt at or behind a number. */
  private indexOf(seq: number): number {
    let [from, to] = [0, this.kept.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.kept.at(middle)!.receipt.firstSeq < seq) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
