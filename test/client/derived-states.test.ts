/** [D9] Bars and statistics in the client: whole states, of which each new one is delivered once. */

import { describe, expect, test } from 'bun:test';

import type { Bar, Stats } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { parseTopic } from '../../protocol/topics';
import { Prng } from '../../src/base/prng';
import { TopicChain } from '../../src/client/topic-chain';
import { readSeed } from '../support/seed';

const TIMES = { eventTime: Nanos.ZERO, receiveTime: Nanos.ZERO };

function bar(second: number, seq: number, prevSeq: number, trades: number, final: boolean): Bar {
  const values = {
    open: 1,
    high: trades,
    low: 1,
    close: trades,
    volume: trades,
    trades,
    final,
    count: 1,
  };
  return {
    type: 'bar',
    symbol: 'A',
    seq,
    prevSeq,
    ...TIMES,
    interval: '1s',
    openTime: Nanos.fromSeconds(second, 0),
    ...values,
  };
}

function stats(seq: number, prevSeq: number): Stats {
  const values = {
    open: 1,
    high: 1,
    low: 1,
    last: 1,
    previousClose: null,
    volume: seq,
    turnover: '1',
    vwap: null,
    trades: seq,
    count: 1,
    change: null,
  };
  return { type: 'stats', symbol: 'A', seq, prevSeq, ...TIMES, ...values };
}

function chain(topic = 'bar:A:1s', last = 0): TopicChain {
  return new TopicChain(topic, parseTopic(topic)!, last, undefined);
}

describe('bars', () => {
  test('only a prevSeq above the last means that messages are missing', () => {
    const c = chain();
    expect(c.take(bar(1, 5, 0, 1, false))).toBe('taken');
    expect(c.take(bar(1, 5, 5, 1, true))).toBe('taken');
    expect(c.take(bar(2, 9, 3, 1, false))).toBe('taken');
    expect(c.take(bar(0, 7, 9, 3, true))).toBe('taken'); // a revision, at its own seq
    expect(c.last).toBe(9);
    expect(c.take(bar(2, 12, 11, 2, false))).toBe('broken');
    expect(c.take(bar(2, 12, 11, 2, false))).toBe('dropped');
    // An answer to a resume.
    expect(c.take(bar(1, 11, 0, 4, true))).toBe('taken');
    expect(c.take(bar(2, 12, 11, 2, false))).toBe('taken');
  });

  test('a state that is older than the held one, or has nothing new, is not delivered', () => {
    const c = chain();
    c.take(bar(1, 5, 0, 1, false));
    c.take(bar(1, 8, 5, 2, true));
    expect(c.take(bar(1, 6, 0, 9, true))).toBe('repeated');
    expect(c.take(bar(1, 8, 8, 2, true))).toBe('repeated');
    expect(c.take(bar(1, 9, 8, 2, true))).toBe('repeated');
    // A server that has just started does not know yet that the clock has ended it.
    expect(c.take(bar(1, 9, 9, 2, false))).toBe('repeated');
    expect(c.take(bar(1, 12, 9, 3, false))).toBe('taken');
    expect(c.take(bar(1, 12, 12, 3, true))).toBe('taken');
  });

  test('the end of a bar that follows a reset, before its state is complete, does not count as a repetition', () => {
    const c = chain('bar:A:1s', 3);
    c.reset(10);
    expect(c.take(bar(1, 7, 0, 2, false))).toBe('taken');
    expect(c.take(bar(1, 7, 7, 2, true))).toBe('taken');
    expect(c.take(bar(1, 7, 7, 2, true))).toBe('repeated');
  });

  test('[R5] what a crash lost is invalid, whatever its seq; what was before it stays', () => {
    const c = chain();
    c.take(bar(1, 5, 0, 1, true));
    c.take(bar(2, 9, 5, 4, true));
    c.isUnconfirmed = true;
    const gap = {
      type: 'gap',
      topic: 'bar:A:1s',
      from: 7,
      to: 12,
      count: 6,
      reason: 'not-journaled',
      shard: null,
    } as const;
    expect(c.skip(gap)).toBe(true);
    expect(c.state()).toMatchObject([{ trades: 1, seq: 12 }]);
    expect(c.take(bar(1, 5, 0, 1, true))).toBe('repeated');
    expect(c.take(bar(2, 6, 5, 2, true))).toBe('taken');
    expect(c.take(bar(3, 14, 6, 1, false))).toBe('taken');
    expect(c.last).toBe(14);
  });

  test('of many revised bars the newest stays the state', () => {
    const random = new Prng(readSeed());
    const c = chain();
    c.take(bar(100_000, 5, 0, 1, false));
    let seq = 5;
    for (let i = 0; i < 1_000; i++) {
      expect(c.take(bar(random.int(0, 90_000), (seq += 1), c.last, 1 + i, true))).toBe('taken');
      expect(c.state()).toMatchObject([
        { openTime: Nanos.fromSeconds(100_000, 0), trades: 1, seq },
      ]);
    }
  });
});

test('statistics: the state with the highest seq stays', () => {
  const c = chain('stats:A');
  expect(c.take(stats(5, 0))).toBe('taken');
  expect(c.take(stats(5, 0))).toBe('repeated');
  expect(c.take(stats(9, 0))).toBe('taken'); // of a resume
  expect(c.take(stats(7, 0))).toBe('repeated');
  expect(c.take(stats(12, 11))).toBe('broken');
  expect(c.state()).toMatchObject([{ seq: 9, prevSeq: 0, count: 1 }]);
});
