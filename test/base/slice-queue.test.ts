import { expect, test } from 'bun:test';

import { ManualClock } from '../../src/base/clock';
import { SliceQueue } from '../../src/base/slice-queue';

class Scene {
  readonly clock = new ManualClock();
  readonly log: string[] = [];
  private readonly scheduled: (() => void)[] = [];
  readonly queue = new SliceQueue(this.clock, (slice) => void this.scheduled.push(slice));

  /** Work of a number of steps that each take a given time. */
  run(name: string, steps: number, ms: number): Promise<string> {
    const work = function* (this: Scene): Generator<undefined, string> {
      for (let i = 1; i <= steps; i++) {
        this.log.push(`${name}${i}`);
        this.clock.advance(ms * 1e6);
        if (i < steps) yield;
      }
      return `${name} done`;
    };
    return this.queue.run(work.call(this));
  }

  /** Runs one turn of the loop. @returns what was done in it */
  turn(): string {
    this.log.length = 0;
    for (const slice of this.scheduled.splice(0)) slice();
    return this.log.join(' ');
  }
}

test('a slice ends when its time is used, and waiting jobs alternate', async () => {
  const scene = new Scene();
  const long = scene.run('a', 5, 1);
  const other = scene.run('b', 2, 2);
  const short = scene.run('c', 1, 0);
  expect([scene.turn(), scene.turn(), scene.turn()]).toEqual(['a1 a2', 'b1', 'c1 a3 a4']);
  expect(await short).toBe('c done');
  expect([scene.turn(), scene.turn(), scene.turn()]).toEqual(['b2', 'a5', '']);
  expect([await long, await other]).toEqual(['a done', 'b done']);
});

test('a failing job fails alone, and work added at the end of another runs later', async () => {
  const scene = new Scene();
  const work = function* (): Generator<undefined, number> {
    yield;
    throw new Error('no');
  };
  const failing = scene.queue.run(work()).catch((e: Error) => e.message);
  const good = scene.run('a', 1, 0);
  scene.turn();
  expect(await failing).toBe('no');
  expect(await good).toBe('a done');
  const later = scene.run('b', 1, 0);
  expect(scene.turn()).toBe('b1');
  expect(await later).toBe('b done');
});
