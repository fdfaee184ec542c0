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
/** A source that repeats itself at the beginning of a session reaches back no further than this. */
const REPEATED_NS_MAX = 3_600e9;

type Identity = Pick<Trade, 'seq' | 'eventTime' | 'price' | 'quantity'>;

interface Known extends Identity {
  readonly at: Nanos;
}

/** What a checkpoint keeps of it. */
export interface TradeNumbersState {
  readonly last: number;
  readonly time: Nanos;
}

export class TradeNumbers {
  /** The number that the next trade follows; 0 when none is known. */
  last = 0;
  /** The latest time of a numbered trade. */
  private time = Nanos.ZERO;
  /** The latest time of those that are not remembered any more. */
  private forgottenTime = Nanos.ZERO;
  /** In a circle; `next` is overwritten next. */
  private known: Known[] = [];
  private next = 0;
  private hasJumped = false;

  /**
   * @param at its market time, or that of its receipt if that is earlier
   * @param isNewSession whether its source has just come, and does not say that its numbers go on
   */
  judge(m: Trade, at: Nanos, isNewSession: boolean): NumberVerdict {
    if (m.seq === 0 || this.last === 0) return 'next';
    if (m.seq > this.last) {
      return m.seq - this.last > JUMP_MIN && m.prevSeq !== this.last ? 'jump' : 'next';
    }
    const same = this.known.find(({ seq }) => seq === m.seq);
    if (same !== undefined) return isSame(same, m) ? 'repeated' : 'renumbered';
    // The number that made the others look old was the wrong one.
    if (this.hasJumped) return 'renumbered';
    if (m.seq > this.lowest) return at.compare(this.time) > 0 ? 'renumbered' : 'fill';
    // What was sent before those that are remembered is no later than the latest of it.
    if (at.compare(this.forgottenTime) > 0) {
      return at.compare(this.time) > 0 || this.hasForgotten ? 'renumbered' : 'fill';
    }
    return isNewSession && this.time.since(at) > REPEATED_NS_MAX ? 'renumbered' : 'repeated';
  }

  /** Takes a trade on that is recorded. @param at as in `judge` */
  take(m: Identity, at: Nanos, verdict: NumberVerdict): void {
    if (m.seq === 0) return;
    if (verdict === 'renumbered') this.reset();
    if (verdict !== 'fill') {
      this.last = m.seq;
      this.hasJumped = verdict === 'jump';
    }
    if (at.compare(this.time) > 0) this.time = at;
    const { seq, eventTime, price, quantity } = m;
    const forgotten = this.known[this.next];
    if (forgotten !== undefined && forgotten.at.compare(this.forgottenTime) > 0) {
      this.forgottenTime = forgotten.at;
    }
    this.known[this.next] = { seq, eventTime, price, quantity, at };
    this.next = (this.next + 1) % KEPT;
  }

  /** The source begins anew. */
  reset(): void {
    this.last = 0;
    this.time = Nanos.ZERO;
    this.known = [];
    this.next = 0;
    this.forgottenTime = Nanos.ZERO;
    this.hasJumped = false;
  }

  state(): TradeNumbersState {
    return { last: this.last, time: this.time };
  }

  restore({ last, time }: TradeNumbersState): void {
    this.reset();
    this.last = last;
    this.time = time;
    this.forgottenTime = time;
  }

  private get hasForgotten(): boolean {
    return this.forgottenTime.compare(Nanos.ZERO) > 0;
  }

  private get lowest(): number {
    return this.known.reduce((least, { seq }) => Math.min(least, seq), this.last);
  }
}

function isSame(a: Identity, b: Identity): boolean {
  return a.eventTime.compare(b.eventTime) === 0 && a.price === b.price && a.quantity === b.quantity;
}
