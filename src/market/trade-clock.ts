/**
 * Trade clock: where in time an instrument's market stands, and whether a trade moves it. A trade whose
 * time cannot be, or that comes too late, is recorded as sent but does not move the present.
 *
 * The present is the latest market time of the trades so far [D3]. The volume is that of the trades of the
 * present session.
 */

import type { Trade } from '../../protocol/messages';
import { addSum, type Sum } from '../../protocol/sums';
import type { Nanos } from '../../protocol/time';
import { isLate, marketTime, sessionOf } from '../../protocol/trade-time';

export interface TimeLimits {
  /** How far an event's time may be ahead of its receipt, in ms. */
  readonly timeAheadMs: number;
  /** How far a trade may be behind the present and still move it, in ms. */
  readonly latenessMs: number;
  /** When a session ends, in seconds after midnight UTC. */
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

  /** Whether a source cannot have seen it by then. */
  isAhead(eventTime: Nanos, receiveTime: Nanos): boolean {
    return eventTime.since(receiveTime) > this.limits.timeAheadMs * 1e6;
  }

  /** How a trade stands to the present; it is not taken on. */
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

  /** Takes a trade on; one that is late changes nothing. */
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
