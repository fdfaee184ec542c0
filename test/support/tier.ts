/**
 * The two tiers of tests. `bun run check` runs the quick one: every kind of test, with fewer rounds, seeds
 * and variants. `bun run check:deep` runs the files that import this module again, in their full form.
 */

import { test } from 'bun:test';

import { noteLeftOut } from './left-out';

/** Whether this run is of the deep tier. */
export const isDeep = process.env['TAPEDECK_TEST_DEEP'] === '1';

/**
 * A count that the quick tier makes smaller, or a list of cases of which it runs the first few.
 * @param full of the deep tier
 * @param quick of the quick tier, at least 1: a kind of test is never left out
 */
export function deep(full: number, quick: number): number;
export function deep<T>(full: readonly T[], quick: number): readonly T[];
export function deep<T>(full: number | readonly T[], quick: number): number | readonly T[] {
  if (isDeep) return full;
  const isCount = typeof full === 'number';
  const what = isCount ? `${quick} in place of ${full}` : `${quick} of ${full.length} cases`;
  noteLeftOut({ kind: 'size', what });
  return isCount ? quick : full.slice(0, quick);
}

/** A whole test that only the deep tier runs: a smaller form of what it shows is another test. */
export function testDeep(
  title: string,
  run: () => void | Promise<unknown>,
  timeoutMs?: number,
): void {
  if (isDeep) return test(title, run, timeoutMs);
  noteLeftOut({ kind: 'test', what: title });
  test.skip(title, run);
}
