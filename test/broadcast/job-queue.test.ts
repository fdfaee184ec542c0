/** Job queue: jobs run in order, with a bounded cost in one turn. */

import { expect, test } from 'bun:test';
import fc from 'fast-check';

import { SystemClock } from '../../src/base/clock';
import { JobQueue } from '../../src/broadcast/subscriptions/job-queue';

test('jobs run in order, and a turn ends after the job that reaches its cost limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 8 }),
      async (costs, costMax) => {
        const queue = new JobQueue(costMax, new SystemClock().turns);
        const done: number[] = [];
        const turns: number[] = [];
        let turn = 0;
        for (const [i, cost] of costs.entries()) {
          queue.run(() => {
            done.push(i);
            turns[turn] = (turns[turn] ?? 0) + cost;
          }, cost);
        }
        while (done.length < costs.length) {
          turn += 1;
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(done).toEqual([...costs.keys()]);
        const most = Math.max(0, ...costs);
        for (const cost of turns) expect(cost ?? 0).toBeLessThan(costMax + most);
      },
    ),
  );
});
