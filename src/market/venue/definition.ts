/**
 * Definition of a venue instrument: the rules for orders, and what one owner and the whole book may hold. It never
 * changes.
 */

import { SELF_TRADE_NAMES, STATE_NAMES, type SelfTradeWord, type StateWord } from './constants';

export interface VenueDefinition {
  /** Prices are whole multiples of this; scaled, at least 1. */
  readonly priceIncrement: number;
  /** Quantities are whole multiples of this; scaled, at least 1. */
  readonly quantityIncrement: number;
  /** The smallest and the largest quantity of an order, both included. */
  readonly quantityMin: number;
  readonly quantityMax: number;
  /** The price band: the lowest and the highest limit, both included. */
  readonly priceMin: number;
  readonly priceMax: number;
  /** Most resting orders of one owner. */
  readonly ordersPerOwnerMax: number;
  /** Most resting orders in all: bounds the venue's memory (about 60 bytes an order). */
  readonly ordersMax: number;
  readonly selfTrade: SelfTradeWord;
  /** The reference price of the first auction, while there is no last price; null if unknown. */
  readonly referencePrice: number | null;
  readonly initialState: StateWord;
}

/** Owners are 0 … this. */
export const OWNER_MAX = 0xf_ffff;
/** Limit of `ordersMax`: what the integers of the slab can address. */
const ORDERS_MAX = 50_000_000;

/** What is wrong with a definition, as text; undefined if nothing is. */
export function venueDefinitionFault(d: VenueDefinition): string | undefined {
  for (const name of [
    'priceIncrement',
    'quantityIncrement',
    'quantityMin',
    'quantityMax',
    'priceMin',
    'priceMax',
    'ordersPerOwnerMax',
    'ordersMax',
  ] as const) {
    if (!Number.isSafeInteger(d[name]) || d[name] < 1) {
      return `${name} is ${d[name]}; expected a whole number from 1 to 2^53 - 1`;
    }
  }
  if (d.quantityMin > d.quantityMax) return 'quantityMin is above quantityMax';
  if (d.priceMin > d.priceMax) return 'priceMin is above priceMax';
  if (d.ordersMax > ORDERS_MAX)
    return `ordersMax is ${d.ordersMax}; expected at most ${ORDERS_MAX}`;
  if (!SELF_TRADE_NAMES.includes(d.selfTrade)) return `selfTrade is ${d.selfTrade}`;
  if (!STATE_NAMES.includes(d.initialState)) return `initialState is ${d.initialState}`;
  const reference = d.referencePrice;
  if (reference === null) return undefined;
  if (!Number.isSafeInteger(reference) || reference < 1 || reference % d.priceIncrement !== 0) {
    return `referencePrice is ${reference}; expected a positive whole multiple of the increment`;
  }
  return undefined;
}
