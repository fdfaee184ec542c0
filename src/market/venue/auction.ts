/**
 * Opening auction: at which price a crossed book trades most, and who trades with whom there.
 *
 * The price [V50–V54]: of the limit prices from the best ask to the best bid those with the greatest
 * volume; of these those with the least surplus; if what is left over buys at each of them, the
 * highest; if it sells at each, the lowest; else the one nearest the reference price, where any price
 * between the lowest and the highest will do. Sums stay safe: no side sums to more than 2^53 − 1.
 */

import { assert } from '../../base/assert';
import { NONE, type Ladder } from './ladder';
import type { OrderBook } from './order-book';

export interface AuctionResult {
  readonly price: number;
  readonly volume: number;
  /** What stays unfilled at the price: positive, it buys; negative, it sells. */
  readonly surplus: number;
}

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
 * @param reference price that breaks the last tie; 0 when there is none, and the middle does
 * @returns undefined when the book is not crossed
 */
export function auctionPrice(
  book: OrderBook,
  reference: number,
  increment: number,
): AuctionResult | undefined {
  const candidates = candidatePrices(book);
  if (candidates.length === 0) return undefined;
  const demand = candidates.map((price) => book.bids.sumDownTo(price));
  const supply = candidates.map((price) => book.asks.sumDownTo(price));
  let volume = 0;
  let least = Infinity;
  let lowest = 0;
  let highest = 0;
  for (let i = 0; i < candidates.length; i++) {
    const traded = Math.min(demand[i]!, supply[i]!);
    const surplus = Math.abs(demand[i]! - supply[i]!);
    if (traded < volume || (traded === volume && surplus > least)) continue;
    if (traded > volume || surplus < least) lowest = i;
    volume = traded;
    least = surplus;
    highest = i;
  }
  // Demand falls and supply grows with the price, so the ends tell of all between them.
  const low = candidates[lowest]!;
  const high = candidates[highest]!;
  let price: number;
  if (demand[highest]! > supply[highest]!) price = high;
  else if (demand[lowest]! < supply[lowest]!) price = low;
  else if (reference !== 0) price = Math.min(Math.max(reference, low), high);
  else price = low + Math.floor((high - low) / 2 / increment) * increment;
  return { price, volume, surplus: book.bids.sumDownTo(price) - book.asks.sumDownTo(price) };
}

/** Every limit price from the best ask to the best bid, ascending; none when they do not cross. */
function candidatePrices(book: OrderBook): number[] {
  const low = book.asks.bestPrice;
  const high = book.bids.bestPrice;
  if (low === 0 || high === 0) return [];
  const prices = new Set<number>();
  for (const ladder of [book.bids, book.asks]) {
    for (let at = ladder.count - 1; at >= 0; at--) {
      const price = ladder.price[ladder.levels[at]!]!;
      if (price >= low && price <= high) prices.add(price);
    }
  }
  return [...prices].sort((a, b) => a - b);
}

/** What an auction did: its trades, and the levels it took from, best first. */
export interface Uncrossing {
  readonly trades: AuctionTrade[];
  readonly bidPrices: number[];
  readonly askPrices: number[];
}

/** Takes the auction's volume from both sides, best price and oldest order first. */
export function uncross(book: OrderBook, volume: number): Uncrossing {
  const trades: AuctionTrade[] = [];
  const bidPrices: number[] = [];
  const askPrices: number[] = [];
  let left = volume;
  while (left > 0) {
    const buy = firstOrder(book.bids);
    const sell = firstOrder(book.asks);
    const quantity = Math.min(left, book.quantity[buy]!, book.quantity[sell]!);
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
    left -= quantity;
  }
  return { trades, bidPrices, askPrices };
}

function firstOrder(ladder: Ladder): number {
  assert(ladder.count > 0, 'an auction trades no more than there is');
  const first = ladder.head[ladder.levels[ladder.count - 1]!]!;
  assert(first !== NONE, 'a level has an order');
  return first;
}
