/** The limits of a feed book, and what a checkpoint and a truncated book may do. */

import { describe, expect, test } from 'bun:test';

import { FEED_LEVELS_MAX, FeedBook } from '../../src/market/feed-book';
import { HELD_LEVELS_MAX } from '../../src/market/held-deltas';
import { book } from '../support/market-events';

const HELD_DELTAS_MAX = 2_000;

function top(b: FeedBook): { bids: number[]; asks: number[] } {
  return { bids: b.bids.top(1e6), asks: b.asks.top(1e6) };
}

describe('feed book', () => {
  test('[P9] keeps the newest 2,000 deltas: a snapshot within their range completes the book', () => {
    const deltas = HELD_DELTAS_MAX + 500;
    for (const [snapshotSeq, outcome] of [
      [500, 'applied'],
      [499, 'held'],
    ] as const) {
      const b = new FeedBook();
      for (let seq = 1; seq <= deltas; seq++) {
        expect(b.apply(book('delta', seq, seq - 1, [seq, 1]))).toBe('held');
      }
      expect(b.apply(book('snapshot', snapshotSeq, 0, [-1, 7]))).toBe(outcome);
      if (outcome === 'held') {
        expect([b.state, top(b)]).toEqual(['incomplete', { bids: [], asks: [] }]);
        continue;
      }
      expect([b.state, b.sourceSeq, b.bids.length]).toEqual(['live', deltas, HELD_DELTAS_MAX + 1]);
      expect([b.bids.best, top(b).bids.slice(-2)]).toEqual([deltas, [-1, 7]]);
    }
  });

  test('[P9] keeps a limited number of levels, but always the newest delta', () => {
    const levels = (count: number): number[] =>
      Array.from({ length: count }, (_, i) => [i + 1, 1]).flat();
    const half = HELD_LEVELS_MAX / 2;
    const b = new FeedBook();
    for (let seq = 1; seq <= 3; seq++) b.apply(book('delta', seq, seq - 1, levels(half)));
    expect(b.levelCount).toBe(HELD_LEVELS_MAX);
    for (const [snapshotSeq, outcome] of [
      [0, 'held'],
      [1, 'applied'],
    ] as const) {
      const other = new FeedBook();
      for (let seq = 1; seq <= 3; seq++) other.apply(book('delta', seq, seq - 1, levels(half)));
      expect(other.apply(book('snapshot', snapshotSeq, 0, [-1, 7]))).toBe(outcome);
    }
    const large = new FeedBook();
    large.apply(book('delta', 1, 0, levels(10)));
    large.apply(book('delta', 2, 1, levels(HELD_LEVELS_MAX + 1)));
    expect(large.levelCount).toBe(HELD_LEVELS_MAX + 1);
    expect(large.apply(book('snapshot', 1, 0, [-1, 7]))).toBe('applied');
    expect(large.levelCount).toBe(HELD_LEVELS_MAX + 2);
  });

  test('a book that grows beyond its limit is incomplete, and completed by a smaller one', () => {
    const b = new FeedBook();
    const levels = Array.from({ length: FEED_LEVELS_MAX }, (_, i) => [i + 1, 1]).flat();
    expect(b.apply(book('snapshot', 1, 0, [], levels))).toBe('applied');
    expect(b.apply(book('delta', 2, 1, [], [5, 9]))).toBe('applied');
    expect(b.apply(book('delta', 3, 2, [], [0, 1]))).toBe('too-many-levels');
    expect([b.state, top(b)]).toEqual(['incomplete', { bids: [], asks: [] }]);
    expect(b.apply(book('delta', 4, 3, [], [7, 1]))).toBe('held');
    expect(b.apply(book('snapshot', 3, 0, [], [7, 3, 8, 2]))).toBe('applied');
    expect([b.state, top(b).asks]).toEqual(['live', [7, 1, 8, 2]]);
    expect(b.apply(book('snapshot', 5, 0, [], [...levels, 0, 1]))).toBe('too-many-levels');
    expect([b.state, top(b)]).toEqual(['incomplete', { bids: [], asks: [] }]);
  });

  test('[P8] a delta may overlap a snapshot once, and never another delta', () => {
    const b = new FeedBook();
    b.apply(book('snapshot', 10, 0, [1, 1]));
    expect(b.apply(book('delta', 10, 5, [1, 2]))).toBe('repeated');
    expect(b.apply(book('delta', 12, 5, [1, 3]))).toBe('applied');
    expect(b.apply(book('delta', 14, 11, [1, 4]))).toBe('overlap');
    expect(b.state).toBe('incomplete');
  });

  test('[P8] a delta without a number continues, even after numbers', () => {
    const b = new FeedBook();
    b.apply(book('snapshot', 10, 0, [1, 1]));
    expect(b.apply(book('delta', 0, 0, [1, 2]))).toBe('applied');
    expect(b.apply(book('delta', 11, 10, [2, 2]))).toBe('applied');
    expect([b.sourceSeq, top(b).bids]).toEqual([11, [2, 2, 1, 2]]);
  });

  test('[P9] without a number, what arrived while it was incomplete is dropped', () => {
    const b = new FeedBook();
    expect(b.apply(book('delta', 0, 0, [1, 5, 2, 5]))).toBe('dropped');
    expect(b.apply(book('snapshot', 0, 0, [1, 7]))).toBe('applied');
    expect(top(b).bids).toEqual([1, 7]);
  });

  test('a source that was disconnected continues by number only', () => {
    for (const [seq, prevSeq, outcome] of [
      [11, 10, 'applied'],
      [12, 11, 'gap'],
      [0, 0, 'dropped'],
    ] as const) {
      const b = new FeedBook();
      b.apply(book('snapshot', 10, 0, [1, 1]));
      b.interrupt();
      expect(b.state).toBe('live');
      expect(b.apply(book('delta', seq, prevSeq, [2, 2]))).toBe(outcome);
    }
  });

  test('a source that begins again is not mixed with what it sent before', () => {
    const b = new FeedBook();
    b.apply(book('snapshot', 500, 0, [1, 1]));
    expect(b.apply(book('delta', 503, 502, [2, 2]))).toBe('gap');
    expect(b.apply(book('incomplete', 0, 0))).toBe('incomplete');
    expect(b.apply(book('snapshot', 1, 0, [3, 3]))).toBe('applied');
    expect(b.apply(book('delta', 2, 1, [4, 4]))).toBe('applied');
    expect([b.state, b.sourceSeq, top(b).bids]).toEqual(['live', 2, [4, 4, 3, 3]]);
  });

  test('best levels alone are published, and continued by a snapshot only', () => {
    const b = new FeedBook();
    b.truncate([5, 1], [6, 1]);
    expect([b.state, top(b)]).toEqual(['live', { bids: [5, 1], asks: [6, 1] }]);
    expect(b.apply(book('delta', 1, 0, [5, 2]))).toBe('held');
    expect(b.state).toBe('incomplete');
    expect(b.apply(book('snapshot', 1, 0, [5, 3]))).toBe('applied');
    b.truncate([5, 1], []);
    expect(b.apply(book('delta', 0, 0, [5, 2]))).toBe('dropped');
    b.truncate([5, 1], []);
    expect(b.apply(book('snapshot', 0, 0, [5, 3]))).toBe('applied');
    expect(b.apply(book('delta', 0, 0, [5, 4]))).toBe('applied');
    expect(top(b).bids).toEqual([5, 4]);
  });
});
