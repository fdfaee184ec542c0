/**
 * Stream orders: passes the order commands of a connection to the market, with the principal that gives
 * them.
 */

import { fieldFault, within, type Fault } from '../../../protocol/codes';
import type { MessageOf } from '../../../protocol/messages';
import { mayNot, type Principal } from '../auth/principal';
import type { AmendFields, OrderOutcome, OrderStage } from '../../base/contracts/order-entry';

export type OrderMessage = MessageOf<'order'> | MessageOf<'cancel'> | MessageOf<'amend'>;

/** Why a command is not passed on. */
export function commandFault(principal: Principal, m: OrderMessage): Fault | undefined {
  const refused = mayNot(principal, 'trade') ?? (m.type === 'amend' ? amendFault(m) : undefined);
  return refused && within(m.type, refused);
}

/** Settles when the command is journaled. */
export async function command(
  orders: OrderStage,
  { name }: Principal,
  m: OrderMessage,
): Promise<OrderOutcome | Fault> {
  const outcome = await (m.type === 'order'
    ? orders.submit(name, m)
    : m.type === 'cancel'
      ? orders.cancel(name, m)
      : orders.amend(name, m));
  return 'code' in outcome ? within(m.type, outcome) : outcome;
}

/** A fault if an amendment changes neither price nor quantity. */
function amendFault({ price, quantity }: AmendFields): Fault | undefined {
  return price === null && quantity === null
    ? fieldFault('price', null, 'a new price, or a new quantity, or both')
    : undefined;
}
