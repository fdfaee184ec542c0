/**
 * Commands as plain data, for journals, tables and tests; the hot path calls the venue's methods.
 */

import type { Venue } from './venue';
import type { Side, VenueState } from './constants';

/**
 * Enumerations are the integers of `constants.ts`; prices and quantities are scaled. `fillsMax`: resting orders that
 * it may trade with, for an auction trades that it may make; absent: no bound.
 */
export type VenueCommand =
  | {
      readonly type: 'submit';
      readonly owner: number;
      readonly side: Side;
      readonly kind: number;
      readonly timeInForce: number;
      readonly postOnly: boolean;
      /** 0: market */
      readonly price: number;
      readonly quantity: number;
      readonly fillsMax?: number;
    }
  | { readonly type: 'cancel'; readonly owner: number; readonly orderId: number }
  | {
      readonly type: 'amend';
      readonly owner: number;
      readonly orderId: number;
      readonly price: number;
      readonly quantity: number;
      readonly fillsMax?: number;
    }
  | { readonly type: 'state'; readonly state: VenueState; readonly fillsMax?: number };

/** @returns the order's id (0 for a state change), or minus the integer of a rejection */
export function applyCommand(venue: Venue, c: VenueCommand): number {
  switch (c.type) {
    case 'submit':
      return venue.submit(
        c.owner,
        c.side,
        c.kind,
        c.timeInForce,
        c.postOnly,
        c.price,
        c.quantity,
        c.fillsMax,
      );
    case 'cancel':
      return venue.cancel(c.owner, c.orderId);
    case 'amend':
      return venue.amend(c.owner, c.orderId, c.price, c.quantity, c.fillsMax);
    case 'state':
      return venue.setState(c.state, c.fillsMax);
  }
}
