/**
 * Recovery: after a sudden end at any place, with checkpoints at any places, a market stands as the one
 * that was never interrupted, and from then on gives the same answers.
 */

import { afterAll, describe, expect, test } from 'bun:test';

import { Prng } from '../../src/base/prng';
import { readSeed } from '../support/seed';
import { Scratch } from '../support/tapedeck-process';
import { Journaled } from './journaled';
import { pick, randomScript, type Step } from './script';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const RUNS = 8;
const STEPS = 400;
const CRASHES = 3;
/** Seeds that once failed stay. */
const KEPT_SEEDS = [1, 2];

function noFeed(step: Step): boolean {
  return step.do !== 'feed';
}

/** @param feeds whether the feed speaks up to the first crash; it is another source after it */
function compare(seed: number, feeds: boolean): void {
  const random = new Prng(seed);
  const script = randomScript(seed, STEPS, feeds);
  const checkpointEvery = pick(random, [1, 40, 333, 100_000]);
  const first = random.int(1, STEPS / 2);
  const lived = Journaled.create(scratch.fresh(), checkpointEvery);
  lived.play(script.slice(0, first), random.int(1, 9), 0);
  let again = Journaled.must(lived.crash(scratch.fresh()), checkpointEvery);
  expect([seed, again.view()]).toEqual([seed, lived.view()]);

  for (let crash = 1, at = first; crash <= CRASHES; crash++) {
    const until = crash === CRASHES ? STEPS : random.int(at, STEPS);
    const steps = script.slice(at, until).filter(noFeed);
    const answers = lived.play(steps, random.int(1, 9), at);
    expect([seed, again.play(steps, random.int(1, 9), at)]).toEqual([seed, answers]);
    const copy = again.crash(scratch.fresh());
    again.abandon();
    again = Journaled.must(copy, checkpointEvery);
    expect([seed, again.view()]).toEqual([seed, lived.view()]);
    at = until;
  }
  // Every submission of the whole script once more: what is still known gives its first answer.
  const repeated = script.filter((step) => step.do === 'submit' && step.order.clientOrderId !== '');
  expect([seed, again.play(repeated, 5, STEPS)]).toEqual([seed, lived.play(repeated, 5, STEPS)]);
  expect([seed, again.view()]).toEqual([seed, lived.view()]);
  lived.abandon();
  again.abandon();
}

describe('a market that was interrupted stands as one that was not', () => {
  test('over random commands, crashes and checkpoints', () => {
    const seed = readSeed();
    for (const kept of KEPT_SEEDS) compare(kept, true);
    for (let i = 0; i < RUNS; i++) compare(seed + i, i % 2 === 0);
  }, 60_000);

  test('an orderly end and a start leave it as it was, too', () => {
    const directory = scratch.fresh();
    const before = Journaled.create(directory);
    before.play(randomScript(7, 300, false), 4, 0);
    const view = before.view();
    before.recorder.close();
    const after = Journaled.must(directory);
    expect(after.view()).toEqual(view);
    after.abandon();
  });

  test('the script reaches what it is to prove', () => {
    const run = Journaled.create(scratch.fresh());
    const answers = run.play(randomScript(3, 2_000, true), 20, 0);
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
