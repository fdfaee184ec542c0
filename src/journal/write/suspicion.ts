/**
 * Suspicion: a word of the writer to the next start. What is damaged in a part of the file that a start
 * does not read is met by a write perhaps, again and again; so whoever meets it leaves a file that says
 * so, and the next start sets the journal aside and goes on with what is good of it. It names the file by
 * its inode, so it says nothing of one that has taken its place.
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

/** @param why told to whoever starts next */
export function suspect(directory: string, why: string): void {
  try {
    const path = pathOf(directory);
    rmSync(path, { force: true }); // a link that is there is not followed
    writeFileSync(path, `${inodeOf(directory)}\n${why.slice(0, LENGTH_MAX)}`, {
      mode: 0o600,
      flag: 'wx',
    });
  } catch {
    // A disk that takes nothing more: the next writer that meets it says it again.
  }
}

/** Why the journal that is there is suspected; undefined when it is not. */
export function suspicion(directory: string): string | undefined {
  try {
    const [inode, why] = readFileSync(pathOf(directory), 'utf8').split('\n');
    return inode === inodeOf(directory) ? why : undefined;
  } catch {
    return undefined; // nobody said anything
  }
}

/** What was said is done, or the file that it was said of is gone: another may get its inode. */
export function clearSuspicion(directory: string): void {
  rmSync(pathOf(directory), { force: true });
}
