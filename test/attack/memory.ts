/**
 * Memory, run by hand: `bun test/attack/memory.ts [--clients 500] [--instruments 5000] [--mebibytes 128]`. It runs
 * clients of each kind that never read, prints how much memory the server used, and ends with 1 when another reader
 * lost something, or the budget was exceeded.
 */

import { parseArgs } from 'node:util';

import { KINDS, MemoryRun } from './memory-run';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '500' },
    instruments: { type: 'string', default: '5000' },
    mebibytes: { type: 'string', default: '128' },
  },
});
const MEBIBYTE = 1_048_576;
const clientBytesMax = Number(values.mebibytes) * MEBIBYTE;
const run = await MemoryRun.start({
  clients: Number(values.clients),
  instruments: Number(values.instruments),
  clientBytesMax,
  clientBytesPerClientMax: clientBytesMax / 2,
  unfinishedBytes: 900_000,
});
console.log(`before: ${(run.target.memoryBytes / MEBIBYTE).toFixed(0)} MiB`);
for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  const { grownBytes, counted, shed, refused } = await run.attack(kind);
  const isServed = await run.isServed();
  const sum = Object.values(counted).reduce((all, bytes) => all + bytes, 0);
  console.log(kind, {
    grown: `${(grownBytes / MEBIBYTE).toFixed(0)} MiB`,
    counted,
    shed,
    refused,
    isServed,
  });
  if (!isServed || sum > clientBytesMax * 1.1) process.exitCode = 1;
}
await run.stop();
