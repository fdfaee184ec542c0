/**
 * Trade numbers: what the number that a source gave a trade says about it. A number above all others is
 * the next trade. One that is not above them may be a repetition, a trade that comes out of order, or the
 * beginning of another numbering, and what the newest trades were tells which.
 *
 * Bounded: the newest `KEPT` numbered trades of an instrument.
 */

import type { Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

export type NumberVerdict =
  /** Above all numbers before it, or without a number. */
  | 'next'
  /** So far above them that it is hardly one of them. */
  | 'jump'
  /** A number that was left out before. */
  | 'fill'
  /** The source has sent it before. */
  | 'repeated'
  /** The numbers have begun anew. */
  | 'renumbered';

/** How many trades are remembered. */
const KEPT = 32;
/** No source leaves out so many numbers. */
const JUMP_MIN = 1_000_000_000;
/** By how much the times of a source are uneven: trades that are close together may come in any order. */
const UNEVEN_NS_MAX = 1e9;
/** A source that repeats itself at the beginning of a session reaches back no further than this. */
const REPEATED_NS_MAX = 3_600e9;

type Identity = Pick<Trade, 'seq' | 'eventTime' | 'price' | 'quantity'>;

interface Known extends Identity {
  readonly at: Nanos;
  /** Which numbering it is of. */
  readonly numbering: number;
}

/** What a checkpoint keeps of it. */
export interface TradeNumbersState {
  readonly last: number;
  readonly time: Nanos;
  /** The last number was a jump; left out where it was not. */
  readonly hasJumped?: true;
}

export class TradeNumbers {
  /** The number that the next trade follows; 0 when none is known. */
  last = 0;
  /** The latest time of a numbered trade. */
  private time = Nanos.ZERO;
  /** Of those that are not remembered any more: the highest number, and the latest time. */
  private forgottenLast = 0;
  private forgottenTime = Nanos.ZERO;
  /** The highest number that is remembered, of whichever numbering. */
  private peak = 0;
  /** In a circle; `next` is overwritten next. */
  private known: Known[] = [];
  private next = 0;
  private hasJumped = false;
  private numbering = 0;

  /**
   * @param at its market time, or that of its receipt if that is earlier
   * @param isNewSession whether its source has just come, and does not say that its numbers go on
   */
  judge(m: Trade, at: Nanos, isNewSession: boolean): NumberVerdict {
    if (m.seq === 0) return 'next';
    const { known, numbering } = this;
    if (m.seq <= this.peak && known.some((one) => isSame(one, m))) return 'repeated';
    if (this.last === 0) return 'next';
    if (m.seq > this.last) {
      return m.seq - this.last > JUMP_MIN && m.prevSeq !== this.last ? 'jump' : 'next';
    }
    if (known.some((one) => one.seq === m.seq && one.numbering === numbering)) return 'renumbered';
    // The number that made the others look old was the wrong one.
    if (this.hasJumped) return 'renumbered';
    if (m.seq > this.forgottenLast) {
      return at.since(this.time) > UNEVEN_NS_MAX ? 'renumbered' : 'fill';
    }
    // What was sent before those that are remembered is no later than the latest of it.
    if (at.compare(this.forgottenTime) > 0) return 'renumbered';
    return isNewSession && this.time.since(at) > REPEATED_NS_MAX ? 'renumbered' : 'repeated';
  }

  /** Takes a trade on that is recorded. @param at as in `judge` */
  take(m: Identity, at: Nanos, verdict: NumberVerdict): void {
    if (m.seq === 0) return;
    if (verdict === 'renumbered') this.begin();
    if (verdict !== 'fill') {
      this.last = m.seq;
      this.hasJumped = verdict === 'jump';
    }
    if (at.compare(this.time) > 0) this.time = at;
    const { seq, eventTime, price, quantity } = m;
    const forgotten = this.known[this.next];
    const isOwn = forgotten?.numbering === this.numbering;
    if (isOwn) this.forget(forgotten.seq, forgotten.at);
    this.peak = Math.max(this.peak, seq);
    this.known[this.next] = { seq, eventTime, price, quantity, at, numbering: this.numbering };
    this.next = (this.next + 1) % KEPT;
  }

  /** The source says that its numbers begin anew: nothing that it sends is a repetition. */
  reset(): void {
    this.begin();
    this.known = [];
    this.next = 0;
    this.peak = 0;
  }

  /** Another numbering begins; what was sent before is still known if it comes again. */
  begin(): void {
    this.last = 0;
    this.time = Nanos.ZERO;
    this.numbering += 1;
    this.forgottenLast = 0;
    this.forgottenTime = Nanos.ZERO;
    this.hasJumped = false;
  }

  state(): TradeNumbersState {
    const { last, time, hasJumped } = this;
    return hasJumped ? { last, time, hasJumped } : { last, time };
  }

  restore({ last, time, hasJumped }: TradeNumbersState): void {
    this.begin();
    this.hasJumped = hasJumped === true;
    this.last = last;
    this.time = time;
    this.forget(last, time);
  }

  private forget(seq: number, at: Nanos): void {
    this.forgottenLast = Math.max(this.forgottenLast, seq);
    if (at.compare(this.forgottenTime) > 0) this.forgottenTime = at;
  }
}

function isSame(a: Identity, b: Identity): boolean {
  return (
    a.seq === b.seq &&
    a.price === b.price &&
    a.quantity === b.quantity &&
    a.eventTime.compare(b.eventTime) === 0
  );
}
