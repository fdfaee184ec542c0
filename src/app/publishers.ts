/**
 * Publishers of this server: which of them the settings ask for, and what becomes of one that cannot
 * be made. A ring that was asked for and cannot be had is a reason not to start, as a port is;
 * without iceoryx2, which is not of this house, the server runs on.
 */

import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import type { Broadcaster } from '../broadcast/broadcaster';
import { groupId } from '../base/private-files';
import { processEnvironment, type Config } from '../config/config';
import { Iceoryx2Publisher } from '../ipc/iceoryx2';
import { Publishers, type Publisher } from '../ipc/publishers';
import { defaultRingPath, prepareRingDirectory } from '../ipc/ring-path';
import { RingPublisher } from '../ipc/ring-publisher';
import { DELETED_MAX } from '../market/deletions';
import type { Batch } from '../base/contracts/batch';
import type { Log } from '../log/contract';

/** The lanes of WebSocket sessions; they are hydrated with more than events, so not here. */
export function lanesOf(broadcaster: Broadcaster): Publisher<Batch> {
  return {
    name: 'lanes',
    isRequired: true,
    hydrate: () => {},
    accept: (batch) => broadcaster.accept(batch),
    beat: () => broadcaster.look(),
    close: () => {},
  };
}

export function createPublishers(log: Log): Publishers<Batch> {
  return new Publishers<Batch>((name, error) => {
    const detail = { publisher: name, error: String(error) };
    log.error(detail, 'a publisher failed and is out of service; the others go on');
  });
}

/** @param instruments how many there are already */
export function openLocalPublishers(
  { ipc, limits }: Config,
  into: Publishers<Batch>,
  epoch: number,
  instruments: number,
  clock: Clock,
  log: Log,
): StartFault | undefined {
  // One that is deleted keeps its entry until the next start.
  const entries = Math.max(limits.instrumentsMax, instruments) + DELETED_MAX;
  if (ipc.ring.enabled) {
    const ring = openRing(ipc.ring, entries, epoch, clock, log);
    if (ring instanceof StartFault) return ring;
    into.add(ring);
  }
  if (ipc.iceoryx2.enabled) {
    const services = Iceoryx2Publisher.open({ ...ipc.iceoryx2, entries });
    if ('reason' in services) {
      log.error({ hint: services.hint }, `${services.reason}; the server runs without iceoryx2`);
    } else {
      into.add(services);
    }
  }
  return undefined;
}

function openRing(
  settings: Config['ipc']['ring'],
  entries: number,
  epoch: number,
  clock: Clock,
  log: Log,
): RingPublisher | StartFault {
  const group = settings.group === '' ? undefined : groupId(settings.group);
  if (settings.group !== '' && group === undefined) {
    const message = `ipc.ring.group is ${JSON.stringify(settings.group)}; expected a group of this machine`;
    return new StartFault('bad-config', message, 'Give the name or the number of a group.');
  }
  const path =
    settings.path === ''
      ? defaultRingPath(processEnvironment(), group !== undefined)
      : settings.path;
  const unusable = settings.path === '' ? prepareRingDirectory(path, group) : undefined;
  if (unusable !== undefined) return unusable;
  const ring = RingPublisher.open({ ...settings, path, group, entries }, epoch, clock);
  if (!(ring instanceof StartFault)) log.info({ path }, 'the ring is there');
  return ring;
}
