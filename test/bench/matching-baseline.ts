/** The baseline of the matching bench: nodejs-order-book, given the same commands. */

import { OrderBook, Side } from 'nodejs-order-book';

import type { Flow } from './matching-flow';

/** Order ids in its format, made before the measurement. */
export function baselineIds(flow: Flow): string[] {
  let placed = 0;
  return Array.from({ length: flow.count }, (_, i) =>
    String(flow.price[i] === 0 ? flow.orderId[i]! : (placed += 1)),
  );
}

export function runBaseline(
  book: OrderBook,
  flow: Flow,
  ids: string[],
  from: number,
  to: number,
): void {
  const { price, quantity, side } = flow;
  for (let i = from; i < to; i++) {
    const limit = price[i]!;
    if (limit === 0) {
      book.cancel(ids[i]!);
    } else {
      book.limit({
        id: ids[i]!,
        side: side[i] === 0 ? Side.BUY : Side.SELL,
        size: quantity[i]!,
        price: limit,
      });
    }
  }
}

export function makeBaseline(): OrderBook {
  return new OrderBook();
}

/** Flat levels of a side, best first, as the venue returns them. */
export function baselineLevels(book: OrderBook): [bids: number[], asks: number[]] {
  const [asks, bids] = book.depth();
  const flat = (levels: [number, number][], sign: number): number[] =>
    levels.sort((a, b) => sign * (a[0] - b[0])).flat();
  return [flat(bids, -1), flat(asks, 1)];
}
