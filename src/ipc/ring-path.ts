/**
 * Ring path: the default path of the ring, in a directory that only this user can write. In a directory
 * that all users can write, such as /dev/shm, another user could create a file of the same name first.
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
 * Default path of the ring of a server that runs as this user: in the runtime directory of the systemd
 * service, in that of the login session, or in a directory of its own in /dev/shm.
 * @param isForGroup whether a group reads the ring; other users cannot enter the directory of a session
 */
export function defaultRingPath(environment: Environment, isForGroup = false): string {
  const service = environment['RUNTIME_DIRECTORY']?.split(':')[0] ?? '';
  if (service.startsWith('/')) return join(service, NAME);
  const session = environment['XDG_RUNTIME_DIR'] ?? '';
  if (session.startsWith('/') && !isForGroup) return join(session, 'tapedeck', NAME);
  return join(`/dev/shm/tapedeck-${ownUid()}`, NAME);
}

/**
 * Creates the directory of a ring, for this user alone.
 * @param group id of a group that may enter the directory too
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
  if (!stat.isDirectory()) return unusable(directory, 'it is not a directory');
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
    `the directory ${directory} cannot hold a ring: ${why}`,
    'Remove it, or set a path in a directory that only this user can write, with --ring or ipc.ring.path.',
  );
}
