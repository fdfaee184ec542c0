/** Causes: why the journal cannot be written, and what an operator can do about it. */

import { statfsSync } from 'node:fs';

import { StartFault } from '../../base/start-fault';
import { ForeignWrite } from './own-writes';

export const CAUSES = {
  'disk-full': 'Make room on its disk, or raise the quota.',
  'read-only':
    'Make journal.sqlite, its -wal and its -shm writable for this user, and the file system that they are on.',
  'moved': 'The file was moved or deleted while it was written: put it back under its name.',
  'io-error': "Its disk reports an error: look at the system's log, and check the disk.",
  'in-use':
    'Another process holds a lock on the file, such as a shell with an open transaction: end it.',
  'not-opened':
    'Check that the file and its directory are there and may be opened, and how many files may be open.',
  'no-memory': 'Give the process or the machine more memory.',
  'foreign-write':
    'Find the other process that writes this journal, and stop it; then run "tapedeck verify" before the next start.',
  'other': 'The message of SQLite says what is wrong.',
} as const;

export type Cause = keyof typeof CAUSES;

/** A cause with its hint, as figures report it. */
export function named(cause: Cause | null): {
  readonly cause: Cause | null;
  readonly hint: string;
} {
  return { cause, hint: cause === null ? '' : CAUSES[cause] };
}

/** By the beginning of SQLite's error code; the first match counts. */
const BY_CODE: readonly (readonly [string, Cause])[] = [
  ['SQLITE_FULL', 'disk-full'],
  ['SQLITE_READONLY_DBMOVED', 'moved'],
  ['SQLITE_READONLY', 'read-only'],
  ['SQLITE_PERM', 'read-only'],
  ['SQLITE_IOERR_NOMEM', 'no-memory'],
  ['SQLITE_NOMEM', 'no-memory'],
  ['SQLITE_IOERR', 'io-error'],
  ['SQLITE_BUSY', 'in-use'],
  ['SQLITE_LOCKED', 'in-use'],
  ['SQLITE_PROTOCOL', 'in-use'],
  ['SQLITE_CANTOPEN', 'not-opened'],
  // Only this process assigns ids, and without repetition. If an id exists already, another process
  // wrote it.
  ['SQLITE_CONSTRAINT', 'foreign-write'],
];
/** Errors of files and directories, by the system's code. */
const BY_SYSTEM: Readonly<Record<string, Cause>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EROFS: 'read-only',
  EACCES: 'read-only',
  EPERM: 'read-only',
  EIO: 'io-error',
  EMFILE: 'not-opened',
  ENFILE: 'not-opened',
  ENOENT: 'not-opened',
};
/**
 * SQLite extends the index of its WAL by this much at once. If there is less room, it reports an
 * I/O error.
 */
const ROOM_BYTES = 65_536;

/** @param directory of the journal; a full disk causes several different errors */
export function causeOf(e: unknown, directory: string): Cause {
  if (e instanceof ForeignWrite) return 'foreign-write';
  if (e instanceof WriteError) return e.why;
  const { code = '' } = e as { code?: string };
  const cause = BY_SYSTEM[code] ?? BY_CODE.find(([begin]) => code.startsWith(begin))?.[1];
  if (cause === 'io-error' && !hasRoom(directory)) return 'disk-full';
  return cause ?? 'other';
}

function hasRoom(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return true;
  }
}

/** A write that finally failed, in any thread. */
export class WriteError extends Error {
  readonly why: Cause;

  constructor(message: string, why: Cause) {
    super(message);
    this.why = why;
  }
}

/**
 * The fault to start with if the disk or another process prevents writing. The content of the file
 * is not in doubt.
 */
export function unwritable(directory: string, e: unknown): StartFault {
  const cause = causeOf(e, directory);
  const { message } = e as Error;
  if (cause === 'foreign-write') {
    return new StartFault(
      'journal-taken',
      `the journal in ${directory} is written by another process: ${message}`,
      CAUSES[cause],
    );
  }
  return new StartFault(
    'journal-unwritable',
    `the journal in ${directory} cannot be written (${cause}): ${message}`,
    `${CAUSES[cause]} Then start again; what is missing is declared.`,
  );
}
