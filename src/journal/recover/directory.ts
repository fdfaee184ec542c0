/**
 * Data directory: created if it is missing, and held by one server at a time.
 *
 * There are two locks. The lock of the directory is an open exclusive transaction on a file of its
 * own. It guards what lies beside the journal (the head, the names of files that are set aside) and
 * a journal that does not exist yet. The lock of the journal is on its file and stays with it when
 * the file is moved, whatever path leads to it (`base/file-lock.ts`). The system releases both when
 * the process ends, however it ends.
 */

import { Database } from 'bun:sqlite';
import { accessSync, closeSync, constants, openSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { lockFile, type FileLock } from '../../base/file-lock';
import {
  closeToOthers,
  directoryDoubt,
  fileDoubt,
  makePrivate,
  PRIVATE_FILE,
  type Doubt,
} from '../../base/private-files';
import { StartFault } from '../../base/start-fault';
import { JOURNAL_FILE } from './reading';

const LOCK_FILE = 'lock.sqlite';

export class DirectoryLock {
  /** Why the journal itself could not be locked; undefined if it is locked. */
  unguarded: string | undefined;
  private readonly db: Database;
  private file: Exclude<FileLock, 'taken'> | undefined;

  constructor(db: Database) {
    this.db = db;
  }

  /**
   * Locks this file from now on, instead of the previous one, and creates it if it is missing. Call
   * it before anything is written to the file, and while SQLite has the previous file closed.
   */
  hold(path: string): StartFault | undefined {
    makeFile(path);
    for (const name of [path, `${path}-wal`, `${path}-shm`]) closeToOthers(name);
    const held = lockFile(path);
    if (held === 'taken') return inUse(`the journal ${path}`);
    this.letGo();
    this.file = held;
    this.unguarded = 'absent' in held ? held.absent : undefined;
    return undefined;
  }

  /** Call it when every connection to the journal is closed. */
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
  const path = join(directory, LOCK_FILE);
  let db: Database | undefined;
  try {
    makeFile(path);
    closeToOthers(path);
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

/**
 * Creates a file for its owner alone; SQLite gives the files beside it the same permissions.
 * Nothing may be written before the file is locked.
 */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'ax', PRIVATE_FILE));
  } catch {
    // It exists, or cannot be created; SQLite then reports why.
  }
}

/** What other users of this machine can do to a data directory, or to the files in it. */
export function dataDoubts(directory: string): Doubt[] {
  const files = [JOURNAL_FILE, LOCK_FILE, 'head', 'keys.json', 'journal.suspect'];
  const doubts = files.map((name) => fileDoubt(join(directory, name)));
  return [directoryDoubt(directory), ...doubts].filter((doubt) => doubt !== undefined);
}

function prepare(directory: string): StartFault | undefined {
  const hint = 'Create it, mend its permissions, or give another directory with --data.';
  try {
    makePrivate(directory);
    if (!statSync(directory).isDirectory()) throw new Error('it is not a directory');
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    const doubt = dataDoubts(directory).find(({ isFatal }) => isFatal);
    if (doubt === undefined) return undefined;
    return new StartFault(
      'data-unwritable',
      `the data directory cannot be trusted: ${doubt.message}`,
      doubt.hint,
    );
  } catch (e) {
    return new StartFault(
      'data-unwritable',
      `the data directory ${directory} cannot be used: ${(e as Error).message}`,
      hint,
    );
  }
}
