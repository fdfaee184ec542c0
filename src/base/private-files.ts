/**
 * Private files: whether another local user could have made or changed a file or a directory. Directories are created
 * for their owner alone, whatever the umask. What is in a directory that others cannot write was put there by this
 * user or root.
 */

import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;
const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;

/** How another user could have had access. */
export interface Doubt {
  readonly message: string;
  readonly hint: string;
  /** Whether it must not be used. */
  readonly isFatal: boolean;
}

/** The user of this process, as file ownership goes. */
export function ownUid(): number {
  return process.geteuid?.() ?? 0;
}

/** Creates a directory and its missing parents. @throws Error if that is impossible */
export function makePrivate(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: PRIVATE_DIRECTORY });
  if (first !== undefined) chmodSync(path, PRIVATE_DIRECTORY);
}

/** What others can do to an existing directory. */
export function directoryDoubt(path: string): Doubt | undefined {
  const { uid, mode } = statSync(path);
  const own = ownUid();
  const hint = `Run "chmod 700 ${path}", as its owner; or give another directory.`;
  if (uid !== own && uid !== 0) {
    const message = `${path} belongs to user ${uid}, who can change what is in it`;
    return {
      message,
      hint: `Run "chown ${own} ${path}" as root, or give another directory.`,
      isFatal: own !== 0,
    };
  }
  if ((mode & WRITABLE_BY_ALL) !== 0) {
    return { message: `${path} can be written by every user of this machine`, hint, isFatal: true };
  }
  if ((mode & WRITABLE_BY_GROUP) !== 0) {
    return { message: `${path} can be written by its group`, hint, isFatal: false };
  }
  return undefined;
}

/**
 * How another user could have had access to an existing file, and to the target of a link; undefined if there is no
 * doubt. A link that this user or root made is accepted.
 */
export function fileDoubt(path: string): Doubt | undefined {
  const directory = dirname(path);
  if (!existsSync(directory) || !statSync(directory).isDirectory()) return undefined; // opening it reports the error
  const link = lstatSync(path, { throwIfNoEntry: false });
  const file = statSync(path, { throwIfNoEntry: false });
  const own = ownUid();
  for (const stat of [link, file]) {
    if (stat === undefined || stat.uid === own || stat.uid === 0) continue;
    const hint = `Look into it, and run "chown ${own} ${path}" as root if it is yours.`;
    return { message: `${path} belongs to user ${stat.uid}`, hint, isFatal: own !== 0 };
  }
  if (file === undefined || (file.mode & (WRITABLE_BY_ALL | WRITABLE_BY_GROUP)) === 0)
    return undefined;
  return {
    message: `${path} can be written by others`,
    hint: `Run "chmod 600 ${path}".`,
    isFatal: false,
  };
}

/** Removes the permissions of others from a file of this user; a file of another user is left alone. */
export function closeToOthers(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.uid !== ownUid() || (stat.mode & 0o077) === 0) return;
  chmodSync(path, stat.mode & 0o700);
}

/** The id of a group, given as id or name; undefined if there is no such group. */
export function groupId(group: string): number | undefined {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  return id === undefined || id === '' ? undefined : Number(id);
}
