/** Disk room: how much the journal takes on its disk, and how much is left. */

import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { JOURNAL_FILE } from '../recover/reading';

/** SQLite's files: the database, the write-ahead log, and the index of the log. */
const FILES = [JOURNAL_FILE, `${JOURNAL_FILE}-wal`, `${JOURNAL_FILE}-shm`];

export interface DiskRoom {
  readonly journalBytes: number;
  /** Free for this process on the journal's file system; null if the system does not say. */
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
