/**
 * Play chains: what a reader of a play holds of each topic, so that nothing missing passes in silence.
 *
 * Behind places that the journal has not got, a topic is told a gap, with their reason, unless its next
 * message names one from before them as its predecessor. Where the market went on from its state before
 * (a crash, damage set aside) the chain shows nothing, and the gap is told to every topic. A book of
 * which changes are missing is void: its changes are left out, and are in a gap, until a record or a
 * snapshot of the journal tells it whole. What is told stands at the place of the record that tells it, so
 * all topics together are in the order of places.
 * Bounded: one chain a topic.
 */

import type { Message } from '../../../protocol/messages';
import type { BatchEvent, Snapshot } from '../../../protocol/records';
import { isContinued, toldReason, type ToldReason } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';
import { DAMAGED } from '../proofs';

/** What takes its place in a chain. */
type Chained = Exclude<BatchEvent, { type: 'instrument' | 'command' | 'snapshot' }>;

/** Places that a topic lacks, not told yet since more of them may follow. */
interface Lost {
  readonly from: number;
  to: number;
  readonly reason: ToldReason;
}

export class PlayChain {
  readonly topic: string;
  private readonly isBook: boolean;
  private readonly gaps: readonly MissingRange[];
  private readonly startSeq: number;
  /** The newest place that the reader knows of. */
  private lastSeq: number;
  private nextGap = 0;
  /** Of a book whose state is not known. */
  private isVoid: boolean;
  /** Of a void book. */
  private lost: Lost | null = null;
  /** Why the newest place that is missing is. */
  private lostBy: ToldReason;

  /**
   * @param lastSeq what stands up to here is known, or not asked for
   * @param startSeq the first place of the play
   * @param gaps of the journal, in order; those before the play too which the state at its beginning lacks
   * @param voidBy of a book whose state at that place is not known, why
   */
  constructor(
    topic: string,
    lastSeq: number,
    startSeq: number,
    gaps: readonly MissingRange[],
    voidBy: string | null,
  ) {
    this.topic = topic;
    this.isBook = topic.startsWith('book:');
    this.lastSeq = lastSeq;
    this.startSeq = startSeq;
    this.gaps = gaps;
    this.isVoid = voidBy !== null;
    this.lostBy = toldReason(voidBy ?? DAMAGED);
    while (this.nextGap < gaps.length && gaps[this.nextGap]!.to <= lastSeq) this.nextGap += 1;
  }

  /** Whether it waits for a snapshot of the journal. */
  get needsWhole(): boolean {
    return this.isVoid;
  }

  /** Takes the next record, if it is told as it is and nothing before it; else it is for `tell`. */
  follows(event: Pick<Chained, 'seq' | 'prevSeq'>): boolean {
    const gap = this.gaps[this.nextGap];
    const isPassing = gap !== undefined && gap.to < event.seq;
    if (this.isVoid || isPassing || event.prevSeq > this.lastSeq) return false;
    this.lastSeq = event.seq;
    return true;
  }

  /** What a record is told as where the chain is broken. */
  tell(event: Chained, into: Message[]): void {
    this.passGaps(event.seq, event.prevSeq, into);
    // A predecessor that is in no gap, and did not come: the journal is not what was written.
    if (event.prevSeq > this.knownSeq) this.lose(this.lastSeq + 1, event.prevSeq, 'damaged', into);
    if (event.type === 'book') {
      if (this.isVoid && event.form === 'delta') {
        this.lose(event.seq, event.seq, this.lost?.reason ?? this.lostBy, into);
        return;
      }
      this.flush(into);
      this.isVoid = false;
    }
    this.lastSeq = event.seq;
    into.push(event);
  }

  /** A reader that may hold some of what a gap lacks passes it. */
  cross(gap: MissingRange, into: Message[]): void {
    while (this.nextGap < this.gaps.length && this.gaps[this.nextGap]!.to <= gap.to) {
      this.nextGap += 1;
    }
    this.tellGap(gap.from, gap.to, toldReason(gap.reason), into);
  }

  /** Whether a snapshot of the journal is to be told, if changes before it are missing. */
  wantsWhole(seq: number): boolean {
    const gap = this.gaps[this.nextGap];
    return this.isVoid || (gap !== undefined && gap.to < seq);
  }

  /**
   * A snapshot of the journal goes by; a book that is void, or lacks changes before it, is told whole by it.
   * @param prevSeq the predecessor that the next record of the book names; null: there is none
   */
  takeWhole(s: Snapshot, prevSeq: number | null, into: Message[]): void {
    // A predecessor behind the snapshot does not tell what is missing before it: then all may be.
    const isShown = prevSeq !== null && prevSeq < s.seq;
    this.passGaps(s.seq, isShown ? prevSeq : s.seq - 1, into);
    if (!this.isVoid) return;
    this.flush(into);
    this.isVoid = false;
    const { symbol, seq, eventTime, receiveTime, crc } = s;
    const levels = { bids: [...s.bids], asks: [...s.asks] };
    into.push({
      type: 'book',
      symbol,
      seq,
      prevSeq: this.lastSeq,
      eventTime,
      receiveTime,
      form: 'snapshot',
      ...levels,
      crc,
      count: 1,
      mark: null,
    });
    this.lastSeq = seq;
  }

  /** The play ends at a place: what is missing before it and was not told yet. */
  end(seq: number, into: Message[]): void {
    this.flush(into);
    for (const { from, to, reason } of this.gaps.slice(this.nextGap)) {
      if (from > seq) break;
      this.tellGap(from, Math.min(to, seq), toldReason(reason), into);
    }
  }

  private get knownSeq(): number {
    return Math.max(this.lastSeq, this.lost?.to ?? 0);
  }

  /** @param seq of the record that goes by @param prevSeq the one that it names before it */
  private passGaps(seq: number, prevSeq: number, into: Message[]): void {
    for (;;) {
      const gap = this.gaps[this.nextGap];
      if (gap === undefined || gap.to >= seq) return;
      this.nextGap += 1;
      const reason = toldReason(gap.reason);
      if (prevSeq >= gap.from && gap.reason !== 'crash') {
        this.lose(gap.from, Math.min(gap.to, prevSeq), reason, into);
      } else if (isContinued(gap) && gap.to >= this.startSeq) {
        this.flush(into);
        this.tellGap(gap.from, gap.to, reason, into);
      }
    }
  }

  /** Messages of the topic are missing, at some of these places. */
  private lose(from: number, to: number, reason: ToldReason, into: Message[]): void {
    if (!this.isBook) return this.tellGap(from, to, reason, into);
    this.isVoid = true;
    this.lostBy = reason;
    if (this.lost?.reason === reason) this.lost.to = Math.max(this.lost.to, to);
    else {
      this.flush(into);
      this.lost = { from, to, reason };
    }
  }

  private flush(into: Message[]): void {
    const { lost } = this;
    this.lost = null;
    if (lost !== null) this.tellGap(lost.from, lost.to, lost.reason, into);
  }

  private tellGap(from: number, to: number, reason: ToldReason, into: Message[]): void {
    const first = Math.max(from, this.lastSeq + 1);
    if (to < first) return;
    into.push({ type: 'gap', topic: this.topic, from: first, to, count: to - first + 1, reason });
    this.lastSeq = to;
  }
}
