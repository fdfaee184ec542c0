/** Gives one command of a flow to a venue. */

import type { Venue } from '../../src/market/venue/venue';
import { GTC, LIMIT, type Side } from '../../src/market/venue/constants';
import type { Flow } from './matching-flow';

export function runCommand(venue: Venue, flow: Flow, i: number): void {
  const price = flow.price[i]!;
  const owner = flow.owner[i]!;
  if (price === 0) venue.cancel(owner, flow.orderId[i]!);
  else venue.submit(owner, flow.side[i]! as Side, LIMIT, GTC, false, price, flow.quantity[i]!);
}
