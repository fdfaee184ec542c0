/** Disk room: what the journal takes on disk, and what is left for it there. */

import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { JOURNAL_FILE } from '../recover/reading';

/** Of SQLite: what is committed, what has not been moved there yet, and the index of that. */
const FILES = [JOURNAL_FILE, `${JOURNAL_FILE}-wal`, `${JOURNAL_FILE}-shm`];

export interface DiskRoom {
  readonly journalBytes: number;
  /** Free for this process on the file system that the journal is on; null where it does not say. */
  readonly freeBytes: number | null;
}

export function diskRoom(directory: string): DiskRoom {
  let journalBytes = 0;
  for (const name of FILES) {
    journalBytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return { journalBytes, freeBytes: freeBytes(directory) };
}

function freeBytes(directory: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return null;
  }
}
