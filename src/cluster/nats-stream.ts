/**
 * The stream of a batch log: its name, its configuration, and whether one that exists will do.
 *
 * One stream with one subject a shard. `republish` sends each frame to core subscribers once it is committed: a
 * consumer of JetStream stands still for a minute when the server that holds it dies, a subscription does not.
 */

import { DiscardPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { StreamConfig } from '@nats-io/jetstream';

import { ClusterFault } from './cluster-fault';
import { apiOf } from './nats-read';
import type { NatsSettings } from './nats-settings';

export const SERVER_VERSION_LEAST = [2, 12] as const;
const DUPLICATE_WINDOW_MS = 120_000;
const NANOS_A_MS = 1_000_000;

export function streamName(shard: string): string {
  return `TD_${shard}`;
}

export function subjectOf(shard: string): string {
  return `td.${shard}.b`;
}

/** Where committed frames are sent. */
export function followSubjectOf(shard: string): string {
  return `tdr.${shard}.b`;
}

export function bucketName(shard: string): string {
  return `TDC_${shard}`;
}

export function streamConfig(settings: NatsSettings): Partial<StreamConfig> & { name: string } {
  const { shard, replicas, logBytesMax, logAgeMaxMs } = settings;
  return {
    name: streamName(shard),
    description: `Batch log of Tapedeck, shard ${shard}`,
    subjects: [subjectOf(shard)],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    discard: DiscardPolicy.Old,
    max_bytes: logBytesMax,
    max_age: logAgeMaxMs * NANOS_A_MS,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_msg_size: -1,
    allow_direct: true,
    duplicate_window: DUPLICATE_WINDOW_MS * NANOS_A_MS,
    republish: { src: 'td.>', dest: 'tdr.>' },
    deny_delete: true,
  };
}

/** The copy of a log beside a leaf node. It has the frames under the same sequences. */
export function mirrorConfig(settings: NatsSettings): Partial<StreamConfig> & { name: string } {
  const { shard, replicas, logBytesMax, logAgeMaxMs, hubDomain } = settings;
  const name = streamName(shard);
  return {
    name,
    description: `Mirror of the batch log of Tapedeck, shard ${shard}`,
    mirror: { name, domain: hubDomain },
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: replicas,
    discard: DiscardPolicy.Old,
    max_bytes: logBytesMax,
    max_age: logAgeMaxMs * NANOS_A_MS,
    allow_direct: true,
  };
}

/** Why a stream beside a leaf node will not do; undefined: it will. */
export function mirrorFault(
  { name, mirror, allow_direct: isDirect }: StreamConfig,
  { hubDomain }: NatsSettings,
): ClusterFault | undefined {
  if (mirror?.name !== name || mirror.external?.api !== apiOf(hubDomain)) {
    return new ClusterFault(
      'stream-foreign',
      `the stream ${name} where this member is connected is no mirror of the one in the domain ${hubDomain}`,
      'Give the leaf node a JetStream domain of its own, and delete that stream there.',
    );
  }
  if (isDirect) return undefined;
  return new ClusterFault(
    'stream-limits',
    `the mirror ${name} does not allow direct get`,
    'Delete it: this member makes another.',
  );
}

/** Why a stream that exists will not do; undefined: it will. More room than is asked for is no fault. */
export function streamFault(found: StreamConfig, settings: NatsSettings): ClusterFault | undefined {
  const { shard } = settings;
  const wanted = streamConfig(settings);
  const isSubject = found.subjects?.length === 1 && found.subjects[0] === subjectOf(shard);
  const isCopy = found.mirror !== undefined || (found.sources ?? []).length > 0;
  if (!isSubject || isCopy || found.subject_transform !== undefined || found.sealed) {
    return new ClusterFault(
      'stream-foreign',
      `the stream ${found.name} has the subjects ${JSON.stringify(found.subjects ?? [])}, and is ${
        isCopy ? 'a copy' : 'not of Tapedeck'
      }`,
      `Use another shard, or give the stream the one subject ${subjectOf(shard)}.`,
    );
  }
  const differences = [...formDifferences(found, wanted), ...limitDifferences(found, wanted)];
  if (differences.length === 0) return undefined;
  return new ClusterFault(
    'stream-limits',
    `the stream ${found.name} has ${differences.join('; ')}`,
    'Change the stream with `nats stream edit`, or ask for less in the settings.',
  );
}

type Wanted = ReturnType<typeof streamConfig>;

function formDifferences(found: StreamConfig, wanted: Wanted): string[] {
  const differences: string[] = [];
  const same = (name: keyof StreamConfig): void => {
    if (found[name] === wanted[name]) return;
    differences.push(`${name} ${JSON.stringify(found[name])}, not ${JSON.stringify(wanted[name])}`);
  };
  same('retention');
  same('storage');
  same('discard');
  same('allow_direct');
  if (found.no_ack === true) differences.push('no_ack');
  const { src, dest } = found.republish ?? { src: '', dest: '' };
  const isRepublished = src === wanted.republish?.src && dest === wanted.republish.dest;
  if (!isRepublished || found.republish?.headers_only === true) {
    differences.push(`republish ${src} → ${dest}, not td.> → tdr.>`);
  }
  return differences;
}

function limitDifferences(found: StreamConfig, wanted: Wanted): string[] {
  const differences: string[] = [];
  const bound = (name: 'max_bytes' | 'max_age' | 'max_msgs' | 'max_msgs_per_subject'): void => {
    const most = (value: number | undefined): number =>
      value === undefined || value <= 0 ? Infinity : value;
    if (most(found[name]) >= most(wanted[name])) return;
    differences.push(`${name} ${found[name]}, less than ${wanted[name]}`);
  };
  bound('max_bytes');
  bound('max_age');
  bound('max_msgs');
  bound('max_msgs_per_subject');
  if ((found.max_msg_size ?? -1) > 0) differences.push(`max_msg_size ${found.max_msg_size}`);
  for (const name of ['num_replicas', 'duplicate_window'] as const) {
    if (found[name] >= wanted[name]!) continue;
    differences.push(`${name} ${found[name]}, less than ${wanted[name]}`);
  }
  return differences;
}
