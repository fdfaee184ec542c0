/**
 * Suspicion: a message from the writer to the next start. A write may meet damage in a part of the
 * file that a start does not read, and would meet it again after each start. So it leaves a file
 * that says so. The next start then sets the journal aside and continues with its good part. The
 * message names the journal by its inode, so it does not apply to a file that has replaced the
 * journal.
 */

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { JOURNAL_FILE } from '../recover/reading';

const LENGTH_MAX = 200;

function pathOf(directory: string): string {
  return join(directory, 'journal.suspect');
}

function inodeOf(directory: string): string {
  return String(statSync(join(directory, JOURNAL_FILE)).ino);
}

/** @param why the reason that the next start logs */
export function suspect(directory: string, why: string): void {
  try {
    const path = pathOf(directory);
    rmSync(path, { force: true }); // an existing link is not followed
    writeFileSync(path, `${inodeOf(directory)}\n${why.slice(0, LENGTH_MAX)}`, {
      mode: 0o600,
      flag: 'wx',
    });
  } catch {
    // The disk accepts nothing more. The next write that meets the damage tries again.
  }
}

/** Why the existing journal is suspected; undefined if it is not. */
export function suspicion(directory: string): string | undefined {
  try {
    const [inode, why] = readFileSync(pathOf(directory), 'utf8').split('\n');
    return inode === inodeOf(directory) ? why : undefined;
  } catch {
    return undefined; // there is no message
  }
}

/** The message was acted upon, or the file that it names is gone and its inode may be reused. */
export function clearSuspicion(directory: string): void {
  rmSync(pathOf(directory), { force: true });
}
