import { expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Bbo, SourceEvent } from '../../protocol/messages';
import { NaiveInstrument } from './naive-book';
import { all, opened } from './support';

const PATH = join(import.meta.dir, '../../../shared/data/btcusdt_20240808.gz');
const present = existsSync(PATH);
if (!present) console.log(`NOT TESTED against real data: ${PATH} is not there`);

test.skipIf(!present)(
  '346 s of a real market: nothing is lost, and the book fits the quotes',
  async () => {
    const recording = await opened(PATH);
    expect(recording.format).toBe('binance');
    const { records, faults } = await all(recording);
    expect(faults).toEqual([]);
    const events = records.flatMap((r) => r.events);
    const count = (wanted: (e: SourceEvent) => boolean): number => events.filter(wanted).length;
    expect(count((e) => e.type === 'instrument')).toBe(1);
    expect(count((e) => e.type === 'book' && e.form === 'delta')).toBe(3451);
    expect(count((e) => e.type === 'book' && e.form === 'snapshot')).toBe(1);
    expect(count((e) => e.type === 'bbo')).toBe(28_040);
    expect(count((e) => e.type === 'trade')).toBe(9757);
    const { bytesRead, bytesTotal, lines, skipped } = recording.progress();
    expect([bytesRead, lines, skipped]).toEqual([bytesTotal!, 41_249, 0]);
    expect(records[0]!.receiveTime.toString()).toBe('1723161253937085768');

    const quotes = new Map<number, Bbo>();
    for (const event of events) if (event.type === 'bbo') quotes.set(event.seq, event);
    const book = new NaiveInstrument(events[0] as SourceEvent & { type: 'instrument' });
    let compared = 0;
    for (const event of events) {
      book.apply(event);
      const quote =
        event.type === 'book' && book.state === 'live' ? quotes.get(book.seq) : undefined;
      if (quote === undefined || book.seq !== event.seq) continue;
      compared += 1;
      const bid = Math.max(...book.bids.keys());
      const ask = Math.min(...book.asks.keys());
      expect([bid, book.bids.get(bid)!, ask, book.asks.get(ask)!]).toEqual([
        quote.bid!,
        quote.bidQuantity,
        quote.ask!,
        quote.askQuantity,
      ]);
    }
    expect(compared).toBe(564);
    expect(book.state).toBe('live');
  },
  30_000,
);
