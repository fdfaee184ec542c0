/**
 * Topic copy: what a reader holds of one topic, and the rules by which it takes the next message: in
 * order by `prevSeq`, standing for exactly as many messages as it says, and saying what was so.
 */

import type { Bar, MessageOf, Stats } from '../../protocol/messages';
import { LocalBook } from '../../src/client/local-book';
import { hold, isDerived, type Sequenced, type Truth } from './truth';

export class TopicCopy {
  readonly name: string;
  /** Everything of the topic up to here was told, or declared missing; null before that is known. */
  last: number | null = null;
  /** Subscribed on this connection, and answered. */
  isLive = false;
  /** Heads up to here say nothing. */
  base = 0;
  /** Messages that were told, alone or by one that stands for them, and that a gap declared. */
  told = 0;
  missed = 0;
  /** The place from which those are counted. */
  private since: number | null = null;
  private book: LocalBook | null = null;
  /** Behind a loss: its first place, until the next message. */
  private lostFrom: number | null = null;
  /** The newest message that it has, also from before a loss; null when what it has is lost. */
  private held: number | null = null;
  /** What it has by now of messages that are numbered, by place: each the very one that was pushed. */
  private readonly content = new Map<number, unknown>();
  /** What it has is void, and who could have told it the state anew was gone by then. */
  private isRewound = false;
  private readonly truth: Truth;

  /** Whether its messages are whole states, which are not numbered for themselves. */
  private readonly isDerived: boolean;

  constructor(name: string, truth: Truth, last: number | null) {
    this.name = name;
    this.isDerived = isDerived(name);
    this.truth = truth;
    this.begin(last);
  }

  /** Goes on from a place at which it has, or needs, everything. */
  begin(last: number | null): void {
    this.content.clear();
    this.goOn(last);
  }

  private goOn(last: number | null): void {
    this.isRewound = false;
    this.lostFrom = null;
    this.last = last;
    this.since = last;
    this.told = 0;
    this.missed = 0;
  }

  /** Forgets everything. */
  reset(): void {
    this.begin(null);
    this.held = null;
    this.isLive = false;
    this.book = null;
  }

  /** Takes the message that must follow. @param isResumed in the answer of a resume */
  chain(m: Sequenced, isResumed = false): void {
    if (m.type === 'bar' || m.type === 'stats') return this.takeWhole(m, isResumed);
    const { last, name, truth } = this;
    const isNext = last !== null && m.prevSeq === this.chainEnd(last) && m.seq > last;
    hold(isNext, () => ['out of order', name, last, m]);
    truth.check(name, m);
    const count = truth.between(name, last, m.seq);
    hold(count === ('count' in m ? m.count : 1), () => ['stands for others', name, last, count, m]);
    this.told += count;
    for (const event of truth.range(name, last, m.seq)) this.content.set(event.seq, event);
    this.last = m.seq;
    this.held = m.seq;
    this.lostFrom = null;
    this.isRewound = false;
    this.keepBook(m);
  }

  /** A whole state: only a `prevSeq` above the last says that something is missing. */
  private takeWhole(m: Bar | Stats, isResumed: boolean): void {
    const { last, name, truth } = this;
    hold(last !== null && m.prevSeq <= last, () => ['out of order', name, last, m]);
    truth.check(name, m);
    // Of bars those that left the log are counted with the newest.
    const isCounted = m.type === 'stats' && !isResumed && m.seq > last && this.lostFrom === null;
    if (isCounted && m.prevSeq === last) {
      const count = truth.between(name, last, m.seq);
      hold(count === m.count, () => ['stands for others', name, last, count, m]);
    }
    this.held = m.seq;
    if (m.seq <= last) return;
    this.last = m.seq;
    this.lostFrom = null;
  }

  /** What the next message names as the one before it: behind a loss, the last that is left. */
  private chainEnd(last: number): number {
    return this.lostFrom === null ? last : this.truth.head(this.name, last);
  }

  /** Whether it has everything up to the newest message. */
  isAt(head: number): boolean {
    if (this.last === null) return false;
    const end = this.chainEnd(this.last);
    return this.isDerived ? end >= head : end === head;
  }

  /** Whether a message is the next, whatever else it may be. */
  fits(m: Sequenced): boolean {
    const { last } = this;
    const isNext = last !== null && m.prevSeq === this.chainEnd(last) && m.seq > last;
    return isNext && this.truth.between(this.name, last, m.seq) === ('count' in m ? m.count : 1);
  }

  /** Takes state that was asked for. */
  state(m: Sequenced): void {
    const { name } = this;
    // Behind a loss the state may be from before it.
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

  /** What a crash took of it: all that was pushed and is not kept, whatever of it was told. */
  loss({ from, to, count }: MessageOf<'gap'>): void {
    const { name, truth } = this;
    const last = this.last!;
    const run = truth.lostAt(to);
    const isFrom = run?.from === from || (this.isDerived && run !== undefined && from <= run.from);
    hold(isFrom && run.to === to, () => ['a loss of its own', name, from, to, run]);
    hold(count === to - from + 1, () => ['a loss counts wrong', name, from, to, count]);
    if (last >= from && this.lostFrom === null) this.held = null;
    else if (last < from) {
      // A place may lie within a batch, of which a derived topic has one message.
      const isTold = this.isDerived || truth.between(name, last, from - 1) === 0;
      hold(isTold, () => ['untold before a loss', name, last, from]);
      if (this.lostFrom === null) this.account();
    }
    for (const seq of this.content.keys()) if (seq >= from) this.content.delete(seq);
    if (last > to) return; // told before
    this.goOn(to);
    this.lostFrom = from;
    this.book = null;
  }

  /** Takes what it is told a second time, or what stands where the newest that it has is lost. */
  again(m: Sequenced): void {
    const { lostFrom, name, truth } = this;
    if (m.type === 'book' && m.prevSeq === m.seq) {
      hold(m.form !== 'delta' && truth.lostAt(m.seq)?.to === m.seq, () => [
        'a book behind a loss',
        m,
      ]);
      if (lostFrom === null || m.seq < this.last!) return; // it was told before
      this.held = truth.head(name, m.seq);
      return this.keepBook(m);
    }
    truth.check(name, m);
    const own = this.content.get(m.seq);
    hold(own === undefined || own === truth.at(name, m.seq), () => ['no repetition', name, own, m]);
    if (lostFrom !== null && this.held === null) this.held = m.seq;
  }

  /**
   * Goes back to a place, behind which all is of another life.
   * @returns false where it has messages from there: it is void
   */
  rewind(seq: number): boolean {
    const { lostFrom } = this;
    // The state behind a loss bears its end [R5]: it is of that life, also where the loss ends right there.
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
    // Where nothing came behind a loss, it may reach over that.
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

  /** The answer is here: all of the topic up to a place is. */
  answered(seq: number, isState: boolean): void {
    const { name, truth } = this;
    const head = truth.head(name, seq);
    if (this.last === null) {
      const hasState = !name.startsWith('trade:');
      hold(!isState || !hasState || head === 0, () => ['no state', name, head]);
      this.begin(head);
    }
    // A gap reaches over the answer; or the state of a long answer is newer than its seq [S5].
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

  /** A heartbeat says that everything up to a place is told. */
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

  /** All messages since it began are told or declared, none twice. */
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
    hold(all === this.told + this.missed, () => [
      'unaccounted',
      this.name,
      all,
      this.told,
      this.missed,
    ]);
  }

  private keepBook(m: Sequenced): void {
    if (m.type !== 'book') return;
    if (this.book === null) {
      if (m.form === 'delta') return; // the reader came by the topic without a copy
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
