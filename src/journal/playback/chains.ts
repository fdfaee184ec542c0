/**
 * Replay chains: what the reader of a replay holds of each topic, so that no missing message goes
 * undeclared.
 *
 * When the journal lacks records, a topic is sent a gap with their reason, unless its next message
 * names a predecessor from before them. If the market went on from its state before the gap (a
 * crash, damage set aside), the chain shows no break, and every topic is sent the gap. A book that
 * lacks changes is incomplete: its changes are left out and declared in a gap, until a record or a
 * snapshot of the journal has the whole book. Each message has the position of the record that
 * leads to it, so all topics together are in the order of sequence numbers. Bounded: one chain for
 * each topic.
 */

import type { Message } from '../../../protocol/messages';
import type { BatchEvent, Snapshot } from '../../../protocol/records';
import { isContinued, sentReason, type SentReason } from '../history/gaps';
import type { MissingRange } from '../../base/contracts/past';
import { DAMAGED } from '../proofs';

/** The events that belong to a chain. */
type Chained = Exclude<BatchEvent, { type: 'instrument' | 'command' | 'snapshot' }>;

/** A range that a topic lacks. It is not sent yet, since it may grow. */
interface Lost {
  readonly from: number;
  to: number;
  readonly reason: SentReason;
}

export class ReplayChain {
  readonly topic: string;
  private readonly shard: string | null;
  private readonly isBook: boolean;
  private readonly gaps: readonly MissingRange[];
  private readonly startSeq: number;
  /** The newest seq that the reader knows of. */
  private lastSeq: number;
  private nextGap = 0;
  /** Whether it is a book whose state is unknown. */
  private isIncomplete: boolean;
  /** Of an incomplete book: the range not sent yet. */
  private lost: Lost | null = null;
  /** Why the newest missing record is missing. */
  private lostBy: SentReason;

  /**
   * @param lastSeq everything up to here is known, or was not requested
   * @param startSeq the first seq of the replay
   * @param gaps of the journal, in order, including those before the replay that the state at its
   * beginning lacks
   * @param incompleteBy for a book whose state at the beginning is unknown: why
   * @param shard that its gaps name
   */
  constructor(
    topic: string,
    lastSeq: number,
    startSeq: number,
    gaps: readonly MissingRange[],
    incompleteBy: string | null,
    shard: string | null,
  ) {
    this.shard = shard;
    this.topic = topic;
    this.isBook = topic.startsWith('book:');
    this.lastSeq = lastSeq;
    this.startSeq = startSeq;
    this.gaps = gaps;
    this.isIncomplete = incompleteBy !== null;
    this.lostBy = sentReason(incompleteBy ?? DAMAGED);
    while (this.nextGap < gaps.length && gaps[this.nextGap]!.to <= lastSeq) this.nextGap += 1;
  }

  /** Whether it waits for a snapshot of the journal. */
  get needsWhole(): boolean {
    return this.isIncomplete;
  }

  /**
   * Takes the next record, if it is sent as it was published and nothing must precede it; else use
   * `addRecord`.
   */
  follows(event: Pick<Chained, 'seq' | 'prevSeq'>): boolean {
    const gap = this.gaps[this.nextGap];
    const isPassing = gap !== undefined && gap.to < event.seq;
    if (this.isIncomplete || isPassing || event.prevSeq > this.lastSeq) return false;
    this.lastSeq = event.seq;
    return true;
  }

  /** Adds the messages for a record where the chain is broken. */
  addRecord(event: Chained, into: Message[]): void {
    this.passGaps(event.seq, event.prevSeq, into);
    // The predecessor lies in no gap, and did not come: the journal is not what was written.
    if (event.prevSeq > this.knownSeq) this.lose(this.lastSeq + 1, event.prevSeq, 'damaged', into);
    if (event.type === 'book') {
      if (this.isIncomplete && event.form === 'delta') {
        this.lose(event.seq, event.seq, this.lost?.reason ?? this.lostBy, into);
        return;
      }
      this.flush(into);
      this.isIncomplete = false;
    }
    this.lastSeq = event.seq;
    into.push(event);
  }

  /** Declares a gap to a reader that may hold messages from inside it. */
  cross(gap: MissingRange, into: Message[]): void {
    while (this.nextGap < this.gaps.length && this.gaps[this.nextGap]!.to <= gap.to) {
      this.nextGap += 1;
    }
    this.addGap(gap.from, gap.to, sentReason(gap.reason), into);
  }

  /** Whether a snapshot of the journal is needed, if changes before it are missing. */
  wantsWhole(seq: number): boolean {
    const gap = this.gaps[this.nextGap];
    return this.isIncomplete || (gap !== undefined && gap.to < seq);
  }

  /**
   * Takes a snapshot of the journal. If the book is incomplete, or lacks changes before the
   * snapshot, the whole book is sent.
   * @param prevSeq the predecessor that the next record of the book names; null: there is none
   */
  takeWhole(s: Snapshot, prevSeq: number | null, into: Message[]): void {
    // If the predecessor lies after the snapshot, it does not show what is missing before the
    // snapshot: everything may be.
    const isBefore = prevSeq !== null && prevSeq < s.seq;
    this.passGaps(s.seq, isBefore ? prevSeq : s.seq - 1, into);
    if (!this.isIncomplete) return;
    this.flush(into);
    this.isIncomplete = false;
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

  /** The replay ends at a seq: declares what is missing before it and was not sent yet. */
  end(seq: number, into: Message[]): void {
    this.flush(into);
    for (const { from, to, reason } of this.gaps.slice(this.nextGap)) {
      if (from > seq) break;
      this.addGap(from, Math.min(to, seq), sentReason(reason), into);
    }
  }

  private get knownSeq(): number {
    return Math.max(this.lastSeq, this.lost?.to ?? 0);
  }

  /** @param seq of the current record @param prevSeq the predecessor that it names */
  private passGaps(seq: number, prevSeq: number, into: Message[]): void {
    for (;;) {
      const gap = this.gaps[this.nextGap];
      if (gap === undefined || gap.to >= seq) return;
      this.nextGap += 1;
      const reason = sentReason(gap.reason);
      if (prevSeq >= gap.from && gap.reason !== 'crash') {
        this.lose(gap.from, Math.min(gap.to, prevSeq), reason, into);
      } else if (isContinued(gap) && gap.to >= this.startSeq) {
        this.flush(into);
        this.addGap(gap.from, gap.to, reason, into);
      }
    }
  }

  /** Messages of the topic are missing in this range. */
  private lose(from: number, to: number, reason: SentReason, into: Message[]): void {
    if (!this.isBook) return this.addGap(from, to, reason, into);
    this.isIncomplete = true;
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
    if (lost !== null) this.addGap(lost.from, lost.to, lost.reason, into);
  }

  private addGap(from: number, to: number, reason: SentReason, into: Message[]): void {
    const first = Math.max(from, this.lastSeq + 1);
    if (to < first) return;
    into.push({
      type: 'gap',
      topic: this.topic,
      from: first,
      to,
      count: to - first + 1,
      reason,
      shard: this.shard,
    });
    this.lastSeq = to;
  }
}
