/**
 * Replica orders: commands go to the leader, and an answer waits until the market here has the command. So what the
 * owner reads next shows it. Lookups are answered here.
 */

import type { Fault } from '../../protocol/codes';
import type { Instrument } from '../../protocol/messages';
import type { CommandDone, LeaderPort } from '../base/contracts/leader';
import type {
  AmendFields,
  OrderFields,
  OrderOutcome,
  OrderStage,
  OrderTarget,
  OrderView,
  OwnerCancelled,
  TradingState,
} from '../base/contracts/order-entry';
import type { Market } from '../market/market';

export interface ReplicaOrdersParts {
  readonly market: Market;
  readonly leader: () => LeaderPort;
  /** Resolves when the market here has everything up to a sequence number. */
  readonly reached: (seq: number) => Promise<void>;
}

export class ReplicaOrders implements OrderStage {
  private readonly parts: ReplicaOrdersParts;

  constructor(parts: ReplicaOrdersParts) {
    this.parts = parts;
  }

  submit(owner: string, fields: OrderFields): Promise<OrderOutcome | Fault> {
    return this.outcome(this.commands.submit(owner, fields));
  }

  cancel(owner: string, target: OrderTarget): Promise<OrderOutcome | Fault> {
    return this.outcome(this.commands.cancel(owner, target));
  }

  amend(owner: string, fields: AmendFields): Promise<OrderOutcome | Fault> {
    return this.outcome(this.commands.amend(owner, fields));
  }

  setState(owner: string, symbol: string, state: TradingState): Promise<OrderOutcome | Fault> {
    return this.outcome(this.commands.setState(owner, symbol, state));
  }

  async cancelAll(owner: string): Promise<OwnerCancelled | Fault> {
    const done = await this.commands.cancelAll(owner);
    if (!('code' in done) && done.seq !== null) await this.parts.reached(done.seq);
    return done;
  }

  find(orderId: number): OrderView | undefined {
    return this.parts.market.clientOrders.get(orderId);
  }

  named(owner: string, clientOrderId: string): OrderView | undefined {
    return this.parts.market.clientOrders.named(owner, clientOrderId);
  }

  openOf(owner: string, after: number, limit: number): OrderView[] {
    return this.parts.market.clientOrders.openOf(owner, after, limit);
  }

  endedOf(owner: string, before: number | null, limit: number): OrderView[] {
    return this.parts.market.clientOrders.endedOf(owner, before, limit);
  }

  definition(symbol: string): Instrument | undefined {
    return this.parts.market.get(symbol)?.definition;
  }

  private get commands(): LeaderPort['orders'] {
    return this.parts.leader().orders;
  }

  private async outcome(asked: Promise<CommandDone | Fault>): Promise<OrderOutcome | Fault> {
    const done = await asked;
    if ('code' in done) return done;
    await this.parts.reached(done.seq);
    return { ...done, order: this.find(done.orderId) };
  }
}
