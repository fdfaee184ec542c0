/** What a feed instrument publishes, in which order, and with which times. */

import { describe, expect, test } from 'bun:test';

import type { MarketEvent, SourceEvent } from '../../protocol/messages';
import type { BatchEvent } from '../../protocol/records';
import { FeedInstrument } from '../../src/market/feed-instrument';
import {
  at,
  bbo,
  book,
  Collected,
  feedOf,
  instrument,
  newMarket,
  SYMBOL,
  trade,
} from '../support/market-events';

const SOURCE = 7;

/** A market with one instrument, defined at seq 1. */
class Scene {
  readonly market = newMarket();
  readonly out = new Collected();

  constructor(previousClose: number | null = null) {
    this.publish(instrument(SYMBOL, { previousClose }));
  }

  get instrument(): FeedInstrument {
    return feedOf(this.market);
  }

  /** Sends events as one batch. @returns what is published */
  publish(...events: SourceEvent[]): MarketEvent[] {
    expect(this.market.check(SOURCE, events)).toBeUndefined();
    for (const event of events) this.market.apply(SOURCE, event, this.out);
    this.market.seal();
    return this.out.take();
  }

  /** Like `say`, but describes the published events in short texts. */
  words(...events: SourceEvent[]): string[] {
    return this.publish(...events).map(describeEvent);
  }
}

function describeEvent(e: MarketEvent): string {
  switch (e.type) {
    case 'book':
      return `book ${e.form}${e.mark === null ? '' : ` ${e.mark}`}`;
    case 'status':
      return `status ${e.state} ${e.reason} ${e.missed}`;
    case 'bbo':
      return `bbo ${e.bid}x${e.bidQuantity} ${e.ask}x${e.askQuantity}${e.mark === null ? '' : ` ${e.mark}`}`;
    default:
      return e.type;
  }
}

describe('trades and ticks', () => {
  test('a trade gives one trade and one tick, with consecutive seqs and the same times', () => {
    const scene = new Scene();
    scene.publish(bbo(0, [99, 4], [101, 6]));
    scene.out.receiveTime = at(77);
    const events = scene.publish(
      trade({ price: 100, quantity: 3, tradeId: 12, eventTime: at(5), aggressor: 'sell' }),
      trade({ price: 102, quantity: 4, tradeId: 13, eventTime: at(6) }),
    );
    const times = { receiveTime: at(77) };
    expect<BatchEvent[]>(events).toEqual([
      {
        type: 'trade',
        symbol: SYMBOL,
        seq: 3,
        prevSeq: 0,
        eventTime: at(5),
        ...times,
        price: 100,
        quantity: 3,
        aggressor: 'sell',
        tradeId: 12,
        timing: null,
        sourceSeq: 0,
      },
      {
        type: 'tick',
        symbol: SYMBOL,
        seq: 4,
        prevSeq: 0,
        eventTime: at(5),
        ...times,
        last: 100,
        bid: 99,
        ask: 101,
        quantity: 3,
        volume: 3,
        count: 1,
      },
      {
        type: 'trade',
        symbol: SYMBOL,
        seq: 5,
        prevSeq: 3,
        eventTime: at(6),
        ...times,
        price: 102,
        quantity: 4,
        aggressor: 'buy',
        tradeId: 13,
        timing: null,
        sourceSeq: 0,
      },
      {
        type: 'tick',
        symbol: SYMBOL,
        seq: 6,
        prevSeq: 4,
        eventTime: at(6),
        ...times,
        last: 102,
        bid: 99,
        ask: 101,
        quantity: 4,
        volume: 7,
        count: 1,
      },
    ]);
  });

  test('[P10] a repeated trade is dropped; missing trades are declared with their number', () => {
    const scene = new Scene();
    expect(scene.words(trade({ seq: 10, prevSeq: 9 }))).toEqual(['trade', 'tick']);
    expect(scene.words(trade({ seq: 10, prevSeq: 9 }))).toEqual([]);
    expect(scene.instrument.intake.repeated).toBe(1);
    expect(scene.words(trade({ seq: 15, prevSeq: 14 }))).toEqual([
      'status live trades-missed 4',
      'trade',
      'tick',
    ]);
    expect(scene.words(trade({ seq: 16, prevSeq: 15 }))).toEqual(['trade', 'tick']);
    expect(scene.words(trade(), trade())).toEqual(['trade', 'tick', 'trade', 'tick']);
    expect(scene.instrument.currentTick()!.volume).toBe(25);
  });

  test('before the first trade the tick is made from the previous close, with seq 0', () => {
    const scene = new Scene(12_345);
    scene.publish(bbo(0, [99, 4], null));
    const tick = scene.instrument.currentTick()!;
    expect([tick.seq, tick.last, tick.bid, tick.ask, tick.volume, tick.count]).toEqual([
      0,
      12_345,
      99,
      null,
      0,
      0,
    ]);
    expect([...scene.instrument.newest()].map((e) => e.type)).toEqual(['instrument', 'bbo']);
    expect(new Scene().instrument.currentTick()).toBeNull();
    scene.publish(trade({ price: 5 }));
    expect(scene.instrument.currentTick()!.last).toBe(5);
  });
});

