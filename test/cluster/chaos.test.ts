/**
 * Some rounds of chaos.ts: members and brokers of a real cluster killed and stopped, by seed. With `async` it runs by
 * hand (`bun test/cluster/chaos.ts --durability async`): in about one run of eight two readers that were reset have not
 * got the newest trades of some instruments when it ends, and the cause is not known yet.
 */

import { describe, expect, setDefaultTimeout } from 'bun:test';

import { hasNats } from '../support/nats';
import { readSeed } from '../support/seed';
import { testDeep } from '../support/tier';
import { runChaos } from './chaos-run';

setDefaultTimeout(280_000);

const READERS = 20;
const ROUNDS = 5;

describe.skipIf(!hasNats)('a cluster whose members and brokers are killed and stopped', () => {
  for (const durability of ['replicated'] as const) {
    testDeep(
      `with ${durability}: nothing acknowledged is lost or doubled, journals are equal, readers know of every gap`,
      async () => {
        const seed = readSeed();
        const repeat = `bun test/cluster/chaos.ts --rounds ${ROUNDS} --seed ${seed} --durability ${durability}`;
        const report = await runChaos({ rounds: ROUNDS, seed, readers: READERS, durability });
        expect([repeat, report.wrong]).toEqual([repeat, []]);
        expect(report.readers.items).toBeGreaterThan(0);
      },
    );
  }
});
