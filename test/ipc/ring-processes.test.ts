/** The ring between processes that are stopped and killed at random: no torn and no uncounted records. */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { makeRing, openRing, RingDirectory } from './made-ring';
import type { Seen } from './ring-reader-child';
import { lastLine, runRing, startChild, wrongsOf } from './ring-run';
import { until } from '../support/until';
import { deep } from '../support/tier';

setDefaultTimeout(60_000);
const rings = new RingDirectory();
afterAll(() => rings.remove());

const RUNS = [
  [2, 'SIGKILL'],
  [1, 'SIGTERM'],
  [4, 'SIGTERM'],
] as const;

for (const [readers, end] of deep(RUNS, 2)) {
  test(`${readers} readers, stopped and killed at random; the writer ends by ${end}`, async () => {
    const seed = readSeed();
    console.log(`ring run: seed ${seed}`);
    // On a busy machine a run may end before a reader has read any record.
    for (let run = 0, returned = 0; returned === 0; run++) {
      expect(run).toBeLessThan(10);
      const shape = {
        path: rings.fresh(),
        slots: 4_096,
        readers,
        seconds: 2,
        seed: seed + run,
        end,
      };
      const outcome = await runRing(shape);
      expect(wrongsOf(outcome, readers)).toEqual([]);
      returned = outcome.seen.reduce((sum, seen) => sum + seen.returned, 0);
      expect(outcome.stops + outcome.kills).toBeGreaterThan(0);
      expect(outcome.records === undefined).toBe(end === 'SIGKILL');
    }
  });
}

test('a reader that starts late reads to the end, and a stopped reader is lapped', async () => {
  const path = rings.fresh();
  const writer = await startChild('ring-writer-child.ts', path, '1024', '1', '0', '0');
  const early = await startChild('ring-reader-child.ts', path);
  early.kill('SIGSTOP');
  const before = openRing(path);
  const from = before.position;
  await until(() => before.published >= from + 10_000);
  early.kill('SIGCONT');
  const late = await startChild('ring-reader-child.ts', path, 'wait');
  await Bun.sleep(50);
  writer.kill('SIGTERM');
  await writer.exited;
  const [one, two] = (await Promise.all([early, late].map((c) => lastLine<Seen>(c)))) as [
    Seen,
    Seen,
  ];
  expect(one.laps).toBeGreaterThan(0);
  expect(two.from).toBeGreaterThan(one.from);
  expect([one.position, two.position]).toEqual([two.published, two.published]);
});

test('a reader detects that its writer was killed, and the next writer takes over the path', async () => {
  const path = rings.fresh();
  const writer = await startChild('ring-writer-child.ts', path, '1024', '1', '0', '50');
  const reader = openRing(path);
  expect(reader.wait(10_000)).toBe('record');
  expect(reader.writer()).toBe('live');
  writer.kill('SIGKILL');
  await writer.exited;
  let sign = reader.wait(10_000);
  while (sign === 'record') sign = reader.wait(10_000);
  expect([sign, reader.writer(), reader.position]).toEqual(['ended', 'gone', reader.published]);

  const next = makeRing(path, 64);
  next.writer.beat(Date.now());
  expect(openRing(path).writer()).toBe('live');
  expect(reader.poll()).toBe('ended'); // this reader still maps the old file, which is marked as ended
  next.file.remove();
});

test('a stopped writer is silent, not gone', async () => {
  const path = rings.fresh();
  const writer = await startChild('ring-writer-child.ts', path, '1024', '1', '0', '1000');
  const reader = openRing(path);
  writer.kill('SIGSTOP');
  await until(() => reader.writer() !== 'live');
  expect(reader.writer()).toBe('silent');
  while (reader.poll() === 'record');
  expect(reader.wait(20)).toBe('empty');
  writer.kill('SIGCONT');
  expect(reader.wait(10_000)).toBe('record');
  writer.kill('SIGTERM');
  await writer.exited;
});
