/**
 * Data directory: made when missing, and held by one server at a time. The lock is an open exclusive
 * transaction on a file of its own, which the system lets go of however the process ends.
 */

import { Database } from 'bun:sqlite';
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { StartFault } from '../base/start-fault';

export interface DirectoryLock {
  release(): void;
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
    const held = db;
    return { release: () => held.close() };
  } catch (e) {
    db?.close();
    const code = (e as { code?: string }).code ?? '';
    if (code.startsWith('SQLITE_BUSY')) {
      return new StartFault(
        'data-in-use',
        `the data directory ${directory} is in use by another Tapedeck process`,
        'Stop that process, or give another directory with --data.',
      );
    }
    return new StartFault(
      'data-unwritable',
      `the data directory ${directory} cannot be locked: ${(e as Error).message}`,
      'Check its permissions, or give another directory with --data.',
    );
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
