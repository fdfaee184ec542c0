/** A consumer that falls behind: it slows only itself, its memory is bounded, its losses are declared. */

import { describe, expect, test } from 'bun:test';

import type { Bar } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { ItemQueue } from '../../src/client/item-queue';
import type { GapItem } from '../../src/client/items';
import { Bench, brief, drain } from './support';
import { settled } from './wires';

describe('a slow consumer', () => {
  test('of states the newest is kept with its count, books become a snapshot, trades a gap', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['tick:*', 'book:AAA', 'trade:AAA'], { queueMax: 30 });
    const quick = client.subscribe(['trade:AAA']);
    await slow.ready;
    for (let i = 0; i < 200; i++) {
      model.tick('AAA', i);
      model.trade('AAA');
      model.book('AAA', [100 + i, 1], [500, 1]);
      await settled();
      expect(slow.waiting).toBeLessThanOrEqual(30);
    }
    expect((await drain(quick)).filter((m) => m.type === 'trade')).toHaveLength(200);
    const items = await drain(slow);
    const ticks = items.filter((m) => m.type === 'tick');
    expect(ticks.reduce((sum, { count }) => sum + count, 0)).toBe(200);
    let prevSeq = 0;
    for (const tick of ticks) {
      expect(tick.prevSeq).toBe(prevSeq);
      prevSeq = tick.seq;
    }
    expect(ticks.at(-1)!.last).toBe(199);
    const books = items.filter((m) => m.type === 'book');
    expect(books[0]!.form).toBe('snapshot');
    expect(books.reduce((sum, { count }) => sum + count, 0)).toBe(200);
    const gap = items.find((m) => m.type === 'gap');
    const trades = items.filter((m) => m.type === 'trade');
    expect(gap).toMatchObject({ topic: 'trade:AAA', from: 2, reason: 'slow-reader', local: true });
    expect(gap!.count + trades.length).toBe(200);
    expect(trades[0]!.prevSeq).toBe(gap!.to);
    expect(items.indexOf(gap!)).toBeLessThan(items.indexOf(trades[0]!));
    client.close();
  });

  test('the snapshot that replaces books equals the book, and later messages continue it', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['book:AAA'], { queueMax: 5 });
    await slow.ready;
    for (let i = 0; i < 23; i++) model.book('AAA', [100 + i, 1, 50, i + 1], []);
    const items = await drain(slow);
    const [first, ...rest] = items.filter((m) => m.type === 'book');
    expect(first!.form).toBe('snapshot');
    let last = first!.seq;
    for (const delta of rest) {
      expect([delta.form, delta.prevSeq]).toEqual(['delta', last]);
      last = delta.seq;
    }
    expect(last).toBe(23);
    client.close();
  });

  test('declared gaps and resets do not accumulate either', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['trade:AAA', 'tick:AAA'], { queueMax: 20 });
    await slow.ready;
    const [peer] = model.peers;
    for (let i = 0; i < 300; i++) {
      peer!.fault = 'announce';
      model.trade('AAA');
      model.tick('AAA');
      const head = { type: 'reset', epoch: 1, reason: 'too-slow', shard: null } as const;
      if (i % 3 === 0) peer!.wire.send([{ ...head, topics: ['tick:AAA'], seq: model.seq }]);
      await settled();
      expect(slow.waiting).toBeLessThanOrEqual(20);
    }
    const items = await drain(slow);
    // A reset or a gap declares what was left out, before what follows it.
    expect(items[0]!.type).toMatch(/^(reset|gap)$/);
    client.close();
  });

  test('only trades: the gaps of falling behind several times add up', async () => {
    const bench = new Bench();
    const { model } = bench;
    const client = await bench.connect();
    const slow = client.subscribe(['trade:*'], { queueMax: 10 });
    await slow.ready;
    for (let i = 0; i < 101; i++) model.trade(i % 2 === 0 ? 'AAA' : 'BBB');
    const items = await drain(slow);
    expect(items.length).toBeLessThanOrEqual(10);
    const gaps = items.filter((m): m is GapItem => m.type === 'gap');
    expect(gaps.map(brief)).toHaveLength(2);
    const missed = gaps.reduce((sum, { count }) => sum + count, 0);
    expect(missed + items.length - 2).toBe(101);
    client.close();
  });

  test('[D8] of each bar the newest state is kept; the oldest bars are replaced by a gap', () => {
    const queue = new ItemQueue(20, {
      stateOf: () => [],
      topicCount: () => 1,
      shardOf: () => null,
      restart: () => [],
    });
    const prices = { open: 1, high: 1, low: 1, close: 1, volume: 1, trades: 1 };
    for (let i = 1; i <= 400; i++) {
      const openTime = Nanos.fromSeconds(Math.ceil(i / 10), 0);
      const times = { eventTime: openTime, receiveTime: openTime, openTime };
      const head = { type: 'bar', symbol: 'AAA', interval: '1s', seq: i, prevSeq: i - 1 } as const;
      queue.push({ ...head, ...times, ...prices, final: i % 10 === 0, count: 1 });
      expect(queue.length).toBeLessThanOrEqual(20);
    }
    const items = Array.from({ length: queue.length }, () => queue.shift()!);
    const [gap, ...bars] = items as [GapItem, ...Bar[]];
    expect(gap).toMatchObject({ type: 'gap', topic: 'bar:AAA:1s', from: 10, shard: null });
    let last = gap.to;
    for (const bar of bars) {
      expect(bar.prevSeq).toBe(last);
      last = bar.seq;
    }
    expect(last).toBe(400);
    const finals = bars.filter(({ final }) => final).map(({ seq }) => seq);
    for (let seq = bars[0]!.seq; seq <= 400; seq += 10) expect(finals).toContain(seq);
  });
});
