/** x */
import { expect, test } from 'bun:test';
import { readSeed } from '../support/seed';
import { World } from './world';

import { OwnJournal } from './own-journal'; import { ScratchDirectory } from '../support/scratch-directory'; const scratch = new ScratchDirectory();
const RUNS = Number(Bun.env['TAPEDECK_SIM_RUNS'] ?? 150);
test('x', async () => {
  const seed = readSeed();
  const t = performance.now();
  const sum: Record<string, unknown> = {};
  const fails = new Map<string, number[]>();
  for (let i = 0; i < RUNS; i++) {
    try {
      const o = await new World(seed + i, Bun.env['SIMJ'] ? new OwnJournal(scratch.fresh()) : null).run();
      for (const [k, v] of Object.entries(o)) if (typeof v === 'number') sum[k] = ((sum[k] as number) ?? 0) + v; else for (const [r, n] of Object.entries(v as Record<string, number>)) sum[r] = ((sum[r] as number) ?? 0) + n;
    } catch (e) {
      const key = String((e as Error).stack).replaceAll(/\d+/g, 'N').slice(0, 50) + (e as Error).message.slice(0, 60).replaceAll(/\d+/g, 'N');
      if (!fails.has(key)) { fails.set(key, []); console.log(seed + i, (e as Error).stack?.slice(0, 1800)); }
      fails.get(key)!.push(seed + i);
    }
  }
  console.log(sum, performance.now() - t);
  for (const [k, v] of fails) console.log(v.length, v.slice(0, 5), k);
}, 6000000);
