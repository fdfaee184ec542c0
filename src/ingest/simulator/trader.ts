/**
 * Trader: the order flow of one simulated market.
 *
 * A fair price moves with a volatility that clusters. Makers place limit orders around it and cancel them again; takers
 * cross the spread, more of them in bursts and in the direction of the last moves. Sizes have a long tail; depth and
 * spread vary. All randomness comes from one generator, so the flow is a function of the seed and the number of orders.
 * Bound: resting orders.
 */

import type { MessageOf } from '../../../protocol/messages';
import type { Prng } from '../../base/prng';
import type { SimulatedMarket } from './markets';

export type SimulatedOrder = Omit<MessageOf<'order'>, 'type' | 'id'>;

/** What a trader needs of the venue; the same as for any client. */
export interface Venue {
  /** @returns the order's id; 0 if it was refused */
  submit(owner: string, order: SimulatedOrder): number;
  cancel(owner: string, orderId: number): void;
}

/** Scaled values of the instrument. */
export interface TraderScales {
  readonly priceIncrement: number;
  readonly quantityIncrement: number;
  /** The first fair price. */
  readonly price: number;
}

interface Resting {
  readonly owner: string;
  readonly orderId: number;
}

const MAKERS = Array.from({ length: 12 }, (_, i) => `sim-maker-${i + 1}`);
const TAKERS = Array.from({ length: 6 }, (_, i) => `sim-taker-${i + 1}`);
const RESTING_AIM = 900;
const RESTING_MAX = 2_000;
/** Shares of the flow: the rest adds to the book. */
const CANCEL_SHARE = 0.44;
const TAKE_SHARE = 0.07;

export class Trader {
  /** Present activity relative to the usual one: below 1 when quiet, above in bursts. */
  pace = 1;
  private readonly market: SimulatedMarket;
  private readonly scales: TraderScales;
  private readonly prng: Prng;
  private readonly resting: Resting[];
  private fair: number;
  /** Logarithm of the volatility relative to its quiet level; reverts to 0. */
  private heat = 0;
  /** Direction of the last moves, −1 … 1. */
  private trend = 0;

  /** @param resting orders of an earlier run that it continues to manage */
  constructor(
    market: SimulatedMarket,
    scales: TraderScales,
    prng: Prng,
    resting: readonly Resting[],
  ) {
    this.market = market;
    this.scales = scales;
    this.prng = prng;
    this.resting = [...resting];
    this.fair = scales.price;
  }

  /** Advances time: the fair price, activity and volatility move. @param seconds above 0 */
  elapse(seconds: number): void {
    const { prng, market } = this;
    const root = Math.sqrt(seconds);
    this.heat += -0.08 * this.heat * seconds + 0.45 * root * prng.normal();
    this.heat = Math.min(2.5, Math.max(-2, this.heat));
    const volatility = market.volatility * Math.exp(this.heat) * Math.sqrt(1 / 60);
    const move = volatility * root * prng.normal() + 0.15 * volatility * this.trend * seconds;
    this.trend = 0.97 * this.trend + 0.03 * Math.sign(move);
    this.fair *= Math.exp(Math.min(0.02, Math.max(-0.02, move)));
    this.fair = Math.max(this.fair, this.scales.priceIncrement * 50);
    this.pace = Math.exp(0.7 * this.heat - 0.2);
    if (prng.chance(0.004 * seconds)) this.heat = 2; // news
  }

  /** Sends one order or cancel. */
  act(venue: Venue): void {
    const { prng, resting } = this;
    const crowd = resting.length / RESTING_AIM;
    if (resting.length >= RESTING_MAX || prng.chance(CANCEL_SHARE * Math.min(1.6, crowd))) {
      this.withdraw(venue);
    } else if (resting.length > 40 && prng.chance(TAKE_SHARE)) {
      this.take(venue);
    } else {
      this.make(venue);
    }
  }

  private withdraw(venue: Venue): void {
    const { prng, resting } = this;
    if (resting.length === 0) return;
    // The older half is cancelled more often: makers replace orders that the market has left behind.
    const at = Math.floor(prng.unit() ** 1.5 * resting.length);
    const { owner, orderId } = resting[at]!;
    resting.splice(at, 1);
    venue.cancel(owner, orderId);
  }

  private make(venue: Venue): void {
    const { prng, market } = this;
    const { priceIncrement: tick } = this.scales;
    const side = prng.chance(0.5 - 0.08 * this.trend) ? 'sell' : 'buy';
    const breath = Math.exp(0.35 * this.heat);
    const half = (market.spreadTicks / 2) * breath;
    const away = half * (0.4 + prng.unit()) + prng.exponential() * market.depthTicks * breath;
    const sign = side === 'buy' ? -1 : 1;
    const price = Math.round((this.fair + sign * away * tick) / tick) * tick;
    if (price < tick) return;
    const owner = MAKERS[prng.int(0, MAKERS.length - 1)]!;
    const order = this.order(side, price, this.size(1 + away / market.depthTicks));
    const orderId = venue.submit(owner, order);
    if (orderId !== 0) this.resting.push({ owner, orderId });
  }

  private take(venue: Venue): void {
    const { prng } = this;
    const side = prng.chance(0.5 + 0.3 * this.trend) ? 'buy' : 'sell';
    const owner = TAKERS[prng.int(0, TAKERS.length - 1)]!;
    const order = this.order(side, null, this.size(Math.exp(0.5 * Math.max(0, this.heat))));
    venue.submit(owner, order);
  }

  private order(side: 'buy' | 'sell', price: number | null, quantity: number): SimulatedOrder {
    const limit = price !== null;
    return {
      symbol: this.market.symbol,
      clientOrderId: '',
      side,
      kind: limit ? 'limit' : 'market',
      timeInForce: limit ? 'gtc' : 'ioc',
      postOnly: false,
      price,
      quantity,
    };
  }

  /** Log-normal around the median, occasionally many times that. */
  private size(factor: number): number {
    const { prng, market } = this;
    const tail = prng.chance(0.02) ? 5 + 10 * prng.exponential() : 1;
    const lots = market.medianLots * factor * tail * Math.exp(0.9 * prng.normal());
    return Math.max(1, Math.round(lots)) * this.scales.quantityIncrement;
  }
}

/** Whether an owner belongs to the simulation. */
export function isSimulated(owner: string): boolean {
  return MAKERS.includes(owner) || TAKERS.includes(owner);
}
