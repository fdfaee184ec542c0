/**
 * Trade time: when a trade counts to have happened, and to which trading session it belongs; rules [D3]
 * and [D6].
 */

import type { Trade } from './messages';
import type { Nanos } from './time';

const DAY_SECONDS = 86_400;

export type TimedTrade = Pick<Trade, 'eventTime' | 'receiveTime' | 'timing'>;

/** By which bars, sessions and questions about the past place it: its eventTime, unless that cannot be. */
export function marketTime({ eventTime, receiveTime, timing }: TimedTrade): Nanos {
  return timing === null || timing === 'late' ? eventTime : receiveTime;
}

/** Whether it changes the past alone: bars that have it in their time, and nothing that is newest. */
export function isLate({ timing }: Pick<Trade, 'timing'>): boolean {
  return timing === 'late' || timing === 'late-and-ahead';
}

/**
 * Number of the session, counted from the one of 1970-01-01.
 * @param boundarySeconds when a session ends, in seconds after midnight UTC
 */
export function sessionOf(time: Nanos, boundarySeconds: number): number {
  return Math.floor((time.seconds - boundarySeconds) / DAY_SECONDS);
}
