/**
 * Cluster start: what a member finds out before its server starts: whether the broker can be used, where its own
 * journal stands to the batch log, and, if it has none, a checkpoint to begin with.
 */

import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

import type { Clock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import type { LogBroker } from '../cluster/broker';
import { ClusterFault } from '../cluster/cluster-fault';
import type { LogPosition } from '../cluster/frame-chain';
import { startAt } from '../cluster/log-writer';
import { placeOf } from '../cluster/placing';
import { NatsBroker } from '../cluster/nats-broker';
import { NATS_DEFAULTS, type NatsSettings } from '../cluster/nats-settings';
import type { Config } from '../config/config';
import { installCheckpoint } from '../journal/export/checkpoint-file';
import { journalEnd } from '../journal/recover/journal-end';
import type { Following } from '../journal/recover/opening';
import { JOURNAL_FILE } from '../journal/recover/reading';
import type { Log } from '../log/contract';

const AGAIN_MS = 250;
/** How long a member without a journal waits for a checkpoint before it says so. */
const PATIENCE_MS = 5_000;
const SIDE_FILES = ['', '-wal', '-shm'];

/** Names the batch log and everything else of a shard at the broker. */
export function logNameOf({ name, shard }: Pick<Config['cluster'], 'name' | 'shard'>): string {
  return shard === '' ? name : `${name}-${shard}`;
}

export async function openBroker(config: Config, clock: Clock): Promise<NatsBroker | StartFault> {
  const settings = natsSettings(config);
  if (settings instanceof StartFault) return settings;
  const broker = await NatsBroker.open(settings, clock);
  if (!(broker instanceof ClusterFault)) return broker;
  const { code, message, hint } = broker;
  return new StartFault('cluster-unusable', `${code}: ${message}`, hint);
}

function natsSettings({ cluster, server }: Config): NatsSettings | StartFault {
  const files: Partial<Record<'credentials' | 'ca' | 'cert' | 'key', string>> = {};
  const named = {
    credentials: cluster.credentials,
    ca: cluster.tlsAuthority,
    cert: cluster.tlsCertificate,
    key: cluster.tlsKey,
  };
  for (const [name, path] of Object.entries(named)) {
    if (path === '') continue;
    try {
      files[name as keyof typeof files] = readFileSync(path, 'utf8');
    } catch (e) {
      const message = `cluster: ${path} cannot be read: ${(e as Error).message}`;
      return new StartFault('bad-config', message, 'Correct it under [cluster].');
    }
  }
  const { credentials, ...tls } = files;
  const isTls = Object.keys(tls).length > 0;
  return {
    ...NATS_DEFAULTS,
    servers: cluster.servers,
    name: `tapedeck ${cluster.role} ${server.host}:${server.port}`,
    ...(credentials !== undefined && { credentials: { creds: credentials } }),
    ...(isTls && { tls }),
    shard: logNameOf(cluster),
    mayCreate: cluster.role === 'leader',
    hubDomain: cluster.hubDomain,
    replicas: cluster.replicas,
    logBytesMax: cluster.logBytesMax,
    logAgeMaxMs: cluster.logHoursMax * 3_600_000,
    checkpointBytesMax: cluster.checkpointBytesMax,
  };
}

export interface Preparing {
  /** The journal led nowhere: begin without it, with a checkpoint that leads on from here. */
  readonly beginAt?: LogPosition | null;
  /** Whether nobody waits for it any more. */
  readonly isOver?: () => boolean;
}

/** How the journal of a member is to be opened; null: it was given up. */
export async function prepareJournal(
  broker: LogBroker,
  config: Config,
  clock: Clock,
  log: Log,
  { beginAt = null, isOver = () => false }: Preparing,
): Promise<Following | StartFault | null> {
  const { directory } = config.journal;
  if (beginAt !== null) setAside(directory, clock, log);
  const own = journalEnd(directory);
  if (own !== null) return placed(broker, config, own, isOver);
  const hasBegun = await begun(broker, config, clock, log, { beginAt, isOver });
  return hasBegun ? { keepUpTo: Infinity } : null;
}

/** Where a journal stands to the log. */
async function placed(
  broker: LogBroker,
  { cluster, journal }: Config,
  own: LogPosition,
  isOver: () => boolean,
): Promise<Following | StartFault | null> {
  while (!isOver()) {
    const placed = await placeOf(broker, own);
    if (placed.outcome === 'damaged') {
      return new StartFault('cluster-unusable', placed.fault.message, 'Repair the batch log.');
    }
    if (placed.outcome !== 'ok') {
      await Bun.sleep(AGAIN_MS);
      continue;
    }
    if (placed.value !== null) return { keepUpTo: placed.value };
    return new StartFault(
      'cluster-other-journal',
      `the journal in ${journal.directory} ends at ${own.seq} of epoch ${own.epoch}, which the log of the cluster ${cluster.name} does not have`,
      'Give the data directory of a member of this cluster, or an empty one.',
    );
  }
  return null;
}

/**
 * A member without a journal begins with a checkpoint, or with the log, if that has everything.
 * An older checkpoint than `beginAt` would lead into the hole that this member has met.
 * @returns whether it can; false: it was given up
 */
async function begun(
  broker: LogBroker,
  { journal: { directory }, cluster }: Config,
  clock: Clock,
  log: Log,
  { beginAt, isOver }: Required<Preparing>,
): Promise<boolean> {
  const sinceMs = clock.monotonicMs();
  let isSaid = false;
  while (!isOver()) {
    const list = await broker.checkpoints.list();
    for (const { name, epoch, seq, bytes } of list.outcome === 'ok' ? list.value : []) {
      if (beginAt !== null && (epoch < beginAt.epoch || seq < beginAt.seq)) continue;
      const content = await broker.checkpoints.get(name);
      if (content.outcome !== 'ok' || content.value === null) continue;
      installCheckpoint(directory, content.value);
      log.info({ seq, bytes }, 'the journal begins with a checkpoint of the cluster');
      return true;
    }
    const isWhole =
      list.outcome === 'ok' && beginAt === null && (await hasAll(broker, cluster.role));
    if (isWhole) return true;
    if (!isSaid && clock.monotonicMs() - sinceMs > PATIENCE_MS) {
      isSaid = true;
      log.warn({}, 'this member waits for a checkpoint of its leader');
    }
    await Bun.sleep(AGAIN_MS);
  }
  return false;
}

/** Whether the log begins with the first event, or has none and this member may begin it. */
async function hasAll(broker: LogBroker, role: Config['cluster']['role']): Promise<boolean> {
  const info = await broker.info();
  if (info.outcome !== 'ok') return false;
  const { firstSequence, lastSequence } = info.value;
  if (lastSequence === 0) return role === 'leader';
  if (firstSequence !== 1) return false;
  const first = await broker.read(1, 1, 1);
  if (first.outcome !== 'ok' || first.value[0] === undefined) return false;
  const start = startAt({ sequence: 1, frame: first.value[0] });
  return start !== null && !('code' in start) && start.seq === 0;
}

/** The journal stays, under another name, for whoever needs what it has. */
function setAside(directory: string, clock: Clock, log: Log): void {
  const path = join(directory, JOURNAL_FILE);
  if (!existsSync(path)) return;
  const aside = join(directory, `journal-left-${clock.now().millis}.sqlite`);
  for (const suffix of SIDE_FILES) {
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`);
  }
  log.error({ aside }, 'the journal does not lead to what the cluster has now; it was set aside');
}
