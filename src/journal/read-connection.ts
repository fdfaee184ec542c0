/**
 * Read connection: reads a journal and never changes it, also while a server writes it. If no WAL
 * lies beside the file, nobody writes it. It is then opened as immutable, since SQLite would
 * otherwise leave a WAL behind.
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

/** Whether everything is in the one file: nobody writes it, and no writer was killed. */
export function isAtRest(path: string): boolean {
  return !existsSync(`${path}-wal`);
}

/** Returns a check that throws if the file was at rest and has been written since. */
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
