import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import type { Trade } from '../../protocol/messages';
import { RecentTrades } from '../../src/cache/recent-trades';
import { trade } from '../support/market-events';

const LATEST = Number.MAX_SAFE_INTEGER;

function trades(symbol: string, seqs: readonly number[]): Trade[] {
  return seqs.map((seq) => trade({ symbol, seq }));
}

describe('recent trades', () => {
  test('an answer is what the whole history would give, or none', () => {
    const asked = fc.record({
      symbol: fc.constantFrom('A', 'B', 'NONE'),
      before: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constant(LATEST)),
      limit: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.constantFrom('A', 'B', 'tick'), { maxLength: 120 }),
        fc.array(asked, { maxLength: 20 }),
        (tradesMax, made, questions) => {
          const recent = new RecentTrades(tradesMax);
          const history: Record<string, Trade[]> = { A: [], B: [], NONE: [] };
          for (const [i, symbol] of made.entries()) {
            const [event] = trades(symbol === 'tick' ? 'A' : symbol, [i + 1]);
            if (symbol === 'tick') {
              const { eventTime, receiveTime } = event!;
              const more = { last: 1, bid: null, ask: null, quantity: 1, volume: 1, count: 1 };
              recent.accept([{ type: 'tick', symbol: 'A', seq: i + 1, prevSeq: 0, eventTime, receiveTime, ...more }]); // prettier-ignore
            } else {
              recent.accept([event!]);
              history[symbol]!.unshift(event!);
            }
          }
          for (const { symbol, before, limit } of questions) {
            const all = history[symbol]!.filter((t) => t.seq < before).slice(0, limit);
            const answer = recent.newest(symbol, before, limit);
            // It may pass when some have left, but must know when it holds them all.
            const kept = history[symbol]!.slice(0, tradesMax).filter((t) => t.seq < before);
            const known = kept.length >= limit || history[symbol]!.length < tradesMax;
            if (known) expect(answer).toEqual(all);
            else expect(answer === undefined || Bun.deepEquals(answer, all)).toBe(true);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('passes when a trade that was asked for has left the memory', () => {
    const recent = new RecentTrades(3);
    for (const t of trades('A', [1, 2, 3, 4])) recent.add(t);
    expect(recent.newest('A', LATEST, 3)).toEqual(trades('A', [4, 3, 2]));
    expect(recent.newest('A', LATEST, 4)).toBeUndefined();
    expect(recent.newest('A', 3, 1)).toEqual(trades('A', [2]));
    expect(recent.newest('A', 3, 2)).toBeUndefined();
    expect(recent.newest('A', 2, 1)).toBeUndefined();
    expect(recent.newest('B', LATEST, 4)).toEqual([]);
  });
});
