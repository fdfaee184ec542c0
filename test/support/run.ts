/**
 * Runs the tests of a tier, and says in the end what the quick one left to the deep one.
 *
 *     bun test/support/run.ts          # quick: all files, two at a time
 *     bun test/support/run.ts --deep   # the full form of the files that have one, one at a time
 */

import { Glob } from 'bun';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { LEFT_OUT_VARIABLE, printLeftOut } from './left-out';

const ROOT = join(import.meta.dir, '../..');
const USES_TIER = /from '(?:\.\.\/|\.\/)*(?:support\/)?tier'/;
/** Of these a second process on the other core would disturb what they measure. */
const ALONE = ['test/attack/memory.test.ts', 'test/turns/turns.test.ts'];
const WORKERS = 2;
/** A test on a busy machine. */
const TIMEOUT_MS = 60_000;
const DEEP_TIMEOUT_MS = 300_000;

async function bunTest(args: readonly string[], env: Record<string, string>): Promise<boolean> {
  const child = Bun.spawn([process.execPath, 'test', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return (await child.exited) === 0;
}

/** The test files that differ between the tiers. */
function deepFiles(): string[] {
  const files = [...new Glob('test/**/*.test.ts').scanSync({ cwd: ROOT })].sort();
  return files.filter((file) => USES_TIER.test(readFileSync(join(ROOT, file), 'utf8')));
}

async function quick(): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'tapedeck-tests-'));
  const env = { [LEFT_OUT_VARIABLE]: join(directory, 'left-out.ndjson') };
  const timeout = `--timeout=${TIMEOUT_MS}`;
  try {
    const ignored = ALONE.map((file) => `--path-ignore-patterns=${file}`);
    const together = await bunTest([timeout, `--parallel=${WORKERS}`, ...ignored], env);
    const alone = await bunTest([timeout, ...ALONE], env);
    printLeftOut(env[LEFT_OUT_VARIABLE]);
    return together && alone;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function deep(): Promise<boolean> {
  return bunTest([`--timeout=${DEEP_TIMEOUT_MS}`, ...deepFiles()], { TAPEDECK_TEST_DEEP: '1' });
}

const isPassed = process.argv.includes('--deep') ? await deep() : await quick();
process.exit(isPassed ? 0 : 1);
