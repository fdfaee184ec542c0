/**
 * Suspicion: a word of the writer to the next start. What is damaged in a part of the file that a start
 * does not read is met by a write perhaps, again and again; so whoever meets it leaves a file that says
 * so, and the next start sets the journal aside and goes on with what is good of it.
 */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LENGTH_MAX = 200;

function pathOf(directory: string): string {
  return join(directory, 'journal.suspect');
}

/** @param why told to whoever starts next */
export function suspect(directory: string, why: string): void {
  try {
    writeFileSync(pathOf(directory), why.slice(0, LENGTH_MAX));
  } catch {
    // A disk that takes nothing more: the next writer that meets it says it again.
  }
}

/** Why the journal is suspected; undefined when it is not. */
export function suspicion(directory: string): string | undefined {
  const path = pathOf(directory);
  return existsSync(path) ? readFileSync(path, 'utf8').slice(0, LENGTH_MAX) : undefined;
}

export function clearSuspicion(directory: string): void {
  rmSync(pathOf(directory), { force: true });
}
