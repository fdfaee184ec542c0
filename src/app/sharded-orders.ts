/**
 * Sharded orders: orders enter the shard of their symbol. Ids of orders are numbers of a shard: where two shards have the
 * same, an order is found by its `clientOrderId`, or with its symbol.
 */

import { fault, type Fault } from '../../protocol/codes';
import type { Instrument } from '../../protocol/messages';
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
import type { Shards } from './shards';

export class ShardedOrders implements OrderStage {
  private readonly shards: Shards;

  constructor(shards: Shards) {
    this.shards = shards;
  }

  private get stages(): readonly OrderStage[] {
    return this.shards.cores.map(({ orders }) => orders);
  }

  submit(owner: string, fields: OrderFields): Promise<OrderOutcome | Fault> {
    return this.of(fields.symbol).submit(owner, fields);
  }

  async cancel(owner: string, target: OrderTarget): Promise<OrderOutcome | Fault> {
    const stage = this.target(owner, target);
    return 'code' in stage ? stage : stage.cancel(owner, target);
  }

  async amend(owner: string, fields: AmendFields): Promise<OrderOutcome | Fault> {
    const stage = this.target(owner, fields);
    return 'code' in stage ? stage : stage.amend(owner, fields);
  }

  setState(owner: string, symbol: string, state: TradingState): Promise<OrderOutcome | Fault> {
    return this.of(symbol).setState(owner, symbol, state);
  }

  /** A shard that cannot be asked refuses the whole; repeating it is harmless. */
  async cancelAll(owner: string): Promise<OwnerCancelled | Fault> {
    const results = await Promise.all(this.stages.map((stage) => stage.cancelAll(owner)));
    // A shard where the owner has entered no order does not know it.
    const failed = results.find((one) => 'code' in one && one.code !== 'invalid-field');
    if (failed !== undefined) return failed;
    const done = results.filter((one) => !('code' in one)) as OwnerCancelled[];
    if (done.length === 0) return results[0]!;
    const cancelling = done.filter(({ seq }) => seq !== null);
    return {
      cancelled: done.reduce((sum, { cancelled }) => sum + cancelled, 0),
      left: done.reduce((sum, { left }) => sum + left, 0),
      seq: cancelling.length === 1 ? cancelling[0]!.seq : null,
    };
  }

  find(orderId: number): OrderView | undefined {
    const found = this.stages.flatMap((stage) => stage.find(orderId) ?? []);
    return found.length === 1 ? found[0] : undefined;
  }

  named(owner: string, clientOrderId: string): OrderView | undefined {
    for (const stage of this.stages) {
      const order = stage.named(owner, clientOrderId);
      if (order !== undefined) return order;
    }
    return undefined;
  }

  openOf(owner: string, after: number, limit: number): OrderView[] {
    const all = this.stages.flatMap((stage) => stage.openOf(owner, after, limit));
    return page(
      all.sort((a, b) => a.seq - b.seq),
      limit,
      ({ seq }) => seq,
    );
  }

  /** In the order in which they ended in their shard. */
  endedOf(owner: string, before: number | null, limit: number): OrderView[] {
    const endOf = ({ endedAs = 0 }: OrderView): number => endedAs;
    const all = this.stages.flatMap((stage) => stage.endedOf(owner, before, limit));
    return page(
      all.sort((a, b) => endOf(b) - endOf(a)),
      limit,
      endOf,
    );
  }

  definition(symbol: string): Instrument | undefined {
    return this.of(symbol).definition(symbol);
  }

  private of(symbol: string): OrderStage {
    return this.shards.of(symbol).core.orders;
  }

  /** Where an order is; without a symbol where one of its ids is known. */
  private target(
    owner: string,
    { symbol, orderId, clientOrderId }: OrderTarget,
  ): OrderStage | Fault {
    if (symbol !== null) return this.of(symbol);
    const having = this.stages.filter(
      (stage) =>
        (orderId !== null && stage.find(orderId) !== undefined) ||
        (clientOrderId !== null && stage.named(owner, clientOrderId) !== undefined),
    );
    if (having.length > 1) {
      return fault('several-shards', 'orders of several shards have this id; name the symbol too');
    }
    return having[0] ?? this.stages[0]!;
  }
}

/** The first ones, and those that stand at the same position as the last of them. */
function page(
  sorted: readonly OrderView[],
  limit: number,
  at: (order: OrderView) => number,
): OrderView[] {
  const last = sorted[limit - 1];
  if (last === undefined) return [...sorted];
  return sorted.filter((order, i) => i < limit || at(order) === at(last));
}
