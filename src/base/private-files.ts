/**
 * Private files: whether what a directory or a file holds can be another local user's doing. Directories
 * of ours are made for their owner alone, whatever the mask of the process. What is in a directory that
 * others cannot write is what we, or root, have put there.
 */

import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export const PRIVATE_DIRECTORY = 0o700;
export const PRIVATE_FILE = 0o600;
const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;

/** Why something may be of another user. */
export interface Doubt {
  readonly message: string;
  readonly hint: string;
  /** It must not be used. */
  readonly isFatal: boolean;
}

/** Of this process, as far as files go. */
export function ownUid(): number {
  return process.geteuid?.() ?? 0;
}

/** Makes a directory and those above it that are missing. @throws Error where that is impossible */
export function makePrivate(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: PRIVATE_DIRECTORY });
  if (first !== undefined) chmodSync(path, PRIVATE_DIRECTORY);
}

/** What others can do to a directory that is there. */
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
 * What another user has to do with a file that is there, and with what it links to; undefined where there
 * is none. A link of our own, or of root, is the operator's to make.
 */
export function fileDoubt(path: string): Doubt | undefined {
  const directory = dirname(path);
  if (!existsSync(directory) || !statSync(directory).isDirectory()) return undefined; // who opens it says so
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

/** Takes from others what a file of ours lets them do; one of somebody else stays as it is. */
export function closeToOthers(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.uid !== ownUid() || (stat.mode & 0o077) === 0) return;
  chmodSync(path, stat.mode & 0o700);
}

/** The number of a group, by that or by its name; undefined: there is none. */
export function groupId(group: string): number | undefined {
  if (/^\d{1,9}$/.test(group)) return Number(group);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  return id === undefined || id === '' ? undefined : Number(id);
}
