/**
 * The program that tests start as a separate process. A run of a tier builds the single executable once
 * (`support/run.ts`), because it starts in a third of the processor time of the sources. A test file that is run
 * alone starts the sources, and so do tests that need features of the sources.
 */

import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The path of the executable that the run has built. */
export const EXECUTABLE_VARIABLE = 'TAPEDECK_TEST_EXECUTABLE';

/** The command that starts the sources. */
export const SOURCES: readonly string[] = [
  process.execPath,
  join(import.meta.dir, '../../src/main.ts'),
];

const executable = process.env[EXECUTABLE_VARIABLE];

/** The command that starts the program: its arguments follow. */
export const PROGRAM: readonly string[] = executable === undefined ? SOURCES : [executable];

/** The same as words of a shell script. */
export const PROGRAM_IN_SHELL = PROGRAM.map((word) => `"${word}"`).join(' ');

/** Puts the executable at a path: a copy of the one that the run has built, or one built now. */
export function placeExecutable(path: string): void {
  if (executable === undefined) return buildExecutable(path);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(executable, path);
}

export function buildExecutable(path: string): void {
  const build = join(import.meta.dir, '../../src/deploy/build.ts');
  const { success, stderr } = Bun.spawnSync([process.execPath, build, path]);
  if (!success) throw new Error(stderr.toString());
}
