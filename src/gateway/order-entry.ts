/** Order entry: checks that REST and WebSocket share. */

import { fieldFault, type Fault } from '../../protocol/codes';
import type { AmendFields } from '../base/contracts/order-entry';

/** A fault if an amendment changes neither price nor quantity. */
export function amendFault(r: AmendFields): Fault | undefined {
  return r.price === null && r.quantity === null
    ? fieldFault('price', null, 'a new price, or a new quantity, or both')
    : undefined;
}
