/** Hostile sources: every event is recorded, refused or counted, and everything computed from them is right. */

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { ScratchDirectory } from '../support/scratch-directory';
import { hostileRun } from './hostile-run';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const RUNS = deep(6, 1);
const STEPS = 300;

test('[P8] [P10] [D1] [D3] [T1] every event of hostile sources is accounted for', async () => {
  const first = readSeed();
  console.log(`hostile sources: seeds ${first} to ${first + RUNS - 1}`);
  const totals = { sent: 0, accounted: 0, repeated: 0, refused: 0, restarts: 0, compared: 0 };
  for (let seed = first; seed < first + RUNS; seed++) {
    const r = await hostileRun(seed, () => scratch.fresh(), STEPS);
    totals.sent += r.sent;
    totals.accounted += r.recorded + r.repeated + r.waiting + r.refused;
    totals.repeated += r.repeated;
    totals.refused += r.refused;
    totals.restarts += r.restarts;
    totals.compared += r.compared;
  }
  expect(totals.accounted).toBe(totals.sent);
  for (const count of Object.values(totals)) expect(count).toBeGreaterThan(0);
});
