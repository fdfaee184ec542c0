/**
 * Leader: what a replica asks of the server that numbers events. Everything here resolves when the leader's answer is
 * known, or with the fault `no-leader` when none answers.
 */

import type { Fault } from '../../../protocol/codes';
import type { InstrumentAdministration, SourceEntry } from './core';
import type {
  AmendFields,
  OrderFields,
  OrderTarget,
  OwnerCancelled,
  TradingState,
} from './order-entry';

/** A command that was carried out; the order itself is in the replica's market once that has the sequence number. */
export interface CommandDone {
  readonly seq: number;
  readonly orderId: number;
}

/** Commands to the venues, as an `OrderStage` takes them. */
export interface LeaderOrders {
  submit(owner: string, fields: OrderFields): Promise<CommandDone | Fault>;
  cancel(owner: string, target: OrderTarget): Promise<CommandDone | Fault>;
  amend(owner: string, fields: AmendFields): Promise<CommandDone | Fault>;
  setState(owner: string, symbol: string, state: TradingState): Promise<CommandDone | Fault>;
  cancelAll(owner: string): Promise<OwnerCancelled | Fault>;
}

export interface LeaderPort {
  readonly entry: SourceEntry;
  readonly orders: LeaderOrders;
  readonly administration: InstrumentAdministration;
}
