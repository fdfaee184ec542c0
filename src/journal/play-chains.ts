/**
 * Play chains: what a reader of a play holds of each topic, so that nothing missing passes in silence.
 *
 * Behind places that the journal has not got, a topic is told a gap unless its next message names one
 * from before them as its predecessor. Where the market went on from its state before (a crash, damage
 * set aside) the chain shows nothing, and the gap is told to every topic. A book of which changes are
 * missing is void: its changes are left out, and are in the gap, until a record tells it whole.
 * Bounded: one chain a topic, ten levels a void book.
 */

import type { Book, Message } from '../../protocol/messages';
import type { BatchEvent, Snapshot } from '../../protocol/records';
import { isContinued, toldReason, type ToldReason } from './history-gaps';
import type { MissingPlaces } from './history-messages';

/** What takes its place in a chain. */
type Chained = Exclude<BatchEvent, { type: 'instrument' | 'command' | 'snapshot' }>;

export class PlayChain {
  readonly topic: string;
  private readonly gaps: readonly MissingPlaces[];
  /** The newest place that the reader knows of. */
  private lastSeq: number;
  private nextGap = 0;
  /** Of a book whose state is not known. */
  private isVoid: boolean;
  /** Of a book that is void or may be: the levels as last told, which no message of the topic is behind yet. */
  private whole: Snapshot | null = null;
  /** Of a void book: the newest change that was left out, and why it is void. */
  private skippedSeq = 0;
  private lostBy: ToldReason = 'not-journaled';

  /**
   * @param lastSeq what stands up to here is known, or not asked for
   * @param gaps of the journal, in order
   * @param isVoid of a book, whether its state at that place is not known
   */
  constructor(topic: string, lastSeq: number, gaps: readonly MissingPlaces[], isVoid: boolean) {
    this.topic = topic;
    this.lastSeq = lastSeq;
    this.gaps = gaps;
    this.isVoid = isVoid;
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
    this.passGaps(event, into);
    const knownSeq = Math.max(this.lastSeq, this.skippedSeq);
    if (event.prevSeq > knownSeq) this.lose(event.prevSeq, 'retention', into);
    if (event.type === 'book') {
      if (this.isVoid && !this.heal(event, into)) {
        this.skippedSeq = event.seq;
        return;
      }
      this.isVoid = false;
      this.whole = null;
    }
    this.lastSeq = event.seq;
    into.push(event);
  }

  /** A reader that may hold some of what a gap lacks passes it. */
  cross(gap: MissingPlaces, into: Message[]): void {
    while (this.nextGap < this.gaps.length && this.gaps[this.nextGap]!.to <= gap.to) {
      this.nextGap += 1;
    }
    this.tellGap(gap.from, gap.to, toldReason(gap.reason), into);
  }

  /** A snapshot of the journal goes by. */
  takeWhole(snapshot: Snapshot): void {
    const gap = this.gaps[this.nextGap];
    if (this.isVoid || (gap !== undefined && gap.to < snapshot.seq)) this.whole = snapshot;
  }

  /** The play ends at a place: what is missing before it and was not told yet. */
  end(seq: number, into: Message[]): void {
    const gap = this.gaps[this.nextGap];
    if (this.whole !== null) {
      if (!this.isVoid && gap !== undefined) this.lostBy = toldReason(gap.reason);
      this.tellWhole(this.whole, this.whole.seq, into);
    } else if (this.isVoid) this.tellGap(this.lastSeq + 1, this.skippedSeq, this.lostBy, into);
    for (const { from, to, reason } of this.gaps.slice(this.nextGap)) {
      if (from > seq) break;
      this.tellGap(from, Math.min(to, seq), toldReason(reason), into);
    }
  }

  private passGaps(event: Chained, into: Message[]): void {
    for (;;) {
      const gap = this.gaps[this.nextGap];
      if (gap === undefined || gap.to >= event.seq) return;
      this.nextGap += 1;
      const reason = toldReason(gap.reason);
      if (isContinued(gap)) this.passContinued(gap, event, into);
      else if (event.prevSeq >= gap.from) this.lose(event.prevSeq, reason, into);
    }
  }

  /** What a void book lacks from before the gap is told before it: what follows may not be behind it. */
  private passContinued(gap: MissingPlaces, event: Chained, into: Message[]): void {
    const { whole, isVoid } = this;
    if (isVoid && whole !== null && whole.seq < gap.from && event.prevSeq <= whole.seq) {
      this.tellWhole(whole, event.prevSeq, into);
      this.isVoid = false;
    } else if (isVoid) this.tellGap(this.lastSeq + 1, this.skippedSeq, this.lostBy, into);
    this.tellGap(gap.from, gap.to, toldReason(gap.reason), into);
  }

  /** Messages of the topic up to a place are missing. */
  private lose(seq: number, reason: ToldReason, into: Message[]): void {
    if (!this.topic.startsWith('book:')) {
      this.tellGap(this.lastSeq + 1, seq, reason, into);
      return;
    }
    // Levels that were told behind what is missing hold.
    if (this.whole !== null && this.whole.seq < seq) this.whole = null;
    this.lostBy = reason;
    this.isVoid = true;
  }

  /** Whether a book is known from this record on; the gap before it is told then. */
  private heal(event: Book, into: Message[]): boolean {
    if (event.form !== 'delta') {
      this.tellGap(this.lastSeq + 1, event.prevSeq, this.lostBy, into);
      return true;
    }
    if (this.whole === null || this.whole.seq < event.prevSeq) return false;
    this.tellWhole(this.whole, event.prevSeq, into);
    return true;
  }

  /** The book as a message at a place: that of the change before the snapshot, not below what was told. */
  private tellWhole(s: Snapshot, place: number, into: Message[]): void {
    this.tellGap(this.lastSeq + 1, place, this.lostBy, into);
    this.whole = null;
    const { symbol, eventTime, receiveTime, crc } = s;
    const seq = Math.max(place, this.lastSeq);
    const levels = { bids: [...s.bids], asks: [...s.asks] };
    into.push({ type: 'book', symbol, seq, prevSeq: seq, eventTime, receiveTime, form: 'snapshot', ...levels, crc, count: 1, mark: null }); // prettier-ignore
  }

  private tellGap(from: number, to: number, reason: ToldReason, into: Message[]): void {
    const first = Math.max(from, this.lastSeq + 1);
    if (to < first) return;
    into.push({ type: 'gap', topic: this.topic, from: first, to, count: to - first + 1, reason });
    this.lastSeq = to;
  }
}
