/**
 * Servers killed with SIGKILL under load, repeatedly on one data directory: nothing that was acknowledged or
 * published is lost, or, with `async`, the loss is declared. By hand:
 * `TAPEDECK_KILLS=200 bun test test/journal/kill-server.test.ts`.
 */

import { expect, test } from 'bun:test';

import { KillRun } from '../support/kill-run';
import { readSeed } from '../support/seed';
import { deep } from '../support/tier';

const BY_HAND = Number(process.env['TAPEDECK_KILLS'] ?? 0);
const MINUTE = 60_000;

/** @param lives the least number of epochs; with `isAsync` it continues until a kill loses something */
async function run(starts: number, isAsync: boolean): Promise<KillRun> {
  const seed = readSeed();
  console.log(`killing ${starts} servers, seed ${seed} (repeat with TAPEDECK_TEST_SEED=${seed})`);
  const begun = performance.now();
  const kills = new KillRun(seed, isAsync);
  try {
    const lostAtLeast = isAsync ? 1 : 0;
    for (let loaded = 0; loaded < starts || kills.figures.lost < lostAtLeast; loaded++)
      await kills.live();
    const verified = await kills.end();
    const seconds = Math.round((performance.now() - begun) / 1_000);
    console.log(
      JSON.stringify({
        seed,
        isAsync,
        seconds,
        ...kills.figures,
        ...verified,
        gaps: kills.figures.gaps,
      }),
    );
  } catch (e) {
    if (BY_HAND === 0) kills.remove();
    const kept = BY_HAND > 0 ? `; its journal is ${kills.data}` : '';
    const after = `seed ${seed}, start ${kills.figures.starts}${kept}`;
    throw new Error(`${after}: ${(e as Error).message}`, { cause: e });
  }
  kills.remove();
  return kills;
}

test(
  'commit and fsync: what was acknowledged or pushed is in the journal once, after any number of kills',
  async () => {
    const { figures } = await run(BY_HAND > 0 ? BY_HAND : deep(4, 1), false);
    expect(figures).toMatchObject({ lost: 0, gaps: 0 });
    expect(figures.acknowledged).toBeGreaterThan(5 * figures.starts);
    expect(figures.pushed).toBeGreaterThan(10 * figures.starts);
  },
  30 * MINUTE,
);

test(
  'async: what was pushed and is not in the journal is in a gap, and no seq is used twice',
  async () => {
    const { figures } = await run(BY_HAND > 0 ? Math.ceil(BY_HAND / 5) : deep(2, 1), true);
    expect(figures.lost).toBeGreaterThan(0);
    expect(figures.gaps).toBeGreaterThan(0);
  },
  30 * MINUTE,
);
