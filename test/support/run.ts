/**
 * Runs the tests of a tier. It says in the end which files took longest, and what the quick tier left to
 * the deep one.
 *
 *     bun test/support/run.ts          # quick: all files, four at a time
 *     bun test/support/run.ts --deep   # the full form of the files that have one, one at a time
 *     bun test/support/run.ts --save   # quick, and writes down how long each file took
 */

import { Glob } from 'bun';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LEFT_OUT_VARIABLE, printLeftOut } from './left-out';
import { buildExecutable, EXECUTABLE_VARIABLE } from './program';

const ROOT = join(import.meta.dir, '../..');
const USES_TIER = /from '(?:\.\.\/|\.\/)*(?:support\/)?tier'/;
/** Twice the cores of a small machine, since many tests wait. With six the same tests cost more processor time. */
const WORKERS = 4;
/** How long each file took on a small machine, in ms: the longest begin first. `--save` writes it. */
const EXPECTED = join(import.meta.dir, 'timings.json');
/** A test on a busy machine. */
const TIMEOUT_MS = 60_000;
const DEEP_TIMEOUT_MS = 300_000;
const SLOWEST = 10;

const isDeep = process.argv.includes('--deep');
const directory = mkdtempSync(join(tmpdir(), 'tapedeck-tests-'));
const executable = join(directory, 'tapedeck');
const leftOut = join(directory, 'left-out.ndjson');
const timings = join(directory, 'timings.json');

async function bunTest(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<boolean> {
  const child = Bun.spawn(
    [process.execPath, 'test', `--timings=${timings}`, '--update-timings', ...args],
    {
      cwd: ROOT,
      env: { ...process.env, [EXECUTABLE_VARIABLE]: executable, ...env },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  return (await child.exited) === 0;
}

/** The test files that differ between the tiers. */
function deepFiles(): string[] {
  const files = [...new Glob('test/**/*.test.ts').scanSync({ cwd: ROOT })].sort();
  return files.filter((file) => USES_TIER.test(readFileSync(join(ROOT, file), 'utf8')));
}

function quick(): Promise<boolean> {
  const env = { [LEFT_OUT_VARIABLE]: leftOut };
  return bunTest([`--timeout=${TIMEOUT_MS}`, `--parallel=${WORKERS}`], env);
}

function deep(): Promise<boolean> {
  return bunTest([`--timeout=${DEEP_TIMEOUT_MS}`, ...deepFiles()], { TAPEDECK_TEST_DEEP: '1' });
}

function printSlowest(): void {
  if (!existsSync(timings)) return;
  const { files } = JSON.parse(readFileSync(timings, 'utf8')) as { files: Record<string, number> };
  const slowest = Object.entries(files).sort(([, a], [, b]) => b - a);
  console.log(`the slowest of ${slowest.length} files, in seconds:`);
  for (const [file, ms] of slowest.slice(0, SLOWEST)) {
    console.log(`${(ms / 1_000).toFixed(1).padStart(7)}  ${file}`);
  }
}

try {
  copyFileSync(EXPECTED, timings);
  buildExecutable(executable);
  const isPassed = await (isDeep ? deep() : quick());
  printSlowest();
  if (process.argv.includes('--save')) copyFileSync(timings, EXPECTED);
  printLeftOut(leftOut);
  process.exitCode = isPassed ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
