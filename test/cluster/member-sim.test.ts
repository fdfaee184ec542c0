/** A cluster in virtual time, by seeds: one leader at a time, and nothing acknowledged is lost. */

import { describe, expect, test } from 'bun:test';

import { readSeed } from '../support/seed';
import { deep } from '../support/tier';
import { MemberWorld, noMemberCounts } from './member-world';

const RUNS = Number(process.env['TAPEDECK_SIM_MEMBER_RUNS'] ?? deep(2_000, 100));

describe('members in virtual time', () => {
  test('replace each other under faults: one content for each number, nothing acknowledged is lost', () => {
    const first = readSeed();
    const counts = noMemberCounts();
    for (let seed = first; seed < first + RUNS; seed++) {
      try {
        new MemberWorld(seed, counts).run();
      } catch (e) {
        const repeat = `TAPEDECK_TEST_SEED=${seed} TAPEDECK_SIM_MEMBER_RUNS=1`;
        throw new Error(`seed ${seed} (repeat with ${repeat}): ${String(e)}`, { cause: e });
      }
    }
    console.log(JSON.stringify(counts));
    if (RUNS < 100) return;
    const { lost, vain, ...met } = counts;
    expect(Object.entries(met).filter(([, count]) => count === 0)).toEqual([]);
    expect([lost.deposed > 0, lost.forked > 0, lost.refused, vain]).toEqual([true, true, 0, 0]);
  });
});
