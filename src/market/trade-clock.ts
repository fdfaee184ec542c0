/**
 * Trade clock: the present time of an instrument's market, and whether a trade advances it. A trade with an implausible
 * time, or one that is too late, is recorded as sent but does not change the present.
 *
 * The present is the latest market time of the trades so far [D3]. The volume is the sum over the trades of the present
 * trading session.
 */

import type { Trade } from '../../protocol/messages';
import { addSum, type Sum } from '../../protocol/sums';
import type { Nanos } from '../../protocol/time';
import { isLate, marketTime, sessionOf } from '../../protocol/trade-time';

export interface TimeLimits {
  /** How far an event time may be ahead of the receive time, in milliseconds. */
  readonly timeAheadMs: number;
  /** How far a trade may be after the present and still count for it, in milliseconds. */
  readonly latenessMs: number;
  /** End of a trading session, in seconds after midnight UTC. */
  readonly sessionBoundary: number;
}

export class TradeClock {
  limits: TimeLimits;
  /** The latest market time; null before the first trade. */
  present: Nanos | null = null;
  /** Sum of the quantities of the present session. */
  volume: Sum = 0;

  constructor(limits: TimeLimits) {
    this.limits = limits;
  }

  /** Whether an event time is too far ahead of its receive time. */
  isAhead(eventTime: Nanos, receiveTime: Nanos): boolean {
    return eventTime.since(receiveTime) > this.limits.timeAheadMs * 1e6;
  }

  /** Judges a trade against the present, without applying it. */
  timing(eventTime: Nanos, receiveTime: Nanos): Trade['timing'] {
    const isAhead = this.isAhead(eventTime, receiveTime);
    const at = isAhead ? receiveTime : eventTime;
    const { present, limits } = this;
    const late =
      present !== null &&
      at.compare(present) < 0 &&
      (present.since(at) > limits.latenessMs * 1e6 || this.session(at) < this.session(present));
    if (late) return isAhead ? 'late-and-ahead' : 'late';
    return isAhead ? 'ahead' : null;
  }

  /** Applies a trade; a late one changes nothing. */
  take(trade: Pick<Trade, 'eventTime' | 'receiveTime' | 'timing' | 'quantity'>): void {
    if (isLate(trade)) return;
    const at = marketTime(trade);
    const { present } = this;
    const isNew = present === null || this.session(at) > this.session(present);
    this.volume = isNew ? trade.quantity : addSum(this.volume, trade.quantity);
    if (present === null || at.compare(present) > 0) this.present = at;
  }

  private session(time: Nanos): number {
    return sessionOf(time, this.limits.sessionBoundary);
  }
}
