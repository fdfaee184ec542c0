/** What the quick tier of tests leaves to the deep one: noted by the tests, printed once by their runner. */

import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** The file where the processes of a run note it; without it each is printed at once. */
export const LEFT_OUT_VARIABLE = 'TAPEDECK_TEST_LEFT_OUT';

interface LeftOut {
  /** A whole test, or the full size of one. */
  readonly kind: 'test' | 'size';
  /** The title of the test, or both sizes. */
  readonly what: string;
}

export function noteLeftOut(leftOut: LeftOut): void {
  const path = process.env[LEFT_OUT_VARIABLE];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(leftOut)}\n`);
  else console.log(`SKIPPED, left to check:deep: ${leftOut.what}`);
}

export function printLeftOut(path: string): void {
  if (!existsSync(path)) return;
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const all = lines.map((line) => JSON.parse(line) as LeftOut);
  const tests = all.filter(({ kind }) => kind === 'test');
  const sizes = all.length - tests.length;
  console.log(`SKIPPED, left to check:deep: ${tests.length} tests, and the full size of ${sizes}:`);
  for (const { what } of tests) console.log(`  ${what}`);
}
