/**
 * Data directory: made when missing, and held by one server at a time.
 *
 * There are two locks. That of the directory is an open exclusive transaction on a file of its own: it
 * guards what lies beside the journal (the head, the names of what is set aside) and a journal that is
 * not there yet. That of the journal is on its file, and goes with it wherever that is moved, by whatever
 * path it is reached (`file-lock.ts`). The system lets go of both however the process ends.
 */

import { Database } from 'bun:sqlite';
import { accessSync, closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { StartFault } from '../base/start-fault';
import { lockFile, type FileLock } from './file-lock';

const JOURNAL_MODE = 0o644;

export class DirectoryLock {
  /** Why the journal itself could not be locked, if so. */
  unguarded: string | undefined;
  private readonly db: Database;
  private file: Exclude<FileLock, 'taken'> | undefined;

  constructor(db: Database) {
    this.db = db;
  }

  /**
   * Holds this file from now on, in place of the one before; makes it where it is missing. Called before
   * anything is written to it, and while SQLite has the one before closed.
   */
  hold(path: string): StartFault | undefined {
    makeFile(path);
    const held = lockFile(path);
    if (held === 'taken') return inUse(`the journal ${path}`);
    this.letGo();
    this.file = held;
    this.unguarded = 'absent' in held ? held.absent : undefined;
    return undefined;
  }

  /** When every connection to the journal is closed. */
  release(): void {
    this.letGo();
    this.db.close();
  }

  private letGo(): void {
    if (this.file !== undefined && 'release' in this.file) this.file.release();
    this.file = undefined;
  }
}

export function lockDirectory(directory: string): DirectoryLock | StartFault {
  const unusable = prepare(directory);
  if (unusable !== undefined) return unusable;
  const path = join(directory, 'lock.sqlite');
  let db: Database | undefined;
  try {
    db = new Database(path, { create: true });
    db.run('PRAGMA busy_timeout = 0');
    db.run('BEGIN EXCLUSIVE');
    return new DirectoryLock(db);
  } catch (e) {
    db?.close();
    const code = (e as { code?: string }).code ?? '';
    if (code.startsWith('SQLITE_BUSY')) return inUse(`the data directory ${directory}`);
    return new StartFault(
      'data-unwritable',
      `the data directory ${directory} cannot be locked: ${(e as Error).message}`,
      'Check its permissions, or give another directory with --data.',
    );
  }
}

function inUse(what: string): StartFault {
  return new StartFault(
    'data-in-use',
    `${what} is in use by another Tapedeck process`,
    'Stop that process, or give another directory with --data.',
  );
}

/** As SQLite would make it; whoever writes first must hold it already. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', JOURNAL_MODE));
  } catch {
    // It is there, or cannot be made: SQLite then says why.
  }
}

function prepare(directory: string): StartFault | undefined {
  const hint = 'Create it, mend its permissions, or give another directory with --data.';
  try {
    mkdirSync(directory, { recursive: true });
    if (!statSync(directory).isDirectory()) throw new Error('it is not a directory');
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return undefined;
  } catch (e) {
    return new StartFault(
      'data-unwritable',
      `the data directory ${directory} cannot be used: ${(e as Error).message}`,
      hint,
    );
  }
}
