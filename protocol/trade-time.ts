/**
 * Trade time: the time at which a trade counts, and the trading session that it belongs to; rules [D3]
 * and [D6].
 */

import type { Trade } from './messages';
import type { Nanos } from './time';

const DAY_SECONDS = 86_400;

export type TimedTrade = Pick<Trade, 'eventTime' | 'receiveTime' | 'timing'>;

/** The time that bars, sessions and history use: its eventTime, unless that is implausible. */
export function marketTime({ eventTime, receiveTime, timing }: TimedTrade): Nanos {
  return timing === null || timing === 'late' ? eventTime : receiveTime;
}

/** Whether it changes history only: bars of its time, and nothing that is newest. */
export function isLate({ timing }: Pick<Trade, 'timing'>): boolean {
  return timing === 'late' || timing === 'late-and-ahead';
}

/**
 * Number of the session, counted from the one of 1970-01-01.
 * @param boundarySeconds end of a session, in seconds after midnight UTC
 */
export function sessionOf(time: Nanos, boundarySeconds: number): number {
  return Math.floor((time.seconds - boundarySeconds) / DAY_SECONDS);
}
