/**
 * Readers that connect and disconnect, correctly or not, at a small size; `storm.ts` runs 10,000, `restless.ts`
 * long runs.
 */

import { expect, setDefaultTimeout, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { churn } from './restless';
import { runStorm } from './storm-run';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);

const CYCLES = deep(400, 120);
const seed = readSeed();

test.skipIf(process.platform !== 'linux')(
  `${CYCLES} reconnects leave nothing behind, and other readers get everything (seed ${seed})`,
  async () => {
    const result = await runStorm(CYCLES, 1, 0, seed);
    expect(result.complaints).toEqual([]);
    expect(result.sessions).toBeGreaterThan(CYCLES / 2);
    expect(result.refused).toBe(0);
    expect(result.reader.proofs).toBeGreaterThan(3);
    expect(Math.abs(result.descriptors[1]! - result.descriptors[0]!)).toBeLessThan(12);
  },
);

test(`readers that leave, resume and stop reading by the rules lose nothing (seed ${seed})`, async () => {
  const result = await churn(6, 3_000, seed);
  expect(result.complaints).toEqual([]);
  expect(result.messages).toBeGreaterThan(500);
});
