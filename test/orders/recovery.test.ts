/**
 * Recovery: after a sudden end at any time, with checkpoints at any time, a market has the state of an
 * uninterrupted one, and gives the same answers from then on.
 */

import { afterAll, describe, expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { readSeed } from '../support/seed';
import { Scratch } from '../support/tapedeck-process';
import { deep } from '../support/tier';
import { Journaled } from './journaled';
import { pick, randomScript, type Step } from './script';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const RUNS = deep(8, 3);
const STEPS = 400;
const CRASHES = 3;
/** Seeds that once failed are kept. */
const KEPT_SEEDS = [1, 2];

function noFeed(step: Step): boolean {
  return step.do !== 'feed';
}

/** @param feeds whether the feed sends before the first crash; it is another source after it */
function compare(seed: number, feeds: boolean, steps = STEPS): Ended {
  const random = new Prng(seed);
  const script = randomScript(seed, steps, feeds);
  const checkpointEvery = pick(random, [1, 40, 333, 100_000]);
  // Whole between two turns, or piece by piece while the market runs.
  const slices = pick(random, [undefined, 1, 3, 10]);
  const sliced = slices === undefined ? undefined : { random, most: slices };
  const first = random.int(1, steps / 2);
  const lived = Journaled.create(scratch.fresh(), checkpointEvery, sliced);
  lived.execute(script.slice(0, first), random.int(1, 9), 0);
  let again = Journaled.must(lived.crash(scratch.fresh()), checkpointEvery, sliced);
  expect([seed, again.view()]).toEqual([seed, lived.view()]);

  for (let crash = 1, at = first; crash <= CRASHES; crash++) {
    const until = crash === CRASHES ? steps : random.int(at, steps);
    const part = script.slice(at, until).filter(noFeed);
    const answers = lived.execute(part, random.int(1, 9), at);
    expect([seed, again.execute(part, random.int(1, 9), at)]).toEqual([seed, answers]);
    const copy = again.crash(scratch.fresh());
    again.abandon();
    again = Journaled.must(copy, checkpointEvery, sliced);
    expect([seed, again.view()]).toEqual([seed, lived.view()]);
    at = until;
  }
  // Every submission of the whole script again; what is still known gets its first answer.
  const repeated = script.filter((step) => step.do === 'submit' && step.order.clientOrderId !== '');
  expect([seed, again.execute(repeated, 5, steps)]).toEqual([
    seed,
    lived.execute(repeated, 5, steps),
  ]);
  expect([seed, again.view()]).toEqual([seed, lived.view()]);
  const { checkpoints } = lived;
  lived.abandon();
  again.abandon();
  return { checkpoints, isSliced: sliced !== undefined };
}

interface Ended {
  /** Of the uninterrupted market. */
  readonly checkpoints: number;
  readonly isSliced: boolean;
}

describe('an interrupted market equals an uninterrupted one', () => {
  test('over random commands, crashes and checkpoints', () => {
    const seed = readSeed();
    for (const kept of KEPT_SEEDS) compare(kept, true);
    for (let i = 0; i < RUNS; i++) compare(seed + i, i % 2 === 0);
  }, 60_000);

  test('over checkpoints that are taken piece by piece, and more orders than one piece holds', () => {
    const seed = readSeed();
    const wanted = deep(3, 1);
    let sliced = 0;
    // Seeds are tried until such checkpoints have ended between the crashes.
    for (let i = 0; sliced < wanted && i < 40; i++) {
      const { checkpoints, isSliced } = compare(seed + i, true, 2_500);
      if (isSliced && checkpoints > 1) sliced += 1;
    }
    expect(sliced).toBe(wanted);
  }, 300_000);

  test('after an orderly end and a start, too', () => {
    const directory = scratch.fresh();
    const before = Journaled.create(directory);
    before.execute(randomScript(7, 300, false), 4, 0);
    const view = before.view();
    before.recorder.close();
    const after = Journaled.must(directory);
    expect(after.view()).toEqual(view);
    after.abandon();
  });

  test('the script reaches everything that it must prove', () => {
    const run = Journaled.create(scratch.fresh());
    const answers = run.execute(randomScript(3, 2_000, true), 20, 0);
    const seen = new Set(answers.map((answer) => /^[a-z-]+(?=:)/.exec(answer)?.[0] ?? 'done'));
    for (const code of [
      'done',
      'unknown-order',
      'market-closed',
      'price-outside-band',
      'duplicate-client-order-id',
      'would-cross',
      'same-state',
      'invalid-quantity',
    ]) {
      expect([...seen]).toContain(code);
    }
    const types = run.batches.flatMap((b) => b.events.map((e) => e.type));
    for (const type of ['command', 'trade', 'tick', 'status', 'book', 'bbo'] as const) {
      expect(types.filter((t) => t === type).length).toBeGreaterThan(10);
    }
    run.abandon();
  });
});
