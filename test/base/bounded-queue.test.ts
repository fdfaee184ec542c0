import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';

import { BoundedQueue } from '../../src/base/bounded-queue';

describe('bounded queue', () => {
  test('behaves like an array with a bound', () => {
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.constant('push' as const) },
      { weight: 2, arbitrary: fc.constant('shift' as const) },
      { weight: 1, arbitrary: fc.constant('fit' as const) },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 70 }),
        fc.array(operation, { maxLength: 300 }),
        (capacity, operations) => {
          const queue = new BoundedQueue<number>(capacity);
          const naive: number[] = [];
          for (const [i, what] of operations.entries()) {
            if (what === 'push') {
              const fits = naive.length < capacity;
              if (fits) naive.push(i);
              expect(queue.push(i)).toBe(fits ? 'queued' : 'dropped');
            } else if (what === 'fit') {
              queue.fit();
            } else {
              expect(queue.shift()).toBe(naive.shift());
            }
            expect(queue.length).toBe(naive.length);
            expect([...queue]).toEqual(naive);
            for (let at = -1; at <= naive.length; at++) expect(queue.at(at)).toBe(naive[at]);
          }
        },
      ),
    );
  });

  test('grows to its bound in order, wherever its ring begins', () => {
    const queue = new BoundedQueue<number>(1000);
    for (let i = 0; i < 10; i++) queue.push(-1);
    for (let i = 0; i < 10; i++) queue.shift();
    for (let i = 0; i < 1000; i++) expect(queue.push(i)).toBe('queued');
    expect(queue.push(1000)).toBe('dropped');
    for (let i = 0; i < 1000; i++) expect(queue.shift()).toBe(i);
    expect(queue.shift()).toBeUndefined();
  });

  test('shrinks and keeps its order', () => {
    const queue = new BoundedQueue<number>(10_000);
    for (let i = 0; i < 5_000; i++) queue.push(i);
    for (let i = 0; i < 5_000; i++) {
      expect(queue.shift()).toBe(i);
      queue.fit();
      expect(queue.at(0)).toBe(i === 4_999 ? undefined : i + 1);
    }
    for (let i = 0; i < 100; i++) queue.push(i);
    expect([...queue]).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test('keeps no reference to removed items', async () => {
    const queue = new BoundedQueue<object>(4);
    const collected: string[] = [];
    const registry = new FinalizationRegistry((name: string) => void collected.push(name));
    (() => {
      const item = {};
      registry.register(item, 'item');
      queue.push(item);
      queue.shift();
    })();
    for (let i = 0; i < 50 && collected.length === 0; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    expect(collected).toEqual(['item']);
    expect(queue.length).toBe(0);
  });
});
