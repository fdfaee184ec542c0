/**
 * Opening a batch log: connects, checks that the broker can do what the log needs, and finds or creates the stream.
 * While a broker starts or elects it answers nothing useful, so opening tries again until its time is over.
 */

import {
  JetStreamApiError,
  jetstreamManager,
  type JetStreamManager,
  type JetStreamManagerOptions,
  type StreamInfo,
} from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { decodeLogFrame } from '../../protocol/log-frame';
import type { Clock } from '../base/clock';
import { ClusterFault } from './cluster-fault';
import { reasonOf } from './nats-link';
import { connectionOptions, type NatsSettings } from './nats-settings';
import {
  SERVER_VERSION_LEAST,
  mirrorConfig,
  mirrorFault,
  streamConfig,
  streamFault,
  streamName,
  subjectOf,
} from './nats-stream';

const AGAIN_MS = 200;
/** Room for the headers of an append. */
export const HEADER_BYTES_MAX = 1_024;

const API = {
  streamNotFound: 10059,
  /** For this account. */
  notEnabled: 10039,
  subjectsOverlap: 10065,
  nameInUse: 10058,
  noPeers: 10005,
  notClustered: 10074,
  noResources: 10023,
  noStorage: 10047,
  storageExceeded: 10028,
} as const;
const TOO_SMALL: ReadonlySet<number> = new Set([
  API.noPeers,
  API.notClustered,
  API.noResources,
  API.noStorage,
  API.storageExceeded,
]);

export interface OpenedStream {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
}

/** Where the leader of the stream is. */
export function managerOptions({ requestMs, hubDomain }: NatsSettings): JetStreamManagerOptions {
  return { timeout: requestMs, ...(hubDomain !== '' && { domain: hubDomain }) };
}

export async function openStream(
  settings: NatsSettings,
  clock: Clock,
): Promise<OpenedStream | ClusterFault> {
  const untilMs = clock.monotonicMs() + settings.openMs;
  const isOver = (): boolean => clock.monotonicMs() >= untilMs;
  const nc = await connected(settings, clock, isOver);
  if (nc instanceof ClusterFault) return nc;
  const opened = await checked(nc, settings, clock, isOver);
  if (opened instanceof ClusterFault) await nc.close();
  return opened;
}

async function connected(
  settings: NatsSettings,
  clock: Clock,
  isOver: () => boolean,
): Promise<NatsConnection | ClusterFault> {
  for (;;) {
    try {
      return await connect(connectionOptions(settings));
    } catch (e) {
      const fault = connectionFault(e, settings);
      if (fault.code !== 'broker-unreachable' || isOver()) return fault;
    }
    await pause(clock);
  }
}

function connectionFault(error: unknown, { servers }: NatsSettings): ClusterFault {
  const reason = reasonOf(error);
  const name = error instanceof Error ? error.name : '';
  const code = (error as { code?: unknown } | null)?.code;
  const where = servers.join(', ');
  if (/Authorization|Authentication/.test(name)) {
    return new ClusterFault(
      'broker-unauthorized',
      `${where}: ${reason}`,
      'Give the credentials of an account that may use JetStream.',
    );
  }
  const text = `${String(code)} ${reason}`;
  if (/CERT|TLS|SSL|self.signed|certificate|\btls\b/i.test(text)) {
    return new ClusterFault(
      'broker-insecure',
      `${where}: no encrypted connection: ${reason}`,
      'Check the authority, the names and the dates of the certificates.',
    );
  }
  return new ClusterFault(
    'broker-unreachable',
    `${where}: ${reason}`,
    'Start the servers of NATS, or correct their addresses.',
  );
}

/** Checks a connected broker; asks again while it elects. */
async function checked(
  nc: NatsConnection,
  settings: NatsSettings,
  clock: Clock,
  isOver: () => boolean,
): Promise<OpenedStream | ClusterFault> {
  const wrong = serverFault(nc, settings);
  if (wrong !== undefined) return wrong;
  for (;;) {
    try {
      const jsm = await jetstreamManager(nc, managerOptions(settings));
      const info = await foundOrCreated(jsm, settings);
      // The first leader of a cluster may start a little later than the others.
      const mayCome = info instanceof ClusterFault && info.code === 'stream-absent' && !isOver();
      if (info instanceof ClusterFault) {
        if (!mayCome) return info;
      } else {
        const wrong =
          (await contentFault(jsm, info, settings)) ?? (await mirrorsFault(nc, settings));
        return wrong ?? { nc, jsm };
      }
    } catch (e) {
      const fault = apiFault(e, settings);
      if (fault !== undefined && (!canPass(e) || isOver())) return fault;
      if (isOver()) return unanswered(nc, reasonOf(e));
    }
    await pause(clock);
  }
}

