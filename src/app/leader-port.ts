/** Leader port: the leader of this process, as a replica asks it. */

import type { Fault } from '../../protocol/codes';
import type { CommandDone, LeaderPort } from '../base/contracts/leader';
import type { OrderOutcome } from '../base/contracts/order-entry';
import type { Recorder } from './recorder';

export function leaderPortOf({ entry, administration, orders }: Recorder): LeaderPort {
  return {
    entry,
    administration,
    orders: {
      submit: (...of) => done(orders.submit(...of)),
      cancel: (...of) => done(orders.cancel(...of)),
      amend: (...of) => done(orders.amend(...of)),
      setState: (...of) => done(orders.setState(...of)),
      cancelAll: (owner) => orders.cancelAll(owner),
    },
  };
}

async function done(outcome: Promise<OrderOutcome | Fault>): Promise<CommandDone | Fault> {
  const result = await outcome;
  return 'code' in result ? result : { seq: result.seq, orderId: result.orderId };
}