describe('best bid and offer', () => {
  test('follows quotes and levels, whichever is newer, and is published when it changes', () => {
    const scene = new Scene();
    expect(scene.words(book('snapshot', 10, 0, [99, 1], [101, 1]))).toEqual([
      'book snapshot',
      'bbo 99x1 101x1',
    ]);
    expect(scene.words(bbo(12, [99, 2], [101, 1]))).toEqual(['bbo 99x2 101x1']);
    expect(scene.words(bbo(12, [99, 2], [101, 1]), bbo(11, [98, 1], [101, 1]))).toEqual([]);
    // The levels of 11 are older than the quote of 12.
    expect(scene.words(book('delta', 11, 10, [98, 5]))).toEqual(['book delta']);
    expect(scene.words(book('delta', 12, 11, [99, 2]))).toEqual(['book delta']);
    expect(scene.words(book('delta', 13, 12, [99, 0]))).toEqual(['book delta', 'bbo 98x5 101x1']);
    expect(scene.words(bbo(12, [99, 2], [101, 1]))).toEqual([]);
    expect(scene.words(book('delta', 14, 13, [90, 1]))).toEqual(['book delta']);
    expect(scene.words(book('delta', 15, 14, [98, 0, 90, 0], [101, 0]))).toEqual([
      'book delta',
      'bbo nullx0 nullx0',
    ]);
  });

  test('[P10] a quote with the number of the levels that differs from them makes them incomplete', () => {
    for (const quote of [
      bbo(10, [98, 1], [101, 1]),
      bbo(10, [99, 2], [101, 1]),
      bbo(10, [99, 1], null),
      bbo(10, [99, 1], [101, 9]),
    ]) {
      const scene = new Scene();
      scene.publish(book('snapshot', 10, 0, [99, 1], [101, 1]));
      expect(scene.words(bbo(10, [99, 1], [101, 1]))).toEqual([]);
      expect(scene.words(quote).slice(1)).toEqual([
        'book incomplete',
        'bbo nullx0 nullx0',
        'status incomplete quote-mismatch 0',
      ]);
      expect(scene.instrument.bookView()).toBeNull();
      expect(scene.words(book('delta', 11, 10, [99, 2]))).toEqual([]);
      expect(scene.words(book('snapshot', 11, 0, [95, 1], [96, 1]))).toEqual([
        'book snapshot',
        'status live healed 0',
        'bbo 95x1 96x1',
      ]);
    }
  });

  test('[P10] the quote may arrive first', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 10, 0, [99, 1], [101, 1]), bbo(11, [99, 5], [101, 1]));
    expect(scene.words(book('delta', 11, 10, [99, 4]))).toEqual([
      'book delta',
      'book incomplete',
      'bbo nullx0 nullx0',
      'status incomplete quote-mismatch 0',
    ]);
  });

  test('a quote without a number is not compared with levels that have one', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 10, 0, [99, 1], [101, 1]), bbo(11, [99, 3], [101, 1]));
    expect(scene.words(bbo(0, [97, 1], [103, 1]))).toEqual(['bbo 97x1 103x1']);
    expect(scene.words(book('delta', 11, 10, [99, 3]))).toEqual(['book delta', 'bbo 99x3 101x1']);
    expect(scene.instrument.bookView()).not.toBeNull();

    const plain = new Scene();
    plain.publish(book('snapshot', 0, 0, [99, 1], [101, 1]));
    expect(plain.words(bbo(0, [98, 1], [101, 1]))).toEqual(['bbo 98x1 101x1']);
    expect(plain.instrument.bookView()).not.toBeNull();
  });

  test('a snapshot older than the previous levels is compared with the quote of its own number', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 10, 0, [99, 1], [101, 1]), bbo(12, [99, 2], [101, 1]));
    scene.publish(book('delta', 14, 10, [99, 7]));
    scene.publish(book('delta', 20, 19));
    expect(scene.words(book('snapshot', 12, 0, [99, 2], [101, 1]))).toEqual([]);
    expect(scene.instrument.bookView()).toBeNull(); // the waiting delta does not continue it
    scene.publish(book('incomplete', 0, 0));
    expect(scene.words(book('snapshot', 12, 0, [99, 2], [101, 1]))).toEqual([
      'book snapshot',
      'status live healed 0',
      'bbo 99x2 101x1',
    ]);
  });
});

