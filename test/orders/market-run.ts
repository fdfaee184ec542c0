/**
 * A market in process, with a sequencer whose turns the test runs: what each command puts into its batch, and what
 * owners are sent. Prices have two decimals, quantities three; increments are one unit.
 */

import type { Fault } from '../../protocol/codes';
import type { Execution, Instrument, MessageOf, SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { ManualClock } from '../../src/base/clock';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { Market } from '../../src/market/market';
import type {
  OrderDone,
  OrderLimits,
  OrderRequest,
  OrderRouter,
} from '../../src/market/order-router';
import type { MarketOutput } from '../../src/market/output';
import type { VenueInstrument } from '../../src/market/venue-instrument';
import type { Batch } from '../../src/base/contracts/batch';
import { Sequencer } from '../../src/sequencer/sequencer';
import { readCheckpoint } from '../../src/market/checkpoint-reading';

export const ENDED_ORDERS_MAX = 100;

type Rules = NonNullable<Instrument['rules']>;

export function venue(
  symbol: string,
  rules: Partial<Rules> = {},
  more: Partial<Instrument> = {},
): Instrument {
  return {
    type: 'instrument',
    symbol,
    seq: 0,
    market: 'venue',
    priceScale: 2,
    quantityScale: 3,
    priceIncrement: 1,
    quantityIncrement: 1,
    previousClose: null,
    rules: {
      quantityMin: 1,
      quantityMax: 2 ** 50,
      priceMin: 1,
      priceMax: 2 ** 50,
      ordersPerOwnerMax: 1_000,
      ordersMax: 100_000,
      selfTrade: 'cancel-newest',
      referencePrice: null,
      initialState: 'open',
      ...rules,
    },
    ...more,
    shard: null,
  };
}

export function feed(symbol: string): Instrument {
  return { ...venue(symbol), market: 'feed', rules: null };
}

/** A plain limit order to buy, except for the given fields. */
export function order(given: Partial<OrderRequest> = {}): OrderRequest {
  return {
    clientOrderId: '',
    symbol: 'ACME',
    side: 'buy',
    kind: 'limit',
    timeInForce: 'gtc',
    postOnly: false,
    price: 100,
    quantity: 10,
    ...given,
  };
}

export interface Outcome {
  readonly result: OrderDone | Fault;
  /** What the command recorded and caused; empty when it was refused before. */
  readonly events: readonly BatchEvent[];
  readonly executions: readonly { readonly owner: string; readonly message: Execution }[];
}

export class MarketRun {
  readonly clock = new ManualClock();
  readonly market: Market;
  readonly sequencer: Sequencer;
  private readonly endedOrdersMax: number;
  private readonly limits: OrderLimits;
  readonly batches: Batch[] = [];

  /** Seq of the newest status before the first command. */
  readonly statusHead: number;

  /** @param from another run, from whose checkpoint this one begins */
  constructor(
    definitions: readonly Instrument[],
    endedOrdersMax = ENDED_ORDERS_MAX,
    from?: MarketRun,
    limits: OrderLimits = {},
  ) {
    this.endedOrdersMax = endedOrdersMax;
    this.limits = limits;
    this.market = new Market({ instrumentsMax: 100, endedOrdersMax, ...limits });
    if (from !== undefined) {
      this.clock.set(from.clock.now());
      this.market.restore(readCheckpoint(writeCheckpoint(from.market.checkpoint())), []);
    }
    this.sequencer = new Sequencer(
      {
        epoch: 1,
        lastSeq: from?.sequencer.lastSeq ?? 0,
        waitingEventsMax: 100_000,
        batchEventsMax: 10_000,
        schedule: () => {},
      },
      this.market,
      this.clock,
      (batch, answer) => {
        if (batch !== null) this.batches.push(batch);
        answer();
      },
    );
    for (const d of definitions) this.sequencer.act((out) => this.market.define(d, out));
    this.sequencer.drain();
    const defined = this.batches.flatMap(({ events }) => events);
    this.statusHead = defined.findLast((e) => e.type === 'status')?.seq ?? 0;
    this.batches.length = 0;
  }

  /** A run that starts from a checkpoint of the present state. */
  restored(): MarketRun {
    return new MarketRun([], this.endedOrdersMax, this, this.limits);
  }

  venue(symbol = 'ACME'): VenueInstrument {
    return this.market.get(symbol) as VenueInstrument;
  }

  /** Executes one command in its own turn. */
  do(act: (router: OrderRouter, out: MarketOutput) => OrderDone | Fault): Outcome {
    const before = this.batches.length;
    let result: OrderDone | Fault | undefined;
    this.clock.advance(1_000);
    this.sequencer.act((out) => {
      result = act(this.market.router, out);
    });
    this.sequencer.drain();
    const batch = this.batches[before];
    return { result: result!, events: batch?.events ?? [], executions: batch?.executions ?? [] };
  }

  submit(owner: string, given: Partial<OrderRequest> = {}): Outcome {
    return this.do((router, out) => router.submit(owner, order(given), out));
  }

  /** Enters an order that must be accepted. @returns its id */
  enter(owner: string, given: Partial<OrderRequest> = {}): number {
    const { result } = this.submit(owner, given);
    if ('code' in result) throw new Error(result.message);
    return result.orderId;
  }

  cancel(owner: string, id: number | string, symbol: string | null = 'ACME'): Outcome {
    return this.do((router, out) => router.cancel(owner, { symbol, ...ids(id) }, out));
  }

  amend(
    owner: string,
    id: number | string,
    price: number | null,
    quantity: number | null,
    symbol: string | null = 'ACME',
  ): Outcome {
    const change = { symbol, ...ids(id), price, quantity };
    return this.do((router, out) => router.amend(owner, change, out));
  }

  state(state: 'pre-open' | 'open' | 'halted' | 'closed', symbol = 'ACME'): Outcome {
    return this.do((router, out) => router.setState('admin', symbol, state, out));
  }

  publish(events: readonly SourceEvent[]): void {
    this.sequencer.submit(1, events, (result) => {
      if ('fault' in result) throw new Error(result.fault.message);
    });
    this.sequencer.drain();
  }

  /** Everything that a refusal must leave unchanged. */
  standing(symbol = 'ACME'): unknown {
    const at = this.venue(symbol);
    const { tickHead, bookHead, state } = at;
    const volume = at.currentTick()?.volume;
    const { bids, asks } = at.levels(1_000);
    return [at.stateHash(), tickHead, bookHead, volume, state, bids, asks, at.restingOrders()];
  }
}

function ids(id: number | string): Pick<MessageOf<'cancel'>, 'orderId' | 'clientOrderId'> {
  return typeof id === 'number'
    ? { orderId: id, clientOrderId: null }
    : { orderId: null, clientOrderId: id };
}
