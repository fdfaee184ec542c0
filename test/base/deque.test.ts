import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { Deque } from '../../src/base/deque';

test('a deque of any size holds the same items in the same order as an array', () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.constant('push' as const) },
    { weight: 2, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.constant('fit' as const) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const deque = new Deque<number>();
      const naive: number[] = [];
      for (const [i, what] of operations.entries()) {
        if (what === 'push') {
          deque.push(i);
          naive.push(i);
        } else if (what === 'fit') {
          deque.fit();
        } else {
          expect(deque.shift()).toBe(naive.shift());
        }
        expect(deque.length).toBe(naive.length);
        expect([...deque]).toEqual(naive);
        for (let at = -1; at <= naive.length; at++) expect(deque.at(at)).toBe(naive[at]);
      }
    }),
  );
});
