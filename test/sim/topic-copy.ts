/**
 * Topic copy: what a reader holds of one topic, and the rules for the next message: it is in order by `prevSeq`,
 * replaces exactly as many messages as it says, and has what was published.
 */

import type { Bar, MessageOf, Stats } from '../../protocol/messages';
import { LocalBook } from '../../src/client/local-book';
import { hold, isDerived, type Sequenced, type Truth } from './truth';

export class TopicCopy {
  readonly name: string;
  /** Everything of the topic up to here was received or declared missing; null before that is known. */
  last: number | null = null;
  /** Subscribed on this connection, and answered. */
  isLive = false;
  /** Heads up to here mean nothing. */
  base = 0;
  /** Messages received, counting those that a conflated one replaces, and those that a gap declared. */
  received = 0;
  missed = 0;
  /** The seq from which those are counted. */
  private since: number | null = null;
  private book: LocalBook | null = null;
  /** After a loss: its first seq, until the next message. */
  private lostFrom: number | null = null;
  /** The newest message that it has, also from before a loss; null when that is lost. */
  private held: number | null = null;
  /** Numbered messages received so far, by seq: each equals the one that was published. */
  private readonly content = new Map<number, unknown>();
  /** What it has is invalid, and the session that could have sent its state again had ended by then. */
  private isRewound = false;
  private readonly truth: Truth;

  /** Whether its messages are complete states, which are not counted one by one. */
  private readonly isDerived: boolean;

  constructor(name: string, truth: Truth, last: number | null) {
    this.name = name;
    this.isDerived = isDerived(name);
    this.truth = truth;
    this.begin(last);
  }

  /** Continues from a position at which it has everything, or needs everything after it. */
  begin(last: number | null): void {
    this.content.clear();
    this.goOn(last);
  }

  private goOn(last: number | null): void {
    this.isRewound = false;
    this.lostFrom = null;
    this.last = last;
    this.since = last;
    this.received = 0;
    this.missed = 0;
  }

  /** Forgets everything. */
  reset(): void {
    this.begin(null);
    this.held = null;
    this.isLive = false;
    this.book = null;
  }

  /** Takes a message that must be the next. @param isResumed part of the answer of a resume */
  chain(m: Sequenced, isResumed = false): void {
    if (m.type === 'bar' || m.type === 'stats') return this.takeWhole(m, isResumed);
    const { last, name, truth } = this;
    const isNext = last !== null && m.prevSeq === this.chainEnd(last) && m.seq > last;
    hold(isNext, () => ['out of order', name, last, m]);
    truth.check(name, m);
    const count = truth.between(name, last, m.seq);
    hold(count === ('count' in m ? m.count : 1), () => ['replaces others', name, last, count, m]);
    this.received += count;
    for (const event of truth.range(name, last, m.seq)) this.content.set(event.seq, event);
    this.last = m.seq;
    this.held = m.seq;
    this.lostFrom = null;
    this.isRewound = false;
    this.keepBook(m);
  }

  /** Takes a complete state: it misses something only if `prevSeq` is above the last seq. */
  private takeWhole(m: Bar | Stats, isResumed: boolean): void {
    const { last, name, truth } = this;
    hold(last !== null && m.prevSeq <= last, () => ['out of order', name, last, m]);
    truth.check(name, m);
    // Bars that left the log are counted with the newest one.
    const isCounted = m.type === 'stats' && !isResumed && m.seq > last && this.lostFrom === null;
    if (isCounted && m.prevSeq === last) {
      const count = truth.between(name, last, m.seq);
      hold(count === m.count, () => ['replaces others', name, last, count, m]);
    }
    this.held = m.seq;
    if (m.seq <= last) return;
    this.last = m.seq;
    this.lostFrom = null;
  }

  /** What the next message must name as the previous one: after a loss, the last that is left. */
  private chainEnd(last: number): number {
    return this.lostFrom === null ? last : this.truth.head(this.name, last);
  }

  /** Whether it has everything up to the newest message. */
  isAt(head: number): boolean {
    if (this.last === null) return false;
    const end = this.chainEnd(this.last);
    return this.isDerived ? end >= head : end === head;
  }

  /** Whether a message is the next one. */
  fits(m: Sequenced): boolean {
    const { last } = this;
    const isNext = last !== null && m.prevSeq === this.chainEnd(last) && m.seq > last;
    return isNext && this.truth.between(this.name, last, m.seq) === ('count' in m ? m.count : 1);
  }

  /** Takes a state that was requested. */
  state(m: Sequenced): void {
    const { name } = this;
    // After a loss the state may be from before it.
    const last = this.last === null ? null : this.chainEnd(this.last);
    hold(m.type !== 'trade', () => ['a trade is no state', last, m]);
    const isOld = last !== null && m.seq < last;
    hold(!isOld || m.type === 'status' || this.isDerived, () => ['old state', last, m]);
    this.truth.check(name, m);
    hold(m.type !== 'book' || m.form !== 'delta', () => ['changes are no state', m]);
    this.begin(Math.max(m.seq, last ?? 0));
    if (!isDerived(name)) this.content.set(m.seq, this.truth.at(name, m.seq));
    this.held = m.seq;
    this.keepBook(m);
  }

