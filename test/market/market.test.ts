/** What may enter a market: definitions, increments, owners, volumes; a submission as a whole or not at all. */

import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Instrument, SourceEvent } from '../../protocol/messages';
import { sessionOf } from '../../protocol/trade-time';
import { writeCheckpoint } from '../../src/market/checkpoint';
import { Market } from '../../src/market/market';
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
import { readCheckpoint } from '../../src/market/checkpoint-reading';

const MAX = Number.MAX_SAFE_INTEGER;

/** The code and field of the refusal, with the index of the event; undefined when it may enter. */
function refusal(market: Market, events: readonly SourceEvent[], source = 1): string | undefined {
  const before = writeCheckpoint(market.checkpoint());
  const found = market.check(source, events);
  expect(writeCheckpoint(market.checkpoint())).toBe(before);
  return found && `${found.index} ${found.fault.code} ${found.fault.field ?? '-'}`;
}

function enter(market: Market, out: Collected, events: readonly SourceEvent[], source = 1): void {
  expect(market.check(source, events)).toBeUndefined();
  for (const event of events) market.apply(source, event, out);
  market.seal();
}

/** A market with ACME, whose increments are 5 and 10 by default. */
function withAcme(more: Partial<Instrument> = {}): { market: Market; out: Collected } {
  const market = newMarket();
  const out = new Collected();
  const increments = { priceIncrement: 5, quantityIncrement: 10 };
  enter(market, out, [instrument(SYMBOL, { ...increments, ...more })]);
  out.take();
  return { market, out };
}

describe('definitions', () => {
  test('[P4] must precede the first event, at the latest in the same submission', () => {
    const market = newMarket();
    for (const event of [trade(), bbo(0, null, null), book('snapshot', 0, 0)]) {
      expect(refusal(market, [event])).toBe('0 unknown-symbol symbol');
      expect(refusal(market, [event, instrument()])).toBe('0 unknown-symbol symbol');
      expect(refusal(market, [instrument(), event])).toBeUndefined();
    }
    expect(refusal(market, [instrument('OTHER'), trade()])).toBe('1 unknown-symbol symbol');
  });

  test('[P4] repeating one is harmless and publishes nothing; a change is published with its own seq', () => {
    const { market, out } = withAcme();
    const same = instrument(SYMBOL, { priceIncrement: 5, quantityIncrement: 10, seq: 99 });
    enter(market, out, [same, same]);
    expect(out.take()).toEqual([]);
    const changed = { ...same, priceIncrement: 1 };
    enter(market, out, [changed, trade({ price: 1, quantity: 10 })]);
    expect(out.take()[0]).toEqual({ ...changed, seq: 2 });
    expect(feedOf(market).definition.seq).toBe(2);
    enter(market, out, [{ ...changed, previousClose: 7 }]);
    expect(out.take()).toMatchObject([{ type: 'instrument', previousClose: 7 }]);
  });

  test('[N4] [P4] scales never change, not even within a submission', () => {
    const { market } = withAcme();
    const other = instrument(SYMBOL, { priceScale: 3 });
    expect(refusal(market, [other])).toBe('0 definition-conflict priceScale');
    expect(refusal(market, [instrument(SYMBOL, { quantityScale: 0 })])).toBe(
      '0 definition-conflict priceScale',
    );
    const fresh = instrument('NEW');
    expect(refusal(market, [fresh, { ...fresh, quantityScale: 9 }])).toBe(
      '1 definition-conflict priceScale',
    );
  });

  test('[N5] increments are above zero, and the market is feed', () => {
    const market = newMarket();
    for (const [field, value] of [
      ['priceIncrement', 0],
      ['priceIncrement', -1],
      ['quantityIncrement', 0],
    ] as const) {
      const wrong = instrument(SYMBOL, { [field]: value });
      expect(refusal(market, [wrong])).toBe(`0 invalid-field ${field}`);
    }
    expect(refusal(market, [instrument(SYMBOL, { market: 'venue' })])).toBe(
      '0 invalid-field market',
    );
  });

  test('are bounded in number; known ones do not count again', () => {
    const market = newMarket(3);
    const out = new Collected();
    enter(market, out, [instrument('A'), instrument('B')]);
    const again = [instrument('A', { previousClose: 1 }), instrument('B', { previousClose: 1 })];
    expect(refusal(market, [...again, instrument('C')])).toBeUndefined();
    expect(refusal(market, [instrument('C'), instrument('C'), instrument('D')])).toBe(
      '2 too-many-instruments symbol',
    );
    enter(market, out, [...again, instrument('C')]);
    expect(refusal(market, [instrument('D')])).toBe('0 too-many-instruments symbol');
    expect(refusal(market, [instrument('C', { previousClose: 2 })])).toBeUndefined();
    expect([...market.all()].map((i) => i.definition.symbol)).toEqual(['A', 'B', 'C']);
  });
});

