/**
 * A reader of everything that a market publishes: it checks the chain of each topic, keeps a local book by the
 * rules of the protocol, and throws at the first error.
 */

import { expect } from 'bun:test';

import type { MarketEvent, Status, Tick, Trade } from '../../protocol/messages';
import { topicOf } from '../../protocol/topics';
import { LocalBook } from '../../src/client/local-book';

export class Reader {
  readonly books = new Map<string, LocalBook>();
  readonly ticks: Tick[] = [];
  readonly trades: Trade[] = [];
  readonly statuses: Status[] = [];
  readonly heads = new Map<string, number>();
  seq: number;

  constructor(lastSeq = 0) {
    this.seq = lastSeq;
  }

  /** Takes one complete batch. */
  take(events: readonly MarketEvent[]): void {
    const lastBooks = new Map<string, MarketEvent>();
    for (const event of events) {
      expect(event.seq).toBe(++this.seq);
      const topic = topicOf(event);
      if (topic !== undefined && event.type !== 'instrument') {
        expect([topic, event.prevSeq]).toEqual([topic, this.heads.get(topic) ?? 0]);
        this.heads.set(topic, event.seq);
      }
      this.keep(event);
      if (event.type === 'book') lastBooks.set(event.symbol, event);
    }
    // [B7]: exactly the last book message of a batch has a checksum.
    for (const event of events) {
      if (event.type !== 'book' || event.form === 'incomplete') continue;
      expect(event.crc !== null).toBe(lastBooks.get(event.symbol) === event);
    }
  }

  book(symbol: string): LocalBook {
    let book = this.books.get(symbol);
    if (book === undefined) this.books.set(symbol, (book = new LocalBook()));
    return book;
  }

  private keep(event: MarketEvent): void {
    switch (event.type) {
      case 'book': {
        const outcome = this.book(event.symbol).apply(event);
        expect(outcome).toBe(event.form === 'incomplete' ? 'incomplete' : 'applied');
        return;
      }
      case 'trade':
        this.trades.push(event);
        return;
      case 'tick':
        this.ticks.push(event);
        return;
      case 'status':
        this.statuses.push(event);
    }
  }
}
