/**
 * Constants: enumerations of the venue as small integers, so that commands and events stay scalar on the hot path, and
 * the same values as text for tables, logs and messages. A value's integer is its index in its list. Journals and
 * state hashes contain the integers, so a list only grows at its end.
 */

import { SIDES } from '../../../protocol/messages';

export const BUY = 0;
export const SELL = 1;
/** The aggressor of a trade that an auction made. */
export const NO_SIDE = 2;
export const SIDE_NAMES = [...SIDES, 'none'] as const;
export type Side = typeof BUY | typeof SELL;

/** The other side. */
export function opposite(side: Side): Side {
  return side === BUY ? SELL : BUY;
}

export const LIMIT = 0;
export const MARKET = 1;
export const KIND_NAMES = ['limit', 'market'] as const;

/** Good till cancelled, immediate or cancel, fill or kill. */
export const GTC = 0;
export const IOC = 1;
export const FOK = 2;
export const TIME_IN_FORCE_NAMES = ['gtc', 'ioc', 'fok'] as const;

export const PRE_OPEN = 0;
export const OPEN = 1;
export const HALTED = 2;
export const CLOSED = 3;
export const STATE_NAMES = ['pre-open', 'open', 'halted', 'closed'] as const;
export type VenueState = typeof PRE_OPEN | typeof OPEN | typeof HALTED | typeof CLOSED;
export type StateWord = (typeof STATE_NAMES)[number];

/** Which order is cancelled when it would trade with one of the same owner; the third value is both. */
export const CANCEL_NEWEST = 0;
export const CANCEL_OLDEST = 1;
export const SELF_TRADE_NAMES = ['cancel-newest', 'cancel-oldest', 'cancel-both'] as const;
export type SelfTradeWord = (typeof SELF_TRADE_NAMES)[number];

/** Why an order was cancelled or expired. */
export const REQUESTED = 0;
export const SELF_TRADE = 1;
export const UNFILLED_REST = 2;
export const NOT_FILLABLE = 3;
export const TOO_MANY_FILLS = 4;
export const REASON_NAMES = [
  'requested',
  'self-trade',
  'unfilled-rest',
  'not-fillable',
  'too-many-fills',
] as const;

/** The owner of a command that has none. */
export const NO_OWNER = -1;

/** The integer of a name, or −1 if the list does not have it. */
export function indexOfName(names: readonly string[], name: string): number {
  return names.indexOf(name);
}