function serverFault(nc: NatsConnection, settings: NatsSettings): ClusterFault | undefined {
  const version = nc.info?.version ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = SERVER_VERSION_LEAST;
  const least = SERVER_VERSION_LEAST.join('.');
  if (major < leastMajor || (major === leastMajor && minor < leastMinor)) {
    return new ClusterFault(
      'broker-too-old',
      `nats-server ${version}; at least ${least} is needed`,
      `Upgrade nats-server to ${least} or later, one server at a time.`,
    );
  }
  const most = nc.info?.max_payload ?? 0;
  const needed = settings.payloadBytesMin + HEADER_BYTES_MAX;
  if (most >= needed) return undefined;
  return new ClusterFault(
    'payload-too-small',
    `a message of the broker has at most ${most} bytes; ${needed} are needed`,
    `Set max_payload of nats-server to ${needed} or more.`,
  );
}

function unanswered(nc: NatsConnection, reason: string): ClusterFault {
  if (nc.info?.jetstream === true) {
    return new ClusterFault(
      'broker-unreachable',
      `JetStream does not answer: ${reason}`,
      'See whether more than half of the servers of NATS run and reach each other.',
    );
  }
  return new ClusterFault(
    'jetstream-off',
    `JetStream is not enabled at ${nc.getServer()}`,
    'Enable it: a block jetstream with a store_dir in the configuration of nats-server.',
  );
}

/** What the broker says no to; undefined: it may say yes later. */
function apiFault(error: unknown, settings: NatsSettings): ClusterFault | undefined {
  const inner =
    error instanceof Error && error.cause instanceof JetStreamApiError ? error.cause : error;
  if (!(inner instanceof JetStreamApiError)) return undefined;
  const { code, message } = inner;
  if (code === API.notEnabled) {
    return new ClusterFault('jetstream-off', message, 'Enable JetStream for the account.');
  }
  if (code === API.subjectsOverlap) {
    return new ClusterFault(
      'stream-foreign',
      `another stream takes the subject ${subjectOf(settings.shard)}: ${message}`,
      'Use another shard, another account, or delete that stream.',
    );
  }
  if (!TOO_SMALL.has(code)) return undefined;
  return new ClusterFault(
    'broker-too-small',
    `no stream of ${settings.replicas} replicas and ${settings.logBytesMax} bytes: ${message}`,
    'Add servers, raise max_file_store, or ask for fewer replicas or bytes.',
  );
}

/** A server that has just been restarted counts as offline for some seconds. */
function canPass(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === API.noPeers;
}

async function foundOrCreated(
  jsm: JetStreamManager,
  settings: NatsSettings,
): Promise<StreamInfo | ClusterFault> {
  const name = streamName(settings.shard);
  const found = await jsm.streams.info(name).catch(orNull(API.streamNotFound));
  if (found !== null) return streamFault(found.config, settings) ?? found;
  if (!settings.mayCreate) {
    return new ClusterFault(
      'stream-absent',
      `the broker has no stream ${name}`,
      'Start a core of this cluster first, or correct the shard.',
    );
  }
  const made = await jsm.streams.add(streamConfig(settings)).catch(orNull(API.nameInUse));
  // Another member created it meanwhile, with other limits.
  return made ?? foundOrCreated(jsm, settings);
}

/** An edge beside a leaf node finds or creates the mirror there. */
async function mirrorsFault(
  nc: NatsConnection,
  settings: NatsSettings,
): Promise<ClusterFault | undefined> {
  if (settings.hubDomain === '') return undefined;
  const jsm = await jetstreamManager(nc, { timeout: settings.requestMs });
  const name = streamName(settings.shard);
  const found = await jsm.streams.info(name).catch(orNull(API.streamNotFound));
  if (found !== null) return mirrorFault(found.config, settings);
  const made = await jsm.streams.add(mirrorConfig(settings)).catch(orNull(API.nameInUse));
  return made === null ? mirrorsFault(nc, settings) : undefined;
}

/** Whether others wrote to it. */
async function contentFault(
  jsm: JetStreamManager,
  { state }: StreamInfo,
  { shard }: NatsSettings,
): Promise<ClusterFault | undefined> {
  if (state.messages === 0) return undefined;
  const name = streamName(shard);
  const last = await jsm.streams.getMessage(name, { last_by_subj: subjectOf(shard) });
  if (last === null) return undefined;
  const frame = decodeLogFrame(last.data);
  const problem = 'code' in frame ? frame.message : `it is of the shard ${frame.shard}`;
  if (!('code' in frame) && frame.shard === shard) return undefined;
  return new ClusterFault(
    'stream-foreign',
    `message ${last.seq} of the stream ${name} is no frame of this log: ${problem}`,
    'Let nobody else publish to its subject; use another shard, or delete the stream.',
  );
}

function orNull(code: number): (error: unknown) => null {
  return (error) => {
    if (error instanceof JetStreamApiError && error.code === code) return null;
    throw error;
  };
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => void clock.turns.later('cluster', AGAIN_MS, resolve));
}
