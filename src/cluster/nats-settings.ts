/** How a member of a cluster reaches NATS, and what its batch log is to be: settings, and what the client makes of them. */

import {
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
  type Authenticator,
  type ConnectionOptions,
} from '@nats-io/transport-node';

import { isShardName } from '../../protocol/log-frame';
import { ClusterFault } from './cluster-fault';

/** Who this member is to the broker. */
export type NatsCredentials =
  | { readonly user: string; readonly password: string }
  | { readonly token: string }
  /** The content of a `.creds` file: a JWT and the seed of its key. */
  | { readonly creds: string }
  | { readonly nkeySeed: string };

/** PEM, as text. Given at all, even empty: the connection has to be encrypted. */
export interface NatsTls {
  /** Authorities that may have signed the server's certificate; absent: those of the system. */
  readonly ca?: string;
  /** Certificate and key of this member, where the broker asks for one. */
  readonly cert?: string;
  readonly key?: string;
}

export interface NatsSettings {
  /** `nats://host:port` or `tls://host:port`; the client learns of the others from any. */
  readonly servers: readonly string[];
  /** For the broker's own monitoring. */
  readonly name: string;
  readonly credentials?: NatsCredentials;
  readonly tls?: NatsTls;
  readonly shard: string;
  /** Whether this member creates the stream where there is none: a core does, an edge waits for one. */
  readonly mayCreate: boolean;
  /**
   * JetStream domain of the brokers that keep the log, for an edge that is connected to a leaf node with a domain of its
   * own: it reads from a mirror there, which it creates. Empty: the log is where it is connected.
   */
  readonly hubDomain: string;
  /** Copies of the log: 1, 3 or 5. Durability `replicated` needs 3. */
  readonly replicas: number;
  /** The log holds so many bytes and so much time; what is older goes. */
  readonly logBytesMax: number;
  readonly logAgeMaxMs: number;
  /** For all checkpoints together: three stay, and a fourth is written before the oldest goes. */
  readonly checkpointBytesMax: number;
  /** The least that a message of the broker must hold. A larger batch is sent in parts. */
  readonly payloadBytesMin: number;
  /** How long an answer may take. */
  readonly requestMs: number;
  /** How long opening may take, while the broker starts or elects. */
  readonly openMs: number;
}

export const NATS_DEFAULTS = {
  mayCreate: true,
  replicas: 3,
  hubDomain: '',
  logBytesMax: 16 * 1024 ** 3,
  logAgeMaxMs: 48 * 3_600_000,
  checkpointBytesMax: 16 * 1024 ** 3,
  payloadBytesMin: 256 * 1024,
  requestMs: 2_000,
  openMs: 15_000,
} as const satisfies Partial<NatsSettings>;

/** A stopped server is noticed after about `PING_MS` times `PINGS_OUT_MAX`. */
const PING_MS = 1_000;
const PINGS_OUT_MAX = 2;
const RECONNECT_WAIT_MS = 100;

/** What is wrong with settings, or undefined. */
export function settingsFault(settings: NatsSettings): ClusterFault | undefined {
  const bad = (message: string, hint: string): ClusterFault =>
    new ClusterFault('bad-cluster-settings', message, hint);
  const { shard, servers, replicas, payloadBytesMin, tls } = settings;
  if (!isShardName(shard)) {
    return bad(
      `the shard ${JSON.stringify(shard)}`,
      'Use 1 to 32 letters, digits, dashes or underscores.',
    );
  }
  if (servers.length === 0)
    return bad('no server of NATS is named', 'Name one, such as nats://host:4222.');
  if (![1, 3, 5].includes(replicas)) return bad(`${replicas} replicas`, 'Use 1, 3 or 5.');
  if (payloadBytesMin < 4_096)
    return bad(`messages of ${payloadBytesMin} bytes`, 'Use 4096 or more.');
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    return bad(
      'a certificate without its key, or a key without certificate',
      'Give both, or neither.',
    );
  }
  const { credentials } = settings;
  try {
    if (credentials !== undefined) authenticatorOf(credentials)('nonce');
  } catch (e) {
    return bad(
      `credentials that cannot be read: ${String(e)}`,
      'Give the whole content of the file.',
    );
  }
  return undefined;
}

export function connectionOptions(settings: NatsSettings): ConnectionOptions {
  const { servers, name, tls, credentials, requestMs } = settings;
  return {
    servers: [...servers],
    name,
    ...(tls !== undefined && { tls: { ...tls } }),
    ...(credentials !== undefined && { authenticator: authenticatorOf(credentials) }),
    timeout: requestMs,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_WAIT_MS,
    reconnectJitterTLS: RECONNECT_WAIT_MS,
    pingInterval: PING_MS,
    maxPingOut: PINGS_OUT_MAX,
    // An operator may repair credentials or certificates while this member runs.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
  };
}

function authenticatorOf(credentials: NatsCredentials): Authenticator {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  if ('user' in credentials) {
    return usernamePasswordAuthenticator(credentials.user, credentials.password);
  }
  if ('token' in credentials) return tokenAuthenticator(credentials.token);
  if ('creds' in credentials) return credsAuthenticator(bytes(credentials.creds));
  return nkeyAuthenticator(bytes(credentials.nkeySeed));
}
