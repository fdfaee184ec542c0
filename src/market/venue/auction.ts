/**
 * Opening auction: the price at which a crossed book trades most, and the trades at that price.
 *
 * The price [V50–V54]: of the limit prices from the best ask to the best bid those with the greatest
 * volume; of these those with the least surplus; if the surplus is on the buy side at each of them, the
 * highest; if it is on the sell side at each, the lowest; else the price nearest the reference price, from
 * the lowest to the highest of them. Sums stay safe: no side sums to more than 2^53 − 1.
 * Both sides trade down to that price, so the remaining orders do not cross.
 */

import { assert } from '../../base/assert';
import { NONE, type Ladder } from './ladder';
import type { OrderBook } from './order-book';

/** One trade of an auction. */
interface AuctionTrade {
  readonly quantity: number;
  readonly buyOrderId: number;
  readonly sellOrderId: number;
  readonly buyOwner: number;
  readonly sellOwner: number;
  readonly buyOpen: number;
  readonly sellOpen: number;
}

/**
 * One walk over the levels between the best ask and the best bid.
 * @param reference price that breaks the last tie; 0 if there is none, then the middle does
 * @returns undefined if the book is not crossed
 */
export function auctionPrice(
  { bids, asks }: OrderBook,
  reference: number,
  increment: number,
): number | undefined {
  const from = asks.bestPrice;
  const to = bids.bestPrice;
  if (from === 0 || to < from) return undefined;
  const best = new BestPrices();
  let bid = bids.indexOf(from); // the lowest that reaches the best ask
  let ask = asks.count - 1;
  let demand = bids.sumDownTo(from);
  let supply = 0;
  // The best bid is the last candidate, since beyond it nobody buys.
  while (bid < bids.count) {
    const bidPrice = bids.priceAt(bid);
    const askPrice = ask < 0 ? Infinity : asks.priceAt(ask);
    const price = Math.min(bidPrice, askPrice);
    if (askPrice === price) supply += asks.totalOf(ask--);
    best.consider(price, demand, supply);
    if (bidPrice === price) demand -= bids.totalOf(bid++);
  }
  return best.choose(reference, increment);
}

/** The lowest and the highest of the best candidates, which come in ascending order. */
class BestPrices {
  private volume = 0;
  private leastSurplus = Infinity;
  private low = 0;
  private high = 0;
  /** Demand minus supply at these two. It falls with the price, so the ends bound all prices between. */
  private lowSurplus = 0;
  private highSurplus = 0;

  consider(price: number, demand: number, supply: number): void {
    const volume = Math.min(demand, supply);
    const surplus = Math.abs(demand - supply);
    const isWorse = volume === this.volume && surplus > this.leastSurplus;
    if (volume < this.volume || isWorse) return;
    if (volume > this.volume || surplus < this.leastSurplus) {
      this.low = price;
      this.lowSurplus = demand - supply;
    }
    this.volume = volume;
    this.leastSurplus = surplus;
    this.high = price;
    this.highSurplus = demand - supply;
  }

  choose(reference: number, increment: number): number {
    const { low, high } = this;
    if (this.highSurplus > 0) return high;
    if (this.lowSurplus < 0) return low;
    if (reference !== 0) return Math.min(Math.max(reference, low), high);
    return low + Math.floor((high - low) / 2 / increment) * increment;
  }
}

/** The result of an auction: its trades, and the levels that they reduced, best first. */
export interface Uncrossing {
  readonly trades: AuctionTrade[];
  readonly bidPrices: number[];
  readonly askPrices: number[];
}

/**
 * Trades the orders of both sides that reach the auction price, best price and oldest order first.
 * @param tradesMax most trades now; the rest is left for the next call
 */
export function uncross(book: OrderBook, price: number, tradesMax: number): Uncrossing {
  const trades: AuctionTrade[] = [];
  const bidPrices: number[] = [];
  const askPrices: number[] = [];
  while (trades.length < tradesMax && reaches(book, price)) {
    const buy = firstOrder(book.bids);
    const sell = firstOrder(book.asks);
    const quantity = Math.min(book.quantity[buy]!, book.quantity[sell]!);
    trades.push({
      quantity,
      buyOrderId: book.id[buy]!,
      sellOrderId: book.id[sell]!,
      buyOwner: book.owner[buy]!,
      sellOwner: book.owner[sell]!,
      buyOpen: book.quantity[buy]! - quantity,
      sellOpen: book.quantity[sell]! - quantity,
    });
    if (bidPrices.at(-1) !== book.bids.bestPrice) bidPrices.push(book.bids.bestPrice);
    if (askPrices.at(-1) !== book.asks.bestPrice) askPrices.push(book.asks.bestPrice);
    book.take(buy, quantity);
    book.take(sell, quantity);
  }
  return { trades, bidPrices, askPrices };
}

/** Whether both sides have an order that trades at this price. */
export function reaches({ bids, asks }: OrderBook, price: number): boolean {
  return asks.count > 0 && bids.bestPrice >= price && asks.bestPrice <= price;
}

function firstOrder(ladder: Ladder): number {
  assert(ladder.count > 0, 'an auction trades no more than there is');
  const first = ladder.head[ladder.levels[ladder.count - 1]!]!;
  assert(first !== NONE, 'a level has an order');
  return first;
}
