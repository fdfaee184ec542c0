/**
 * Clients that never read, a small version of `memory.ts`: the memory budget holds, and another reader gets
 * everything.
 */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';

import { KINDS, MemoryRun } from './memory-run';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);

const MEBIBYTE = 1_048_576;
const runs: MemoryRun[] = [];
afterAll(async () => {
  for (const run of runs) await run.stop();
});

test.skipIf(process.platform !== 'linux')('unread data has bounded memory', async () => {
  const clientBytesMax = 40 * MEBIBYTE;
  const run = await MemoryRun.start({
    clients: 40,
    instruments: 500,
    clientBytesMax,
    clientBytesPerClientMax: 20 * MEBIBYTE,
    unfinishedBytes: 900_000,
  });
  runs.push(run);
  const before = run.target.memoryBytes;
  for (const kind of deep(Object.keys(KINDS), 3) as (keyof typeof KINDS)[]) {
    const { counted, shed, refused, grownBytes } = await run.attack(kind);
    console.log(kind, `${(grownBytes / MEBIBYTE).toFixed(0)} MiB`, { shed, refused });
    const sum = Object.values(counted).reduce((all, bytes) => all + bytes, 0);
    expect([kind, sum <= clientBytesMax]).toEqual([kind, true]);
    expect([kind, await run.isServed()]).toEqual([kind, true]);
    if (kind === 'bodies') expect(refused).toBeGreaterThan(0);
    if (kind === 'answers') expect(counted['answers']).toBeGreaterThan(0);
  }
  expect(run.target.memoryBytes - before).toBeLessThan(clientBytesMax + 200 * MEBIBYTE);
  expect(run.target.defects).toEqual([]);
});
