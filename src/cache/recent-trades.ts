/**
 * Recent trades: the newest of each instrument in memory, so that the usual question needs no disk.
 * Bounded: `tradesMax` an instrument, the oldest go first.
 */

import type { Trade } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';

interface Ring {
  readonly trades: Trade[];
  /** Where the next trade goes, once the ring is full. */
  next: number;
}

export class RecentTrades {
  private readonly rings = new Map<string, Ring>();
  private readonly tradesMax: number;

  constructor(tradesMax: number) {
    this.tradesMax = tradesMax;
  }

  accept(events: readonly BatchEvent[]): void {
    for (const event of events) {
      if (event.type === 'trade') this.add(event);
    }
  }

  add(trade: Trade): void {
    let ring = this.rings.get(trade.symbol);
    if (ring === undefined) {
      ring = { trades: [], next: 0 };
      this.rings.set(trade.symbol, ring);
    }
    if (ring.trades.length < this.tradesMax) {
      ring.trades.push(trade);
      return;
    }
    ring.trades[ring.next] = trade;
    ring.next = (ring.next + 1) % this.tradesMax;
  }

  /**
   * Up to `limit` newest trades below place `before`, newest first; undefined when some of them may
   * have left the memory already.
   */
  newest(symbol: string, before: number, limit: number): Trade[] | undefined {
    const ring = this.rings.get(symbol);
    const count = ring?.trades.length ?? 0;
    const found: Trade[] = [];
    for (let back = 1; back <= count && found.length < limit; back++) {
      const trade = ring!.trades[(ring!.next - back + count * 2) % count]!;
      if (trade.seq < before) found.push(trade);
    }
    return found.length === limit || count < this.tradesMax ? found : undefined;
  }
}