describe('increments', () => {
  test('[N5] every value must be a whole multiple, and the wrong field is named', () => {
    const { market } = withAcme();
    const good = [5, 10, 10, 20];
    for (const [event, wrong] of [
      [trade({ price: 7, quantity: 10 }), 'price'],
      [trade({ price: 5, quantity: 11 }), 'quantity'],
      [bbo(0, [6, 10], null), 'bid'],
      [bbo(0, [5, 15], null), 'bidQuantity'],
      [bbo(0, null, [-1, 10]), 'ask'],
      [bbo(0, null, [5, 1]), 'askQuantity'],
      [book('delta', 0, 0, [...good, 11, 10], []), 'bids[2][0]'],
      [book('delta', 0, 0, [...good, 15, 1], []), 'bids[2][1]'],
      [book('snapshot', 0, 0, [], [...good, -4, 10]), 'asks[2][0]'],
    ] as const) {
      expect(refusal(market, [event])).toBe(`0 off-increment ${wrong}`);
    }
    const fine = [
      trade({ price: -5, quantity: 10 }),
      bbo(0, [-5, 10], [0, 0]),
      book('delta', 0, 0, good, [0, 0]),
    ];
    expect(refusal(market, fine)).toBeUndefined();
  });

  test('are those of the newest definition in the submission', () => {
    const { market } = withAcme();
    const finer = instrument(SYMBOL, { priceIncrement: 1, quantityIncrement: 1 });
    const off = trade({ price: 3, quantity: 3 });
    expect(refusal(market, [off, finer])).toBe('0 off-increment price');
    expect(refusal(market, [finer, off])).toBeUndefined();
  });
});

describe('owners', () => {
  test('[P5] one source feeds a symbol until it has disconnected', () => {
    const { market, out } = withAcme();
    const event = trade({ price: 5, quantity: 10 });
    expect(refusal(market, [event], 2)).toBeUndefined(); // a definition does not make it the owner
    enter(market, out, [event], 1);
    expect(refusal(market, [event], 2)).toBe('0 symbol-in-use symbol');
    expect(refusal(market, [instrument('FREE'), trade({ symbol: 'FREE' }), event], 2)).toBe(
      '2 symbol-in-use symbol',
    );
    expect(refusal(market, [event], 1)).toBeUndefined();
    market.release(2, out);
    expect(refusal(market, [event], 2)).toBe('0 symbol-in-use symbol');
    market.release(1, out);
    enter(market, out, [event], 2);
    expect(refusal(market, [event], 1)).toBe('0 symbol-in-use symbol');
  });
});

test('new events of a source count as heard, also those that wait; repetitions do not', () => {
  const { market, out } = withAcme({ priceIncrement: 1, quantityIncrement: 1 });
  const heardAt = (...events: SourceEvent[]): number => {
    out.receiveTime = out.receiveTime.plus(1_000);
    enter(market, out, events);
    return feedOf(market).heardAt!.since(at(0)) / 1_000;
  };
  const time = (): number => out.receiveTime.since(at(0)) / 1_000;
  expect(heardAt(trade({ seq: 5, prevSeq: 4 }))).toBe(time());
  const first = time();
  expect(heardAt(trade({ seq: 5, prevSeq: 4 }))).toBe(first);
  expect(heardAt(book('delta', 8, 7, [1, 1]))).toBe(time()); // waits for a snapshot
  expect(heardAt(book('snapshot', 8, 0, [1, 1]))).toBe(time());
  const last = time();
  expect(heardAt(book('delta', 8, 7, [1, 1]), trade({ seq: 5, prevSeq: 4 }))).toBe(last);
});

