/**
 * Trade numbers: judges the number that a source gave a trade. A number above all others is the next trade. One that is
 * not above them can be a repetition, a trade out of order, or the start of a new numbering; the newest trades decide.
 *
 * Bound: the newest `KEPT` numbered trades of an instrument.
 */

import type { Trade } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';

export type NumberVerdict =
  /** Above all numbers before it, or without a number. */
  | 'next'
  /** So far above the others that it is probably wrong. */
  | 'jump'
  /** A number that was missing before. */
  | 'fill'
  /** The source has sent it before. */
  | 'repeated'
  /** The source has restarted its numbering. */
  | 'renumbered';

/** Number of trades that are remembered. */
const KEPT = 32;
/** No source skips this many numbers. */
const JUMP_MIN = 1_000_000_000;
/** Tolerance of a source's times: trades this close together can come in any order. */
const UNEVEN_NS_MAX = 1e9;
/** How far back a source repeats trades at the beginning of a session, at most. */
const REPEATED_NS_MAX = 3_600e9;

type Identity = Pick<Trade, 'seq' | 'eventTime' | 'price' | 'quantity'>;

interface Known extends Identity {
  readonly at: Nanos;
  /** The numbering that it belongs to. */
  readonly numbering: number;
}

/** The state for a checkpoint. */
export interface TradeNumbersState {
  readonly last: number;
  readonly time: Nanos;
  /** Whether the last number was a jump; absent if not. */
  readonly hasJumped?: true;
}

export class TradeNumbers {
  /** The number before that of the next trade; 0 if unknown. */
  last = 0;
  /** The latest time of a numbered trade. */
  private time = Nanos.ZERO;
  /** The highest number and the latest time of trades that are no longer remembered. */
  private forgottenLast = 0;
  private forgottenTime = Nanos.ZERO;
  /** The highest remembered number, of any numbering. */
  private peak = 0;
  /** A ring; `next` is overwritten next. */
  private known: Known[] = [];
  private next = 0;
  private hasJumped = false;
  private numbering = 0;

  /**
   * @param at its event time, or its receive time if that is earlier
   * @param isNewSession whether this is a new session that does not state that it continues the numbering
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
    // The number that made the others look old was wrong.
    if (this.hasJumped) return 'renumbered';
    if (m.seq > this.forgottenLast) {
      return at.since(this.time) > UNEVEN_NS_MAX ? 'renumbered' : 'fill';
    }
    // Trades before the remembered ones are not later than the latest of them.
    if (at.compare(this.forgottenTime) > 0) return 'renumbered';
    return isNewSession && this.time.since(at) > REPEATED_NS_MAX ? 'renumbered' : 'repeated';
  }

  /** Remembers a recorded trade. @param at as in `judge` */
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

  /** The source announces a new numbering: nothing that it sends is a repetition. */
  reset(): void {
    this.begin();
    this.known = [];
    this.next = 0;
    this.peak = 0;
  }

  /** A new numbering begins; repetitions of earlier trades are still recognised. */
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