describe('the book as published', () => {
  test('[B4] [B5] changes within ten levels are published, those beyond are not', () => {
    const scene = new Scene();
    const bids = Array.from({ length: 11 }, (_, i) => [100 - i, 1]).flat();
    scene.publish(book('snapshot', 1, 0, bids, []));
    expect(scene.words(book('delta', 2, 1, [90, 5]))).toEqual([]);
    const [delta] = scene.publish(book('delta', 3, 2, [95, 0]));
    expect(delta).toMatchObject({ form: 'delta', bids: [95, 0, 90, 5], asks: [] });
    const [pushedOut] = scene.publish(book('delta', 4, 3, [193, 1]));
    expect(pushedOut).toMatchObject({ bids: [193, 1, 90, 0] });
    expect(scene.instrument.bookView()!.bids.length).toBe(20);
    expect(scene.instrument.levels(11).bids.length).toBe(22);
  });

  test('[B7] only the last book event of a batch has a checksum', () => {
    const scene = new Scene();
    const events = scene.publish(
      book('snapshot', 1, 0, [1, 1]),
      book('delta', 2, 1, [1, 2]),
      book('delta', 3, 2, [1, 3]),
    );
    const books = events.filter((e) => e.type === 'book');
    expect(books.map((b) => b.crc === null)).toEqual([true, true, false]);
    expect(scene.publish(book('incomplete', 0, 0))).toMatchObject([{ crc: null }, {}, {}]);
  });

  test('[P9] every way to lose it is published once, at once, with its reason', () => {
    for (const [reason, broken] of [
      ['gap 3', book('delta', 15, 13, [1, 1])],
      ['overlap 0', book('delta', 13, 9, [1, 1])],
      ['gap 0', book('incomplete', 0, 0)],
    ] as const) {
      const scene = new Scene();
      scene.publish(book('snapshot', 9, 0, [99, 1], [101, 1]), book('delta', 10, 9, [98, 1]));
      expect(scene.words(broken)).toEqual([
        'book incomplete',
        'bbo nullx0 nullx0',
        `status incomplete ${reason}`,
      ]);
      expect(scene.words(broken, broken)).toEqual([]);
      expect(scene.instrument.state).toBe('incomplete');
    }
    const scene = new Scene();
    expect(scene.words(book('delta', 5, 4, [1, 1]))).toEqual([
      'book incomplete',
      'status incomplete awaiting-snapshot 0',
    ]);
  });

  test('views that were returned do not change', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 1, 0, [99, 1], [101, 1]));
    const view = scene.instrument.bookView()!;
    const kept = structuredClone({ bids: view.bids, asks: view.asks, seq: view.seq });
    scene.publish(book('delta', 2, 1, [99, 5, 98, 1], [101, 0]));
    scene.publish(book('incomplete', 0, 0));
    expect({ bids: view.bids, asks: view.asks, seq: view.seq }).toEqual(kept);
  });
});

describe('sources that disconnect and reconnect', () => {
  test('a source that has disconnected leaves it stale, and one that sends something new makes it live', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 10, 0, [99, 1], [101, 1]), trade({ seq: 5, prevSeq: 4 }));
    scene.market.release(SOURCE + 1, scene.out);
    expect(scene.out.take()).toEqual([]);
    scene.market.release(SOURCE, scene.out);
    expect(scene.out.take().map(describeEvent)).toEqual([
      'book delta stale',
      'bbo 99x1 101x1 stale',
      'status stale source-disconnected 0',
    ]);
    scene.market.release(SOURCE, scene.out);
    expect(scene.out.take()).toEqual([]);
    // Old events change nothing.
    const old = [trade({ seq: 5, prevSeq: 4 }), book('delta', 10, 9)];
    expect(scene.words(...old)).toEqual([]);
    expect(scene.instrument.state).toBe('stale');
    expect(scene.words(trade({ seq: 6, prevSeq: 5 }))).toEqual([
      'status live source-connected 0',
      'trade',
      'tick',
    ]);
  });

  test('without numbers, an abandoned book waits for a snapshot, whatever arrives first', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 0, 0, [99, 1], [101, 1]));
    scene.market.release(SOURCE, scene.out);
    scene.out.take();
    expect(scene.words(trade())).toEqual(['status live source-connected 0', 'trade', 'tick']);
    expect(scene.words(book('delta', 0, 0, [98, 1]))).toEqual([
      'book incomplete',
      'bbo nullx0 nullx0',
      'status incomplete awaiting-snapshot 0',
    ]);
  });

  test('a source that counts from the beginning again is not compared with earlier quotes', () => {
    const scene = new Scene();
    scene.publish(book('snapshot', 500, 0, [99, 1], [101, 1]), bbo(501, [98, 1], [101, 1]));
    scene.publish(book('delta', 503, 502));
    scene.market.release(SOURCE, scene.out);
    scene.out.take();
    expect(scene.words(book('snapshot', 1, 0, [55, 1], [56, 1]))).toEqual([
      'book snapshot',
      'status live healed 0',
      'bbo 55x1 56x1',
    ]);
    expect(scene.words(bbo(2, [54, 1], [56, 1]))).toEqual(['bbo 54x1 56x1']);
  });

  test('a source that disconnects while the book is incomplete leaves it incomplete', () => {
    const scene = new Scene();
    scene.publish(book('delta', 5, 4, [1, 1]));
    scene.market.release(SOURCE, scene.out);
    expect(scene.out.take()).toEqual([]);
    expect(scene.instrument.state).toBe('incomplete');
    expect(scene.words(book('snapshot', 1, 0, [1, 1]))).toEqual([
      'book snapshot',
      'status live healed 0',
      'bbo 1x1 nullx0',
    ]);
  });
});
