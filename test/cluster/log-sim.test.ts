/** The batch log in virtual time, by seeds: what was acknowledged is there once, for everybody, or is declared. */

import { describe, expect, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { LogWorld, noCounts, type WorldCounts } from './log-world';

const RUNS = Number(process.env['TAPEDECK_SIM_LOG_RUNS'] ?? deep(2_000, 100));

function runSeed(seed: number, counts: WorldCounts): void {
  try {
    new LogWorld(seed, counts).run();
  } catch (e) {
    const repeat = `TAPEDECK_TEST_SEED=${seed} TAPEDECK_SIM_LOG_RUNS=1`;
    throw new Error(`seed ${seed} (repeat with ${repeat}): ${String(e)}`, { cause: e });
  }
}

describe('the batch log in virtual time', () => {
  test('leaders that replace each other under faults: nothing acknowledged is lost, doubled or reordered', () => {
    const first = readSeed();
    const counts = noCounts();
    console.log(`seeds ${first} to ${first + RUNS - 1}`);
    for (let seed = first; seed < first + RUNS; seed++) runSeed(seed, counts);
    if (RUNS < 100) return;
    // All that the runs are to meet was met.
    const { holes, ...met } = counts;
    expect(Object.entries(met).filter(([, count]) => count === 0)).toEqual([]);
    expect(holes.damaged).toBe(0);
    expect(holes.missing).toBeGreaterThan(0);
    expect(holes['never-logged']).toBeGreaterThan(0);
  });
});
