/**
 * Read connection: a connection to a journal that reads and never changes it, also beside a server that
 * writes it. Where no WAL lies beside the file nobody writes it, and it is read as a file that does not
 * change, since SQLite would otherwise leave a WAL behind.
 */

import { constants, Database } from 'bun:sqlite';
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** @throws Error when SQLite does not read it */
export function connectToRead(path: string): Database {
  const db = isAtRest(path)
    ? new Database(
        `${pathToFileURL(resolve(path)).href}?immutable=1`,
        constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI,
      )
    : new Database(path, { readonly: true });
  db.run('PRAGMA busy_timeout = 5000');
  db.run('PRAGMA mmap_size = 1073741824');
  return db;
}

/** Whether all of it is in the one file: nobody writes it, and nobody was killed doing so. */
export function isAtRest(path: string): boolean {
  return !existsSync(`${path}-wal`);
}

/** A check that throws when a file that nobody wrote is written meanwhile. */
export function watchUnchanged(path: string): () => void {
  if (!isAtRest(path)) return () => {};
  const before = stampOf(path);
  return () => {
    if (stampOf(path) === before) return;
    throw new Error('a server has begun to write it meanwhile; run the command again');
  };
}

function stampOf(path: string): string {
  const { mtimeMs, size, ino } = statSync(path);
  return `${mtimeMs} ${size} ${ino}`;
}
