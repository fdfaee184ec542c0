/**
 * Ring path: where the ring is, unless somebody says: in a directory that only this user can write. In a
 * directory that all can write, such as /dev/shm itself, another user could take its name first.
 */

import { chmodSync, chownSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { ownUid } from '../base/private-files';
import { StartFault } from '../base/start-fault';

const NAME = 'tapedeck.ring';
const OWNER_ONLY = 0o700;
const GROUP_MAY_LOOK = 0o750;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where a server of this user has its ring: in the runtime directory of its service or of its session, or
 * in one of its own in shared memory.
 * @param isForGroup whether others are to reach it, which they cannot in the directory of a session
 */
export function defaultRingPath(environment: Environment, isForGroup = false): string {
  const service = environment['RUNTIME_DIRECTORY']?.split(':')[0] ?? '';
  if (service.startsWith('/')) return join(service, NAME);
  const session = environment['XDG_RUNTIME_DIR'] ?? '';
  if (session.startsWith('/') && !isForGroup) return join(session, 'tapedeck', NAME);
  return join(`/dev/shm/tapedeck-${ownUid()}`, NAME);
}

/**
 * Makes the directory of a ring, for this user alone.
 * @param group that may look into it too
 */
export function prepareRingDirectory(path: string, group?: number): StartFault | undefined {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { mode: OWNER_ONLY });
  } catch (e) {
    const { code, message } = e as NodeJS.ErrnoException;
    if (code !== 'EEXIST') return unusable(directory, message);
  }
  const stat = lstatSync(directory);
  if (!stat.isDirectory()) return unusable(directory, 'it is no directory');
  if (stat.uid !== ownUid()) return unusable(directory, `it belongs to user ${stat.uid}`);
  try {
    if (group !== undefined) chownSync(directory, stat.uid, group);
    chmodSync(directory, group === undefined ? OWNER_ONLY : GROUP_MAY_LOOK);
    return undefined;
  } catch (e) {
    return unusable(directory, (e as Error).message);
  }
}

function unusable(directory: string, why: string): StartFault {
  return new StartFault(
    'ring-unusable',
    `the directory ${directory} cannot be that of a ring: ${why}`,
    'Remove it, or give a path in a directory that only this user can write, with --ring or ipc.ring.path.',
  );
}