describe('a silent source', () => {
  const event = trade({ price: 5, quantity: 10 });

  test('[P5] may be followed by another, and then must wait for it', () => {
    const { market, out } = withAcme();
    enter(market, out, [event], 1);
    market.yield(2);
    expect(refusal(market, [event], 2)).toBe('0 symbol-in-use symbol');
    market.yield(1);
    out.take();
    enter(market, out, [event], 2);
    expect(out.take()).toMatchObject([
      { type: 'status', state: 'stale', reason: 'source-disconnected' },
      { type: 'status', state: 'live', reason: 'source-connected' },
      { type: 'trade' },
      { type: 'tick' },
    ]);
    expect(refusal(market, [event], 1)).toBe('0 symbol-in-use symbol');
    market.release(1, out); // it has disconnected at last, and feeds nothing any more
    expect(out.take()).toEqual([]);
  });

  test('[P5] continues silently; after it has disconnected, its instrument is stale', () => {
    const { market, out } = withAcme();
    enter(market, out, [event], 1);
    out.take();
    market.yield(1);
    expect(feedOf(market).state).toBe('live');
    enter(market, out, [event], 1);
    expect(out.take()).toMatchObject([{ type: 'trade' }, { type: 'tick' }]);
    expect(refusal(market, [event], 2)).toBe('0 symbol-in-use symbol');
    market.yield(1);
    market.release(1, out);
    expect(out.take()).toMatchObject([{ type: 'status', state: 'stale' }]);
  });
});

describe('volume', () => {
  const DAY_NS = 86_400e9;
  const one = fc.record({
    symbol: fc.constantFrom('A', 'B'),
    quantity: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.integer({ min: MAX - 5, max: MAX })),
    days: fc.integer({ min: 0, max: 2 }),
    restarts: fc.boolean(),
  });

  test('is the exact sum of the session, of any size, across restarts', () => {
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 40 }), (list) => {
        let market = newMarket();
        const out = new Collected();
        const whole = { priceIncrement: 1, quantityIncrement: 1 };
        enter(market, out, [instrument('A', whole), instrument('B', whole)]);
        const sums = new Map<string, { session: number; volume: bigint }>();
        let now = at(0);
        for (const { symbol, quantity, days, restarts } of list) {
          now = now.plus(days * DAY_NS);
          const session = sessionOf(now, 0);
          const before = sums.get(symbol);
          const volume = before?.session === session ? before.volume : 0n;
          sums.set(symbol, { session, volume: volume + BigInt(quantity) });
          out.receiveTime = now;
          enter(market, out, [trade({ symbol, quantity, eventTime: now })]);
          if (!restarts) continue;
          const text = writeCheckpoint(market.checkpoint());
          market = newMarket();
          market.restore(readCheckpoint(text), []);
        }
        for (const [symbol, { volume }] of sums) {
          expect(BigInt(feedOf(market, symbol).currentTick()!.volume)).toBe(volume);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('after a restart', () => {
  test('every instrument is published with its earlier state, and marked if it has no book', () => {
    const { market, out } = withAcme({ priceIncrement: 1, quantityIncrement: 1 });
    enter(market, out, [instrument('LOST'), book('delta', 2, 1, [], [], { symbol: 'LOST' })]);
    enter(market, out, [instrument('QUIET')]);
    const again = newMarket();
    again.restore(market.checkpoint(), []);
    again.announceRecovered(out);
    const published = out.take().filter((e) => e.type === 'status' && e.reason === 'restart');
    expect(published.map((e) => (e.type === 'status' ? `${e.symbol} ${e.state}` : ''))).toEqual([
      `${SYMBOL} recovered`,
      'LOST incomplete',
      'QUIET recovered',
    ]);
  });

  test('a book of which the journal had only ten levels waits for a snapshot, also after the next start', () => {
    const { market, out } = withAcme({ priceIncrement: 1, quantityIncrement: 1 });
    const bids = Array.from({ length: 12 }, (_, i) => [100 - i, 1]).flat();
    enter(market, out, [book('snapshot', 10, 0, bids)]);
    const checkpoint = market.checkpoint();
    out.take();
    enter(market, out, [book('delta', 11, 10, [100, 2])]);
    const tail = out.take();
    for (const starts of [1, 2, 3]) {
      let again = newMarket();
      again.restore(checkpoint, tail);
      for (let i = 1; i < starts; i++) {
        const next = newMarket();
        next.restore(readCheckpoint(writeCheckpoint(again.checkpoint())), []);
        again = next;
      }
      expect(feedOf(again).bookView()!.bids).toEqual([100, 2, ...bids.slice(2, 20)]);
      // Sent again by a source that had no answer, or numbered from the beginning.
      const delta = starts === 1 ? book('delta', 11, 10, [100, 3]) : book('delta', 5, 0, [100, 3]);
      enter(again, out, [delta]);
      expect(feedOf(again).bookView()).toBeNull();
      enter(again, out, [book('snapshot', 12, 0, [7, 7])]);
      expect(feedOf(again).bookView()!.bids).toEqual([7, 7]);
    }
  });

  test('an event of an undefined instrument means a damaged journal', () => {
    expect(() => newMarket().restore(null, [trade({ seq: 1 })])).toThrow('not defined before it');
  });
});
