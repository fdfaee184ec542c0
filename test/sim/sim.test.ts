/**
 * Simulation of the broadcast stage: readers stall, read slowly, disconnect, resume by position, change what they
 * want and replay the past, while the market runs and the server restarts. After every message: each topic's stream
 * is complete or its gaps are declared, in order and without repetition; each message has what was published; each
 * local book equals the server's. At the end nothing of any reader is left.
 */

import { afterAll, describe, expect, test } from 'bun:test';

import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import type { Faults, Outcome } from './outcome';
import { OwnJournal } from './own-journal';
import { World } from './world';
import { deep } from '../support/tier';

/** `TAPEDECK_SIM_RUNS=10000` for a long run by hand. */
const RUNS = Number(Bun.env['TAPEDECK_SIM_RUNS'] ?? deep(150, 20));
/** `TAPEDECK_SIM_DISK_RUNS=10000` likewise. */
const DISK_RUNS = Number(Bun.env['TAPEDECK_SIM_DISK_RUNS'] ?? deep(100, 10));
/** Many more runs than are needed to find a fault that was put back. */
const OLD_FAULT_RUNS = 500;
/** One in this many runs, by its seed, has a real journal behind it. */
const JOURNALED_EVERY = 25;

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

async function run(seed: number, faults: Partial<Faults> = {}): Promise<Outcome> {
  const isJournaled = seed % JOURNALED_EVERY === 0 && faults.hasFaultyDisk !== true;
  const journal = isJournaled ? new OwnJournal(scratch.fresh()) : null;
  try {
    return await new World(seed, journal, faults).run();
  } catch (e) {
    throw new Error(`seed ${seed}: ${(e as Error).message}`, { cause: e });
  }
}

describe('readers of every kind', () => {
  test(`get everything, or a declaration of what they miss: ${RUNS} runs`, async () => {
    const seed = readSeed();
    const sum: Record<string, number> = {};
    for (let i = 0; i < RUNS; i++) {
      const { resets, ...counts } = await run(seed + i);
      for (const [what, count] of Object.entries({ ...counts, ...resets })) {
        sum[what] = (sum[what] ?? 0) + count;
      }
    }
    console.log(`${RUNS} runs: ${JSON.stringify(sum)}`);
    // Each kind of event occurred.
    const ways = [
      'messages',
      'conflated',
      'missed',
      'replayed',
      'lagged',
      'ended',
      'restarts',
      'crossings',
      'crossed',
      'executions',
      'fromJournal',
      'not-kept',
      'other-epoch',
      'from-the-future',
    ];
    const missing = ways.filter((way) => (sum[way] ?? 0) === 0);
    expect(RUNS < 100 ? [] : missing).toEqual([]);
  }, 7_200_000);
});

describe('a disk that goes back in time', () => {
  test(`readers hold what the journal has, or were notified of the difference: ${DISK_RUNS} runs`, async () => {
    const seed = readSeed();
    const sum: Record<string, number> = {};
    for (let i = 0; i < DISK_RUNS; i++) {
      const { resets, ...counts } = await run(seed + i, { hasFaultyDisk: true });
      for (const [what, count] of Object.entries({ ...counts, ...resets })) {
        sum[what] = (sum[what] ?? 0) + count;
      }
    }
    console.log(`${DISK_RUNS} runs: ${JSON.stringify(sum)}`);
    const ways = ['restarts', 'backs', 'crossings', 'crossed', 'fromJournal', 'other-epoch'];
    const missing = ways.filter((way) => (sum[way] ?? 0) === 0);
    expect(DISK_RUNS < 50 ? [] : missing).toEqual([]);
  }, 7_200_000);

  test.each([
    ['positions without the newest', { sendsNewest: false }],
    ['epochs that count on from the newest', { numbering: 'counted' }],
  ] as const)(
    'an old fault that is put back is found: %s',
    async (_, fault) => {
      const seed = readSeed();
      let found: unknown;
      let runs = 0;
      for (; found === undefined && runs < OLD_FAULT_RUNS; runs++) {
        found = await run(seed + runs, { hasFaultyDisk: true, ...fault }).then(
          () => undefined,
          (e: unknown) => e,
        );
      }
      console.log(`found after ${runs} runs: ${String(found).slice(0, 200)}`);
      expect(found).toBeInstanceOf(Error);
    },
    600_000,
  );
});

describe('seeds of faults that were found', () => {
  test.each([
    [
      1465732397,
      'a replay that waited for its first event after a seek gave up its slot, and waited again and again',
      { hasFaultyDisk: true },
    ],
    [
      3,
      'the journal failed while the window was closed, and a resume ended as if it were complete',
      {},
    ],
    [
      17,
      'an instrument was defined while a resume waited for its turn, and its `*` did not cover it',
      {},
    ],
    [1728, 'a seek of a replay that had ended left its playback open', {}],
    [
      1910184101,
      'a stopping server sent messages that wait for an interval ahead of a long answer',
      {},
    ],
  ])(
    '%i: %s',
    async (seed, _what, faults) => {
      expect((await run(seed, faults)).messages).toBeGreaterThan(0);
    },
    60_000,
  );
});
