/**
 * The flows of commands that the matching bench runs: 45 % cancels, 55 % limit orders around a mid price that moves
 * at random, over a book of about 1,000 levels. There are two, because books are slow at different things:
 *
 * - `thin`: 2,500 orders, prices uniform over 500 increments a side. Queues are short, levels appear and disappear
 * all the time, and one command in fifty touches the ten best.
 * - `deep`: 10,000 orders, log-uniform over 600 increments, because real orders cluster at the top: a third of the
 * limit orders falls within the ten best levels, where the queues have hundreds of orders.
 *
 * While the book is above its size, two limit orders in eleven cross the spread, which keeps the size constant. A
 * cancel takes any resting order. Equal seeds give equal commands.
 */

import { Prng } from '../../src/base/prng';
import type { VenueDefinition } from '../../src/market/venue/definition';
import type { VenueListener } from '../../src/market/venue/listener';
import { Venue } from '../../src/market/venue/venue';
import { BUY, GTC, LIMIT, type Side } from '../../src/market/venue/constants';

/** The parameters of a flow. */
export interface FlowShape {
  readonly name: string;
  /** About how many orders rest; equally many limit orders come first, untimed. */
  readonly orders: number;
  /** How far from the mid a passive limit order is, in increments. */
  readonly away: (random: Prng) => number;
}

export const THIN: FlowShape = {
  name: 'thin',
  orders: 2_500,
  away: (random) => random.int(1, 500),
};
export const DEEP: FlowShape = {
  name: 'deep',
  orders: 10_000,
  away: (random) => Math.floor(600 ** random.unit()),
};

const MID_START = 6_183_763;
/** How often the mid moves by one increment; a faster one would consume the book. */
const MID_STEP_SHARE = 0.002;
const CANCEL_SHARE = 0.45;
const CROSSING_SHARE = 2 / 11;

export const BENCH_DEFINITION: VenueDefinition = {
  priceIncrement: 1,
  quantityIncrement: 1,
  quantityMin: 1,
  quantityMax: 1_000_000,
  priceMin: 1,
  priceMax: 100_000_000,
  ordersPerOwnerMax: 1_000_000,
  ordersMax: 1_000_000,
  selfTrade: 'cancel-newest',
  referencePrice: null,
  initialState: 'open',
};

/** Commands in columns; a cancel has price 0 and names the order. */
export interface Flow {
  /** How many commands at the beginning fill the book. */
  readonly prefill: number;
  readonly count: number;
  readonly side: Uint8Array;
  readonly price: Int32Array;
  readonly quantity: Int32Array;
  readonly orderId: Int32Array;
  readonly owner: Int32Array;
}

export function makeFlow(shape: FlowShape, commands: number, seed: number): Flow {
  const prefill = shape.orders;
  const count = prefill + commands;
  const flow = {
    prefill,
    count,
    side: new Uint8Array(count),
    price: new Int32Array(count),
    quantity: new Int32Array(count),
    orderId: new Int32Array(count),
    owner: new Int32Array(count),
  };
  const live = new LiveOrders();
  const venue = new Venue(BENCH_DEFINITION, live);
  const random = new Prng(seed);
  let mid = MID_START;
  for (let i = 0; i < count; i++) {
    if (random.chance(MID_STEP_SHARE)) mid += random.chance(0.5) ? 1 : -1;
    const cancels = i >= prefill && random.chance(CANCEL_SHARE);
    if (cancels && live.ids.length > 0) {
      const id = live.ids[random.int(0, live.ids.length - 1)]!;
      flow.orderId[i] = id;
      flow.owner[i] = live.owners.get(id)!;
      venue.cancel(flow.owner[i]!, id);
    } else {
      placeLimit(flow, i, mid, shape, live.ids.length > prefill, random);
      const side = flow.side[i] as Side;
      venue.submit(flow.owner[i]!, side, LIMIT, GTC, false, flow.price[i]!, flow.quantity[i]!);
    }
  }
  return flow;
}

function placeLimit(
  flow: Flow,
  i: number,
  mid: number,
  shape: FlowShape,
  mayCross: boolean,
  random: Prng,
): void {
  const side = random.int(0, 1);
  const crosses = mayCross && random.chance(CROSSING_SHARE);
  const away = crosses ? -random.int(1, 4) : shape.away(random);
  flow.side[i] = side;
  flow.price[i] = side === BUY ? mid - away : mid + away;
  flow.quantity[i] = random.int(1, 100);
  // Buyers and sellers are different owners, because the baseline has no self-trade prevention.
  flow.owner[i] = random.int(0, 499) * 2 + side;
}

/** Which orders rest, so that a cancel finds one. */
class LiveOrders implements VenueListener {
  readonly ids: number[] = [];
  readonly owners = new Map<number, number>();
  private readonly indexes = new Map<number, number>();

  accepted(orderId: number, owner: number): void {
    this.indexes.set(orderId, this.ids.length);
    this.ids.push(orderId);
    this.owners.set(orderId, owner);
  }

  trade(
    _tradeId: number,
    _price: number,
    _quantity: number,
    _aggressor: number,
    buyOrderId: number,
    sellOrderId: number,
    _buyOwner: number,
    _sellOwner: number,
    buyOpen: number,
    sellOpen: number,
  ): void {
    if (buyOpen === 0) this.remove(buyOrderId);
    if (sellOpen === 0) this.remove(sellOrderId);
  }

  cancelled(orderId: number): void {
    this.remove(orderId);
  }

  expired(): void {}
  rejected(): void {}
  amended(): void {}
  levelChanged(): void {}
  stateChanged(): void {}

  private remove(orderId: number): void {
    const position = this.indexes.get(orderId)!;
    const last = this.ids.pop()!;
    if (last !== orderId) {
      this.ids[position] = last;
      this.indexes.set(last, position);
    }
    this.indexes.delete(orderId);
    this.owners.delete(orderId);
  }
}
