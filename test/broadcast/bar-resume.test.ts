/**
 * Bars across disconnects, restarts and stalls: each reader gets the end of every bar, or a declaration that it is
 * missing.
 */

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { ScratchDirectory } from '../support/scratch-directory';
import { readSeed } from '../support/seed';
import { BarWorld } from './bar-world';
import { RuleReader, type Tally } from './bar-reader';
import { deep } from '../support/tier';

setDefaultTimeout(120_000);
const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

const TOPICS = ['bar:A:1s', 'bar:B:1s', 'bar:*:1m', 'stats:A', 'trade:A'];

interface Run {
  readonly memory: number;
  readonly crashes: boolean;
  readonly restarts: boolean;
  readonly outboxBytesMax: number;
  readonly tally: Tally;
}

async function run(
  seed: number,
  { memory, crashes, restarts, outboxBytesMax, tally }: Run,
): Promise<number> {
  const random = new Prng(seed);
  const world = new BarWorld(scratch.fresh(), random, memory);
  const readers = Array.from({ length: 4 }, () => {
    const topics = TOPICS.filter((name) => name === 'bar:A:1s' || random.chance(0.4));
    return new RuleReader(world, topics, random.chance(0.2) ? 700 : 0, outboxBytesMax, tally);
  });
  const some = (): RuleReader => readers[random.int(0, readers.length - 1)]!;
  const steps: (() => unknown)[] = [
    () => world.batch(),
    () => world.batch(),
    () => world.batch(),
    () => world.advance(random.int(1, 1_500)),
    () => world.answerOne(),
    () => world.answerOne(),
    () => world.revise(),
    () => some().read(random.int(1, 6)),
    () => some().read(random.int(1, 60)),
    () => some().pong(),
    () => some().pong(),
    () => world.broadcaster.look(),
    () => world.broadcaster.heartbeats.sendAll(),
    () => random.chance(0.3) && some().cut(),
    () => random.chance(0.3) && some().subscribeAgain(random.chance(0.5) ? 700 : 0),
    () => {
      const reader = some();
      if (!reader.isConnected) reader.connect();
    },
    async () => {
      if (!restarts || !random.chance(0.08)) return;
      for (const reader of readers) reader.cut();
      await world.restart(crashes && random.chance(0.7));
    },
  ];
  try {
    for (let i = 0; i < 500; i++) await steps[random.int(0, steps.length - 1)]!();
    for (const reader of readers) if (!reader.isConnected) reader.connect();
    await settle(world, readers);
    for (const reader of readers) reader.check();
  } catch (e) {
    throw new Error(`seed ${seed}: ${String(e)}`, { cause: e });
  }
  world.close();
  return world.asked;
}

async function settle(world: BarWorld, readers: readonly RuleReader[]): Promise<void> {
  for (let idle = 0; idle < 5;) {
    world.revise();
    let isMoving = world.isRevising || world.held.length > 0;
    await world.answerOne();
    world.advance(100);
    world.broadcaster.look();
    for (const reader of readers) {
      reader.read(1_000);
      while (reader.pong()) {
        isMoving = true;
        reader.read(1_000);
      }
      isMoving ||= reader.waits;
    }
    idle = isMoving ? 0 : idle + 1;
  }
  for (let i = 0; i < 20; i++) {
    world.advance(500);
    world.broadcaster.look();
    for (const reader of readers) {
      do reader.read(1_000);
      while (reader.pong());
    }
  }
}

describe.each([
  ['memory has all', { memory: 100_000, crashes: false, restarts: false, outboxBytesMax: 1e6 }],
  ['memory has little', { memory: 20, crashes: false, restarts: false, outboxBytesMax: 1e6 }],
  ['restarts', { memory: 60, crashes: false, restarts: true, outboxBytesMax: 1e6 }],
  ['crashes', { memory: 60, crashes: true, restarts: true, outboxBytesMax: 1e6 }],
  [
    'backlogs of a few messages',
    { memory: 60, crashes: true, restarts: true, outboxBytesMax: 600 },
  ],
] as const)('%s', (_, options) => {
  test('[R2] [R5] [S9] every bar equals the one computed from its trades and has ended, or a gap or reset was sent', async () => {
    const seed = readSeed();
    const tally: Tally = { resumes: 0, gaps: 0, resets: 0, bars: 0 };
    let asked = 0;
    const runs = deep(40, 8);
    for (let i = 0; i < runs; i++) asked += await run(seed + i, { ...options, tally });
    expect(tally.resumes).toBeGreaterThan(2 * runs);
    expect(tally.bars).toBeGreaterThan(250 * runs);
    // The bound allows for bars that trades touch in every round and for readers that are much too slow.
    expect(tally.resets).toBeLessThan(tally.resumes / 5);
    if (options.memory < 100) expect(asked).toBeGreaterThan(runs);
  });
});