  /** Takes the gap of a crash: everything that was published and not kept, whether it was sent or not. */
  loss({ from, to, count }: MessageOf<'gap'>): void {
    const { name, truth } = this;
    const last = this.last!;
    const run = truth.lostAt(to);
    const isFrom = run?.from === from || (this.isDerived && run !== undefined && from <= run.from);
    hold(isFrom && run.to === to, () => ['a loss of its own', name, from, to, run]);
    hold(count === to - from + 1, () => ['a loss counts wrong', name, from, to, count]);
    if (last >= from && this.lostFrom === null) this.held = null;
    else if (last < from) {
      // The position may lie within a batch, of which a derived topic has one message.
      const isTold = this.isDerived || truth.between(name, last, from - 1) === 0;
      hold(isTold, () => ['untold before a loss', name, last, from]);
      if (this.lostFrom === null) this.account();
    }
    for (const seq of this.content.keys()) if (seq >= from) this.content.delete(seq);
    if (last > to) return; // declared before
    this.goOn(to);
    this.lostFrom = from;
    this.book = null;
  }

  /** Takes a repetition, or the message that replaces a lost newest one. */
  again(m: Sequenced): void {
    const { lostFrom, name, truth } = this;
    if (m.type === 'book' && m.prevSeq === m.seq) {
      hold(m.form !== 'delta' && truth.lostAt(m.seq)?.to === m.seq, () => [
        'a book after a loss',
        m,
      ]);
      if (lostFrom === null || m.seq < this.last!) return; // a repetition
      this.held = truth.head(name, m.seq);
      return this.keepBook(m);
    }
    truth.check(name, m);
    const own = this.content.get(m.seq);
    hold(own === undefined || own === truth.at(name, m.seq), () => ['no repetition', name, own, m]);
    if (lostFrom !== null && this.held === null) this.held = m.seq;
  }

  /**
   * Goes back to a position; everything after it is of another epoch.
   * @returns false if it has messages after the position: it is invalid
   */
  rewind(seq: number): boolean {
    const { lostFrom } = this;
    // The state after a loss has the end of the loss as its seq [R5]: it is of that epoch, even if the loss ends
    // exactly there.
    if (lostFrom !== null) this.book = null;
    if (this.last === null || this.last <= seq) return true;
    if (lostFrom === null || [...this.content.keys()].some((own) => own > seq)) return false;
    this.goOn(seq);
    this.lostFrom = lostFrom;
    this.isRewound = true;
    return true;
  }

  gap({ from, to, count }: MessageOf<'gap'>): void {
    const { last, name, truth } = this;
    // If nothing was received after a loss, the gap may cover that loss too.
    hold(last !== null && from > this.chainEnd(last) && to > last, () => [
      'a gap out of order',
      name,
      last,
      from,
      to,
    ]);
    hold(truth.between(name, last, from - 1) === 0, () => [
      'untold before a gap',
      name,
      last,
      from,
    ]);
    const isCounted = this.isDerived || truth.between(name, from - 1, to) === count;
    hold(isCounted, () => ['a gap counts wrong', name, from, to, count]);
    this.missed += count;
    this.last = to;
    this.book = null;
  }

  /** The answer is complete: everything of the topic up to a position was received. */
  answered(seq: number, isState: boolean): void {
    const { name, truth } = this;
    const head = truth.head(name, seq);
    if (this.last === null) {
      const hasState = !name.startsWith('trade:');
      hold(!isState || !hasState || head === 0, () => ['no state', name, head]);
      this.begin(head);
    }
    // A gap may cover more than the answer, and a state of a long answer may be newer than its seq [S5].
    const isAhead = (this.missed > 0 || isState) && this.last! > head;
    const isRenewed = this.lostFrom === null || name.startsWith('trade:') || this.held !== null;
    hold(isRenewed || this.isRewound || head === 0, () => ['what it holds is lost', name, head]);
    hold(this.isAt(head) || isAhead, () => [
      'the answer says more than came',
      name,
      this.last,
      head,
      seq,
    ]);
    this.base = seq;
    this.isLive = true;
    this.account();
  }

  /** A heartbeat says that everything up to a position was sent. */
  beat(seq: number): void {
    const head = this.truth.head(this.name, seq);
    hold(this.last !== null && head <= this.last, () => [
      'a heartbeat ahead',
      this.name,
      this.last,
      head,
      seq,
    ]);
  }

  /** Every message since it began was received or declared missing, none twice. */
  account(): void {
    for (const [seq, event] of this.content) {
      hold(this.truth.at(this.name, seq) === event, () => [
        'is in no journal',
        this.name,
        seq,
        event,
      ]);
    }
    if (this.since === null || this.last === null || this.isDerived) return;
    const all = this.truth.between(this.name, this.since, this.last);
    hold(all === this.received + this.missed, () => [
      'unaccounted',
      this.name,
      all,
      this.received,
      this.missed,
    ]);
  }

  private keepBook(m: Sequenced): void {
    if (m.type !== 'book') return;
    if (this.book === null) {
      if (m.form === 'delta') return; // the `*` brought the topic, so the reader may have no copy
      this.book = new LocalBook();
    }
    const outcome = this.book.apply(m);
    hold(outcome === (m.form === 'incomplete' ? 'incomplete' : 'applied'), () => [outcome, m]);
    const levels = this.truth.book(m.symbol, m.seq)!;
    const { bids, asks, trusted } = this.book;
    hold(trusted === (levels.crc !== undefined), () => ['trust', m, levels]);
    hold(Bun.deepEquals([bids, asks], [levels.bids, levels.asks]), () => [
      'the copy differs',
      this.name,
      bids,
      asks,
      levels,
    ]);
  }
}
