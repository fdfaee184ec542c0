/**
 * Publishers of a server: the topics of WebSocket sessions, and those for processes on this machine that the settings
 * name. If a configured ring cannot be created, the server does not start, as with a port. Without iceoryx2, which is a
 * library of others, it runs on.
 */

import { acceptBehind, NO_LAG } from '../base/accepting';
import type { Clock } from '../base/clock';
import type { EventRun } from '../base/contracts/batch';
import type { Publisher } from '../base/contracts/publisher';
import type { Memtable } from '../cache/memtable';
import { PublisherSet } from './publisher-set';
import { StartFault } from '../base/start-fault';
import type { Broadcaster } from '../broadcast/broadcaster';
import { groupId } from '../base/private-files';
import { processEnvironment, type Config } from '../config/config';
import { Iceoryx2Publisher } from '../ipc/iceoryx2';
import { defaultRingPath, prepareRingDirectory } from '../ipc/ring-path';
import { RingPublisher } from '../ipc/ring-publisher';
import { DELETED_MAX } from '../market/deletions';
import type { Batch } from '../base/contracts/batch';
import type { Log } from '../log/contract';

/** The topics of WebSocket sessions. @param index of the shard whose batches it takes */
export function topicsOf(broadcaster: Broadcaster, index: number): Publisher<Batch> {
  const numbering = broadcaster.numberings.at(index);
  return {
    name: numbering.shard === null ? 'lanes' : `lanes ${numbering.shard}`,
    isRequired: true,
    open: ({ newest, deleted, lastSeq, statistics }) => {
      broadcaster.hydrate([...newest, ...deleted], lastSeq, statistics, numbering);
      return lastSeq;
    },
    accept: (batch) => {
      if (batch.epoch !== numbering.epoch) {
        broadcaster.beginEpoch(numbering, batch.epoch, batch.firstSeq - 1);
      }
      broadcaster.accept(batch, numbering);
      return 'taken';
    },
    behindBy: () => NO_LAG,
    catchUp: (position, events) =>
      acceptBehind(position, events, (run) =>
        broadcaster.accept({ ...run, executions: [] }, numbering),
      ),
    beat: () => broadcaster.look(),
    close: () => {},
  };
}

export function createPublishers(log: Log, memtable: Memtable): PublisherSet<Batch> {
  return new PublisherSet<Batch>({
    failed: (name, error) => {
      const detail = { publisher: name, error: String(error) };
      log.error(detail, 'a publisher failed and is out of service; the others go on');
    },
    read: (position, upTo) => publishedEvents(memtable, position, upTo),
  });
}

/** The next events in memory after a position; undefined if some of them are no longer there. */
function publishedEvents(memtable: Memtable, position: number, upTo: number): EventRun | undefined {
  for (const run of memtable.since(position) ?? []) {
    const events = run.filter(({ seq }) => seq <= upTo);
    const last = events.at(-1);
    return last === undefined ? undefined : { events, lastSeq: last.seq };
  }
  return undefined;
}

/**
 * The publishers for processes on this machine that the settings name.
 * @param instruments how many there are already
 * @returns why a ring cannot be created, if so; without iceoryx2 the server starts, and its log says why it is missing
 */
export function openLocalPublishers(
  { ipc, limits }: Config,
  epoch: number,
  instruments: number,
  clock: Clock,
  log: Log,
): Publisher[] | StartFault {
  const opened: Publisher[] = [];
  // A deleted instrument keeps its entry until the next start.
  const entries = Math.max(limits.instrumentsMax, instruments) + DELETED_MAX;
  if (ipc.ring.enabled) {
    const ring = openRing(ipc.ring, entries, epoch, clock, log);
    if (ring instanceof StartFault) return ring;
    opened.push(ring);
  }
  if (ipc.iceoryx2.enabled) {
    const services = Iceoryx2Publisher.open({ ...ipc.iceoryx2, entries });
    if ('reason' in services) {
      log.error({ hint: services.hint }, `${services.reason}; the server runs without iceoryx2`);
    } else {
      opened.push(services);
    }
  }
  return opened;
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
