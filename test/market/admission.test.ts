/** What a long submission reserves while it is checked and applied; and what the end of a source affects. */

import { describe, expect, test } from 'bun:test';

import type { SourceEvent } from '../../protocol/messages';
import { FeedInstrument } from '../../src/market/feed-instrument';
import { Market } from '../../src/market/market';
import {
  book,
  Collected,
  feedOf,
  instrument,
  newMarket,
  SYMBOL,
  trade,
} from '../support/market-events';

function refusal(market: Market, source: number, events: readonly SourceEvent[]) {
  return market.check(source, events)?.fault.code;
}

function begin(market: Market, source: number, events: readonly SourceEvent[]) {
  return market.admit({ source, owner: `key${source}`, isDecimal: false }, events, true);
}

describe('a long submission', () => {
  test('[P5] owns its symbols from its check on, and releases them', () => {
    const market = newMarket();
    const out = new Collected();
    market.define(instrument(), out);
    const events = [trade(), instrument('NEW'), trade({ symbol: 'NEW' })];
    const admission = begin(market, 1, events);
    expect(admission.check(1)).toBeUndefined();
    expect(refusal(market, 2, [trade()])).toBe('symbol-in-use');
    expect(refusal(market, 2, [instrument()])).toBe('symbol-in-use');
    expect(refusal(market, 2, [instrument('NEW')])).toBeUndefined();
    expect(admission.check(3)).toBeUndefined();
    // Other scales would change the meaning of what was checked.
    expect(refusal(market, 2, [instrument('NEW', { priceScale: 5 })])).toBe('symbol-in-use');
    expect(market.checkOwn([instrument('NEW', { priceScale: 5 })])?.fault.code).toBe(
      'symbol-in-use',
    );
    expect(refusal(market, 2, [instrument('OTHER')])).toBeUndefined();
    admission.close();
    expect(refusal(market, 2, [trade()])).toBeUndefined();
    expect(refusal(market, 2, [instrument('NEW', { priceScale: 5 })])).toBeUndefined();
  });

  test('counts the instruments that it adds, each once', () => {
    const market = newMarket(2);
    const out = new Collected();
    const events = [instrument('A'), instrument('B'), trade({ symbol: 'A' })];
    const admission = begin(market, 1, events);
    expect(admission.check(1)).toBeUndefined();
    expect(refusal(market, 2, [instrument('C')])).toBeUndefined();
    expect(admission.check(3)).toBeUndefined();
    expect(refusal(market, 2, [instrument('C')])).toBe('too-many-instruments');
    expect(market.checkOwn([instrument('C')])?.fault.code).toBe('too-many-instruments');
    market.apply(1, events[0]!, out);
    expect(refusal(market, 1, [instrument('A')])).toBe('symbol-in-use');
    admission.close();
    expect(refusal(market, 2, [instrument('C')])).toBeUndefined();
    expect(refusal(market, 2, [instrument('C'), instrument('D')])).toBe('too-many-instruments');
  });

  test('counts the levels that it may add', () => {
    const limits = { instrumentsMax: 10, endedOrdersMax: 100 };
    const market = new Market({ ...limits, levelsMax: 10, levelsPerKeyMax: 10 });
    const out = new Collected();
    for (const symbol of ['A', 'B']) market.define(instrument(symbol), out);
    const eight = [1, 1, 2, 1, 3, 1, 4, 1];
    const events = [{ ...book('snapshot', 0, 0, eight, eight), symbol: 'A' }];
    const other = [{ ...book('snapshot', 0, 0, [1, 1, 2, 1, 3, 1]), symbol: 'B' }];
    const admission = begin(market, 1, events);
    expect(refusal(market, 2, other)).toBeUndefined();
    expect(admission.check(1)).toBeUndefined();
    expect(refusal(market, 2, other)).toBe('too-many-levels');
    admission.close();
    expect(refusal(market, 2, other)).toBeUndefined();
  });
});

describe('the end of a source', () => {
  test('affects only what it fed, in parts', () => {
    const market = newMarket(2_000);
    const out = new Collected();
    for (let i = 0; i < 1_000; i++) market.define(instrument(`S${i}`), out);
    for (let i = 0; i < 10; i++) market.apply(7, trade({ symbol: `S${i * 100}` }), out);
    market.apply(8, trade({ symbol: 'S1' }), out);
    market.seal();
    out.take();
    const asked: string[] = [];
    for (const instrument of market.all()) {
      if (!(instrument instanceof FeedInstrument)) continue;
      const own = instrument.release.bind(instrument);
      instrument.release = (o) => {
        asked.push(instrument.definition.symbol);
        own(o);
      };
    }
    expect([market.knows(7), market.knows(8), market.knows(9)]).toEqual([true, true, false]);
    expect([market.release(9, out), asked]).toEqual([0, []]);
    expect(market.release(7, out, 4)).toBe(6);
    expect(asked).toEqual(['S0', 'S100', 'S200', 'S300']);
    expect([feedOf(market, 'S0').owner, feedOf(market, 'S900').owner]).toEqual([0, 7]);
    // A symbol that another source has taken over is not its own any more.
    market.yield(7);
    market.apply(8, trade({ symbol: 'S400' }), out);
    expect(market.release(7, out, 4)).toBe(1);
    expect(market.release(7, out, 4)).toBe(0);
    expect(asked.length).toBe(10);
    expect(feedOf(market, 'S400').owner).toBe(8);
    expect([market.knows(7), market.knows(8)]).toEqual([false, true]);
  });

  test('forgets which of its definitions were refused', () => {
    const market = newMarket();
    const out = new Collected();
    market.define(instrument(), out);
    expect(refusal(market, 3, [instrument(SYMBOL, { priceScale: 5 })])).toBe('definition-conflict');
    expect([market.knows(3), refusal(market, 3, [trade()])]).toEqual([true, 'definition-conflict']);
    market.release(3, out);
    expect([market.knows(3), refusal(market, 3, [trade()])]).toEqual([false, undefined]);
  });
});
