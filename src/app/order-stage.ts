/** Order stage: orders enter the market through the sequencer: each command in its turn, each answer when journaled. */

import { fault, fieldFault, type Fault } from '../../protocol/codes';
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
import type { Instrument } from '../../protocol/messages';
import type { OrderRouter } from '../market/order-router';
import type { MarketOutput } from '../market/output';
import type { LocalMarket } from './local-market';

/** Client order ids that a server assigns begin with this. */
export const OWN_NAMES = '~';

/** Why a client order id that a client gives is refused. */
export function ownNameFault(clientOrderId: string): Fault | undefined {
  if (!clientOrderId.startsWith(OWN_NAMES)) return undefined;
  const expected = `a name that does not begin with ${OWN_NAMES}, as those of the server do`;
  return fieldFault('clientOrderId', clientOrderId, expected);
}

export class LocalOrders implements OrderStage {
  private readonly local: LocalMarket;
  private readonly router: OrderRouter;
  /** The most commands that may wait for their answers. */
  private readonly waitingMax: number;
  private waiting = 0;
  /** Client order ids assigned so far in this epoch. */
  private names = 0;

  constructor(local: LocalMarket, waitingMax: number) {
    this.local = local;
    this.router = local.market.router;
    this.waitingMax = waitingMax;
  }

  submit(owner: string, fields: OrderFields): Promise<OrderOutcome | Fault> {
    const { clientOrderId } = fields;
    const wrong = ownNameFault(clientOrderId);
    if (wrong !== undefined) return Promise.resolve(wrong);
    const name = clientOrderId || `${OWN_NAMES}${this.local.sequencer.epoch}-${++this.names}`;
    return this.submitNamed(owner, { ...fields, clientOrderId: name });
  }

  /** Submits an order whose client order id may be one that a server has assigned. */
  submitNamed(owner: string, fields: OrderFields): Promise<OrderOutcome | Fault> {
    return this.inTurn(owner, (out) => this.router.submit(owner, fields, out));
  }

  cancel(owner: string, target: OrderTarget): Promise<OrderOutcome | Fault> {
    return this.inTurn(owner, (out) => this.router.cancel(owner, target, out));
  }

  amend(owner: string, fields: AmendFields): Promise<OrderOutcome | Fault> {
    return this.inTurn(owner, (out) => this.router.amend(owner, fields, out));
  }

  setState(owner: string, symbol: string, state: TradingState): Promise<OrderOutcome | Fault> {
    const { router } = this;
    const step = (out: MarketOutput): OrderOutcome | Fault =>
      router.setState(owner, symbol, state, out);
    return this.inTurn(owner, step, (done) => !('code' in done) && router.isInAuction(symbol));
  }

  cancelAll(owner: string): Promise<OwnerCancelled | Fault> {
    if (this.router.clientOrders.knownOwner(owner) === undefined) {
      const expected = 'the name of a key that has entered orders';
      return Promise.resolve(fieldFault('owner', owner, expected));
    }
    const run = new OwnerCancels(this.router, owner);
    return this.inTurn(
      owner,
      (out) => run.step(out),
      () => !run.isDone,
    );
  }

  find(orderId: number): OrderView | undefined {
    return this.router.clientOrders.get(orderId);
  }

  named(owner: string, clientOrderId: string): OrderView | undefined {
    return this.router.clientOrders.named(owner, clientOrderId);
  }

  openOf(owner: string, after: number, limit: number): OrderView[] {
    return this.router.clientOrders.openOf(owner, after, limit);
  }

  endedOf(owner: string, before: number | null, limit: number): OrderView[] {
    return this.router.clientOrders.endedOf(owner, before, limit);
  }

  definition(symbol: string): Instrument | undefined {
    return this.local.market.get(symbol)?.definition;
  }

  /** @param goesOn whether the action needs another turn */
  private inTurn<T>(
    owner: string,
    act: (out: MarketOutput) => T,
    goesOn: (result: T) => boolean = () => false,
  ): Promise<T | Fault> {
    const { waiting, waitingMax } = this;
    const { sequencer } = this.local;
    const refused = sequencer.refusal();
    if (refused !== undefined) return Promise.resolve(refused);
    if (waiting >= waitingMax) {
      const message = `${waiting} commands wait already; at most ${waitingMax} may`;
      return Promise.resolve(fault('overloaded', message));
    }
    this.waiting += 1;
    return new Promise((resolve) => {
      let result: T;
      sequencer.act(
        (out) => {
          result = act(out);
          return goesOn(result) ? 1 : 0;
        },
        () => {
          this.waiting -= 1;
          resolve(result);
        },
        owner,
      );
    });
  }
}

/** How many orders of an owner are cancelled in one turn. */
const CANCELLED_AT_ONCE = 32;

/** Cancels all open orders of an owner, some in each turn, each as its owner would. */
class OwnerCancels {
  private readonly router: OrderRouter;
  private readonly owner: string;
  private orderIds: number[] | undefined;
  private cancelled = 0;
  private left = 0;
  private seq: number | null = null;

  constructor(router: OrderRouter, owner: string) {
    this.router = router;
    this.owner = owner;
  }

  get isDone(): boolean {
    return this.orderIds?.length === 0;
  }

  step(out: MarketOutput): OwnerCancelled {
    const { router, owner } = this;
    // In reverse, because orders are taken from the end of the list.
    this.orderIds ??= router.clientOrders
      .openOf(owner, 0, Infinity)
      .map(({ orderId }) => orderId)
      .toReversed();
    for (const orderId of this.orderIds.splice(-CANCELLED_AT_ONCE)) {
      const done = router.cancel(owner, { symbol: null, orderId, clientOrderId: null }, out);
      if (!('code' in done)) {
        this.cancelled += 1;
        this.seq = done.seq;
      } else if (done.code !== 'unknown-order') {
        this.left += 1; // its instrument is in an auction, which takes no cancels
      }
    }
    return { cancelled: this.cancelled, left: this.left, seq: this.seq };
  }
}

/** Continues auctions that a stop of the server interrupted, one command a turn. */
export function finishAuctions({ market, sequencer }: LocalMarket): void {
  const { router } = market;
  for (const { definition } of market.all()) {
    const { symbol } = definition;
    if (!router.isInAuction(symbol)) continue;
    sequencer.act((out) => {
      router.setState('', symbol, 'open', out);
      return router.isInAuction(symbol) ? 1 : 0;
    });
  }
}
