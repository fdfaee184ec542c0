/**
 * Opening auction: at which price a crossed book trades most, and who trades with whom there.
 *
 * The price [V50–V54]: of the limit prices from the best ask to the best bid those with the greatest
 * volume; of these those with the least surplus; if what is left over buys at each of them, the
 * highest; if it sells at each, the lowest; else the one nearest the reference price, where any price
 * between the lowest and the highest will do. Sums stay safe: no side sums to more than 2^53 − 1.
 * As both sides are traded down to that price, what is left does not cross.
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
 * @param reference price that breaks the last tie; 0 when there is none, and the middle does
 * @returns undefined when the book is not crossed
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
  let bid = bids.placeOf(from); // the lowest that reaches the best ask
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

/** Of the candidates, which come in ascending order, the lowest and the highest that are best. */
class BestPrices {
  private volume = 0;
  private leastSurplus = Infinity;
  private low = 0;
  private high = 0;
  /** Demand less supply at these two; the ends tell of all between them, since it falls with the price. */
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

/** What an auction did: its trades, and the levels it took from, best first. */
export interface Uncrossing {
  readonly trades: AuctionTrade[];
  readonly bidPrices: number[];
  readonly askPrices: number[];
}

/**
 * Trades at the auction's price what reaches it on both sides, best price and oldest order first.
 * @param tradesMax at most so many; the rest is for the next time
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
